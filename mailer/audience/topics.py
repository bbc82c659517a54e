"""Topics: the subjects a publication offers, and what each reader chose among them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from mailer.audience import store
from mailer.audience.store import Topic
from mailer.errors import Conflict, NotFound


class NoTopic(NotFound):
    """This publication has no topic with that code."""


def add(session: Session, *, publication_id: int, code: str, name_zh: str, name_en: str) -> Topic:
    """Offer a topic.

    :raises Conflict: the publication has one of that code
    """
    if code in {topic.code for topic in listing(session, publication_id)}:
        raise Conflict("This publication has the topic “{code}” already: choose another code.", code=code)
    topic = Topic(publication_id=publication_id, code=code, name_zh=name_zh, name_en=name_en)
    session.add(topic)
    session.flush()
    return topic


def listing(session: Session, publication_id: int) -> list[Topic]:
    """Return a publication's topics by code."""
    return store.topics(session, publication_id)


def chosen(session: Session, subscriber_id: int, publication_id: int) -> list[str]:
    """Return the codes a reader chose; none chosen means that no wish was stated."""
    return store.chosen_topics(session, subscriber_id, publication_id)


def choose(session: Session, *, subscriber_id: int, publication_id: int, codes: Collection[str]) -> None:
    """Make ``codes`` a reader's whole choice within a publication.

    :raises NoTopic: one the publication does not offer
    """
    offered = [topic.id for topic in listing(session, publication_id)]
    store.choose_topics(session, subscriber_id, offered, ids(session, publication_id, codes))


def ids(session: Session, publication_id: int, codes: Collection[str]) -> list[int]:
    """Return the topics of these codes.

    :raises NoTopic: one the publication does not offer
    """
    offered = {topic.code: topic.id for topic in listing(session, publication_id)}
    unknown = sorted(set(codes) - offered.keys())
    if unknown:
        raise NoTopic(
            "This publication has no topic “{code}”: choose among those it offers.", code=unknown[0]
        )
    return [offered[code] for code in codes]
