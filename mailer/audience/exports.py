"""Exports: people as a file that a spreadsheet opens rightly and safely, and that can be imported again.

A CSV or a workbook, of people of whom something is true, of a partner. Rows are read while the file is
written: a million people need no more memory than a thousand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session
from xlsxwriter import Workbook

from mailer.audience import bulk
from mailer.audience.names import Names
from mailer.audience.sheets.guard import guarded

Row = Sequence[str]

_NAMES = Names._fields
_HEADER = ("email", *_NAMES, "language", "country", "zone", "partners", "state", "joined")
_OWN_HEADER = ("email", *_NAMES, "language", "notes", "joined")
_ROWS = 1_048_576  # of a sheet in a workbook; more go on in the next


def rows(session: Session, where: Sequence[ColumnElement[bool]], publication_id: int) -> Iterator[Row]:
    """Yield a header, then by address the people of whom all of it is true."""
    yield _HEADER
    for row in bulk.export_rows(session, where, publication_id):
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
