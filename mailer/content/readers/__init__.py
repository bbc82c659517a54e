"""Readers: a file an editor has, made into a draft of a document.

Decides how bytes become text, what in the text is which block, and what to ask the editor. Decides nothing
about the issue: a number or a date that is not in the file stays unknown. Nothing of the file is lost
without a word: what is not in the document is listed line by line in ``Draft.dropped``.
"""

from __future__ import annotations

from pathlib import Path, PurePath

from mailer.content.document import Document, Language, content_characters
from mailer.content.markdown import from_markdown
from mailer.content.readers.draft import Doubt, Draft, Dropped
from mailer.content.readers.text import read_text
from mailer.errors import Invalid

__all__ = ["Doubt", "Draft", "Dropped", "Unreadable", "decode", "read", "read_text"]

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

LONGEST = 500_000  # characters; a long issue has 40,000, and reading a book would take minutes


class Unreadable(Invalid):
    """This file cannot be read: save it as .md or .txt in UTF-8 and try again."""


_WRITTEN_IN_WORD = frozenset({".doc", ".docx", ".odt", ".rtf", ".wps"})


def read(source: Path | bytes, name: str = "", language: Language | None = None) -> Draft:
    """Read a file, or the bytes of one called ``name``, by its suffix: .md or .txt.

    ``language`` None: what the Markdown head says, or the script most of a plain text is written in.

    :raises Unreadable: not a text, or no suffix that can be read
    :raises BadMarkdown: the Markdown form is broken, with line and block
    """
    name = name or (source.name if isinstance(source, Path) else "")
    suffix = PurePath(name).suffix.lower()
    if suffix in _WRITTEN_IN_WORD:
        raise Unreadable(
            "“{name}” is a word processor's file: open it there, choose “Save as”, then “Plain text (.txt)”"
            " with the encoding UTF-8, and give that file.",
            name=name,
        )
    if suffix not in (".md", ".markdown", ".txt"):
        raise Unreadable("“{name}” cannot be read: give a .md or a .txt file.", name=name)
    text = decode(source if isinstance(source, bytes) else _bytes_of(source), name)
    if len(text) > LONGEST:
        raise Unreadable(
            "“{name}” is too long for a letter: give an issue of at most {most} characters.",
            name=name,
            most=LONGEST,
        )
    if not text.strip():
        raise Unreadable("“{name}” holds no text: see whether it is the right file.", name=name)
    return read_text(text, language) if suffix == ".txt" else _whole(from_markdown(text), language)


def decode(raw: bytes, name: str = "the file") -> str:
    """Turn bytes into text: by byte order mark, else as UTF-8, else as GB18030; lines end in ``\\n``."""
    mark, encoding = next(((mark, name) for mark, name in _BOMS if raw.startswith(mark)), (b"", ""))
    for attempt in (encoding,) if encoding else ("utf-8", "gb18030"):
        try:
            text = raw[len(mark) :].decode(attempt)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    raise Unreadable(
        "“{name}” is not a text file in UTF-8 or GB18030: save it as UTF-8 and try again.", name=name
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(
            "“{path}” cannot be opened ({why}): check the name and try again.", path=path, why=error.strerror
        ) from error


def _whole(document: Document, language: Language | None) -> Draft:
    """A Markdown file is already a document: nothing is dropped and nothing guessed."""
    if language and language != document.language:
        raise Unreadable(
            "The head says “language: {said}”, but “{asked}” is asked for: change one.",
            said=document.language,
            asked=language,
        )
    characters = content_characters(document)
    return Draft(document, (), (), {"source": characters, "document": characters})
