"""Ties of people to partners and publications, looked up and handed over in sets; their SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from mailer.audience.changes.journal import Pen
from mailer.audience.evidence import history
from mailer.audience.evidence.store import EVIDENCE
from mailer.audience.names import Names
from mailer.audience.store import Membership, MembershipTopic, Subscription


def held_by_others(session: Session, subscriber_ids: Collection[int], partner_id: int) -> set[int]:
    """Return those of these people for whom another partner's membership is in force now."""
    query = select(Membership.subscriber_id).where(
        Membership.subscriber_id.in_(subscriber_ids),
        Membership.partner_id != partner_id,
        Membership.ended_at.is_(None),
        Membership.confirmed_at.is_not(None),
    )
    return set(session.scalars(query))


def shared(session: Session, first_id: int, second_id: int) -> int:
    """Count the people whom both partners hold now."""
    other = aliased(Membership)
    query = (
        select(func.count())
        .select_from(Membership)
        .join(other, other.subscriber_id == Membership.subscriber_id)
        .where(
            Membership.partner_id == first_id, Membership.ended_at.is_(None),
            other.partner_id == second_id, other.ended_at.is_(None),
        )
    )  # fmt: skip
    return session.scalar(query) or 0


def subscriptions(session: Session, subscriber_ids: Collection[int]) -> list[Subscription]:
    """Return how people stand with every publication."""
    return list(session.scalars(select(Subscription).where(Subscription.subscriber_id.in_(subscriber_ids))))


def by_person(found: Iterable[Subscription]) -> dict[int, list[Subscription]]:
    """Sort subscriptions by person."""
    sorted_: dict[int, list[Subscription]] = {}
    for row in found:
        sorted_.setdefault(row.subscriber_id, []).append(row)
    return sorted_


def of_partner(session: Session, partner_id: int, subscriber_ids: Collection[int]) -> dict[int, Membership]:
    """Return a partner's memberships of these people, ended ones too, by person."""
    query = select(Membership).where(
        Membership.partner_id == partner_id, Membership.subscriber_id.in_(subscriber_ids)
    )
    return {row.subscriber_id: row for row in session.scalars(query)}


def of_person(session: Session, subscriber_id: int) -> list[Membership]:
    """Return a person's memberships, ended ones too."""
    query = select(Membership).where(Membership.subscriber_id == subscriber_id)
    return list(session.scalars(query.order_by(Membership.id)))


def these(found: Iterable[Membership]) -> ColumnElement[bool]:
    """The condition that names these memberships."""
    return Membership.__table__.c.id.in_([row.id for row in found])


_YES = (*EVIDENCE, "confirmed_at")
_WRITTEN = (*Names().columns(), "language", "notes", "joined_at", "paused_until")


def hand_over(
    pen: Pen,
    row: Membership,
    known: Membership | None,
    now: datetime,
    by: str,
    *,
    partner_id: int | None = None,
    subscriber_id: int | None = None,
) -> None:
    """Move a membership in force to another partner or person; ``known``: the tie that is there already.

    One that stands there stays as it is, and this one ends; one that waits there takes over this one's yes;
    one that had ended begins anew as this one stands. ``by``: who does so, as in the audit log.
    """
    if known is None:
        pen.change(
            row, partner_id=partner_id or row.partner_id, subscriber_id=subscriber_id or row.subscriber_id
        )
        return
    if known.ended_at is not None:
        _take(pen, known, row, (*_YES, *_WRITTEN), now, by)
        _take_topics(pen, known, row)
    elif known.confirmed_at is None and row.confirmed_at is not None:
        _take(pen, known, row, _YES, now, by)
    pen.change(row, ended_at=now)


def _take(pen: Pen, known: Membership, row: Membership, names: Iterable[str], now: datetime, by: str) -> None:
    history.keep_membership(pen.session, known, now=now, by=by)
    pen.change(known, ended_at=None, **{name: getattr(row, name) for name in names})


def _take_topics(pen: Pen, known: Membership, row: Membership) -> None:
    old, new = (
        {each.topic_id: each for each in pen.session.scalars(_topics_of(each_id))}
        for each_id in (known.id, row.id)
    )
    for topic_id in old.keys() - new.keys():
        pen.remove(old[topic_id])
    for topic_id in new.keys() - old.keys():
        pen.add(MembershipTopic(membership_id=known.id, topic_id=topic_id))


def _topics_of(membership_id: int) -> Select[MembershipTopic]:
    return select(MembershipTopic).where(MembershipTopic.membership_id == membership_id)
