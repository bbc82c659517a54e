"""Sources: the octets of a file, on disk or in memory; what they are, and what they are encoded in."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TextIO

from mailer.errors import Invalid
from mailer.sentence import Sentence

LARGEST = 40_000_000  # octets that come over the web or are held in memory: some 500,000 people
LARGEST_FILE = 2_000_000_000  # octets on disk, read as they are needed
_PIECE = 1 << 20  # octets
HEAD = 1 << 16  # octets that are enough to see what a file is

ARCHIVE = Sentence("a compressed archive")

_OTHERS = {
    b"%PDF": Sentence("a PDF"),
    b"\x89PNG": Sentence("a picture"),
    b"\xff\xd8\xff": Sentence("a picture"),
    b"GIF8": Sentence("a picture"),
    b"BM": Sentence("a picture"),
    b"II*\x00": Sentence("a picture"),
    b"MM\x00*": Sentence("a picture"),
    b"\x1f\x8b": ARCHIVE,
    b"Rar!": ARCHIVE,
    b"7z\xbc\xaf": ARCHIVE,
    b"{\\rtf": Sentence("a text document"),
    b"SQLite format 3\x00": Sentence("a database"),
}
_PAGES = (b"<!doctype html", b"<html")
_JSON = re.compile(
    rb"""\s*(?:\[\s*)*\{\s*"[^"\n]*"\s*:"""
)  # CSV doubles a quote inside a cell, and begins with one


class BadFile(Invalid):
    """This file cannot be read as a table of people: save it as CSV UTF-8 and import that."""


class NotATable(BadFile):
    """Something else; ``what`` says which."""

    def __init__(self, what: Sentence) -> None:
        if what == ARCHIVE:
            super().__init__("This file is a compressed archive: unpack it, and import the tables in it.")
        else:
            super().__init__(
                "This file is {what}, not a table: open the table, save it as .xlsx or CSV and import that.",
                what=what,
            )


@dataclass(frozen=True)
class Source:
    """A file by its octets or its path. Reading it twice gives the same, or is nobody's fault but theirs."""

    content: bytes | Path

    def open(self) -> BinaryIO:
        """Open it for reading, from the start."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")

    @cached_property
    def size(self) -> int:
        """Octets."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @cached_property
    def head(self) -> bytes:
        """The first 64 KB."""
        with self.open() as file:
            return file.read(HEAD)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all octets, in hex."""
        found = sha256()
        for piece in self._pieces():
            found.update(piece)
        return found.hexdigest()

    @cached_property
    def encoding(self) -> str:
        """The encoding in which all of it is text.

        :raises BadFile: in none
        """
        return next((each for each in self._candidates() if self._is_text_in(each)), "") or _refuse()

    def text(self) -> TextIO:
        """Open it as text, line ends untouched.

        :raises BadFile: it is no text
        """
        encoding = self.encoding  # found out before anything is open
        return io.TextIOWrapper(self.open(), encoding=encoding, newline="")

    def _pieces(self) -> Iterator[bytes]:
        with self.open() as file:
            while piece := file.read(_PIECE):
                yield piece

    def _candidates(self) -> tuple[str, ...]:
        head = self.head
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return ("utf-16",)
        if b"\x00" in head[:1000]:  # UTF-16 without its mark: every other octet of Latin text is zero
            odd, even = head[1:1000:2].count(0), head[0:1000:2].count(0)
            if 16 * (odd + even) < len(head[:1000]):  # a stray one or two: what else would be text is torn
                return ()
            return ("utf-16-le",) if odd > 10 * even else ("utf-16-be",) if even > 10 * odd else ()
        return ("utf-8-sig", "gb18030")

    def _is_text_in(self, encoding: str) -> bool:
        decoder = codecs.getincrementaldecoder(encoding)()
        wide = encoding.startswith("utf-16")
        try:
            for piece in self._pieces():
                text = decoder.decode(piece)
                if "\x00" in text if wide else b"\x00" in piece:
                    return False
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return True


def _refuse() -> str:
    raise BadFile


def source(content: bytes | Path) -> Source:
    """Return a file that is neither too large nor of a kind that holds no table.

    :raises BadFile: it is; the message says what to do
    """
    found = Source(content)
    most = LARGEST if isinstance(content, bytes) else LARGEST_FILE
    if found.size > most:
        raise BadFile(
            "The file is larger than {most} MB: split it and import the parts.", most=most // 1_000_000
        )
    if not found.size:
        raise BadFile("The file is empty: export the table again and import that.")
    _refuse_others(found.head)
    return found


def _refuse_others(head: bytes) -> None:
    what = next((what for magic, what in _OTHERS.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        what = Sentence("a picture")
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_PAGES):
        what = Sentence("a web page")
    if _JSON.match(head.removeprefix(codecs.BOM_UTF8)):
        what = Sentence("data for programs (JSON)")
    if what is not None:
        raise NotATable(what)
