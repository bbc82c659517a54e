"""Letters: what a delivery's letter says of its own reader, and where its envelope leads back to.

Every link, Message-ID and return path is made from the delivery and signed, so that what comes back finds
its row without the original text, and nobody can make one up (law 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

from sqlalchemy.orm import Session

from mailer.address import Address
from mailer.audience.names import Names, salutation
from mailer.audience.store import Subscriber
from mailer.content import letter as content
from mailer.content import slots
from mailer.content.letter import Blueprint
from mailer.delivery import store
from mailer.delivery.batches import Addressee
from mailer.delivery.smtp import Envelope
from mailer.delivery.store import Campaign
from mailer.errors import NotFound
from mailer.issues import editions, freeze
from mailer.settings import Settings
from mailer.signing import Purpose

RETURN_PATH_LIFE = timedelta(days=60)  # reports of failed letters come within days; forgers may take longer
NOBODY = 0  # deliveries count from 1; a token of number 0 is a test letter's

Compose = Callable[[Addressee, datetime], Envelope]


class Compositor:
    """Makes letters from frozen blueprints, which it reads once per campaign."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[int, _Frozen] = {}  # by campaign, the last used last

    def of(self, session: Session, campaign_id: int) -> Compose:
        """Return what composes this campaign's letters."""
        frozen = self._known.pop(campaign_id, None) or _frozen(session, campaign_id, self._settings)
        self._known[campaign_id] = frozen
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return partial(_compose, frozen, self._settings)


@dataclass(frozen=True)
class _Frozen:
    """What a campaign's letters have in common. ``others``: by language, the other edition on the web."""

    campaign_id: int
    blueprints: dict[str, Blueprint]
    others: dict[str, str]


_KEPT = 8  # campaigns; a blueprint holds some 100 KB


def _frozen(session: Session, campaign_id: int, settings: Settings) -> _Frozen:
    editions_ = store.frozen_editions(session, campaign_id)
    return _Frozen(
        campaign_id,
        {language: Blueprint.from_json(each.blueprint.decode()) for language, each in editions_.items()},
        _others(session, campaign_id, settings),
    )


def _compose(frozen: _Frozen, settings: Settings, person: Addressee, now: datetime) -> Envelope:
    if person.address is None:
        raise ValueError(f"delivery {person.n} has no address: it must be withdrawn, not written")
    return compose(
        frozen.blueprints[person.language],
        campaign_id=frozen.campaign_id,
        n=person.n,
        address=person.address,
        greeting=person.salutation,
        other=frozen.others.get(person.language, ""),
        settings=settings,
        now=now,
    )


def compose(
    blueprint: Blueprint,
    *,
    campaign_id: int,
    n: int,
    address: str,
    greeting: str,
    other: str,
    settings: Settings,
    now: datetime,
) -> Envelope:
    """Return the letter of delivery ``n`` with its envelope. ``other``: the other edition on the web."""
    keys, base, domain = settings.keys, settings.public_url, settings.bounce_domain
    token = keys.sign(Purpose.LINK, campaign_id, n)
    leave = keys.sign(Purpose.LEAVE, campaign_id, n)
    values = {
        slots.SALUTATION: greeting,
        slots.TOKEN: token,
        slots.VIEW: f"{base}/view/{token}",
        slots.PREFERENCES: f"{base}/preferences/{token}",
        slots.UNSUBSCRIBE: f"{base}/leave/{leave}",
        slots.OTHER: other,
        content.TO_NAME: "",
        content.TO_ADDRESS: address,
        content.DATE: format_datetime(now.astimezone(UTC)),
        content.MESSAGE_ID: f"<m-{keys.sign(Purpose.MESSAGE_ID, campaign_id, n)}@{domain}>",
        content.UNSUBSCRIBE_MAIL: f"leave-{leave}@{domain}",
    }
    back = keys.sign(Purpose.RETURN_PATH, campaign_id, n, expires=now + RETURN_PATH_LIFE)
    return Envelope(n, f"b-{back}@{domain}", address, blueprint.letter(values), address.isascii())


def again(session: Session, *, campaign_id: int, n: int, settings: Settings, now: datetime) -> bytes:
    """Return the very letter a delivery got: the frozen bytes with its own values; only the date is today's.

    :raises NotFound: no such delivery, or the person was erased
    """
    delivery = session.get(store.Delivery, (campaign_id, n))
    subscriber = session.get(Subscriber, delivery.subscriber_id) if delivery else None
    if delivery is None or subscriber is None or subscriber.address is None:
        raise NotFound("This letter can no longer be shown.")
    person = Addressee(
        n, subscriber.id, delivery.language, delivery.salutation, delivery.state, subscriber.address, ""
    )
    return Compositor(settings).of(session, campaign_id)(person, now).body


def trial(
    session: Session,
    campaign: Campaign,
    *,
    recipient: Address,
    language: str | None,
    settings: Settings,
    now: datetime,
) -> Envelope:
    """Return a test letter: the frozen edition if there is one, else the edition as it stands."""
    chosen = language or campaign.languages[0]
    frozen = store.frozen_editions(session, campaign.id).get(chosen)
    if frozen is not None:
        blueprint = Blueprint.from_json(frozen.blueprint.decode())
    else:
        blueprint, _ = freeze.blueprint_of(session, campaign.issue_id, chosen, settings=settings)
    return compose(
        blueprint,
        campaign_id=campaign.id,
        n=NOBODY,
        address=recipient.wire,
        greeting=salutation(Names(), chosen),
        other=_others(session, campaign.id, settings).get(chosen, ""),
        settings=settings,
        now=now,
    )


def _others(session: Session, campaign_id: int, settings: Settings) -> dict[str, str]:
    """Return, by language, where the edition in the other language stands on the web."""
    campaign = session.get_one(Campaign, campaign_id)
    issue = editions.get(session, campaign.issue_id)
    languages = list(editions.languages(session, issue.id))
    return {
        language: freeze.web_address(settings, issue, other)
        for language in languages
        for other in languages
        if other != language
    }
