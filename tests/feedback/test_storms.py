"""When a provider calls far too many mailboxes missing, nobody is silenced for a day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.store import Subscriber, Suppression
from mailer.audience.suppressions import NoReason
from mailer.database import Database
from mailer.delivery.store import Campaign, Delivery, EventKind
from mailer.feedback import alerts, policy, storms, tallies
from mailer.feedback.rules import DEFAULTS
from mailer.feedback.store import Decision, Storm, Tally
from mailer.feedback.storms import NoStorm, is_storm
from mailer.feedback.watch import watch
from tests.make import KEYS, NOON, Make

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ANN = Actor(None, "ann@example.org")


# --- pure -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "letters", "usual", "storm"),
    [
        (49, 49, 0.0, False),  # not enough of them
        (50, 1_000, 0.0, True),  # nothing is known of before
        (50, 1_000, 0.01, True),  # five times 1 %
        (50, 1_001, 0.01, False),  # just short of it
        (500, 50_000, 0.01, False),  # a large campaign, no worse than ever
        (60, 10, 0.3, False),  # letters of the hour before: taken as all of them, and that is 3.3 times
        (60, 0, 0.1, True),
    ],
)
def test_it_takes_a_number_and_a_jump(bad: int, letters: int, usual: float, storm: bool) -> None:
    """Fifty an hour, and five times the share of the month before."""
    assert is_storm(bad=bad, letters=letters, usual=usual, rules=DEFAULTS) == storm


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_slot_begins_before_an_instant_and_lasts_ten_minutes(at: datetime) -> None:
    """Each instant lies in one slot."""
    at = at.replace(tzinfo=NOON.tzinfo)
    begin = tallies.slot(at)
    assert begin <= at < begin + tallies.SLOT
    assert begin.minute % 10 == begin.second == 0


# --- with rows ------------------------------------------------------------------------------------------


def letters(make: Make, count: int, *, provider: str = "gmail", at: datetime = NOON) -> list[Delivery]:
    """A campaign's letters to one provider, all accepted by the relay."""
    campaign = make.campaign()
    written = [make.delivery(campaign=campaign, provider=provider) for _ in range(count)]
    for each in written:
        make.attempt(each, at=at)
    return written


def gone(make: Make, deliveries: Iterable[Delivery], at: datetime) -> None:
    for each in deliveries:
        make.event(each, category="bad_mailbox", status="5.1.1", dead=True, at=at, applied=False)


def apply(database: Database, at: datetime) -> None:
    with database.write() as session:
        policy.apply_pending(session, now=at)


def look(database: Database, at: datetime) -> None:
    with database.write() as session:
        assert watch(session, now=at)


def actions(database: Database) -> dict[str, int]:
    with database.read() as session:
        rows = session.execute(select(Decision.action, func.count()).group_by(Decision.action))
        return dict(rows.all())


def silenced(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).where(Suppression.released_at.is_(None))) or 0


def told(database: Database) -> list[str]:
    with database.read() as session:
        return [str(alert.said) for alert in alerts.standing(session)]


@pytest.fixture
def few(database: Database) -> None:
    """Ten an hour are many: fewer rows to write."""
    with database.write() as session:
        policy.set_(session, {"storm_per_hour": 10}, now=NOON, actor=ANN)


@pytest.fixture
def storm(database: Database, make: Make, few: None) -> list[Delivery]:
    """Twelve mailboxes of Gmail are called missing at noon; eleven before anybody looks, one after."""
    written = letters(make, 14)
    gone(make, written[:11], NOON)
    apply(database, NOON)
    look(database, NOON + MINUTE)
    gone(make, written[11:12], NOON + 2 * MINUTE)
    apply(database, NOON + 2 * MINUTE)
    return written


def test_a_storm_silences_nobody_and_takes_back_what_came_before_it_was_seen(
    database: Database, storm: list[Delivery]
) -> None:
    """The eleven were silenced at once; within a minute all twelve are held."""
    assert actions(database) == {"hold": 12}
    assert silenced(database) == 0
    [alert] = told(database)
    assert alert.startswith("gmail called 11 mailboxes missing within an hour")


