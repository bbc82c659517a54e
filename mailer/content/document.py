"""The document: the tree an editor writes, one per edition.

A document holds a masthead and sections; a section holds blocks. The contents list is generated, never
stored. Text fields are plain text unless the field says Markdown. Every model is immutable and compares
by value; ``Document.model_dump_json`` is how it is stored, ``content.markdown`` how it is read and edited.

A ``Line`` is one line and a ``Prose`` any number of them; both lose what no letter can hold (control
characters: XML 1.0 §2.2 forbids them, PostgreSQL refuses NUL) and the space around them, nothing else.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_MARKDOWN_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")  # CommonMark 2.4: any ASCII punctuation
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def printable(text: str) -> str:
    """Return the text with ``\\n`` as its only line break and without control characters."""
    return _UNPRINTABLE.sub("", _LINE_BREAK.sub("\n", text))


def clean_prose(text: str) -> str:
    """Return the printable text without the space around it."""
    return printable(text).strip()


def clean_line(text: str) -> str:
    """Return the text as one line: breaks and tabs become single spaces."""
    return re.sub("[\n\t]+", " ", clean_prose(text))


Line = Annotated[str, AfterValidator(clean_line)]
Prose = Annotated[str, AfterValidator(clean_prose)]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Link(_Node):
    """Where a "read more" leads. ``label`` empty: the theme's own words in the edition's language."""

    url: Line
    label: Line = ""


class Figure(_Node):
    """A picture inside an article or on its own. ``src`` is a file name or a stored figure's name."""

    kind: Literal["figure"] = "figure"
    src: Line
    alt: Line = ""
    caption: Line = ""
    credit: Line = ""


class Article(_Node):
    """A news item. ``body`` is Markdown; figures stand before the body in order."""

    kind: Literal["article"] = "article"
    headline: Line
    dateline: Line = ""
    body: Prose = ""
    figures: tuple[Figure, ...] = ()
    read_more: Link | None = None


class Text(_Node):
    """Paragraphs that are not an article: an introduction, a note. ``body`` is Markdown."""

    kind: Literal["text"] = "text"
    body: Prose


class Quote(_Node):
    """What somebody said. ``attribution`` is the speaker's name, ``title`` the office held."""

    text: Prose
    attribution: Line = ""
    title: Line = ""
    organisation: Line = ""
    country: Line = ""


class Quotes(_Node):
    """A collection of quotes, laid out as cards."""

    kind: Literal["quotes"] = "quotes"
    title: Line = ""
    quotes: tuple[Quote, ...]


class Person(_Node):
    """Somebody presented by name and office."""

    name: Line
    title: Line = ""
    organisation: Line = ""
    country: Line = ""


class Moderators(_Node):
    """Who led an event. ``label`` says what they led, e.g. "Dialogue session, co-moderators"."""

    kind: Literal["moderators"] = "moderators"
    label: Line = ""
    people: tuple[Person, ...]


class BannerText(_Node):
    """An event's title, date and place as written in one language."""

    title: Line
    date: Line = ""
    place: Line = ""


class Banner(_Node):
    """An event announced in both languages, whichever edition carries it."""

    kind: Literal["banner"] = "banner"
    zh: BannerText
    en: BannerText


class Button(_Node):
    """One call to action."""

    kind: Literal["button"] = "button"
    label: Line
    url: Line


class Divider(_Node):
    """A rule between two blocks."""

    kind: Literal["divider"] = "divider"


class ContactEntry(_Node):
    """One desk or person to turn to; every field may be empty, not all of them."""

    label: Line = ""
    person: Line = ""
    address: Line = ""
    mail: Line = ""
    phone: Line = ""
    fax: Line = ""
    web: Line = ""

    @model_validator(mode="after")
    def _says_something(self) -> ContactEntry:
        if not any(value for _, value in self):
            raise ValueError("a contact entry needs at least one of its fields")
        return self


class Contact(_Node):
    """How to reach the issuer."""

    kind: Literal["contact"] = "contact"
    entries: tuple[ContactEntry, ...]


Block = Annotated[
    Article | Text | Quotes | Moderators | Banner | Figure | Button | Divider | Contact,
    Field(discriminator="kind"),
]


class Section(_Node):
    """A titled run of blocks; its title and its articles' headlines make the contents."""

    title: Line
    blocks: tuple[Block, ...] = ()


class Masthead(_Node):
    """The head of the issue. ``number`` and ``date`` are None until the editor says them: never guessed."""

    title: Line
    issuer: Line = ""
    number: Annotated[Line | None, AfterValidator(lambda number: number or None)] = None
    date: datetime.date | None = None


class Document(_Node):
    """One edition's whole text. ``subject`` empty: the masthead's title and number are the subject line;
    ``preheader`` is the line an inbox shows beside the subject."""

    language: Language
    masthead: Masthead
    subject: Line = ""
    preheader: Line = ""
    sections: tuple[Section, ...] = ()


def stats(document: Document) -> dict[str, int]:
    """Count what ``mailer issue import --json`` reports: quotes and moderators singly, contacts by block."""
    blocks = [block for section in document.sections for block in section.blocks]
    kinds = Counter(block.kind for block in blocks)
    return {
        "sections": len(document.sections),
        "articles": kinds["article"],
        "quotes": sum(len(block.quotes) for block in blocks if isinstance(block, Quotes)),
        "moderators": sum(len(block.people) for block in blocks if isinstance(block, Moderators)),
        "banners": kinds["banner"],
        "contacts": kinds["contact"],
    }


def content_characters(document: Document) -> int:
    """Count the non-space characters of every text an author wrote, whatever field holds it.

    A backslash that keeps Markdown from reading a sign as markup is the form's, not the author's.
    """
    return sum(len("".join(text.split())) for text in _strings(document))


def _strings(value: object) -> Iterator[str]:
    """Walk a document's own texts; ``kind`` and ``language`` are the form's words, not the author's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, BaseModel):
        for name, field in value:
            if name == "body":
                yield _MARKDOWN_ESCAPE.sub(r"\1", field)
            elif name not in ("kind", "language"):
                yield from _strings(field)
