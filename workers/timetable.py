"""The timetable: what beat rings and how often. Two beats do no harm: every task is safe to run twice."""

from __future__ import annotations

from mailer import queue

SWEEP = "delivery.sweep"
TIDY = "tidy"

TIMETABLE = {
    # seconds; a bell unheard for that long is worthless, for the next one says the same
    "sweep": {"task": SWEEP, "schedule": 1.0, "options": {"expires": 5}},
    "apply": {"task": queue.APPLY, "schedule": 1.0, "options": {"expires": 5}},
    "tidy": {"task": TIDY, "schedule": 3600.0, "options": {"expires": 600}},
}
