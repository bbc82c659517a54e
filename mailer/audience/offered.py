"""Topics as they are offered and chosen: their SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from mailer.audience.store import MembershipTopic, SubscriberTopic, Topic


def of_publication(session: Session, publication_id: int) -> list[Topic]:
    """Return a publication's topics in their order, those not offered any more among them."""
    query = select(Topic).where(Topic.publication_id == publication_id)
    return list(session.scalars(query.order_by(Topic.position, Topic.code)))


def readers(session: Session, publication_id: int) -> dict[int, tuple[int, int]]:
    """Return how many people chose each topic, and for how many a partner did, by id."""
    own, theirs = (
        dict(
            session.execute(
                select(table.topic_id, func.count())
                .join(Topic, Topic.id == table.topic_id)
                .where(Topic.publication_id == publication_id)
                .group_by(table.topic_id)
            ).all()
        )
        for table in (SubscriberTopic, MembershipTopic)
    )
    return {topic: (own.get(topic, 0), theirs.get(topic, 0)) for topic in own.keys() | theirs.keys()}


def chosen(session: Session, subscriber_id: int, publication_id: int) -> list[str]:
    """Return the codes of the topics a reader chose within a publication."""
    return list(
        session.scalars(
            select(Topic.code)
            .join(SubscriberTopic, SubscriberTopic.topic_id == Topic.id)
            .where(SubscriberTopic.subscriber_id == subscriber_id, Topic.publication_id == publication_id)
            .order_by(Topic.code)
        )
    )


def choose(session: Session, subscriber_id: int, among: Collection[int], wanted: Sequence[int]) -> None:
    """Make ``wanted`` the reader's topics among these."""
    session.execute(
        delete(SubscriberTopic).where(
            SubscriberTopic.subscriber_id == subscriber_id, SubscriberTopic.topic_id.in_(among)
        )
    )
    session.add_all(
        SubscriberTopic(subscriber_id=subscriber_id, topic_id=topic) for topic in sorted(set(wanted))
    )
    session.flush()
