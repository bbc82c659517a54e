"""Rules asked of the database: equal to plain Python on both databases, and saved under a name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
from mailer.audience.fields import Scope, known
from mailer.audience.rules import Facts, Occasion
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    PartnerGroup,
    Subscriber,
    SubscriberTopic,
    Subscription,
)
from mailer.database import Database
from mailer.delivery.store import Campaign, CampaignState, DeliveryState, EventKind
from tests.audience.strategies import CAMPAIGNS, GROUPS, NOW, PARTNERS, TOPICS, people, rules
from tests.make import NOON, Make


@pytest.fixture
def ground(database: Database, make: Make) -> dict[str, Any]:
    """Two publications with the same topics, every partner there may be, campaigns."""
    main, other = make.publication("observer"), make.publication("other")
    topics = {code: make.topic(code, publication=main).id for code in TOPICS}
    elsewhere = make.topic("water", publication=other)
    partners = {code: make.partner(code, **facts) for code, facts in PARTNERS.items()}
    for code, groups in GROUPS.items():
        for group in groups:
            make._add(PartnerGroup(partner_id=partners[code].id, code=group))
    issue = make.issue(publication=main)
    campaigns = [
        make.campaign(CampaignState.DRAFT, issue=issue, id=number + 1) for number in range(CAMPAIGNS)
    ]
    return {
        "main": main, "other": other, "topics": topics, "elsewhere": elsewhere, "partners": partners,
        "campaigns": campaigns,
    }  # fmt: skip


def facts_of(person: dict[str, Any]) -> Facts:
    """What plain Python knows of a person."""
    current = {code: tie for code, tie in person["partners"].items() if not tie["ended"]}
    state, consent = person["subscription"] or (None, None)
    facts: dict[str, Collection[Any]] = {
        field: {person[field]} for field in ("language", "country", "domain", "zone")
    }
    facts |= {
        "name": {person["name_zh"], person["name_en"]},
        "joined": {joined(person)},
        "topic": person["topics"] or {topic for tie in current.values() for topic in tie["topics"]},
        "subscription": {state},
        "consent": {consent, *(tie["consent"] for tie in current.values())},
        "suppressed": {any(silences(*each) for each in person["suppressions"])},
        "paused": {paused(person, list(current.values()))},
        "partner.code": set(current),
        "partner.group": {group for code in current for group in GROUPS[code]},
        **{f"partner.{field}": {PARTNERS[code][field] for code in current} for field in PARTNERS["moe"]},
        **happened(person["letters"]),
    }
    return {field: {value for value in values if value not in (None, "")} for field, values in facts.items()}


def joined(person: dict[str, Any]) -> datetime:
    return datetime.combine(person["joined"], time.min, UTC) + timedelta(seconds=person["second"])


def silences(publication: str, until: datetime | None) -> bool:
    return publication != "other" and (until is None or until > NOW)


def paused(person: dict[str, Any], ties: list[dict[str, Any]]) -> bool:
    asks = [tie["paused"] is not None and tie["paused"] > NOW for tie in ties]
    if not person["subscription"]:
        return False
    own = person["paused"] is not None and person["paused"] > NOW
    answers = person["subscription"][1] in (ConsentKind.SIGN_UP, ConsentKind.INVITED)
    return own or (not answers and bool(asks) and all(asks))


def happened(letters: list[dict[str, Any]]) -> dict[str, set[Occasion]]:
    """What a person's letters and the events about them say."""
    heard = {name: set() for name in ("received", "opened", "clicked", "bounced")}
    for letter in letters:
        number = letter["campaign"]
        for kind, at, words in letter["heard"]:
            name = {"open": "opened", "click": "clicked", "bounce": "bounced"}.get(kind)
            if name and not (kind in ("open", "click") and words.startswith("machine")):
                heard[name].add(Occasion(number, at))
        if letter["accepted"]:
            taken = [at for at, accepted in letter["tried"] if accepted]
            heard["received"] |= {Occasion(number, at) for at in taken or [None]}
    return heard


