"""Worker and beat run as threads of one process: started, stopped, started again, and nothing piles up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from mailer import queue
from mailer.database import Database
from mailer.delivery import store
from mailer.delivery.store import CampaignState
from mailer.settings import Settings
from tests.delivery.desk import Desk, now, until
from tests.make import Make
from tests.smtphost import SmtpHost
from workers import tasks
from workers.app import app, context, leave, use
from workers.embedded import Embedded


@pytest.fixture
def desk(sqlite_database: Database, settings: Settings) -> Iterator[Desk]:
    """A desk on SQLite whose letters go to a relay of its own."""
    with SmtpHost() as host:
        told = settings.model_copy(update={"smtp_url": host.url})
        desk = Desk(sqlite_database, told, Make(sqlite_database))
        yield desk
        desk.close()


def bells(name: str) -> int:
    with app.connection_or_acquire() as connection:
        return int(connection.default_channel.queue_declare(name).message_count)


def test_it_starts_and_stops_and_starts_again(desk: Desk) -> None:
    """Each time it finds the campaign in the rows by itself, sends it, and leaves no thread behind."""
    desk.readers("ann@example.org", "bob@example.org")
    before = threading.active_count()
    for _ in range(2):
        embedded = Embedded(desk.settings)
        embedded.start()
        campaign = desk.launched()
        until(lambda campaign=campaign: desk.campaign(campaign).state == CampaignState.SENT)  # type: ignore[misc]
        embedded.stop()
        assert desk.counts(campaign) == {"ACCEPTED": 2}
    until(lambda: threading.active_count() <= before + 1)  # a timer of Celery's may take its leave later


def test_what_comes_back_is_decided_within_seconds_without_a_bell(desk: Desk) -> None:
    """The timetable looks at the inbox every second; what waits beyond one portion is done in the same go."""
    campaign = desk.make.campaign(CampaignState.SENT)
    for _ in range(3):
        delivery = desk.make.delivery(campaign=campaign)
        desk.make.event(delivery, category="bad_mailbox", status="5.1.1", dead=True, applied=False)
    embedded = Embedded(desk.settings)
    embedded.start()
    try:
        until(lambda: not waiting(desk))
    finally:
        embedded.stop()


def waiting(desk: Desk) -> int:
    with desk.database.read() as session:
        return store.unapplied(session)


def test_bells_do_not_pile_up() -> None:
    """Workers that are busy for an hour find a few bells, not thousands."""
    queue.connect(Settings(secret="1:a-key-for-tests-only"))
    for _ in range(50):
        queue.ring_now(queue.WORK)
        queue.ring_now(queue.APPLY)
    assert 1 <= bells(queue.SEND_QUEUE) <= queue.ENOUGH
    assert 1 <= bells(queue.DESK_QUEUE) <= queue.ENOUGH


def test_tasks_run_twice_do_what_they_do_once(desk: Desk) -> None:
    """Bells are rung for nothing and heard twice: the rows tell."""
    campaign = desk.launched("ann@example.org")
    use(desk.settings)
    try:
        for _ in range(2):
            for task in (
                tasks.sweep, tasks.work, tasks.apply, tasks.watch, tasks.pass_on, tasks.tidy
            ):  # fmt: skip
                task()
    finally:
        leave()
    assert desk.counts(campaign) == {"ACCEPTED": 1}
    assert [attempt.attempt for attempt in desk.attempts(campaign)] == [1]


def test_a_sweep_that_fails_holds_up_no_launch(desk: Desk) -> None:
    """The error is told all the same."""
    campaign = desk.approved("ann@example.org", scheduled_at=now())
    with desk.database.write() as session:
        full = "BEFORE INSERT ON workers BEGIN SELECT RAISE(ABORT, 'no room'); END"
        session.execute(text(f"CREATE TRIGGER full {full}"))
    use(desk.settings)
    try:
        with pytest.raises(IntegrityError, match="no room"):
            tasks.sweep()
    finally:
        leave()
    assert desk.campaign(campaign).state == CampaignState.SENDING


def test_a_process_has_one_context_until_it_leaves(settings: Settings) -> None:
    """Threads of one process share it; leaving twice is harmless."""
    use(settings)
    found = {id(context()) for _ in range(3)}
    assert len(found) == 1
    assert context().settings is settings
    leave()
    leave()
