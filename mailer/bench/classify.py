"""How well and how fast returned mail is read: a labelled corpus in, the table of bars out (issue 4).

Stores nothing and needs no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailer.bench import bars, hostile, stopwatch
from mailer.bench.labels import Labels, read_labels, read_mails, read_replies
from mailer.diagnosis import diagnose_reply
from mailer.feedback.message import classify


@dataclass(frozen=True, slots=True)
class Plan:
    """``replies`` None: no SMTP replies are judged. ``rounds``: how often each mail is read to time it.

    ``copies`` of the mails are damaged at random, the same ones for the same ``seed``, and read.
    """

    folder: Path
    labels: Path
    replies: Path | None
    rounds: int
    copies: int
    seed: int


def run(plan: Plan) -> dict[str, Any]:
    """Judge, time and try to break the reader; return the figures.

    :raises Unlabelled: labels and folder do not fit
    """
    mails = read_mails(plan.folder, read_labels(plan.labels))
    table = [bar.told() for bar in [*_of_mails(mails), *_of_replies(plan.replies)]]
    times = stopwatch.measure([raw for _, raw in mails], rounds=plan.rounds)
    costs = _costs(hostile.measure(plan.folder, seed=plan.seed, copies=plan.copies))
    reached = [line["reached"] for line in [*table, times, costs]]
    return {
        "mails": len(mails),
        "bars": table,
        "times": times,
        "any_input": costs,
        "reached": False not in reached,
    }


def _of_mails(mails: list[tuple[Labels, bytes]]) -> list[bars.Bar]:
    return bars.of_mail((labels, classify(raw)) for labels, raw in mails)


def _of_replies(path: Path | None) -> list[bars.Bar]:
    if path is None:
        return []
    return bars.of_replies((one, diagnose_reply(one.reply, one.mx)) for one in read_replies(path))


def _costs(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    faults = [fault for figures in measured.values() for fault in figures["faults"]]
    seconds = max(figures["slowest_seconds"] for figures in measured.values())
    megabytes = max(figures["peak_mb"] for figures in measured.values())
    return {
        "faults": faults,
        "slowest_seconds": seconds,
        "peak_mb": megabytes,
        "reached": not faults and seconds <= hostile.SECONDS and megabytes <= hostile.MEGABYTES,
        "inputs": measured,
    }
