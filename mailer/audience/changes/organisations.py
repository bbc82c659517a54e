"""Organisations that leave, and two entries that are one organisation. Shown first; can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit, users
from mailer.accounts import store as accounts
from mailer.accounts.audit import Actor
from mailer.accounts.store import User
from mailer.audience import directory
from mailer.audience.changes import journal, ties
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.store import Change
from mailer.audience.evidence import history
from mailer.audience.evidence import store as evidence
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Partner,
    PartnerGroup,
    Subscription,
    SubscriptionState,
)
from mailer.errors import Conflict

CLOSE, MERGE = "close_partner", "merge_partners"  # kinds of change
_AT_ONCE = 1_000  # people looked up at once; SQLite takes 32,766 values a statement


class ClosedAlready(Conflict):
    """This partner has left already: undo that first."""


class SamePartner(Conflict):
    """These are one and the same entry: choose another partner."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What happens when a partner leaves, in people.

    ``elsewhere``: held by another partner too; ``waiting``: nobody answers for them any more, so they wait
    for their own word; ``staying``: go on reading by their own or the secretariat's word.
    """

    people: int
    elsewhere: int
    waiting: int
    staying: int
    managers: tuple[User, ...]


@dataclass(frozen=True, slots=True)
class Merging:
    """What happens when a partner becomes one with another: people who move, whom both have, managers."""

    moving: int
    shared: int
    managers: tuple[User, ...]
    groups: tuple[str, ...]
    seats: int | None  # of the one that stays; None: no limit


def foresee_closing(session: Session, partner_id: int) -> Closing:
    """Say what closing a partner would do. Writes nothing."""
    people = elsewhere = waiting = staying = 0
    for chunk in _chunks(directory.memberships(session, partner_id)):
        ids = [row.subscriber_id for row in chunk]
        shared = ties.held_by_others(session, ids, partner_id)
        subscribed = {row.subscriber_id: row for row in ties.subscriptions(session, ids) if _reads(row)}
        people += len(ids)
        elsewhere += len(shared)
        alone = [subscribed[each] for each in ids if each not in shared and each in subscribed]
        waiting += sum(row.consent_kind == ConsentKind.VOUCHED for row in alone)
        staying += sum(row.consent_kind != ConsentKind.VOUCHED for row in alone)
    return Closing(people, elsewhere, waiting, staying, _managers(session, partner_id))


def close(session: Session, *, partner_id: int, now: datetime, actor: Actor) -> Change:
    """Let a partner go: its memberships end, its managers can no longer sign in. It can be taken back.

    Whom it alone vouched for waits for their own word; whoever spoke for themselves goes on reading.

    :raises ClosedAlready: it has left
    """
    partner = _open(session, partner_id)
    change = journal.begin(
        session,
        CLOSE,
        plan={"partner": partner.code},
        now=now,
        actor=actor,
        subject=f"partner {partner.code}",
    )
    _leave_office(session, change, partner, now)
    n = 0
    for chunk in _chunks(directory.memberships(session, partner_id)):
        ids = [row.subscriber_id for row in chunk]
        shared = ties.held_by_others(session, ids, partner_id)
        vouched = ties.by_person(row for row in ties.subscriptions(session, ids) if _rests_on_vouching(row))
        evidence.keep_memberships(session, ties.these(chunk), now, actor.name)
        for row in chunk:
            n, pen = n + 1, Pen(session)
            pen.change(row, ended_at=now)
            for subscription in vouched.get(row.subscriber_id, ()) if row.subscriber_id not in shared else ():
                history.keep_subscription(session, subscription, now=now, by=actor.name)
                pen.change(subscription, state=SubscriptionState.PENDING, changed_at=now)
            journal.note(session, change, n, subscriber_id=row.subscriber_id, pen=pen)
        session.flush()
    return _finish(session, change, partner, n, "partner.close", now, actor)


def foresee_merging(session: Session, *, gone_id: int, kept_id: int) -> Merging:
    """Say what merging one partner into another would do. Writes nothing.

    :raises SamePartner: they are one entry
    """
    gone, kept = session.get_one(Partner, gone_id), session.get_one(Partner, kept_id)
    if gone_id == kept_id:
        raise SamePartner
    shared = ties.shared(session, gone_id, kept_id)
    groups = directory.groups_of(session, [gone_id, kept_id])
    new = set(groups.get(gone_id, [])) - set(groups.get(kept_id, []))
    people = len(directory.memberships(session, gone_id))
    return Merging(
        people - shared, shared, _managers(session, gone_id), tuple(sorted(new)), _seats(gone, kept)
    )


def merge(session: Session, *, gone_id: int, kept_id: int, now: datetime, actor: Actor) -> Change:
    """Make one partner part of another: its people, groups and managers move, and it closes.

    Each membership keeps the consent it rests on. Whom both have stays with the one kept. What was sent
    before keeps the partner it was counted under.

    :raises SamePartner: they are one entry
    :raises ClosedAlready: one of the two has left
    """
    if gone_id == kept_id:
        raise SamePartner
    gone, kept = _open(session, gone_id), _open(session, kept_id)
    plan = {"gone": gone.code, "kept": kept.code}
    change = journal.begin(session, MERGE, plan=plan, now=now, actor=actor, subject=f"partner {gone.code}")
    _move_office(session, change, gone, kept, now)
    n = 0
    for chunk in _chunks(directory.memberships(session, gone_id)):
        known = ties.of_partner(session, kept_id, [row.subscriber_id for row in chunk])
        evidence.keep_memberships(session, ties.these(chunk), now, actor.name)
        for row in chunk:
            n, pen = n + 1, Pen(session)
            ties.hand_over(pen, row, known.get(row.subscriber_id), now, actor.name, partner_id=kept_id)
            journal.note(session, change, n, subscriber_id=row.subscriber_id, pen=pen)
        session.flush()
    return _finish(session, change, gone, n, "partner.merge", now, actor)


def _open(session: Session, partner_id: int) -> Partner:
    partner = session.get_one(Partner, partner_id)
    if partner.closed_at is not None:
        raise ClosedAlready
    return partner


def _leave_office(session: Session, change: Change, partner: Partner, now: datetime) -> None:
    """Close the entry and its managers' accounts."""
    pen = Pen(session)
    pen.change(partner, closed_at=now)
    for manager in _managers(session, partner.id):
        pen.change(manager, disabled_at=now)
        accounts.close_sessions(session, manager.id)
    journal.note(session, change, 0, pen=pen)