def test_other_providers_and_other_news_are_not_held(
    database: Database, make: Make, storm: list[Delivery]
) -> None:
    """A complaint from Gmail and a missing mailbox elsewhere are what they are."""
    make.event(storm[13], EventKind.COMPLAINT, category="complaint", at=NOON, applied=False)
    gone(make, letters(make, 1, provider="outlook"), NOON)
    apply(database, NOON + 3 * MINUTE)
    assert silenced(database) == 2


def test_after_a_day_what_was_held_is_done_but_not_to_those_seen_alive(
    database: Database, make: Make, storm: list[Delivery]
) -> None:
    """One reader has clicked, another's next letter came through; ten are silenced."""
    look(database, NOON + 2 * tallies.HOUR)
    assert told(database) == []  # it is over
    make.event(storm[0], EventKind.CLICK, at=NOON + 3 * tallies.HOUR, source="web")
    make.event(storm[1], EventKind.CLICK, at=NOON + 3 * tallies.HOUR, source="web", detail="machine: curl/")
    again = make.delivery(subscriber=reader(make, storm[2]), provider="gmail")
    make.attempt(again, at=NOON + 4 * tallies.HOUR)
    look(database, NOON + 23 * tallies.HOUR)
    assert actions(database) == {"hold": 12}
    look(database, NOON + DAY + 5 * MINUTE)
    assert actions(database) == {"suppress": 10, "none": 2}
    assert silenced(database) == 10


def reader(make: Make, delivery: Delivery) -> Subscriber:
    with make.database.read() as session:
        return session.get_one(Subscriber, delivery.subscriber_id)


def test_what_is_held_waits_for_the_end_of_the_storm(
    database: Database, make: Make, storm: list[Delivery]
) -> None:
    """A day has passed, and the provider goes on as before."""
    gone(make, letters(make, 12, at=NOON + DAY), NOON + DAY)
    apply(database, NOON + DAY)
    look(database, NOON + DAY + 5 * MINUTE)
    assert actions(database) == {"hold": 24}
    look(database, NOON + DAY + 2 * tallies.HOUR)
    assert actions(database) == {"hold": 12, "suppress": 12}


def test_a_person_releases_what_is_held(database: Database, make: Make, storm: list[Delivery]) -> None:
    """Nobody is silenced, then or later, and the same words do not count any more."""
    with database.write() as session:
        [(row, held)] = storms.listing(session)
        assert held == 12
        assert storms.release(session, row.id, why="they said sorry", now=NOON + DAY / 2, actor=ANN) == 12
    look(database, NOON + 2 * DAY)
    assert silenced(database) == 0
    with database.read() as session:
        decisions = session.scalars(select(Decision)).all()
        assert {(it.undone_by, it.undone_why, it.until) for it in decisions} == {
            ("ann@example.org", "they said sorry", None)
        }


def test_a_person_confirms_what_is_held(database: Database, make: Make, storm: list[Delivery]) -> None:
    """All are silenced, and for a day the provider is taken at its word."""
    with database.write() as session:
        row = session.scalars(select(Storm)).one()
        assert storms.confirm(session, row.id, why="a list of theirs was old", now=NOON, actor=ANN) == 12
    assert silenced(database) == 12
    gone(make, letters(make, 12, at=NOON + tallies.HOUR), NOON + tallies.HOUR)
    apply(database, NOON + tallies.HOUR)
    look(database, NOON + tallies.HOUR + MINUTE)
    assert actions(database) == {"suppress": 24}
    assert told(database) == []


def test_a_storm_is_named_and_explained(database: Database, storm: list[Delivery]) -> None:
    """Who decides says which and why."""
    with database.write() as session:
        with pytest.raises(NoStorm):
            storms.release(session, 99, why="x", now=NOON, actor=ANN)
        with pytest.raises(NoReason):
            storms.confirm(session, 1, why=" ", now=NOON, actor=ANN)


def test_as_many_as_ever_are_no_storm(database: Database, make: Make, few: None) -> None:
    """Every week a fifth of the letters to Gmail come back: that is how this list is."""
    for week in (2, 1, 0):
        at = NOON - week * 7 * DAY
        gone(make, letters(make, 60, at=at)[:12], at)
        apply(database, at)
        if week == 2:
            with database.write() as session:  # the first time there is nothing to compare with
                session.add(Tally(slot=tallies.slot(at - DAY), destination="gmail", category="", count=100))
                session.add(
                    Tally(slot=tallies.slot(at - DAY), destination="gmail", category="bad_mailbox", count=20)
                )
        look(database, at + MINUTE)
        for campaign in everyone(database):
            finish(database, campaign, at + 2 * tallies.HOUR)
    assert actions(database) == {"suppress": 36}
    assert told(database) == []


