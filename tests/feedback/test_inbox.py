"""The bounce inbox: every kind of news becomes a case, found by whatever a person knows of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailer.accounts.audit import Actor
from mailer.accounts.store import AuditEntry
from mailer.database import Database
from mailer.delivery import events
from mailer.delivery.events import News
from mailer.delivery.store import Case, Delivery, EventKind
from mailer.diagnosis import Category
from mailer.feedback import inbox, policy
from mailer.feedback.inbox import Filter
from tests.make import NOON, Make

ADMIN = Actor(None, "admin@example.org")


def tell(database: Database, delivery: Delivery, category: str = "unknown", **given: object) -> int:
    """Something comes back about a letter; return the event."""
    facts = {"kind": EventKind.BOUNCE, "at": NOON, "source": "smtp", "detail": "RCPT: 554 no, thank you"}
    with database.write() as session:
        [event] = events.record_many(
            session,
            [News(campaign_id=delivery.campaign_id, n=delivery.n, category=category, **{**facts, **given})],
        )
    return event


def found(database: Database, wanted: Filter, **given: object) -> list[int]:
    with database.read() as session:
        return [row.case.event_id for row in inbox.listing(session, wanted, **given).rows]


def test_what_nobody_understands_waits_for_a_person_and_the_rest_does_not(database, make: Make) -> None:
    """Bounces only: a delay mends itself, and what is understood the policy decides about."""
    letters = [make.delivery() for _ in range(5)]
    unknown = tell(database, letters[0])
    technical = tell(database, letters[1], "technical")
    full = tell(database, letters[2], "mailbox_full")
    delay = tell(database, letters[3], kind=EventKind.DELAY)
    tell(database, letters[4], kind=EventKind.CLICK)
    assert set(found(database, Filter(waiting=True))) == {unknown, technical}
    assert set(found(database, Filter())) == {unknown, technical, full, delay}
    with database.read() as session:
        assert inbox.waiting(session) == 2
        assert inbox.counts(session, Filter()) == {"unknown": 2, "technical": 1, "mailbox_full": 1}
        assert inbox.counts(session, Filter(waiting=True)) == {"unknown": 1, "technical": 1}


def test_each_filter_finds_its_own_and_together_they_narrow(database, make: Make) -> None:
    """By category, kind, provider, partner, campaign, time, rule; what is not there finds nothing."""
    campaign, partner = make.campaign(), make.partner()
    mine = tell(database, make.delivery(campaign=campaign, partner=partner, provider="qq"), "bad_mailbox")
    other = tell(database, make.delivery(), "rate", kind=EventKind.DELAY, at=NOON - timedelta(days=3))
    assert other in found(database, Filter())
    for wanted in (
        Filter(category="bad_mailbox"), Filter(kind="bounce"), Filter(provider="qq"),
        Filter(partner_id=partner.id), Filter(campaign_id=campaign.id), Filter(since=NOON),
        Filter(campaign_id=campaign.id, provider="qq", category="bad_mailbox"),
    ):  # fmt: skip
        assert found(database, wanted) == [mine], wanted
    assert found(database, Filter(until=NOON)) == [other]
    assert found(database, Filter(provider="qq", category="rate")) == []
    assert found(database, Filter(rule_id=1)) == []
    with database.read() as session:
        assert inbox.providers(session) == ["", "qq"]


def test_a_provider_known_by_its_domain_is_noted_where_the_letter_names_none(database, make: Make) -> None:
    """Letters of the first days have no provider of their own."""
    event = tell(database, make.delivery("ann@gmail.com"))
    assert found(database, Filter(provider="gmail")) == [event]


def test_a_whole_address_finds_its_letters_and_other_words_what_was_said(database, make: Make) -> None:
    """In any case; per cent signs are only signs; an address nobody has finds nothing."""
    ann = tell(database, make.delivery("ann@example.org"))
    bob = tell(database, make.delivery("bob@example.org"), detail="RCPT: 554 100% Refused")
    assert found(database, Filter(words="Ann@Example.org")) == [ann]
    assert found(database, Filter(words="100% refused")) == [bob]
    assert found(database, Filter(words="1% refused")) == []
    assert found(database, Filter(words="nobody@example.org")) == []


def test_words_are_looked_for_a_portion_at_a_time(database, make: Make, monkeypatch) -> None:
    """The page says how far it has looked, and goes on from there."""
    monkeypatch.setattr(inbox, "SEARCHED", 3)
    campaign = make.campaign()
    events_ = [
        tell(database, make.delivery(campaign=campaign), at=NOON + timedelta(minutes=i), detail=f"word{i}")
        for i in range(5)
    ]
    with database.read() as session:
        first = inbox.listing(session, Filter(words="word0"))
        assert (list(first.rows), first.next) == ([], events_[2])
        assert first.searched_to == NOON + timedelta(minutes=2)
        second = inbox.listing(session, Filter(words="word0"), behind=first.next)
        assert [row.case.event_id for row in second.rows] == [events_[0]]
        assert second.next is None


def test_pages_go_on_where_the_last_one_ended_and_miss_nothing(database, make: Make) -> None:
    """Also where many came at the same instant."""
    campaign = make.campaign()
    told = [tell(database, make.delivery(campaign=campaign)) for _ in range(7)]
    seen: list[int] = []
    behind = None
    with database.read() as session:
        while True:
            page = inbox.listing(session, Filter(), behind=behind, size=3)
            seen += [row.case.event_id for row in page.rows]
            if page.next is None:
                break
            behind = page.next
    assert seen == sorted(told, reverse=True)


def test_a_decision_is_shown_with_its_case_and_found_by_what_it_did(database, make: Make) -> None:
    """The policy's own words, and the suppression that followed."""
    event = tell(database, make.delivery(), "bad_mailbox", status="5.1.1", permanent=True, dead=True)
    with database.write() as session:
        policy.apply_pending(session, now=NOON)
    assert found(database, Filter(action="suppress")) == [event]
    assert found(database, Filter(action="undone")) == []
    with database.read() as session:
        row = inbox.get(session, event)
        assert row.decision is not None
        assert row.suppression is not None
        assert inbox.of_suppressions(session, [row.suppression.id]) == {row.suppression.id: event}


