"""Rules asked of the database: equal to plain Python on both databases, and saved under a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.accounts.audit import SYSTEM
from mailer.audience import segments
from mailer.audience.rules import Facts
from mailer.audience.store import Membership, Subscriber, SubscriberTopic, Subscription, SubscriptionState
from mailer.database import Database
from tests.audience.strategies import PARTNERS, TOPICS, people, rules
from tests.make import NOON, Make


@pytest.fixture
def ground(database: Database, make: Make) -> dict[str, Any]:
    """Two publications with the same topics, and every partner there may be."""
    main, other = make.publication("observer"), make.publication("other")
    topics = {code: make.topic(code, publication=main).id for code in TOPICS}
    make.topic("water", publication=other)
    partners = {code: make.partner(code, **facts) for code, facts in PARTNERS.items()}
    return {"main": main, "other": other, "topics": topics, "partners": partners}


def facts_of(person: dict[str, Any]) -> Facts:
    """What plain Python knows of a person."""
    current = [PARTNERS[code] for code, ended in person["partners"].items() if not ended]
    state, consent = person["subscription"] or (None, None)
    facts: dict[str, set[Any]] = {
        field: {person[field]} for field in ("language", "country", "domain", "zone", "joined")
    }
    facts |= {
        "name": {person["name_zh"], person["name_en"]},
        "topic": person["topics"],
        "subscription": {state},
        "consent": {consent},
        "partner.code": {code for code, ended in person["partners"].items() if not ended},
        **{f"partner.{field}": {partner[field] for partner in current} for field in PARTNERS["moe"]},
    }
    return {field: {value for value in values if value not in (None, "")} for field, values in facts.items()}


def store(make: Make, ground: dict[str, Any], person: dict[str, Any]) -> int:
    """Write a person's rows; return the subscriber's id."""
    columns = {field: person[field] for field in ("country", "domain", "zone", "name_zh", "name_en")}
    joined = datetime.combine(person["joined"], time.min, UTC) + timedelta(seconds=person["second"])
    reader = make.subscriber(language=person["language"], subscribed=False, created_at=joined, **columns)
    for code, ended in person["partners"].items():
        make.membership(ground["partners"][code], reader, ended_at=NOON if ended else None)
    for code in person["topics"]:
        make._add(SubscriberTopic(subscriber_id=reader.id, topic_id=ground["topics"][code]))
    if person["subscription"]:
        state, consent = person["subscription"]
        make.subscription(reader, ground["main"], state, consent_kind=consent)
    if person["elsewhere"]:
        make.subscription(reader, ground["other"], person["elsewhere"])
    return reader.id


def test_sql_and_python_pick_the_same_people(database, make, ground):
    """NULLs, empty texts, several memberships, signs that LIKE knows: one answer on both databases."""

    @given(st.lists(people, min_size=1, max_size=5), st.lists(rules, min_size=1, max_size=8))
    @settings(max_examples=150, deadline=None)
    def agree(persons, asked):
        with rolled_back(database) as session:
            builders = make.within(session)
            ids = {store(builders, ground, person): facts_of(person) for person in persons}
            for rule in asked:
                condition = segments.condition(rule, publication_id=ground["main"].id)
                found = set(session.scalars(select(Subscriber.id).where(condition)))
                assert found == {id for id, facts in ids.items() if segments.matches(rule, facts)}, str(rule)

    agree()


def test_a_rule_means_the_same_inside_a_query_that_joins_the_same_tables(database, make):
    """The launch joins Subscription and Membership itself: the rule must not mistake them for its own."""
    ngo, ministry = make.partner("sea", kind="ngo"), make.partner("moe", kind="ministry")
    reader = make.subscriber(partner=ngo)
    make.membership(ministry, reader)
    rule = segments.parse("partner.kind = ngo and partner.kind = ministry and subscription = confirmed")
    query = (
        select(Subscriber.id, Membership.partner_id)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(Membership, Membership.subscriber_id == Subscriber.id)
        .where(segments.condition(rule))
    )
    with database.read() as session:
        assert sorted(map(tuple, session.execute(query))) == [(reader.id, ngo.id), (reader.id, ministry.id)]


def test_a_count_is_of_people_who_would_get_a_letter(database, make):
    """Confirmed, not erased, not suppressed; other publications do not count."""
    observer, other = make.publication("observer"), make.publication("other")
    make.subscriber("in@example.org", language="zh", publication=observer)
    make.subscriber("french@example.org", language="fr", publication=observer)
    make.subscriber("elsewhere@example.org", language="zh", publication=other)
    erased = make.subscriber(language="zh", publication=observer)
    pending = make.subscriber("asked@example.org", language="zh", subscribed=False)
    make.subscription(pending, observer, SubscriptionState.PENDING)
    make.subscriber("dead@example.org", language="zh", publication=observer)
    make.suppression("dead@example.org")
    make.subscriber("back@example.org", language="zh", publication=observer)
    make.suppression("back@example.org", until=NOON)
    make.suppression("back@example.org", publication_id=other.id)
    with database.write() as session:
        session.get_one(Subscriber, erased.id).address = None
        assert segments.count(session, segments.parse("language = zh"), observer.id, NOON) == 2
        assert segments.count(session, segments.parse("everyone"), observer.id, NOON) == 3


def test_the_longest_rule_is_still_answered(database, make):
    """SQLite gives up on expressions more than 1,000 deep: the parser's limit stays below."""
    make.subscriber()
    rule = segments.parse(" or ".join(["name = a"] * 416))
    with database.read() as session:
        assert session.scalars(select(Subscriber.id).where(segments.condition(rule))).all() == []


def test_a_segment_is_saved_in_its_plain_form_and_found_by_name(database):
    """Saving again replaces; an audience may be named or written out."""
    with database.write() as session:
        segments.save(session, name=" Chinese  readers ", rule="LANGUAGE=中文", now=NOON, actor=SYSTEM)
        segments.save(session, name="Chinese readers", rule="(language=zh)", now=NOON, actor=SYSTEM)
        assert [(s.name, s.rule) for s in segments.listing(session)] == [("Chinese readers", "language = zh")]
        assert segments.resolve(session, "Chinese readers") == segments.parse("language = zh")
        assert segments.resolve(session, "country = FR") == segments.parse("country = FR")
        segments.remove(session, name="Chinese readers", now=NOON, actor=SYSTEM)
        with pytest.raises(segments.NoSegment):
            segments.get(session, "Chinese readers")


@contextmanager
def rolled_back(database: Database) -> Iterator[Session]:
    """A transaction whose rows are gone at its end: each example starts afresh."""
    with Session(database.engine) as session:
        yield session
        session.rollback()
