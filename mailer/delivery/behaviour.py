"""What people did with letters, as fields of the segment language: received, opened, clicked, bounced.

``received``: a relay took the letter, when it did; it may have come back later, which ``bounced`` tells.
``opened`` and ``clicked`` are of people: visits that gave themselves away as a machine's do not count.
Importing this registers the fields; ``mailer.delivery`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, select, true
from sqlalchemy.orm import Session, aliased

from mailer.audience import fields, grammar
from mailer.audience.fields import HAPPENED, Field, Held, Scope, register
from mailer.audience.rules import Operator
from mailer.audience.store import Subscriber
from mailer.delivery import store
from mailer.delivery.events import MACHINE
from mailer.delivery.store import Attempt, Delivery, DeliveryState, Event, EventKind
from mailer.sentence import Sentence

_TIMELESS = frozenset({Operator.EVER, Operator.CAMPAIGN})


def _received(scope: Scope, operator: Operator | None) -> Sequence[Held]:
    """Deliveries that a relay took. When it did stands with the attempt: looked up only where it matters."""
    letter, attempt = aliased(Delivery), aliased(Attempt)
    rows = select(letter.n).where(
        letter.subscriber_id == Subscriber.id, letter.state == DeliveryState.ACCEPTED
    )
    if operator in _TIMELESS:
        return (Held(letter.campaign_id, rows, campaign=letter.campaign_id),)
    of_it = and_(
        attempt.campaign_id == letter.campaign_id,
        attempt.n == letter.n,
        attempt.state == DeliveryState.ACCEPTED,
    )
    timed = rows.join(attempt, of_it, isouter=operator is None)
    return (Held(attempt.at, timed, campaign=letter.campaign_id),)


def _heard(kind: EventKind, *, by_people: bool = False) -> Callable[[Scope, Operator | None], Sequence[Held]]:
    """Events of a kind about a person's letters."""

    def held(scope: Scope, operator: Operator | None) -> Sequence[Held]:
        letter, event = aliased(Delivery), aliased(Event)
        rows: Select[Any] = (
            select(event.id)
            .join(letter, and_(letter.campaign_id == event.campaign_id, letter.n == event.n))
            .where(letter.subscriber_id == Subscriber.id, event.kind == kind)
        )
        human = ~event.detail.startswith(MACHINE) if by_people else true()
        return (Held(event.at, rows, where=human, campaign=event.campaign_id),)

    return held


def _campaign(session: Session, text: str) -> int:
    """Return the number of a campaign that a rule names by its number or by the id in its page's address.

    :raises ValueError: there is none
    """
    campaign = (
        store.campaign_by_public_id(session, UUID(text))
        if len(text) >= 32 and _is_uuid(text)
        else store.campaign(session, grammar.number(text))
    )
    if campaign is None:
        raise ValueError(Sentence("there is no such campaign: `mailer campaign list` shows their numbers"))
    return campaign.id


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _field(name: str, held: Callable[[Scope, Operator | None], Sequence[Held]]) -> Field:
    return Field(name, HAPPENED, fields.read_day, held, days=True, campaign=_campaign)


_FIELDS = (
    _field("received", _received),
    _field("opened", _heard(EventKind.OPEN, by_people=True)),
    _field("clicked", _heard(EventKind.CLICK, by_people=True)),
    _field("bounced", _heard(EventKind.BOUNCE)),
)
for _one, _chinese in zip(_FIELDS, ("收到", "打开", "点击", "退回"), strict=True):
    register(_one, _chinese)