def test_looking_at_a_case_is_noted_and_can_be_taken_back(database, make: Make) -> None:
    """Twice counts once; the audit log says who."""
    event = tell(database, make.delivery())
    with database.write() as session:
        assert inbox.settle(session, [event, 999_999], now=NOON, actor=ADMIN) == 1
        assert inbox.settle(session, [event], now=NOON, actor=ADMIN) == 0
    assert found(database, Filter(waiting=True)) == []
    with database.write() as session:
        assert session.get_one(Case, event).settled_by == ADMIN.name
        inbox.reopen(session, event, now=NOON, actor=ADMIN)
    assert found(database, Filter(waiting=True)) == [event]
    with database.read() as session:
        assert {entry.action for entry in session.query(AuditEntry)} == {"event.settle", "event.reopen"}


def test_an_event_that_is_none_is_said(database) -> None:
    """To look at, and to look at again."""
    with database.write() as session:
        with pytest.raises(inbox.NoEvent):
            inbox.get(session, 7)
        with pytest.raises(inbox.NoEvent):
            inbox.reopen(session, 7, now=NOON, actor=ADMIN)


def test_counts_stop_where_more_would_only_cost_time(database, make: Make, monkeypatch) -> None:
    """One more than the limit says that there are more."""
    monkeypatch.setattr(inbox, "COUNTED", 2)
    campaign = make.campaign()
    for _ in range(4):
        tell(database, make.delivery(campaign=campaign))
    with database.read() as session:
        assert inbox.counts(session, Filter()) == {Category.UNKNOWN: 3}
        assert inbox.waiting(session) == 3
