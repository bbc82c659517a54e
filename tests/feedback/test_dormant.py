"""Addresses whose letters come back unexplained wait for a person."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.store import Subscriber, Suppression
from mailer.audience.suppressions import NoReason
from mailer.database import Database
from mailer.feedback import alerts, decisions, dormant, policy
from mailer.feedback.dormant import Answer, DecidedAlready, NotListed
from mailer.feedback.store import Decision, Dormant
from tests.make import NOON, Make

DAY = timedelta(days=1)
ANN = Actor(None, "ann@example.org")


def silent(database: Database, make: Make, address: str = "ann@example.org", **given: object) -> Subscriber:
    """A reader whose ten letters of seventy days all came back without a reason."""
    reader = make.subscriber(address, **given)
    for week in range(10):
        at = NOON - 7 * DAY * (9 - week)
        category = "technical" if week % 2 else "unknown"
        make.event(make.delivery(subscriber=reader), category=category, at=at, applied=week < 9)
    apply(database)
    return reader


def apply(database: Database, at: datetime = NOON) -> None:
    with database.write() as session:
        policy.apply_pending(session, now=at)


def waiting(database: Database, **asked: object) -> list[str | None]:
    with database.read() as session:
        rows, total = dormant.listing(session, **asked)  # type: ignore[arg-type]
        assert total == len(rows)
        return [row.person.address for row in rows]


def decide(database: Database, answer: Answer, why: str = "", id: int = 1, **given: object) -> Dormant:
    with database.write() as session:
        return dormant.decide(
            session,
            id,
            answer,
            why=why,
            now=NOON + DAY,
            actor=ANN,
            **given,  # type: ignore[arg-type]
        )


def test_the_tenth_unexplained_letter_lists_the_address_and_silences_nobody(
    database: Database, make: Make
) -> None:
    """Law 4: a person decides; the administrator is told."""
    silent(database, make)
    assert waiting(database) == ["ann@example.org"]
    with database.read() as session:
        assert session.scalars(select(Suppression)).all() == []
        assert session.scalars(select(Decision.action)).all() == ["list"]
        [alert] = alerts.standing(session)
    assert "wait for you to decide" in alert.said


def test_an_address_is_listed_once(database: Database, make: Make) -> None:
    """The eleventh letter says nothing new."""
    reader = silent(database, make)
    make.event(make.delivery(subscriber=reader), category="unknown", applied=False)
    apply(database)
    assert waiting(database) == ["ann@example.org"]


def test_a_suppressed_one_is_silenced_with_the_reason(database: Database, make: Make) -> None:
    """Who said so, and why, stands beside it."""
    reader = silent(database, make)
    decide(database, Answer.SUPPRESS, "she left the ministry")
    with database.read() as session:
        made = session.scalars(select(Suppression)).one()
        assert alerts.standing(session) == []
    assert (made.address_hash, made.reason, made.note, made.added_by) == (
        reader.address_hash, "dormant", "she left the ministry", "ann@example.org",
    )  # fmt: skip
    assert waiting(database) == []


def test_one_that_is_kept_is_counted_anew(database: Database, make: Make) -> None:
    """The next unexplained letter is the first."""
    reader = silent(database, make)
    decide(database, Answer.KEEP)
    later = NOON + 2 * DAY
    make.event(make.delivery(subscriber=reader), category="unknown", at=later, applied=False)
    apply(database, later)
    assert waiting(database) == []


def test_undoing_the_listing_takes_the_address_off_the_list(database: Database, make: Make) -> None:
    """It is kept, with the reason, and nobody is asked about it any more."""
    silent(database, make)
    with database.write() as session:
        event_id = session.scalars(select(Decision.event_id)).one()
        decisions.undo(session, event_id, why="she telephoned", now=NOON + DAY, actor=ANN)
    assert waiting(database) == []
    with database.read() as session:
        row = session.scalars(select(Dormant)).one()
        assert (row.answer, row.decided_by, row.why) == (Answer.KEEP, ANN.name, "she telephoned")
        assert alerts.standing(session) == []


def test_partners_are_asked_and_answer_about_their_own(database: Database, make: Make) -> None:
    """It stays on the list, each partner's desk shows it, and another partner's answer is none."""
    own, other = make.partner(), make.partner()
    silent(database, make, partner=own)
    decide(database, Answer.ASK)
    assert waiting(database, asked=True) == ["ann@example.org"]
    assert waiting(database, asked=False) == []
    assert waiting(database, partner_id=own.id) == ["ann@example.org"]
    assert waiting(database, partner_id=other.id) == []
    with database.read() as session:
        assert [it.action for it in audit.entries(session, partner_id=own.id)] == ["dormant.ask"]
        assert audit.entries(session, partner_id=other.id) == []
    with pytest.raises(NotListed):
        decide(database, Answer.SUPPRESS, "gone", partner_id=other.id)
    decide(database, Answer.SUPPRESS, "gone", partner_id=own.id)
    assert waiting(database) == []


def test_a_decision_is_made_once_and_a_suppression_explained(database: Database, make: Make) -> None:
    """Two people at two desks."""
    silent(database, make)
    with pytest.raises(NoReason):
        decide(database, Answer.SUPPRESS, " ")
    decide(database, Answer.KEEP)
    with pytest.raises(DecidedAlready):
        decide(database, Answer.SUPPRESS, "gone")
    with pytest.raises(NotListed):
        decide(database, Answer.KEEP, id=99)


def test_the_list_is_searched_by_the_beginning_of_an_address(database: Database, make: Make) -> None:
    """Signs that SQL knows stand for themselves."""
    silent(database, make)
    silent(database, make, "a_b@example.org")
    assert waiting(database, search="ANN@") == ["ann@example.org"]
    assert waiting(database, search="a_") == ["a_b@example.org"]
    assert waiting(database, search="%") == []
