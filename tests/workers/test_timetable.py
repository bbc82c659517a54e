"""Beat rings by the timetable, whatever happens to the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery.beat import ScheduleEntry

from mailer import queue
from mailer.settings import load
from workers.app import app
from workers.timetable import Steady

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=30)])
def test_a_clock_that_jumps_stops_no_sweep(monkeypatch: pytest.MonkeyPatch, jump: timedelta) -> None:
    """Ahead and back again: in two seconds all has been rung that is rung each second."""
    clock = [NOON]
    monkeypatch.setattr(app, "now", lambda: clock[0])
    scheduler = Steady(app)
    rung: set[str] = set()
    monkeypatch.setattr(scheduler, "apply_entry", lambda entry, producer: rung.add(entry.name))

    def rung_in_two_seconds() -> set[str]:
        rung.clear()
        until = clock[0] + timedelta(seconds=2)
        while (now := clock[0]) <= until:
            clock[0] = now + timedelta(seconds=max(scheduler.tick(), 0.0) + 0.001)
        return rung

    assert rung_in_two_seconds() >= {"sweep", "apply"}
    for now in (NOON + jump, NOON, NOON + jump):
        clock[0] = now
        assert rung_in_two_seconds() >= {"sweep", "apply"}


def test_tidying_waits_a_minute_and_then_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is switched on for half an hour a day forgets what it must all the same."""
    clock = [NOON]
    monkeypatch.setattr(app, "now", lambda: clock[0])
    scheduler = Steady(app)
    rung: list[timedelta] = []

    def ring(entry: ScheduleEntry, producer: object) -> None:
        if entry.name == "tidy":
            rung.append(clock[0] - NOON)

    monkeypatch.setattr(scheduler, "apply_entry", ring)
    while clock[0] < NOON + timedelta(hours=1, minutes=2):
        clock[0] += timedelta(seconds=max(scheduler.tick(), 0.1))
    assert [round(each / timedelta(minutes=1)) for each in rung] == [1, 61]


def test_bells_that_nobody_hears_do_not_pile_up() -> None:
    """Workers that come back after an hour find a few bells; none expires, for their clocks may be ahead."""
    queue.choose_broker(app, load(secret="1:a-key-for-tests-only"))
    scheduler = Steady(app)
    for _ in range(20):
        scheduler.apply_entry(scheduler.schedule["sweep"])
    with app.connection_or_acquire() as connection:
        channel = connection.default_channel
        assert 1 <= channel.queue_declare(queue.DESK_QUEUE).message_count <= queue.ENOUGH
        bell = channel.basic_get(queue.DESK_QUEUE)
        assert bell.headers["expires"] is None
