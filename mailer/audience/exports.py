"""Exports: people as a CSV that a spreadsheet opens rightly and safely, and that can be imported again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.audience import bulk, segments
from mailer.audience.names import Names
from mailer.audience.rules import Rule
from mailer.audience.sheets.guard import guarded

_HEADER = ("email", *Names().columns(), "language", "country", "zone", "partners", "state", "joined")


def people(session: Session, rule: Rule, publication_id: int, now: datetime) -> Iterator[str]:
    """Yield the lines of a CSV of a rule's people, by address, read as they are asked for.

    UTF-8 opened by Excel needs the byte order mark that comes first. Cells that a spreadsheet would run
    as formulas carry an apostrophe, which an import takes off again.
    """
    yield "\ufeff" + line(_HEADER)
    condition = segments.condition(rule, now=now, publication_id=publication_id)
    for row in bulk.export_rows(session, condition, publication_id):
        yield line([guarded(str(cell)) if cell is not None else "" for cell in row])


def line(cells: Sequence[str]) -> str:
    """Return a line of a CSV file (RFC 4180 §2)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
