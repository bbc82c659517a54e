"""Only words about the address silence it, and most of them only when they keep coming."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.audience.store import Subscriber, Suppression
from mailer.database import Database
from mailer.delivery.store import Delivery, DeliveryState, Event, EventInbox, EventKind
from mailer.diagnosis import Category
from mailer.feedback import policy
from mailer.feedback.policy import RULES, Action, Past, decide
from mailer.feedback.store import Decision
from tests.make import NOON, Make

DAY = timedelta(days=1)
HARMLESS = [category for category in Category if category not in RULES]


def bounce(category: Category, n: int = 1, **given: object) -> Event:
    facts = {"campaign_id": 1, "n": n, "kind": EventKind.BOUNCE, "at": NOON, "source": "dsn", "detail": "",
             "category": category, "status": None, "permanent": True, "dead": False}  # fmt: skip
    return Event(**{**facts, **given})


def series(category: Category, times: int, apart: timedelta, **given: object) -> list[Event]:
    """``times`` letters that came back, ``apart`` from first to last, the last one at NOON."""
    step = apart / max(times - 1, 1)
    return [bounce(category, n, **{"at": NOON - step * (times - n), **given}) for n in range(1, times + 1)]


def outcome(bounces: list[Event], alive_at: datetime | None = None) -> Action:
    return decide(bounces[-1], Past(bounces, alive_at)).action


@pytest.mark.parametrize("grounds", [{"source": "smtp"}, {"status": "5.1.1"}, {"status": "5.1.6"}])
def test_a_mailbox_that_is_not_there_is_silenced_at_once(grounds: dict[str, str]) -> None:
    """Said to our face, or with an explicit status."""
    assert outcome([bounce(Category.BAD_MAILBOX, dead=True, **grounds)]) == Action.SUPPRESS


def test_a_mailbox_that_a_vague_report_calls_gone_is_silenced_the_second_time() -> None:
    """One report without a status may be a mistake; two a day apart are not."""
    assert outcome([bounce(Category.BAD_MAILBOX, dead=True)]) == Action.COUNT
    assert outcome(series(Category.BAD_MAILBOX, 2, DAY, dead=True)) == Action.SUPPRESS
    assert outcome(series(Category.BAD_MAILBOX, 2, DAY / 2, dead=True)) == Action.COUNT


@pytest.mark.parametrize("category", [Category.BAD_MAILBOX, Category.BAD_DOMAIN])
def test_an_address_that_is_not_called_dead_is_not_silenced(category: Category) -> None:
    """ "User unknown" with a temporary code is often a directory that was away."""
    assert outcome(series(category, 9, 300 * DAY, source="smtp", status="4.1.1")) == Action.NONE


@pytest.mark.parametrize("category", RULES)
def test_it_takes_enough_letters_over_enough_time(category: Category) -> None:
    """One letter fewer, or one hour less, and the reader stays."""
    rule = RULES[category]
    dead = {"dead": rule.needs_dead}
    assert outcome(series(category, rule.times, rule.apart, **dead)) == Action.SUPPRESS
    assert outcome(series(category, rule.times - 1, rule.apart * 3, **dead)) == Action.COUNT
    assert outcome(series(category, rule.times, rule.apart - DAY / 24, **dead)) == Action.COUNT


@pytest.mark.parametrize("category", RULES)
def test_a_sign_of_life_begins_the_count_anew(category: Category) -> None:
    """Whoever clicked last week has a mailbox."""
    rule = RULES[category]
    bounces = series(category, rule.times, rule.apart, dead=rule.needs_dead)
    assert outcome(bounces, alive_at=bounces[0].at + timedelta(minutes=1)) == Action.COUNT


def test_two_reports_about_one_letter_count_once() -> None:
    """The run is of letters, not of reports."""
    rule = RULES[Category.MAILBOX_FULL]
    bounces = series(Category.MAILBOX_FULL, rule.times, rule.apart)
    for event in bounces:
        event.n = 1
    assert outcome(bounces) == Action.COUNT


def test_a_complaint_silences_one_publication() -> None:
    """The reader did not want this newsletter; the mailbox is well."""
    verdict = decide(bounce(Category.COMPLAINT, kind=EventKind.COMPLAINT), Past())
    assert verdict.action == Action.SUPPRESS
    assert not verdict.everywhere


@settings(max_examples=200, deadline=None)
@given(
    category=st.sampled_from(HARMLESS),
    times=st.integers(1, 40),
    dead=st.booleans(),
    source=st.sampled_from(["smtp", "dsn"]),
    status=st.sampled_from([None, "5.1.1", "5.7.1", "4.2.2"]),
)
def test_nothing_else_ever_silences(
    category: Category, times: int, dead: bool, source: str, status: str | None
) -> None:
    """Law 4: what is said about us, and what says nothing, however often it is said."""
    bounces = series(category, times, 400 * DAY, dead=dead, source=source, status=status)
    assert outcome(bounces) == Action.NONE


@settings(max_examples=200, deadline=None)
@given(
    category=st.sampled_from(list(RULES)),
    offsets=st.lists(st.integers(0, 24 * 90), min_size=1, max_size=8),
)
def test_silencing_agrees_with_counting_by_hand(category: Category, offsets: list[int]) -> None:
    """Enough letters, first and last far enough apart: nothing more is in the rule."""
    rule = RULES[category]
    times = sorted(NOON - timedelta(hours=offset) for offset in offsets)
    bounces = [bounce(category, n, at=at, dead=rule.needs_dead) for n, at in enumerate(times)]
    expected = len(times) >= rule.times and times[-1] - times[0] >= rule.apart
    assert (outcome(bounces) == Action.SUPPRESS) == expected


# -- with rows ---------------------------------------------------------------------------------------------


def apply(database: Database, at: datetime = NOON, limit: int = 500) -> int:
    with database.write() as session:
        return policy.apply_pending(session, now=at, limit=limit)


def decisions(database: Database) -> list[tuple[str, int | None]]:
    with database.read() as session:
        rows = session.execute(select(Decision.action, Decision.suppression_id).order_by(Decision.event_id))
        return [(action, suppression) for action, suppression in rows]


def suppressed(database: Database) -> list[tuple[str, int | None]]:
    with database.read() as session:
        return [(row.reason, row.publication_id) for row in session.scalars(select(Suppression))]


def gone(make: Make, delivery: Delivery, **given: object) -> Event:
    said = {"category": "bad_mailbox", "status": "5.1.1", "dead": True, "permanent": True, "applied": False}
    return make.event(delivery, detail="no such user", **{**said, **given})


def test_a_dead_mailbox_is_silenced_everywhere_with_the_reason(database: Database, make: Make) -> None:
    """The decision says why in plain words, the suppression keeps the mail system's."""
    delivery = make.delivery("ann@example.org")
    gone(make, delivery)
    assert apply(database) == 1
    with database.read() as session:
        suppression = session.scalars(select(Suppression)).one()
        reader = session.scalars(select(Subscriber)).one()
        decision = session.scalars(select(Decision)).one()
    assert (suppression.address_hash, suppression.publication_id) == (reader.address_hash, None)
    assert (suppression.reason, suppression.note) == ("bad_mailbox", "no such user")
    assert decision.suppression_id == suppression.id
    assert "no such mailbox" in decision.reason


