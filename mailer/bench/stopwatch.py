"""What reading a mail costs, beside flufl.bounce reading the same one in the same breath.

Both start from bytes. flufl.bounce says less (addresses, temporary or permanent), so it is a fair mark to
beat for one that also finds reasons.
"""

from __future__ import annotations

import email
import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mailer.feedback.message import classify

BASELINE = "flufl.bounce"
MEAN_BAR, P99_BAR = 1.0, 0.5  # times the baseline's (issue 4)


@dataclass(frozen=True, slots=True)
class Times:
    """Processor time of one mail in microseconds, each mail's best of all rounds."""

    mean: float
    p99: float
    worst: float

    @classmethod
    def of(cls, best: Sequence[float]) -> Times:
        """Sum up one figure for each mail."""
        ordered = sorted(best)
        return cls(fmean(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])


def measure(mails: Sequence[bytes], *, rounds: int) -> dict[str, Any]:
    """Read every mail ``rounds`` times with both, in turn; None for a baseline that is not installed."""
    readers: dict[str, Callable[[bytes], object]] = {"mailer": classify}
    if baseline := _baseline():
        readers[BASELINE] = baseline
    best = {name: [float("inf")] * len(mails) for name in readers}
    for _ in range(rounds + 1):  # the first round warms up, and no mail's best is likely to be there
        for n, raw in enumerate(mails):
            for name, reader in readers.items():
                best[name][n] = min(best[name][n], _us(reader, raw))
    times = {name: Times.of(figures) for name, figures in best.items()}
    return {"mailer": _told(times["mailer"]), **_compared(times)}


def _compared(times: dict[str, Times]) -> dict[str, Any]:
    theirs = times.get(BASELINE)
    if theirs is None:
        return {BASELINE: None, "mean_ratio": None, "p99_ratio": None, "reached": None}
    mean, p99 = times["mailer"].mean / theirs.mean, times["mailer"].p99 / theirs.p99
    return {
        BASELINE: _told(theirs),
        "mean_ratio": round(mean, 3),
        "p99_ratio": round(p99, 3),
        "reached": mean <= MEAN_BAR and p99 <= P99_BAR,
    }


def _told(times: Times) -> dict[str, float]:
    return {"mean_us": round(times.mean), "p99_us": round(times.p99), "worst_us": round(times.worst)}


def _us(reader: Callable[[bytes], object], raw: bytes) -> float:
    began = time.thread_time_ns()
    reader(raw)
    return (time.thread_time_ns() - began) / 1000


def _baseline() -> Callable[[bytes], object] | None:
    """Return flufl.bounce as a function of bytes, its log silenced; None where it is not installed."""
    if importlib.util.find_spec("flufl") is None or importlib.util.find_spec(BASELINE) is None:
        return None
    from flufl.bounce import all_failures

    logging.getLogger(BASELINE).disabled = True  # it logs its own faults, with a traceback each

    def reader(raw: bytes) -> None:
        with suppress(Exception):  # on some mail it ends with one; the time until then counts
            all_failures(email.message_from_bytes(raw))

    return reader
