"""Exports: people as a file that a spreadsheet opens rightly and safely, and that can be imported again.

A CSV or a workbook, of a rule, of what is searched for, of a partner. Rows are read while the file is
written: a million people need no more memory than a thousand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy.orm import Session
from xlsxwriter import Workbook

from mailer.audience import bulk, finding, segments
from mailer.audience.names import Names
from mailer.audience.rules import Rule
from mailer.audience.sheets.guard import guarded

Row = Sequence[str]

_NAMES = Names._fields
_HEADER = ("email", *_NAMES, "language", "country", "zone", "partners", "state", "joined")
_OWN_HEADER = ("email", *_NAMES, "language", "notes", "joined")
_ROWS = 1_048_576  # of a sheet in a workbook; more go on in the next


def people(session: Session, rule: Rule, publication_id: int, now: datetime) -> Iterator[str]:
    """Yield the lines of a CSV of a rule's people, by address."""
    return as_csv(rows(session, rule, publication_id, now))


def rows(session: Session, rule: Rule, publication_id: int, now: datetime, search: str = "") -> Iterator[Row]:
    """Yield a header, then a rule's people by address; ``search``: only who is found by these words."""
    yield _HEADER
    condition = segments.condition(rule, now=now, publication_id=publication_id)
    wanted = finding.words(search)
    if search.strip() and not wanted:
        return
    for row in bulk.export_rows(session, condition, publication_id):
        address, *names = row[: 1 + len(_NAMES)]
        called = dict(zip(_NAMES, names, strict=True))
        if not wanted or finding.holds(wanted, address, called["name_en"], called["name_zh"]):
            yield _texts(row)


def own_rows(session: Session, partner_id: int) -> Iterator[Row]:
    """Yield a header, then a partner's people by address, as the partner wrote them and nobody else."""
    yield _OWN_HEADER
    for row in bulk.export_own_rows(session, partner_id):
        yield _texts(row)


def as_csv(table: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a CSV.

    UTF-8 opened by Excel needs the byte order mark that comes first. Cells that a spreadsheet would run
    as formulas carry an apostrophe, which an import takes off again.
    """
    mark = "\ufeff"
    for row in table:
        yield mark + line([guarded(cell) for cell in row])
        mark = ""


def as_workbook(table: Iterable[Row], out: BinaryIO) -> int:
    """Write a workbook; return how many rows it has. Every cell is text: a spreadsheet runs none of them."""
    count = 0
    with Workbook(out, {"constant_memory": True}) as book:
        bold = book.add_format({"bold": True})
        sheet: Any = None
        header: Row = ()
        for row in table:
            at = count % (_ROWS - 1)  # below the header, which stands on every sheet
            if not header:
                header = row
                continue
            if at == 0:
                sheet = _sheet(book, header, bold)
            for place, cell in enumerate(row):
                sheet.write_string(at + 1, place, cell)
            count += 1
        if sheet is None:
            _sheet(book, header, bold)
    return count


def _sheet(book: Workbook, header: Row, bold: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 0, 32)
    for place, cell in enumerate(header):
        sheet.write_string(0, place, cell, bold)
    return sheet


def line(cells: Sequence[str]) -> str:
    """Return a line of a CSV file (RFC 4180 §2)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _texts(row: Sequence[Any]) -> Row:
    return ["" if cell is None else str(cell) for cell in row]
