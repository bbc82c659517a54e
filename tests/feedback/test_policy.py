"""Events are decided about once, with all that is known of the reader; settings are kept and audited."""

from __future__ import annotations

import multiprocessing
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import func, select

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.store import Subscriber, Suppression
from mailer.audience.suppressions import in_force, release
from mailer.database import Database
from mailer.delivery.store import Delivery, DeliveryState, Event, EventInbox, EventKind
from mailer.feedback import policy
from mailer.feedback.decisions import undo
from mailer.feedback.rules import DEFAULTS, BadSetting, NoSetting
from mailer.feedback.store import Decision, Tally
from mailer.issues.store import Publication
from tests.make import NOON, Make

DAY = timedelta(days=1)
ANN = Actor(None, "ann@example.org")


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


@pytest.mark.parametrize("detail", ["machine: no name", ""])
def test_an_open_is_no_sign_of_life(database: Database, make: Make, detail: str) -> None:
    """Filters and proxies fetch pictures for the dead as well, and not all of them say so."""
    reader = make.subscriber()
    letters = full_for_months(make, reader)
    between = {"at": NOON - 45 * DAY, "source": "web"}
    make.event(letters[2], EventKind.OPEN, detail=detail, **between)
    apply(database, NOON + 2 * DAY)
    assert [action for action, _ in decisions(database)] == ["suppress"]


def test_a_complaint_silences_whatever_that_sender_sends(database: Database, make: Make) -> None:
    """Another newsletter from the same address counts as the same sender, another address does not."""
    delivery = make.delivery("ann@example.org")
    make.event(delivery, EventKind.COMPLAINT, category="complaint", source="arf", applied=False)
    apply(database)
    one = make.publication()
    same = make.publication("digest")
    other = make.publication("bulletin")
    with database.write() as session:
        session.get_one(Publication, same.id).sender_address = one.sender_address.upper()
    with database.read() as session:
        silenced = {
            each.code: bool(session.scalar(select(Subscriber.id).where(in_force(NOON, each.id))))
            for each in (one, same, other)
        }
    assert silenced == {"observer": True, "digest": True, "bulletin": False}


@pytest.mark.parametrize("who", ["undone", "released"])
def test_counting_begins_anew_once_a_person_has_forgiven(database: Database, make: Make, who: str) -> None:
    """A sixth letter comes back from a mailbox that was silenced after five and released since."""
    reader = make.subscriber()
    full_for_months(make, reader)
    apply(database, NOON + 2 * DAY)
    [(_, suppression_id)] = decisions(database)
    with database.write() as session:
        if who == "undone":
            event_id = session.scalars(select(Decision.event_id)).one()
            undo(session, event_id, why="she telephoned", now=NOON + 3 * DAY, actor=ANN)
        else:
            release(session, suppression_id or 0, NOON + 3 * DAY, ANN)
    later = NOON + 4 * DAY
    make.event(make.delivery(subscriber=reader), category="mailbox_full", at=later, applied=False)
    apply(database, later)
    with database.read() as session:
        reason = session.scalars(select(Decision.reason).order_by(Decision.event_id)).all()[-1]
    assert reason.startswith("1 of 5 letters")
    assert standing(database) == []


def standing(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Suppression.reason).where(Suppression.released_at.is_(None))))


