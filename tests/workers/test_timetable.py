"""Beat rings by the timetable, whatever happens to the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
