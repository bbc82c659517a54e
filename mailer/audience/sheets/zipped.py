"""Archives: what a ZIP file really is, and how much it really unpacks to, before a library opens it.

What an archive says of its own sizes is not believed: its parts are unpacked, piece by piece, and counted.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from mailer.audience.sheets.source import ARCHIVE, BadFile, NotATable, Source
from mailer.sentence import Sentence

MOST_UNPACKED = 400_000_000  # octets of XML that are read of a workbook
MOST_CELLS = 8_000_000  # that the sheets of a workbook span: the library holds them all, at 32 octets each
_WIDEST = 16_384  # columns, ECMA-376
_PIECE = 1 << 20
_OVERLAP = 64  # octets: no cell's reference is longer
_CELL = re.compile(rb"<(?:\w+:)?c[\s>/]")
_REFERENCE = re.compile(rb"""\sr=["']([A-Z]{0,3})(\d{1,7})["']""")

_KINDS = (
    ("xl/workbook.bin", Sentence("a binary Excel workbook (.xlsb)")),
    ("word/document.xml", Sentence("a Word document")),
    ("ppt/presentation.xml", Sentence("a presentation")),
    ("Index/Document.iwa", Sentence("a Numbers document")),
    ("Index.zip", Sentence("a Numbers document")),
    ("content.xml", Sentence("an OpenDocument file (.ods)")),
)


class TooMuch(BadFile):
    """The workbook unpacks to far more than a list of people: save the list alone, as CSV."""


def refuse_unreadable(source: Source) -> None:
    """Look into an archive without trusting it.

    :raises BadFile: no Excel workbook, damaged, or locked
    :raises TooMuch: it unpacks to more than MOST_UNPACKED, or spans more than MOST_CELLS
    """
    with source.open() as file:
        try:
            with ZipFile(file) as archive:
                parts = archive.infolist()
        except (BadZipFile, NotImplementedError, ValueError) as error:
            raise _damaged() from error
        _refuse_others([part.filename for part in parts])
        _weigh(file, [part for part in parts if _is_read(part.filename)])


def _refuse_others(names: list[str]) -> None:
    if "xl/workbook.xml" in (name.replace("\\", "/").lstrip("/") for name in names):
        return
    raise NotATable(next((what for name, what in _KINDS if name in names), ARCHIVE))


def _damaged() -> BadFile:
    return BadFile("The workbook is damaged: open it in Excel, save it again and import that.")


def _is_read(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels"))


def _weigh(file: BinaryIO, parts: list[ZipInfo]) -> None:
    octets = cells = 0
    for part in parts:
        span = _Span() if "worksheets/" in part.filename.lower() else None
        for piece in _unpacked(file, part):
            octets += len(piece)
            if octets > MOST_UNPACKED:
                raise TooMuch
            if span is not None:
                span.see(piece)
        cells += span.cells if span else 0
        if cells > MOST_CELLS:
            raise TooMuch


def _unpacked(file: BinaryIO, part: ZipInfo) -> Iterator[bytes]:
    """Yield what a part unpacks to (APPNOTE.TXT 4.3.7), whatever size it claims."""
    file.seek(part.header_offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04") or part.flag_bits & 1:
        raise _damaged()
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    left = part.compress_size
    packed = iter(lambda: file.read(min(_PIECE, left)), b"")
    if part.compress_type == ZIP_STORED:
        for piece in packed:
            left -= len(piece)
            yield piece
    elif part.compress_type == ZIP_DEFLATED:
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for piece in packed:
                left -= len(piece)
                while piece and not inflating.eof:
                    yield inflating.decompress(piece, _PIECE)
                    piece = inflating.unconsumed_tail
        except zlib.error as error:
            raise _damaged() from error
    else:
        raise _damaged()


@dataclass
class _Span:
    """How many cells a sheet spans at most: one far cell makes a library hold all before it."""

    rows: int = 0
    columns: int = 0
    _elements: int = 0
    _referred: int = 0
    _rest: bytes = b""

    def see(self, piece: bytes) -> None:
        """Take in the next piece of the XML."""
        text = self._rest + piece
        whole = text.rfind(b">") + 1  # no tag is cut in two
        if not whole and len(text) > _PIECE:
            raise TooMuch
        self._rest, text = text[whole:], text[:whole]
        found = _REFERENCE.findall(text)
        widths = set()
        for letters, row in found:
            if letters:
                self._referred += 1
                widths.add(letters)
            self.rows = max(self.rows, int(row))
        self._elements += len(_CELL.findall(text))
        self.columns = max([self.columns, *map(_column, widths)])

    @property
    def cells(self) -> int:
        """The most that the sheet can span; cells that say no place may all stand in one row."""
        nameless = max(0, self._elements - self._referred)
        return max(self.rows, nameless) * max(self.columns, min(nameless, _WIDEST))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
