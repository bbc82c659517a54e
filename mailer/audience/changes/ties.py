"""Ties of people to partners and publications, looked up and handed over in sets; their SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from mailer.accounts.audit import Actor
from mailer.audience.changes.journal import Pen
from mailer.audience.evidence import history
from mailer.audience.evidence.store import EVIDENCE
from mailer.audience.store import Membership, Subscription


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


def hand_over(
    pen: Pen,
    row: Membership,
    known: Membership | None,
    now: datetime,
    actor: Actor,
    *,
    partner_id: int | None = None,
    subscriber_id: int | None = None,
) -> None:
    """Move a membership to another partner or person; ``known``: the tie that is there already.

    One that stands there stays as it is, and this one ends; one that had ended begins anew on this consent.
    """
    if known is None:
        pen.change(
            row, partner_id=partner_id or row.partner_id, subscriber_id=subscriber_id or row.subscriber_id
        )
        return
    if known.ended_at is not None and row.ended_at is None:
        history.keep_membership(pen.session, known, now=now, by=actor.name)
        columns = (*EVIDENCE, "confirmed_at", "joined_at", "language", "notes")
        taken = {name: getattr(row, name) for name in columns}
        pen.change(known, ended_at=None, **taken)
    if row.ended_at is None:
        pen.change(row, ended_at=now)