def test_news_told_twice_changes_nothing(database: Database, make: Make) -> None:
    """The same bounce from two sources, and the same complaint twice: one suppression of each kind."""
    delivery = make.delivery("ann@example.org")
    for _ in range(3):
        gone(make, delivery)
        make.event(delivery, EventKind.COMPLAINT, category="complaint", source="arf", applied=False)
        apply(database)
        apply(database)
    assert sorted(standing(database)) == ["bad_mailbox", "complaint"]
    with database.read() as session:
        assert session.scalar(select(func.sum(Tally.count))) == 6  # six events, each counted once


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_within_a_second_does_not_matter(sqlite_database: Database, order: tuple[int, ...]) -> None:
    """A click, two bounces and a complaint at one instant: the same end, whoever is written first."""
    make = Make(sqlite_database)
    first = make.delivery("ann@example.org")
    make.event(first, category="bad_mailbox", dead=True, at=NOON - 2 * DAY)
    second = make.delivery(subscriber=make_person(sqlite_database, first))
    vague = {"category": "bad_mailbox", "dead": True, "at": NOON, "applied": False}
    tell = [
        lambda: make.event(first, EventKind.CLICK, at=NOON - DAY, source="web"),
        lambda: make.event(second, **vague),
        lambda: make.event(first, **vague),
        lambda: make.event(second, EventKind.COMPLAINT, category="complaint", at=NOON, applied=False),
    ]
    for index in order:
        tell[index]()
    for _ in range(4):
        apply(sqlite_database, limit=1)
    assert standing(sqlite_database) == ["complaint"]
    assert sorted(action for action, _ in decisions(sqlite_database)) == ["count", "count", "suppress"]


def make_person(database: Database, delivery: Delivery) -> Subscriber:
    with database.read() as session:
        return session.get_one(Subscriber, delivery.subscriber_id)


@pytest.mark.postgres
def test_processes_that_apply_at_once_decide_each_event_once(postgres_url: str) -> None:
    """Four of them over the same inbox, where each reader's mailbox is called gone four times."""
    database = Database(postgres_url)
    make = Make(database)
    for _ in range(25):
        delivery = make.delivery()
        for _ in range(4):
            gone(make, delivery)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        counts = pool.map(apply_all, [postgres_url] * 4)
        pool.close()
        pool.join()
    assert sum(counts) == len(decisions(database)) == 100
    assert len(standing(database)) == 25
    database.close()


def apply_all(url: str) -> int:
    """Decide in small portions until the inbox is empty; return how many events."""
    database, done = Database(url), 0
    while True:
        done += apply(database, limit=3)
        with database.read() as session:
            if not session.scalar(select(func.count()).select_from(EventInbox)):
                database.close()
                return done


# -- settings ----------------------------------------------------------------------------------------------


def change(database: Database, **values: float | None) -> None:
    with database.write() as session:
        policy.set_(session, values, now=NOON, actor=ANN)


def test_a_setting_is_kept_shown_and_written_down(database: Database, make: Make) -> None:
    """Who changed it, when, from what to what."""
    change(database, inactive_times=5, dormant_days=90)
    change(database, inactive_times=None, dormant_days=90)
    with database.read() as session:
        shown = {it.name: (it.value, it.default, it.set_by) for it in policy.settings(session)}
        entries = [(it.actor, it.before, it.after) for it in audit.entries(session)]
    assert shown["inactive_times"] == (3, 3, None)
    assert shown["dormant_days"] == (90, 60, "ann@example.org")
    assert entries == [
        (
            "ann@example.org",
            {"inactive_times": 5, "dormant_days": 90},
            {"inactive_times": 3, "dormant_days": 90},
        ),
        (
            "ann@example.org",
            {"inactive_times": 3, "dormant_days": 60},
            {"inactive_times": 5, "dormant_days": 90},
        ),
    ]


def test_a_changed_setting_binds_what_comes_and_not_what_was_decided(database: Database, make: Make) -> None:
    """The first bounce was counted under the old rule and stays counted."""
    make.event(make.delivery(), category="inactive", applied=False)
    apply(database)
    change(database, inactive_times=1, inactive_days=0)
    assert decisions(database) == [("count", None)]
    make.event(make.delivery(), category="inactive", applied=False)
    apply(database)
    assert [action for action, _ in decisions(database)] == ["count", "suppress"]


def test_one_wrong_setting_changes_none(database: Database, make: Make) -> None:
    """All of them are looked at before any is kept."""
    with pytest.raises(BadSetting):
        change(database, inactive_times=5, dormant_days=-1)
    with pytest.raises(NoSetting):
        change(database, inactive_times=5, dormant_day=None)
    with database.read() as session:
        assert policy.in_force(session) == DEFAULTS