def test_a_full_mailbox_is_not_silenced_by_one_bounce(database: Database, make: Make) -> None:
    """It will be emptied."""
    make.event(make.delivery(), category="mailbox_full", status="5.2.2", permanent=True, applied=False)
    apply(database)
    assert decisions(database) == [("count", None)]
    assert suppressed(database) == []


def test_a_complaint_silences_the_publication_it_was_about(database: Database, make: Make) -> None:
    """Other publications go on."""
    delivery = make.delivery()
    make.event(delivery, EventKind.COMPLAINT, category="complaint", source="arf", applied=False)
    apply(database)
    assert suppressed(database) == [("complaint", make.publication().id)]


def test_events_are_decided_once_and_in_portions(database: Database, make: Make) -> None:
    """The inbox empties with the transaction that decides; run again, it finds nothing."""
    for _ in range(5):
        gone(make, make.delivery())
    assert [apply(database, limit=3) for _ in range(3)] == [3, 2, 0]
    assert len(decisions(database)) == len(suppressed(database)) == 5


def test_a_transaction_that_fails_leaves_the_inbox_as_it_was(database: Database, make: Make) -> None:
    """No decision without its suppression, no suppression without its decision."""
    gone(make, make.delivery())

    def apply_and_fail() -> None:
        with database.write() as session:
            policy.apply_pending(session, now=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        apply_and_fail()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EventInbox)) == 1
    assert decisions(database) == suppressed(database) == []


def full_for_months(make: Make, reader: Subscriber) -> list[Delivery]:
    """Five monthly letters that came back from a full mailbox; the last bounce waits for policy."""
    letters = []
    for month in range(5):
        sent = NOON - 30 * DAY * (4 - month)
        delivery = make.delivery(subscriber=reader)
        make.attempt(delivery, at=sent)
        make.event(delivery, category="mailbox_full", at=sent + DAY, applied=month < 4)
        letters.append(delivery)
    return letters


def test_a_mailbox_full_for_months_is_silenced(database: Database, make: Make) -> None:
    """Five letters in a row, over a hundred days and more."""
    full_for_months(make, make.subscriber())
    apply(database, NOON + 2 * DAY)
    assert suppressed(database) == [("mailbox_full", None)]


@pytest.mark.parametrize("sign", ["click", "letter"])
def test_a_click_or_a_letter_that_came_through_resets_the_count(
    database: Database, make: Make, sign: str
) -> None:
    """In between, the mailbox took mail."""
    reader = make.subscriber()
    letters = full_for_months(make, reader)
    between = NOON - 45 * DAY
    if sign == "click":
        make.event(letters[2], EventKind.CLICK, at=between, source="web")
    else:
        make.attempt(make.delivery(subscriber=reader), at=between)
    apply(database, NOON + 2 * DAY)
    assert decisions(database) == [("count", None)]


def test_a_scanners_click_or_a_letter_still_under_way_is_no_sign_of_life(
    database: Database, make: Make
) -> None:
    """A machine follows links for the dead as well, and a bounce may still come."""
    reader = make.subscriber()
    letters = full_for_months(make, reader)
    make.event(letters[2], EventKind.CLICK, at=NOON - 45 * DAY, source="web", detail="machine: scanner")
    make.attempt(make.delivery(subscriber=reader), at=NOON)
    make.attempt(make.delivery(subscriber=reader, state=DeliveryState.DEFERRED), at=NOON - 45 * DAY)
    apply(database, NOON + 2 * DAY)
    assert decisions(database) == [("suppress", decisions(database)[0][1])]
