"""Short tables with columns of their own: read whole, the cells of each row by what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from mailer.audience.sheets import sheet
from mailer.audience.sheets.delimited import Delimited
from mailer.audience.sheets.guard import unguarded
from mailer.audience.sheets.source import BadFile, source
from mailer.audience.sheets.workbook import ChooseTab, Workbook


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a file: its cells by their meaning."""

    line: int  # of the file, from 1
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """A table. ``digest``: SHA-256 of its octets; ``unread``: columns that were left out."""

    name: str
    digest: str
    rows: tuple[Line, ...]
    unread: tuple[str, ...]


def by_alias(aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the meaning of each name that a column may have. ``aliases``: names by meaning, with spaces."""
    return {alias: meaning for meaning, names in aliases.items() for alias in names.split()}


def read(
    raw: bytes,
    name: str,
    meaning_of: Mapping[str, str],
    *,
    needed: str,
    missing: str,
    bare: Callable[[str], bool] = lambda cell: False,
) -> Listed:
    """Read a file whose first row names its columns.

    ``needed``: what one column must mean, else ``missing`` is said, with {shown} for what was found.
    ``bare``: tells by its first cell a file that has no such row, and what is needed in its first column.

    :raises BadFile: not a table, without the column that is needed, or empty
    """
    records = [(line, [unguarded(cell.strip()) for cell in cells]) for line, cells in _opened(raw).records()]
    if not records:
        raise BadFile("The file is empty: export the table again and import that.")
    header = records[0][1]
    if bare(header[0]):
        meanings, header = [needed, *[""] * (len(header) - 1)], ["", *header[1:]]
    else:
        meanings = [meaning_of.get(re.sub(r"[\s_\-.:：]", "", cell).casefold(), "") for cell in header]
        records = records[1:]
    if needed not in meanings:
        raise BadFile(missing, shown=", ".join(f"“{cell[:30]}”" for cell in header[:8] if cell))
    rows = [
        Line(line, {meaning: cell for meaning, cell in zip(meanings, cells, strict=False) if meaning})
        for line, cells in records
    ]
    unread = tuple(cell for cell, meaning in zip(header, meanings, strict=True) if cell and not meaning)
    return Listed(name, sha256(raw).hexdigest(), tuple(rows), unread)


def _opened(raw: bytes) -> Delimited | Workbook:
    try:
        return sheet.opened(source(raw))
    except ChooseTab as choose:  # where nobody is asked which
        raise BadFile(
            "The workbook has several sheets with something in them ({tabs}): leave one in it, or save that"
            " one as CSV.",
            tabs=", ".join(f"“{name}”" for name in choose.tabs),
        ) from choose
