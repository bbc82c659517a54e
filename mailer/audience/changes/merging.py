"""Merging: the secretariat says that two rows are one person. Shown first, and can be taken back.

What the row holds that stays is decided in ``uniting``. The row that goes keeps its address and its letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.changes import duplicates, journal, ties, uniting
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.store import Change, Duplicate
from mailer.audience.changes.uniting import Said
from mailer.audience.store import Subscriber, Subscription, SubscriptionState
from mailer.errors import Conflict

MERGE = "merge"  # the kind of change


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
    theirs, own = uniting.standing(session, gone_id), uniting.standing(session, kept_id)
    outcomes = tuple(
        Outcome(
            each,
            (_state(own.get(each)), _state(theirs.get(each))),
            uniting.outcome(own.get(each), theirs.get(each)),
        )
        for each in sorted(theirs.keys() | own.keys())
    )
    held = {row.partner_id for row in ties.of_person(session, kept_id) if row.ended_at is None}
    coming = [row for row in ties.of_person(session, gone_id) if row.ended_at is None]
    return Foreseen(
        outcomes,
        sum(row.partner_id not in held for row in coming),
        len(uniting.chosen(session, gone_id) - uniting.chosen(session, kept_id)),
        bool(uniting.complaints(session, gone, now)) and not uniting.complaints(session, kept, now),
    )


def merge(session: Session, *, gone_id: int, kept_id: int, now: datetime, actor: Actor) -> Change:
    """Make ``gone`` part of ``kept``. It can be taken back.

    :raises NotTwo: one of the two cannot be merged
    """
    gone, kept = _two(session, gone_id, kept_id)
    plan = {"gone": gone_id, "kept": kept_id}
    change = journal.begin(session, MERGE, plan=plan, now=now, actor=actor, subject=f"subscriber {kept_id}")
    pen = Pen(session)
    uniting.unite(pen, gone, kept, Said(now, by=actor.name))
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


def _state(row: Subscription | None) -> str | None:
    return str(row.state) if row is not None else None
