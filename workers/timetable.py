"""The timetable: what beat rings and how often. Two beats do no harm: every task is safe to run twice."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from celery.beat import Scheduler

from mailer import queue

_log = logging.getLogger(__name__)

SWEEP = "delivery.sweep"
TIDY = "tidy"
LOOK_UP = "delivery.look_up"
WATCH = "feedback.watch"

TIMETABLE = {  # seconds
    "sweep": {"task": SWEEP, "schedule": 1.0},
    "apply": {"task": queue.APPLY, "schedule": 1.0},
    "change": {"task": queue.CHANGE, "schedule": 2.0},
    "import": {"task": queue.IMPORT, "schedule": 10.0},
    "invite": {"task": queue.INVITE, "schedule": 10.0},
    "watch": {"task": WATCH, "schedule": 30.0},
    "pass on": {"task": queue.PASS_ON, "schedule": 30.0},
    "look up": {"task": LOOK_UP, "schedule": 600.0},
    "tidy": {"task": TIDY, "schedule": 3600.0},
}
_FIRST_TIDY = timedelta(minutes=1)  # after the start: not every machine is up for an hour on end
_SOON_AGAIN = (SWEEP, queue.APPLY, queue.CHANGE)


class Steady(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Beat's scheduler: it minds no machine's clock, rings no more bells than are heard, and keeps no file.

    Celery's own, its clock set back, would ring nothing until it has come to where it was before. And bells
    that expire, so that they do not pile up, would all be thrown away by a worker whose clock is ahead.
    """

    _seen: datetime | None = None

    def setup_schedule(self) -> None:
        """Take the timetable, as if the tidying were nearly due: retention waits for no hour of running."""
        super().setup_schedule()
        tidy = self.schedule["tidy"]
        tidy.last_run_at -= tidy.schedule.run_every - _FIRST_TIDY

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Ring, unless enough bells wait and another soon says the same. Trouble is logged, not raised."""
        try:
            if entry.task in _SOON_AGAIN and queue.crowded(self.app, entry.task):
                return
        except queue.TROUBLE as error:
            _log.warning("broker out of reach: %s", type(error).__name__)
            return
        super().apply_entry(entry, producer)

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
