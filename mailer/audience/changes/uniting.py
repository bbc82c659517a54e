"""Uniting: two rows that are one person become one. Decides and writes what the row holds that stays.

The secretariat unites by merging duplicates (``merging``), a person by moving to an address that is known
(``moves``). Both write through here, so that the same two rows become the same one.

- The last thing the person themselves said counts; what others said of them never outweighs a leave.
- Who moves speaks then and there for the letters they get: those move along.
- Consents, memberships and topics come over; nothing of the evidence is lost, and nobody is subscribed who
  was not.
- Blanks are filled; of a language that one of them chose, the later choice counts.
- A suppression is about an address and stays with it; a complaint is about us and comes over.
- Ledgers, events and reports point where they pointed: what was sent went to that row's address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.audience import silenced
from mailer.audience.changes import ties
from mailer.audience.changes.journal import Pen
from mailer.audience.evidence import history
from mailer.audience.evidence.store import EVIDENCE
from mailer.audience.intake import salutations
from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
)

REASON = "merged"  # why the row that goes has left
_OWN_WORD = (ConsentKind.SIGN_UP, ConsentKind.INVITED)  # confirmed by the person
_COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Said:
    """Who says that two rows are one person. ``by``: as in the audit log; ``moves``: they themselves."""

    at: datetime
    by: str = ""
    moves: bool = False


def unite(pen: Pen, gone: Subscriber, kept: Subscriber, said: Said) -> None:
    """Make ``gone`` part of ``kept``. It has left everywhere afterwards: no import subscribes it again."""
    _unite_standing(pen, gone, kept, said)
    _unite_memberships(pen, gone, kept, said)
    for topic_id in sorted(chosen(pen.session, gone.id) - chosen(pen.session, kept.id)):
        pen.add(SubscriberTopic(subscriber_id=kept.id, topic_id=topic_id))
    _unite_facts(pen, gone, kept)
    _unite_complaints(pen, gone, kept, said)
    if gone.merged_into is None:
        pen.change(gone, merged_into=kept.id)
    for row in pen.session.scalars(select(Subscriber).where(Subscriber.merged_into == gone.id)):
        pen.change(row, merged_into=kept.id)


def outcome(
    kept: Subscription | None, gone: Subscription | None, *, moves: bool = False
) -> SubscriptionState:
    """Return how the one person stands, from how the two rows stood. At least one of them is there.

    Who left at either address has left, unless they confirmed at the other one themselves, later, or take
    with them what they get (``moves``).
    """
    found = [row for row in (kept, gone) if row is not None]
    left = [row for row in found if row.state == SubscriptionState.LEFT and row.left_reason != REASON]
    confirmed = [row for row in found if row.state == SubscriptionState.CONFIRMED]
    if left:
        own = [row for row in confirmed if row.consent_kind in _OWN_WORD]
        came_back = any(row.consent_at > each.changed_at for row in own for each in left)
        stays = came_back or (moves and kept in confirmed)
        return SubscriptionState.CONFIRMED if stays else SubscriptionState.LEFT
    return SubscriptionState.CONFIRMED if confirmed else SubscriptionState(found[0].state)


def standing(session: Session, subscriber_id: int) -> dict[int, Subscription]:
    """Return how a row stands, by publication."""
    return {row.publication_id: row for row in ties.subscriptions(session, [subscriber_id])}


def chosen(session: Session, subscriber_id: int) -> set[int]:
    """Return the ids of the topics a row has chosen."""
    its = SubscriberTopic
    return set(session.scalars(select(its.topic_id).where(its.subscriber_id == subscriber_id)))


def complaints(session: Session, person: Subscriber, now: datetime) -> Sequence[Suppression]:
    """Return the complaints that bind a row's address now."""
    found = silenced.of_hashes(session, [person.address_hash], now)
    return [row for row in found if row.reason == _COMPLAINT]


def _unite_standing(pen: Pen, gone: Subscriber, kept: Subscriber, said: Said) -> None:
    own = standing(pen.session, kept.id)
    for publication_id, theirs in standing(pen.session, gone.id).items():
        _unite_subscriptions(pen, own.get(publication_id), theirs, kept, said)
        if theirs.state != SubscriptionState.LEFT:
            history.keep_subscription(pen.session, theirs, now=said.at, by=said.by)
            pen.change(theirs, state=SubscriptionState.LEFT, changed_at=said.at, left_reason=REASON)


def _unite_subscriptions(
    pen: Pen, mine: Subscription | None, theirs: Subscription, kept: Subscriber, said: Said
) -> None:
    """The row whose word counts gives its state, evidence and wishes; of two equals the one that stays."""
    evidence = {name: getattr(theirs, name) for name in EVIDENCE}
    wishes = {"paused_until": theirs.paused_until, "every_days": theirs.every_days}
    state = {"state": theirs.state, "changed_at": theirs.changed_at, "left_reason": theirs.left_reason}
    if mine is None and theirs.left_reason != REASON:
        pen.add(
            Subscription(
                publication_id=theirs.publication_id, subscriber_id=kept.id, **state, **wishes, **evidence
            )
        )  # fmt: skip
    elif mine is not None and mine.state != outcome(mine, theirs, moves=said.moves):
        history.keep_subscription(pen.session, mine, now=said.at, by=said.by)
        pen.change(mine, **state, **wishes, **evidence)
    elif mine is not None and _rests_better(mine, theirs):
        history.keep_subscription(pen.session, mine, now=said.at, by=said.by)
        pen.change(mine, **evidence)


def _rests_better(mine: Subscription, theirs: Subscription) -> bool:
    """Say whether of two that read the other one does by the person's own word, and this one by another's."""
    both = mine.state == theirs.state == SubscriptionState.CONFIRMED
    return both and theirs.consent_kind in _OWN_WORD and mine.consent_kind not in _OWN_WORD


def _unite_memberships(pen: Pen, gone: Subscriber, kept: Subscriber, said: Said) -> None:
    own: Mapping[int, Membership] = {row.partner_id: row for row in ties.of_person(pen.session, kept.id)}
    for row in ties.of_person(pen.session, gone.id):
        if row.ended_at is None:
            history.keep_membership(pen.session, row, now=said.at, by=said.by)
            ties.hand_over(pen, row, own.get(row.partner_id), said.at, said.by, subscriber_id=kept.id)


def _unite_facts(pen: Pen, gone: Subscriber, kept: Subscriber) -> None:
    older, theirs = (
        Names(**{name: getattr(row, name) for name in Names().columns()}) for row in (kept, gone)
    )
    names = older.over(theirs)
    columns: dict[str, object] = {**names.columns(), **(salutations(names) if names != older else {})}
    columns |= {"country": kept.country or gone.country, "zone": kept.zone or gone.zone}
    if gone.chosen_at is not None and (kept.chosen_at is None or gone.chosen_at > kept.chosen_at):
        columns |= {"language": gone.language, "chosen_at": gone.chosen_at}
    pen.change(kept, **columns)


def _unite_complaints(pen: Pen, gone: Subscriber, kept: Subscriber, said: Said) -> None:
    own = {(row.publication_id, row.sender) for row in complaints(pen.session, kept, said.at)}
    for row in complaints(pen.session, gone, said.at):
        if (row.publication_id, row.sender) not in own:
            pen.add(
                Suppression(
                    address_hash=kept.address_hash, reason=_COMPLAINT, note=row.note, since=said.at,
                    publication_id=row.publication_id, sender=row.sender, until=row.until, added_by=said.by,
                )
            )  # fmt: skip
