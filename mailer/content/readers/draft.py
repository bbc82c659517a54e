"""What a reader hands to the editor: the document, and an honest account of everything done to the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mailer.content.document import Document
from mailer.content.readers.pages import Row
from mailer.sentence import Sentence


@dataclass(frozen=True, order=True)
class Dropped:
    """A line of the source, or a piece of one, that is not in the document, and why. Lines count from 1."""

    line: int
    text: str
    why: Sentence

    def stored(self) -> dict[str, Any]:
        """Return line, text and why as an edition keeps them, with the sentence's template and values."""
        return {**vars(self), **self.why.stored()}


@dataclass(frozen=True, order=True)
class Doubt:
    """Something the reader guessed, or found odd and left as it was: a person should look."""

    line: int
    what: Sentence

    def stored(self) -> dict[str, Any]:
        """Return line and what as an edition keeps them, with the sentence's template and values."""
        return {**vars(self), **self.what.stored()}


@dataclass(frozen=True)
class Draft:
    """A document as read. ``body_characters`` are non-space characters: ``source`` counts the file without
    what was dropped, ``document`` counts the document; the reader has lost nothing when the two agree."""

    document: Document
    dropped: tuple[Dropped, ...]
    doubts: tuple[Doubt, ...]
    body_characters: dict[str, int]


@dataclass
class Account:
    """What a reader writes down while it reads."""

    dropped: list[Dropped] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    def drop(self, line: int, text: str, why: Sentence) -> None:
        if text:
            self.dropped.append(Dropped(line, text, why))

    def drop_sign(self, rows: Sequence[Row], sign: str, why: Sentence) -> None:
        """Drop a sign that stands in one of these rows."""
        self.drop(next((row.number for row in rows if sign in row.text), rows[0].number), sign, why)

    def keep(self, row: Row) -> None:
        """Take back that this whole row was dropped."""
        self.dropped = [piece for piece in self.dropped if (piece.line, piece.text) != (row.number, row.text)]

    def doubt(self, line: int, what: Sentence) -> None:
        self.doubts.append(Doubt(line, what))