def store(make: Make, ground: dict[str, Any], person: dict[str, Any]) -> int:
    """Write a person's rows; return the subscriber's id."""
    columns = {field: person[field] for field in ("country", "domain", "zone", "name_zh", "name_en")}
    reader = make.subscriber(
        language=person["language"], subscribed=False, created_at=joined(person), **columns
    )
    for code, tie in person["partners"].items():
        membership = make.membership(
            ground["partners"][code], reader, ended_at=NOON if tie["ended"] else None,
            paused_until=tie["paused"], consent_kind=tie["consent"],
        )  # fmt: skip
        for topic in tie["topics"]:
            make._add(MembershipTopic(membership_id=membership.id, topic_id=ground["topics"][topic]))
    for code in person["topics"]:
        make._add(SubscriberTopic(subscriber_id=reader.id, topic_id=ground["topics"][code]))
    if person["topic_elsewhere"]:
        make._add(SubscriberTopic(subscriber_id=reader.id, topic_id=ground["elsewhere"].id))
    if person["subscription"]:
        state, consent = person["subscription"]
        make.subscription(reader, ground["main"], state, consent_kind=consent, paused_until=person["paused"])
    if person["elsewhere"]:
        make.subscription(reader, ground["other"], person["elsewhere"], paused_until=NOW + timedelta(9))
    for name, until in person["suppressions"]:
        make.suppression(reader.address or "", until=until, publication_id=ground[name].id if name else None)
    for letter in person["letters"]:
        send(make, ground["campaigns"][letter["campaign"] - 1], reader, letter)
    return reader.id


def send(make: Make, campaign: Campaign, reader: Subscriber, letter: dict[str, Any]) -> None:
    state = DeliveryState.ACCEPTED if letter["accepted"] else DeliveryState.REJECTED
    delivery = make.delivery(campaign=campaign, subscriber=reader, state=state)
    for number, (at, accepted) in enumerate(letter["tried"], start=1):
        end = DeliveryState.ACCEPTED if accepted else DeliveryState.DEFERRED
        make.attempt(delivery, number, at=at, state=end)
    for kind, at, words in letter["heard"]:
        make.event(delivery, EventKind(kind), at=at, detail=words)


def test_sql_and_python_pick_the_same_people(database, make, ground):
    """NULLs, empty texts, several memberships, signs that LIKE knows, what happened: one answer on both."""

    @given(st.lists(people, min_size=1, max_size=4), st.lists(rules, min_size=1, max_size=8))
    @settings(max_examples=150, deadline=None)
    def agree(persons, asked):
        with rolled_back(database) as session:
            builders = make.within(session)
            ids = {store(builders, ground, person): facts_of(person) for person in persons}
            for rule in asked:
                condition = segments.condition(rule, now=NOW, publication_id=ground["main"].id)
                found = set(session.scalars(select(Subscriber.id).where(condition)))
                assert found == {id for id, facts in ids.items() if segments.matches(rule, facts, NOW)}, str(
                    rule
                )

    agree()


def test_what_a_person_is_told_is_what_the_rows_say(database, make, ground):
    """Why somebody is in or not rests on the same facts that the oracle has, for every field there is."""

    @given(people)
    @settings(max_examples=60, deadline=None)
    def agree(person):
        with rolled_back(database) as session:
            reader = store(make.within(session), ground, person)
            scope, oracle = Scope(NOW, ground["main"].id), facts_of(person)
            for name in {field.name for field in known().values()}:
                assert set(known()[name].facts(session, reader, scope)) == set(oracle[name]), name

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
        .where(segments.condition(rule, now=NOON))
    )
    with database.read() as session:
        assert sorted(map(tuple, session.execute(query))) == [(reader.id, ngo.id), (reader.id, ministry.id)]


def test_the_longest_rule_is_still_answered(database, make):
    """SQLite gives up on expressions more than 1,000 deep: the parser's limit stays below."""
    make.subscriber()
    rule = segments.parse(" or ".join(["name = a"] * 416))
    with database.read() as session:
        assert session.scalars(select(Subscriber.id).where(segments.condition(rule, now=NOON))).all() == []


def test_a_segment_is_saved_in_its_plain_form_and_found_by_name(database):
    """Saving again replaces; an audience may be named or written out."""
    with database.write() as session:
        segments.save(session, name=" Chinese  readers ", rule="LANGUAGE=中文", now=NOON, actor=SYSTEM)
        segments.save(session, name="Chinese readers", rule="(language=zh)", now=NOON, actor=SYSTEM)
        assert [(s.name, s.rule) for s in segments.listing(session)] == [("Chinese readers", "language = zh")]
        assert segments.resolve(session, "Chinese readers") == segments.parse("language = zh")
        assert segments.resolve(session, "country = FR") == segments.parse("country = FR")
        segments.remove(
            session, segment_id=segments.get(session, "Chinese readers").id, now=NOON, actor=SYSTEM
        )
        with pytest.raises(segments.NoSegment):
            segments.get(session, "Chinese readers")


@contextmanager
def rolled_back(database: Database) -> Iterator[Session]:
    """A transaction whose rows are gone at its end: each example starts afresh."""
    with Session(database.engine) as session:
        yield session
        session.rollback()
