"""The timetable: what beat rings and how often. Two beats do no harm: every task is safe to run twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery.beat import Scheduler

from mailer import queue

SWEEP = "delivery.sweep"
TIDY = "tidy"
LOOK_UP = "delivery.look_up"

TIMETABLE = {
    # seconds; a bell unheard for that long is worthless, for the next one says the same
    "sweep": {"task": SWEEP, "schedule": 1.0, "options": {"expires": 5}},
    "apply": {"task": queue.APPLY, "schedule": 1.0, "options": {"expires": 5}},
    "look up": {"task": LOOK_UP, "schedule": 600.0, "options": {"expires": 300}},
    "tidy": {"task": TIDY, "schedule": 3600.0, "options": {"expires": 600}},
}


class Steady(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Beat's scheduler, which goes on when the machine's clock is set back.

    Celery's own would ring nothing until the clock has come to where it was before. It keeps no file.
    """

    _seen: datetime | None = None

    def tick(self, *given: Any, **more: Any) -> float:
        """Ring what is due; return in how many seconds something is."""
        now = self.app.now()
        if self._seen is not None and now < self._seen:
            for entry in self.schedule.values():
                entry.last_run_at = now
            self._heap = None  # made anew from the entries
        self._seen = now
        seconds: float = super().tick(*given, **more)
        return seconds
