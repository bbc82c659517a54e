"""Delimited text: CSV with commas or semicolons, tabs, and plain lists of addresses, a line at a time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from mailer.audience.sheets import columns
from mailer.audience.sheets.source import HEAD, BadFile, Source
from mailer.sentence import Sentence

DELIMITERS = ",;\t"
LIST = "\n"  # the delimiter of a plain list: `Name <address>` or an address, one a line

_TROUBLES = {
    "unexpected end": Sentence("a quote is never closed"),
    "expected after": Sentence("something stands behind a closing quote"),
    "field limit": Sentence("a cell is longer than a book"),
    "new-line character": Sentence("a line ends in the middle of it"),
}

Record = tuple[int, Sequence[str]]
"""The line of the file that a row begins on, from 1, and its cells as they stand there."""

_LISTED = re.compile(
    r'\s*(?:"?(?P<name>[^<>"@]*?)"?\s*<\s*)?(?P<address>[^\s<>,;"]+[@＠][^\s<>,;"]+?)'
    r"\s*>?\s*[,;]?\s*"
)


@dataclass(frozen=True)
class Delimited:
    """A text file and its delimiter."""

    source: Source
    delimiter: str

    def records(self) -> Iterator[Record]:
        """Yield every row that is not empty.

        :raises BadFile: quotes that do not close
        """
        with self.source.text() as text:
            yield from _listed(text) if self.delimiter == LIST else _rows(text, self.delimiter)


def opened(source: Source) -> Delimited:
    """Return a text file with the delimiter it uses.

    :raises BadFile: it is no text
    """
    with source.text() as text:
        head = text.read(HEAD)
    return Delimited(source, delimiter_of(head))


def delimiter_of(head: str) -> str:
    """Return the sign under which the beginning of a file has the most columns that mean something."""
    if head.startswith("sep=") and head[4:5] in tuple(DELIMITERS):  # Excel's own way of saying it
        return head[4]
    lines = [line for line in head.splitlines()[:20] if line.strip()]
    listed = [bool(_LISTED.fullmatch(line)) for line in lines]
    if listed and listed[0] and 3 * sum(listed) >= 2 * len(listed):
        return LIST
    return max(DELIMITERS, key=lambda delimiter: _sense(head, delimiter))


def _sense(head: str, delimiter: str) -> tuple[int, int, int]:
    """Return how many columns have a known name, how many cells are one address, and how wide the head is."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the whole file is read later, and its trouble told then
        rows.extend(islice(reader, 20))
    named = max((sum(bool(columns.meaning(cell)) for cell in row) for row in rows), default=0)
    addresses = sum(bool(columns.ADDRESS.fullmatch(cell.strip())) for row in rows for cell in row)
    return named, addresses, max((len(row) for row in rows), default=0)


def _rows(text: TextIO, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells and (begins > 1 or not cells[0].startswith("sep=")) and any(map(str.strip, cells)):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadFile(
            "Line {line} of the file cannot be read ({why}): mend its quotes.", line=begins, why=_why(error)
        ) from error


def _why(error: csv.Error) -> Sentence | str:
    """Return the trouble in words that are translated, where the reader's are known."""
    return next((said for words, said in _TROUBLES.items() if words in str(error)), str(error))


def _listed(text: TextIO) -> Iterator[Record]:
    for line, said in enumerate(text, 1):
        found = _LISTED.fullmatch(said)
        if found:
            yield line, (found["address"], (found["name"] or "").strip())
        elif said.strip():
            yield line, (said.strip(), "")


Records = Callable[[], Iterator[Record]]
