"""What a reader hands to the editor: the document, and an honest account of everything done to the source."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.content.document import Document


@dataclass(frozen=True, order=True)
class Dropped:
    """A line of the source, or a piece of one, that is not in the document, and why. Lines count from 1."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, order=True)
class Doubt:
    """Something the reader guessed, or found odd and left as it was: a person should look."""

    line: int
    what: str


@dataclass(frozen=True)
class Draft:
    """A document as read. ``body_characters`` are non-space characters: ``source`` counts the file without
    what was dropped, ``document`` counts the document; the reader has lost nothing when the two agree."""

    document: Document
    dropped: tuple[Dropped, ...]
    doubts: tuple[Doubt, ...]
    body_characters: dict[str, int]
