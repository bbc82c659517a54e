"""Targets of a bulk change: people in chunks, with what is known of them; the SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from mailer.audience import silenced
from mailer.audience.changes import ties
from mailer.audience.changes.kinds import Kind, Plan, Target
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
    Topic,
)

_PARTNERS = (Kind.ADD_TO_PARTNER, Kind.REMOVE_FROM_PARTNER)
_TOPICS = (Kind.ADD_TOPIC, Kind.REMOVE_TOPIC)
_STANDING = (Kind.PAUSE, Kind.UNSUBSCRIBE)


def people(
    session: Session, where: Sequence[ColumnElement[bool]], after: int, up_to: int | None, limit: int
) -> list[Subscriber]:
    """Return the next people of a condition, by id."""
    query = select(Subscriber).where(Subscriber.id > after, *where)
    if up_to is not None:
        query = query.where(Subscriber.id <= up_to)
    return list(session.scalars(query.order_by(Subscriber.id).limit(limit)))


def by_id(session: Session, ids: Sequence[int]) -> dict[int, Subscriber]:
    """Return people by id."""
    return {row.id: row for row in session.scalars(select(Subscriber).where(Subscriber.id.in_(ids)))}


def last_id(session: Session) -> int:
    """Return the id of the newest person; 0: there is nobody."""
    return session.scalar(select(func.max(Subscriber.id))) or 0


def look_up(session: Session, chunk: Sequence[Subscriber], plan: Plan, now: datetime) -> list[Target]:
    """Return people with what is known of them that a plan is about: a few queries, however many they are."""
    found = {person.id: Target(person) for person in chunk}
    ids = list(found)
    if plan.kind in _STANDING:
        for row in session.scalars(_standing(ids, plan.publication_id)):
            found[row.subscriber_id].subscription = row
    elif plan.kind in _TOPICS:
        _topics(session, found, plan.publication_id)
    elif plan.kind in _PARTNERS and plan.partner_id is not None:
        _partners(session, found, plan.partner_id)
    elif plan.kind is Kind.SUPPRESS:
        hashes = {person.address_hash for person in chunk}
        silent = {each.address_hash for each in silenced.of_hashes(session, hashes, now) if _everywhere(each)}
        for target in found.values():
            target.suppressed = target.subscriber.address_hash in silent
    return list(found.values())


def _everywhere(each: Suppression) -> bool:
    return each.publication_id is None and each.sender is None and each.until is None


def _standing(ids: list[int], publication_id: int) -> Select[Subscription]:
    return select(Subscription).where(
        Subscription.publication_id == publication_id, Subscription.subscriber_id.in_(ids)
    )


def _topics(session: Session, found: dict[int, Target], publication_id: int) -> None:
    own: dict[int, dict[int, SubscriberTopic]] = {}
    query = select(SubscriberTopic).join(Topic, Topic.id == SubscriberTopic.topic_id)
    query = query.where(SubscriberTopic.subscriber_id.in_(found), Topic.publication_id == publication_id)
    for row in session.scalars(query):
        own.setdefault(row.subscriber_id, {})[row.topic_id] = row
    by_partner = set(
        session.scalars(
            select(Membership.subscriber_id)
            .join(MembershipTopic, MembershipTopic.membership_id == Membership.id)
            .join(Topic, Topic.id == MembershipTopic.topic_id)
            .where(
                Membership.subscriber_id.in_(found), Membership.ended_at.is_(None),
                Topic.publication_id == publication_id,
            )
        )
    )  # fmt: skip
    for subscriber_id, target in found.items():
        target.topics = own.get(subscriber_id, {})
        target.by_partner = subscriber_id in by_partner


def _partners(session: Session, found: dict[int, Target], partner_id: int) -> None:
    members = ties.of_partner(session, partner_id, found)
    shared = ties.held_by_others(session, found, partner_id)
    vouched: dict[int, list[Subscription]] = {}
    for row in ties.subscriptions(session, found):
        if row.state == SubscriptionState.CONFIRMED and row.consent_kind == ConsentKind.VOUCHED:
            vouched.setdefault(row.subscriber_id, []).append(row)
    for subscriber_id, target in found.items():
        target.membership = members.get(subscriber_id)
        target.shared = subscriber_id in shared
        target.vouched = tuple(vouched.get(subscriber_id, ()))
