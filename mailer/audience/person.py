"""One person as the secretariat sees them: what is known in every table. Its SQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.audience.evidence.history import Standing
from mailer.audience.store import (
    Membership,
    MembershipTopic,
    Partner,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Topic,
)


class Held(NamedTuple):
    """A partner's tie to the person, and the topics it chose for them."""

    membership: Membership
    partner: Partner
    topics: tuple[Topic, ...]


def rows_of(session: Session, subscriber_id: int) -> list[int]:
    """Return the ids of a person's rows: their own, then those merged into it."""
    return [subscriber_id, *(row.id for row in others(session, subscriber_id))]


def others(session: Session, subscriber_id: int) -> list[Subscriber]:
    """Return the rows that were merged into a person's."""
    query = select(Subscriber).where(Subscriber.merged_into == subscriber_id)
    return list(session.scalars(query.order_by(Subscriber.id)))


def kept(session: Session, person: Subscriber) -> Subscriber | None:
    """Return the row that a merged one became part of; None: it stands for itself."""
    return session.get(Subscriber, person.merged_into) if person.merged_into is not None else None


def memberships(session: Session, subscriber_id: int) -> list[Held]:
    """Return the partners on whose lists a person stands."""
    rows = session.execute(
        select(Membership, Partner)
        .join(Partner, Partner.id == Membership.partner_id)
        .where(Membership.subscriber_id == subscriber_id, Membership.ended_at.is_(None))
        .order_by(Partner.code)
    ).all()
    chosen: dict[int, list[Topic]] = {}
    topics = (
        select(MembershipTopic.membership_id, Topic)
        .join(Topic, Topic.id == MembershipTopic.topic_id)
        .where(MembershipTopic.membership_id.in_([membership.id for membership, _ in rows]))
        .order_by(Topic.position, Topic.code)
    )
    for membership_id, topic in session.execute(topics):
        chosen.setdefault(membership_id, []).append(topic)
    return [Held(row[0], row[1], tuple(chosen.get(row[0].id, ()))) for row in rows]


def topics(session: Session, subscriber_id: int) -> list[Topic]:
    """Return the topics a person chose themselves, of every publication."""
    query = (
        select(Topic)
        .join(SubscriberTopic, SubscriberTopic.topic_id == Topic.id)
        .where(SubscriberTopic.subscriber_id == subscriber_id)
    )
    return list(session.scalars(query.order_by(Topic.publication_id, Topic.position, Topic.code)))


def subscriptions(session: Session, subscriber_id: int) -> list[Subscription]:
    """Return how a person stands with every publication."""
    query = select(Subscription).where(Subscription.subscriber_id == subscriber_id)
    return list(session.scalars(query.order_by(Subscription.publication_id)))


def pauses(session: Session, subscriber_id: int, now: datetime) -> dict[int, datetime]:
    """Return until when a person's letters of a publication rest, by publication."""
    query = select(Subscription).where(
        Subscription.subscriber_id == subscriber_id, Subscription.paused_until > now
    )
    return {row.publication_id: row.paused_until for row in session.scalars(query) if row.paused_until}


def partners(session: Session, standing: Iterable[Standing]) -> dict[int, Partner]:
    """Return the partners that a person's history speaks of, by id."""
    ids = {each.partner_id for each in standing if each.partner_id is not None}
    return {row.id: row for row in session.scalars(select(Partner).where(Partner.id.in_(ids)))}
