"""Merging: two rows that are one person become one. The row that goes keeps its address and its letters.

- Ledgers, events and reports point where they pointed: what was sent went to that address.
- Consents, memberships and topics come over; nothing of the evidence is lost.
- The last thing the person themselves said counts; what others said of them never outweighs a leave.
- The address that goes is left everywhere: no import subscribes it again.
- A suppression is about an address and stays with it; a complaint is about us and comes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import silenced
from mailer.audience.changes import duplicates, journal, ties
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.store import Change, Duplicate
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
from mailer.errors import Conflict

MERGE = "merge"  # the kind of change
REASON = "merged"  # why the address that goes has left
_OWN_WORD = (ConsentKind.SIGN_UP, ConsentKind.INVITED)  # confirmed by the person
_COMPLAINT = "complaint"


class NotTwo(Conflict):
    """These two cannot be merged: one of them was erased, or is part of another already. Reload the list."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the one person stands with a publication afterwards. ``before``: the two, the one kept first."""

    publication_id: int
    before: tuple[str | None, str | None]
    after: SubscriptionState


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What merging would do: states by publication, memberships and topics that come over."""

    outcomes: tuple[Outcome, ...]
    memberships: int
    topics: int
    complaint: bool


def foresee(session: Session, *, gone_id: int, kept_id: int, now: datetime) -> Foreseen:
    """Say what merging would do. Writes nothing.

    :raises NotTwo: one of the two cannot be merged
    """
    gone, kept = _two(session, gone_id, kept_id)
    theirs, own = _standing(session, gone_id), _standing(session, kept_id)
    outcomes = tuple(
        Outcome(
            each, (_state(own.get(each)), _state(theirs.get(each))), outcome(own.get(each), theirs.get(each))
        )
        for each in sorted(theirs.keys() | own.keys())
    )
    held = {row.partner_id for row in ties.of_person(session, kept_id) if row.ended_at is None}
    coming = [row for row in ties.of_person(session, gone_id) if row.ended_at is None]
    return Foreseen(
        outcomes,
        sum(row.partner_id not in held for row in coming),
        len(_topics(session, gone_id).keys() - _topics(session, kept_id).keys()),
        _complained(session, gone, now) and not _complained(session, kept, now),
    )


def outcome(kept: Subscription | None, gone: Subscription | None) -> SubscriptionState:
    """Return how the one person stands, from how the two rows stood. At least one of them is there.

    Who left at either address has left, unless they confirmed at the other one themselves, later.
    """
    found = [row for row in (kept, gone) if row is not None]
    left = [row for row in found if row.state == SubscriptionState.LEFT and row.left_reason != REASON]
    confirmed = [row for row in found if row.state == SubscriptionState.CONFIRMED]
    if left:
        own = [row for row in confirmed if row.consent_kind in _OWN_WORD]
        came_back = any(row.consent_at > each.changed_at for row in own for each in left)
        return SubscriptionState.CONFIRMED if came_back else SubscriptionState.LEFT
    return SubscriptionState.CONFIRMED if confirmed else SubscriptionState(found[0].state)


def merge(session: Session, *, gone_id: int, kept_id: int, now: datetime, actor: Actor) -> Change:
    """Make ``gone`` part of ``kept``. It can be taken back.

    :raises NotTwo: one of the two cannot be merged
    """
    gone, kept = _two(session, gone_id, kept_id)
    plan = {"gone": gone_id, "kept": kept_id}
    change = journal.begin(session, MERGE, plan=plan, now=now, actor=actor, subject=f"subscriber {kept_id}")
    pen = Pen(session)
    _merge_standing(pen, gone, kept, now, actor)
    _merge_memberships(pen, gone, kept, now, actor)
    for topic_id in _topics(session, gone_id).keys() - _topics(session, kept_id).keys():
        pen.add(SubscriberTopic(subscriber_id=kept_id, topic_id=topic_id))
    _merge_facts(pen, gone, kept)
    _merge_complaint(pen, gone, kept, now, actor)
    pen.change(gone, merged_into=kept_id)
    for row in session.scalars(select(Subscriber).where(Subscriber.merged_into == gone_id)):
        pen.change(row, merged_into=kept_id)
    journal.note(session, change, kept_id, subscriber_id=kept_id, pen=pen)
    change.finished_at = now
    pair = session.get(Duplicate, (min(gone_id, kept_id), max(gone_id, kept_id)))
    if pair is not None:
        duplicates.decide(pair, duplicates.MERGED, now, actor)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="subscriber.merge", subject=f"subscriber {kept_id}",
        after={"merged": gone_id},
    )  # fmt: skip
    return change


def _two(session: Session, gone_id: int, kept_id: int) -> tuple[Subscriber, Subscriber]:
    gone, kept = session.get(Subscriber, gone_id), session.get(Subscriber, kept_id)
    if gone is None or kept is None or gone_id == kept_id:
        raise NotTwo
    if any(row.address is None or row.merged_into is not None for row in (gone, kept)):
        raise NotTwo
    return gone, kept


def _standing(session: Session, subscriber_id: int) -> dict[int, Subscription]:
    return {row.publication_id: row for row in ties.subscriptions(session, [subscriber_id])}


def _state(row: Subscription | None) -> str | None:
    return str(row.state) if row is not None else None


def _merge_standing(pen: Pen, gone: Subscriber, kept: Subscriber, now: datetime, actor: Actor) -> None:
    own = _standing(pen.session, kept.id)
    for publication_id, theirs in _standing(pen.session, gone.id).items():
        mine = own.get(publication_id)
        after = outcome(mine, theirs)
        if mine is None:
            _begin(pen, theirs, kept, after)
        elif mine.state != after:
            _become(pen, mine, theirs, after, now, actor)
        if theirs.state != SubscriptionState.LEFT:
            history.keep_subscription(pen.session, theirs, now=now, by=actor.name)
            pen.change(theirs, state=SubscriptionState.LEFT, changed_at=now, left_reason=REASON)


def _begin(pen: Pen, theirs: Subscription, kept: Subscriber, after: SubscriptionState) -> None:
    """The kept row had never met this publication: it takes over how the other stood, with its evidence."""
    evidence = {name: getattr(theirs, name) for name in EVIDENCE}
    pen.add(
        Subscription(
            publication_id=theirs.publication_id, subscriber_id=kept.id, state=after,
            changed_at=theirs.changed_at, left_reason=theirs.left_reason, paused_until=theirs.paused_until,
            every_days=theirs.every_days, **evidence,
        )
    )  # fmt: skip


def _become(
    pen: Pen, mine: Subscription, theirs: Subscription, after: SubscriptionState, now: datetime, actor: Actor
) -> None:
    """The other row's word outweighs: its state comes over, with its evidence."""
    history.keep_subscription(pen.session, mine, now=now, by=actor.name)
    evidence = {name: getattr(theirs, name) for name in EVIDENCE}
    pen.change(mine, state=after, changed_at=theirs.changed_at, left_reason=theirs.left_reason, **evidence)


