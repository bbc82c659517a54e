"""Workbooks for tests, made in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import xlsxwriter

Draw = Callable[[Any, Any], None]
"""What a test does with a workbook and its first sheet."""


def workbook(rows: Sequence[Sequence[object]] = (), draw: Draw | None = None) -> bytes:
    """Return the octets of a workbook whose first sheet, People, has these rows."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet("People")
    for n, row in enumerate(rows):
        sheet.write_row(n, 0, row)
    if draw:
        draw(book, sheet)
    book.close()
    return out.getvalue()
