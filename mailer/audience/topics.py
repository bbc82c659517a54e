"""Topics: the subjects a publication offers, and what each reader chose among them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM, Actor
from mailer.audience import offered
from mailer.audience.store import Topic
from mailer.errors import Conflict, Invalid, NotFound


class NoTopic(NotFound):
    """This publication has no topic with that code."""


class BadTopic(Invalid):
    """A topic needs a code of 1 to 40 letters, digits and dashes, and a name in both languages."""


def add(
    session: Session,
    *,
    publication_id: int,
    code: str,
    name_zh: str,
    name_en: str,
    now: datetime | None = None,
    actor: Actor = SYSTEM,
) -> Topic:
    """Offer a topic, after those offered so far. ``now`` None: nothing is written to the audit log.

    :raises Conflict: the publication has one of that code
    :raises BadTopic: a code or name that cannot be used
    """
    every = listing(session, publication_id, retired=True)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", code):
        raise BadTopic
    if code in {topic.code for topic in every}:
        raise Conflict("This publication has the topic “{code}” already: choose another code.", code=code)
    last = max((topic.position for topic in every), default=0)
    topic = Topic(publication_id=publication_id, code=code, position=last + 1, **_named(name_zh, name_en))
    session.add(topic)
    session.flush()
    if now is not None:
        _record(session, topic, "topic.add", now, actor, after={"code": code, "name_en": topic.name_en})
    return topic


def rename(
    session: Session, *, topic_id: int, name_zh: str, name_en: str, now: datetime, actor: Actor
) -> None:
    """Give a topic other names; its code, and who chose it, stay.

    :raises NoTopic: there is none
    :raises BadTopic: a name that cannot be used
    """
    topic = get(session, topic_id)
    before = {"name_zh": topic.name_zh, "name_en": topic.name_en}
    after = _named(name_zh, name_en)
    if after != before:
        topic.name_zh, topic.name_en = after["name_zh"], after["name_en"]
        _record(session, topic, "topic.rename", now, actor, before=before, after=after)


def move(session: Session, *, topic_id: int, down: bool, now: datetime, actor: Actor) -> None:
    """Change a topic's place with its neighbour's above or below; the first and the last stay where they are.

    :raises NoTopic: there is none
    """
    topic = get(session, topic_id)
    order = listing(session, topic.publication_id)
    place = next((n for n, each in enumerate(order) if each.id == topic_id), 0)
    other = place + 1 if down else place - 1
    if topic in order and 0 <= other < len(order):
        order[place], order[other] = order[other], order[place]
        for n, each in enumerate(order, 1):
            each.position = n
        _record(session, topic, "topic.move", now, actor, before=place + 1, after=other + 1)


def retire(session: Session, *, topic_id: int, retired: bool, now: datetime, actor: Actor) -> None:
    """Offer a topic no longer, or again. Who chose it keeps the choice, and it counts while it is offered.

    :raises NoTopic: there is none
    """
    topic = get(session, topic_id)
    if (topic.retired_at is not None) != retired:
        topic.retired_at = now if retired else None
        _record(session, topic, "topic.retire" if retired else "topic.offer", now, actor)


def get(session: Session, topic_id: int) -> Topic:
    """:raises NoTopic: there is none"""
    found = session.get(Topic, topic_id)
    if found is None:
        raise NoTopic
    return found


def listing(session: Session, publication_id: int, *, retired: bool = False) -> list[Topic]:
    """Return the topics a publication offers, in order; with ``retired``, those of the past behind them."""
    found = offered.of_publication(session, publication_id)
    current = [topic for topic in found if topic.retired_at is None]
    return current + [topic for topic in found if topic.retired_at is not None] if retired else current


def readers(session: Session, publication_id: int) -> dict[int, tuple[int, int]]:
    """Return how many people chose each topic themselves, and for how many a partner did, by id."""
    return offered.readers(session, publication_id)


def chosen(session: Session, subscriber_id: int, publication_id: int) -> list[str]:
    """Return the codes a reader chose; none chosen means that no wish was stated."""
    return offered.chosen(session, subscriber_id, publication_id)


def choose(session: Session, *, subscriber_id: int, publication_id: int, codes: Collection[str]) -> None:
    """Make ``codes`` a reader's whole choice within a publication.

    :raises NoTopic: one the publication does not offer
    """
    among = [topic.id for topic in listing(session, publication_id)]
    offered.choose(session, subscriber_id, among, ids(session, publication_id, codes))


def ids(session: Session, publication_id: int, codes: Collection[str]) -> list[int]:
    """Return the topics of these codes.

    :raises NoTopic: one the publication does not offer
    """
    current = {topic.code: topic.id for topic in listing(session, publication_id)}
    unknown = sorted(set(codes) - current.keys())
    if unknown:
        raise NoTopic(
            "This publication has no topic “{code}”: choose among those it offers.", code=unknown[0]
        )
    return [current[code] for code in codes]


def _named(name_zh: str, name_en: str) -> dict[str, str]:
    found = {"name_zh": " ".join(name_zh.split()), "name_en": " ".join(name_en.split())}
    if not all(0 < len(name) <= 100 for name in found.values()):
        raise BadTopic
    return found


def _record(
    session: Session,
    topic: Topic,
    action: str,
    now: datetime,
    actor: Actor,
    before: object = None,
    after: object = None,
) -> None:
    session.flush()
    audit.record(
        session, now=now, actor=actor, action=action, subject=f"topic {topic.id}", before=before, after=after
    )