def _merge_memberships(pen: Pen, gone: Subscriber, kept: Subscriber, now: datetime, actor: Actor) -> None:
    own: Mapping[int, Membership] = {row.partner_id: row for row in ties.of_person(pen.session, kept.id)}
    for row in ties.of_person(pen.session, gone.id):
        if row.ended_at is None:
            history.keep_membership(pen.session, row, now=now, by=actor.name)
            ties.hand_over(pen, row, own.get(row.partner_id), now, actor, subscriber_id=kept.id)


def _merge_facts(pen: Pen, gone: Subscriber, kept: Subscriber) -> None:
    """Blanks are filled; of a language that one of them chose, the later choice counts."""
    older, theirs = (
        Names(**{name: getattr(row, name) for name in Names().columns()}) for row in (kept, gone)
    )
    names = older.over(theirs)
    columns: dict[str, object] = {**names.columns(), **(salutations(names) if names != older else {})}
    columns |= {"country": kept.country or gone.country, "zone": kept.zone or gone.zone}
    if gone.chosen_at is not None and (kept.chosen_at is None or gone.chosen_at > kept.chosen_at):
        columns |= {"language": gone.language, "chosen_at": gone.chosen_at}
    pen.change(kept, **columns)


def _merge_complaint(pen: Pen, gone: Subscriber, kept: Subscriber, now: datetime, actor: Actor) -> None:
    own = {(row.publication_id, row.sender) for row in _complaints(pen.session, kept, now)}
    for row in _complaints(pen.session, gone, now):
        if (row.publication_id, row.sender) not in own:
            pen.add(
                Suppression(
                    address_hash=kept.address_hash, reason=_COMPLAINT, note=row.note, since=now,
                    publication_id=row.publication_id, sender=row.sender, until=row.until,
                    added_by=actor.name,
                )
            )  # fmt: skip


def _complained(session: Session, person: Subscriber, now: datetime) -> bool:
    return bool(_complaints(session, person, now))


def _complaints(session: Session, person: Subscriber, now: datetime) -> Sequence[Suppression]:
    found = silenced.of_hashes(session, [person.address_hash], now)
    return [row for row in found if row.reason == _COMPLAINT]


def _topics(session: Session, subscriber_id: int) -> dict[int, SubscriberTopic]:
    rows = session.scalars(select(SubscriberTopic).where(SubscriberTopic.subscriber_id == subscriber_id))
    return {row.topic_id: row for row in rows}