def everyone(database: Database) -> list[Campaign]:
    with database.read() as session:
        return list(session.scalars(select(Campaign)))


def finish(database: Database, campaign: Campaign, at: datetime) -> None:
    with database.write() as session:
        row = session.get_one(Campaign, campaign.id)
        row.finished_at = row.finished_at or at
        row.state = "sent"  # type: ignore[assignment]


def test_letters_are_counted_anew_however_often_one_looks(database: Database, make: Make, few: None) -> None:
    """Counting twice changes nothing: each letter of the last hour, once."""
    written = letters(make, 5, at=NOON - 25 * MINUTE)
    make.attempt(letters(make, 1)[0], attempt=2, at=NOON)
    gone(make, written[:1], NOON)
    apply(database, NOON)
    for _ in range(3):
        look(database, NOON + MINUTE / 2)
    with database.read() as session:
        assert tallies.heard(session, tallies.LETTERS, NOON - tallies.HOUR) == {"gmail": 7}
        assert tallies.heard(session, tallies.LETTERS, NOON - 5 * MINUTE) == {"gmail": 2}


def test_letters_of_quiet_hours_are_part_of_what_is_usual(database: Database, make: Make, few: None) -> None:
    """One in twenty, days ago; since then nothing was heard of: five times as bad is five in twenty-five."""
    gone(make, letters(make, 1, at=NOON - 3 * DAY), NOON - 3 * DAY)
    apply(database, NOON - 3 * DAY)
    look(database, NOON - 3 * DAY)
    letters(make, 19, at=NOON - 2 * DAY)
    look(database, NOON - 2 * DAY + 10 * MINUTE)
    with database.read() as session:
        month = NOON - tallies.MONTH
        assert tallies.share(session, "gmail", "bad_mailbox", month, NOON) == 1 / 20


def test_letters_are_counted_as_a_slot_begins_or_when_it_looks_like_a_storm(
    database: Database, make: Make, few: None
) -> None:
    """Counting reads all attempts of the campaigns at work: not at every look."""
    written = letters(make, 60, at=NOON + 2 * MINUTE)
    gone(make, written[:9], NOON + 3 * MINUTE)
    apply(database, NOON + 3 * MINUTE)
    for minutes, counted in ((4, {}), (10, {"gmail": 60})):
        look(database, NOON + minutes * MINUTE)
        with database.read() as session:
            assert tallies.heard(session, tallies.LETTERS, NOON - tallies.HOUR) == counted


def test_what_is_told_late_comes_as_a_wave_and_is_held(database: Database, make: Make, few: None) -> None:
    """A provider's webhook was away for five hours: each piece says when it happened."""
    written = letters(make, 12, at=NOON - timedelta(hours=5))
    for number, each in enumerate(written):
        gone(make, [each], NOON - timedelta(hours=5) + number * 25 * MINUTE)
    apply(database, NOON)
    look(database, NOON + MINUTE)
    assert actions(database) == {"hold": 12}


def test_what_a_person_silenced_is_not_taken_back(database: Database, make: Make, few: None) -> None:
    """An administrator knows it, in the very hour in which Gmail says so too."""
    written = letters(make, 11)
    with database.write() as session:
        person = session.get_one(Subscriber, written[0].subscriber_id)
        suppressions.add(
            session, address=person.address or "", keys=KEYS, reason="bad_mailbox", note="she has died",
            now=NOON, actor=ANN,
        )  # fmt: skip
    gone(make, written, NOON)
    apply(database, NOON)
    look(database, NOON + MINUTE)
    assert silenced(database) == 1
    assert actions(database) == {"hold": 10, "suppress": 1}


def test_old_tallies_are_forgotten(database: Database, make: Make) -> None:
    """What is usual is told from thirty days."""
    gone(make, letters(make, 1), NOON)
    apply(database, NOON)
    look(database, NOON + 36 * DAY)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Tally)) == 0
