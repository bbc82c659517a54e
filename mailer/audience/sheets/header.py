"""Headers: which row names the columns, and what stands above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailer.audience.sheets import columns
from mailer.audience.sheets.delimited import Record
from mailer.sentence import Sentence

DEEPEST = 30  # rows that are looked at
_SHOWN = 5  # rows that a person sees when they say what the columns mean


@dataclass(frozen=True)
class Header:
    """``cells``: the names of the columns; ``last``: the line of the last row that is about them.

    ``named`` False: no row does, and people begin at once. ``below``: the first rows of people.
    """

    cells: tuple[str, ...]
    named: bool
    last: int
    below: tuple[tuple[str, ...], ...]
    remarks: tuple[Sentence, ...] = ()


def find(records: Sequence[Record]) -> Header:
    """Find the header in the first rows of a file; there must be one row at least.

    It is the row that names most columns. Without any known name it is the first of several cells, unless
    that holds an address already.
    """
    rows = [(line, tuple(cell.strip() for cell in cells)) for line, cells in records]
    rows = [row for row in rows if any(row[1])] or rows[:1]
    known = [sum(bool(columns.meaning(cell)) for cell in cells) for _line, cells in rows]
    if max(known):
        return _from(rows, known.index(max(known)))
    widest = max(len(list(filter(None, cells))) for _line, cells in rows)
    first = next(
        n for n, (_line, cells) in enumerate(rows) if len(list(filter(None, cells))) > min(1, widest - 1)
    )
    if any(columns.ADDRESS.search(cell) for cell in rows[first][1]):
        return _nameless(rows)
    return _from(rows, first)


def _from(rows: Sequence[tuple[int, tuple[str, ...]]], place: int) -> Header:
    line, cells = rows[place]
    above = place  # rows of a title, or of a second header
    last, after = line, place + 1
    remarks = []
    if above:
        remarks.append(
            Sentence("The columns are named on line {line}; what stands above it was left out.", line=line)
        )
    if after < len(rows) and _names_columns(rows[after][1]):
        last = rows[after][0]
        after += 1
        remarks.append(Sentence("Line {line} names the columns a second time and was left out.", line=last))
    return Header(cells, True, last, _shown(rows[after:]), tuple(remarks))


def _names_columns(cells: Sequence[str]) -> bool:
    """Tell whether a row below the header is one more: it names most of its columns and holds no address."""
    said = [cell for cell in cells if cell]
    if any(columns.ADDRESS.search(cell) for cell in said):
        return False
    return len(said) > 1 and 2 * sum(bool(columns.meaning(cell)) for cell in said) > len(said)


def _nameless(rows: Sequence[tuple[int, tuple[str, ...]]]) -> Header:
    width = max(len(cells) for _line, cells in rows)
    return Header(("",) * width, False, 0, _shown(rows))


def _shown(rows: Sequence[tuple[int, tuple[str, ...]]]) -> tuple[tuple[str, ...], ...]:
    return tuple(cells for _line, cells in rows)