def _move_office(session: Session, change: Change, gone: Partner, kept: Partner, now: datetime) -> None:
    pen = Pen(session)
    pen.change(gone, closed_at=now)
    pen.change(kept, seats=_seats(gone, kept))
    for manager in _managers(session, gone.id):
        pen.change(manager, partner_id=kept.id)
    groups = directory.groups_of(session, [gone.id, kept.id])
    for code in sorted(set(groups.get(gone.id, [])) - set(groups.get(kept.id, []))):
        pen.add(PartnerGroup(partner_id=kept.id, code=code))
    journal.note(session, change, 0, pen=pen)


def _seats(gone: Partner, kept: Partner) -> int | None:
    return None if gone.seats is None or kept.seats is None else gone.seats + kept.seats


def _finish(
    session: Session, change: Change, partner: Partner, people: int, action: str, now: datetime, actor: Actor
) -> Change:
    change.finished_at = now
    session.flush()
    audit.record(
        session, now=now, actor=actor, action=action, subject=change.subject,
        after={**change.plan, "people": people}, partner_id=partner.id,
    )  # fmt: skip
    return change


def _managers(session: Session, partner_id: int) -> tuple[User, ...]:
    found = users.listing(session, partner_id=partner_id)
    return tuple(user for user in found if user.disabled_at is None)


def _reads(row: Subscription) -> bool:
    return row.state == SubscriptionState.CONFIRMED


def _rests_on_vouching(row: Subscription) -> bool:
    return _reads(row) and row.consent_kind == ConsentKind.VOUCHED


def _chunks(found: Sequence[Membership]) -> Iterator[Sequence[Membership]]:
    for start in range(0, len(found), _AT_ONCE):
        yield found[start : start + _AT_ONCE]
