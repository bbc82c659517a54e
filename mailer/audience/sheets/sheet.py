"""The way in: a file is looked at, then read as often as somebody needs its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from mailer.audience.sheets import cells, columns, delimited, header, people, workbook
from mailer.audience.sheets.columns import FOUND, Column, Layout
from mailer.audience.sheets.delimited import LIST, Delimited, Record
from mailer.audience.sheets.header import Header
from mailer.audience.sheets.people import Row
from mailer.audience.sheets.repeats import Repeats, Suspects
from mailer.audience.sheets.source import BadFile, Source, source
from mailer.audience.sheets.workbook import OLE, ZIP, Workbook
from mailer.sentence import Sentence

_SAMPLES = 5  # rows that a person sees when they say what the columns mean

_MERGED = Sentence("Merged cells were read as if each of them held the value.")
_LISTED = Header(("email", "name"), True, 0, ())


@dataclass(frozen=True)
class Table:
    """A file that was looked at and not read: its columns, and the first rows below their names."""

    name: str
    source: Source
    layout: Layout
    head: Header
    meanings: tuple[str, ...]
    records: Delimited | Workbook

    @property
    def remarks(self) -> tuple[Sentence, ...]:
        """What a person should know about how the file was understood."""
        if isinstance(self.records, Delimited):
            return self.head.remarks
        merged = self.records.merged_below(self.head.last)
        return (*self.head.remarks, *self.records.remarks, *([_MERGED] if merged else []))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns with what each means and its first cells."""
        labels = columns.labels(self.head.cells)
        below = self.head.below[:_SAMPLES]
        return tuple(
            Column(label, meaning, tuple(columns.cells_of(below, n)))
            for n, (label, meaning) in enumerate(zip(labels, self.meanings, strict=True))
        )

    def below(self) -> Iterator[Record]:
        """Yield the records below the header."""
        records = self.records.records()
        while self.head.last and next(records)[0] < self.head.last:
            pass
        return records


@dataclass(frozen=True)
class Sheet:
    """A file of people, read through once and found whole.

    ``digest``: SHA-256 of its octets and of how it is read: who meets it again goes on with the same rows.
    ``unread``: columns that were left out; ``count``: rows that ``rows`` yields; ``remarks``: what a person
    should know about how the file was understood.
    """

    name: str
    digest: str
    columns: tuple[Column, ...]
    unread: tuple[str, ...]
    count: int
    remarks: tuple[Sentence, ...]
    _table: Table
    _suspects: Suspects

    def rows(self) -> Iterator[Row]:
        """Yield every row in the order of the file, read as it is asked for; may be called again."""
        suspects, judged = self._suspects.twice, Repeats().judged
        for row, key in people.rows(self._table.below(), self._table.meanings, self.name):
            yield judged(row, key) if key and hash(key) in suspects else row


def look(content: bytes | Path, name: str, layout: Layout = FOUND) -> Table:
    """Look at a file: what its columns are called and hold, and what they would be taken for.

    :raises BadFile: not a table, or one of too many columns; the message says what to do
    :raises NoSuchColumn: the layout names one that is not there; NoSuchMeaning: one that none can have
    """
    file = source(content)
    records = opened(file, layout.tab)
    if isinstance(records, Delimited) and records.delimiter == LIST:
        return Table(name, file, layout, _LISTED, ("address", "name"), records)
    first = list(islice(records.records(), header.DEEPEST))
    if not first:
        raise BadFile("The file is empty: export the table again and import that.")
    head = header.find(first)
    if len(head.cells) > columns.MOST:
        raise columns.TooWide
    meanings = columns.meanings(head.cells, head.below, layout.columns)
    return Table(name, file, layout, head, tuple(meanings), records)


def opened(file: Source, tab: str = "") -> Delimited | Workbook:
    """Open a file as what its octets say it is.

    :raises BadFile: no kind of table; ChooseTab: a workbook of several sheets
    """
    if file.head.startswith(OLE):
        workbook.refuse_old(file)
    return workbook.opened(file, tab) if file.head.startswith(ZIP) else delimited.opened(file)


def read(content: bytes | Path, name: str, layout: Layout = FOUND) -> Sheet:
    """Read a file of people through.

    :raises BadFile: not a table, no column of addresses, nobody in it, a line that cannot be read
    :raises NoSuchColumn: the layout names one that is not there; NoSuchMeaning: one that none can have
    """
    return read_through(look(content, name, layout))


def read_through(table: Table) -> Sheet:
    """Read a file that was looked at.

    :raises BadFile: no column of addresses, nobody in it, a line that cannot be read
    """
    columns.refuse_useless(table.meanings, table.head.cells)
    suspects, count = _scanned(table)
    found = table.columns
    unread = tuple(
        column.label for n, column in enumerate(found) if not column.meaning and table.head.cells[n]
    )
    return Sheet(table.name, _digest(table), found, unread, count, table.remarks, table, suspects)


def _scanned(table: Table) -> tuple[Suspects, int]:
    """Go through the whole file once: how many rows there are, and which addresses may stand there twice."""
    place = table.meanings.index("address")
    suspects, count, address = Suspects(table.source.size), 0, False
    meet, plain = suspects.meet, cells.PLAIN
    first = ""
    for _line, record in table.below():
        try:
            cell = record[place].strip()
        except IndexError:
            cell = ""
        if cell:
            key = cell.lower() if plain(cell) else cells.key_of(cell)
            meet(hash(key))
            if not address:
                address = "@" in key
                first = first or cell
        elif not any(cell.strip() for cell in record):
            continue
        count += 1
    suspects.settle()
    if not count:
        raise BadFile("The file has a header and no people below it: there is nothing to import.")
    if not address:
        _refuse_other_things(table, place, first)
    return suspects, count


def _refuse_other_things(table: Table, place: int, first: str) -> None:
    label = columns.labels(table.head.cells)[place]
    if not first:
        raise BadFile("The column “{column}” is empty: no row has an address.", column=label)
    if columns.holds_phones(columns.cells_of(table.head.below, place)):
        raise BadFile(
            "The column “{column}” holds telephone numbers, not addresses (“{cell}”): choose another column,"
            " or put the addresses there.",
            column=label, cell=first[:40],
        )  # fmt: skip
    raise BadFile(
        "The column “{column}” holds no address (it begins with “{cell}”): choose another column, or put the"
        " addresses there.",
        column=label, cell=first[:40],
    )  # fmt: skip


def _digest(table: Table) -> str:
    if not table.layout:
        return table.source.digest
    said = json.dumps(table.layout.stored(), ensure_ascii=False, sort_keys=True)
    return sha256(f"{table.source.digest}{said}".encode()).hexdigest()
