"""Workbooks: Excel's .xlsx, one sheet of it, row by row. The one door to calamine.

Formulas are never run: the value that Excel last saw is read. Cells merged down a column are read as if each
held the value, which is what a person sees.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from mailer.audience.sheets import zipped
from mailer.audience.sheets.delimited import Record
from mailer.audience.sheets.source import BadFile, NotATable, Source
from mailer.errors import Invalid
from mailer.sentence import Sentence

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0"  # [MS-CFB]: .xls, .doc, and every Office file with a password
_LOCKED = "EncryptedPackage".encode("utf-16-le")  # [MS-OFFCRYPTO] §2.3.4.4
_OLD = ("Workbook".encode("utf-16-le"), "Book".encode("utf-16-le"))  # [MS-XLS] §2.1.2


class ChooseTab(BadFile):
    """The workbook has several sheets with something in them: choose one."""

    tabs: tuple[str, ...] = ()


class NoSuchTab(Invalid):
    """The workbook has no sheet of that name."""


@dataclass(frozen=True)
class Workbook:
    """One sheet of a workbook, which stays in memory."""

    sheet: CalamineSheet
    remarks: tuple[Sentence, ...]

    def records(self) -> Iterator[Record]:
        """Yield every row that is not empty."""
        merged = _Merged(self.sheet)
        for line, row in enumerate(self.sheet.iter_rows(), 1):
            cells = merged.filled(line - 1, [_text(cell) for cell in row])
            if any(map(str.strip, cells)):
                yield line, cells

    def merged_below(self, line: int) -> bool:
        """Tell whether cells are merged down a column below a line."""
        return any(
            bottom > top and bottom >= line for (top, _), (bottom, _) in self.sheet.merged_cell_ranges or ()
        )


def opened(source: Source, tab: str) -> Workbook:
    """Open the sheet named, else the one that is shown and not empty.

    :raises BadFile: no workbook, damaged, or nothing in it that is shown; TooMuch: unpacks to too much
    :raises ChooseTab: there are several; NoSuchTab: none of that name
    """
    zipped.refuse_unreadable(source)
    with source.open() as file:
        content = file.read()
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        return _chosen(book, tab)
    except CalamineError as error:
        raise BadFile("The workbook is damaged: open it in Excel, save it again and import that.") from error


def _chosen(book: CalamineWorkbook, tab: str) -> Workbook:
    sheets = [each for each in book.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
    if tab:
        if tab not in [each.name for each in sheets]:
            shown = ", ".join(f"“{each.name}”" for each in sheets)
            raise NoSuchTab("The workbook has no sheet “{tab}”: it has {shown}.", tab=tab[:40], shown=shown)
        return Workbook(book.get_sheet_by_name(tab), ())
    hidden = [each.name for each in sheets if each.visible != SheetVisibleEnum.Visible]
    shown_ones = [book.get_sheet_by_name(each.name) for each in sheets if each.name not in hidden]
    full = [sheet for sheet in shown_ones if sheet.start is not None]
    if not full:
        raise BadFile("The workbook has nothing in a sheet that is shown: unhide the list and save it again.")
    if len(full) > 1:
        names = tuple(sheet.name for sheet in full)
        choose = ChooseTab(
            "The workbook has several sheets with something in them ({tabs}): choose one.",
            tabs=", ".join(f"“{name}”" for name in names),
        )
        choose.tabs = names
        raise choose
    said = Sentence("Hidden sheets were left out: {tabs}.", tabs=", ".join(f"“{name}”" for name in hidden))
    return Workbook(full[0], (said,) if hidden else ())


def refuse_old(source: Source) -> None:
    """:raises BadFile: an Office file of the old kind, or one that is locked; the message says what to do"""
    with source.open() as file:
        content = file.read()
    if _LOCKED in content:
        raise BadFile("The workbook is locked with a password: save it without one and import that.")
    if any(name in content for name in _OLD):
        raise BadFile("This is a workbook of an old Excel (.xls): save it as .xlsx and import that.")
    raise NotATable(Sentence("a text document"))


class _Merged:
    """Ranges merged down a column, met from top to bottom."""

    def __init__(self, sheet: CalamineSheet) -> None:
        left = sheet.start[1] if sheet.start else 0
        self._ranges = sorted(
            ((top, bottom, column - left) for (top, column), (bottom, _) in sheet.merged_cell_ranges or ()
             if bottom > top and column >= left),
            reverse=True,
        )  # fmt: skip
        self._open: dict[int, tuple[int, str]] = {}

    def filled(self, row: int, cells: list[str]) -> Sequence[str]:
        """Return the cells of a row, from 0, with what is merged into them."""
        while self._ranges and self._ranges[-1][0] <= row:
            _top, bottom, column = self._ranges.pop()
            if column < len(cells):
                self._open[column] = (bottom, cells[column])
        for column, (bottom, value) in list(self._open.items()):
            if row > bottom:
                del self._open[column]
            else:
                cells[column] = cells[column] or value
        return cells


def _text(cell: object) -> str:
    """Return a cell as a person reads it: a number without ".0", a day without midnight."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)
