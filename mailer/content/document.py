"""The document: the tree an editor writes, one per edition.

A document holds a masthead and sections; a section holds blocks. The contents list is generated, never
stored. Text fields are plain text unless the field says Markdown. Every model is immutable and compares
by value; ``Document.model_dump_json`` is how it is stored, ``content.markdown`` how it is read and edited.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Link(_Node):
    """Where a "read more" leads. ``label`` empty: the theme's own words in the edition's language."""

    url: str
    label: str = ""


class Figure(_Node):
    """A picture inside an article or on its own. ``src`` is a file name or a stored figure's name."""

    kind: Literal["figure"] = "figure"
    src: str
    alt: str = ""
    caption: str = ""
    credit: str = ""


class Article(_Node):
    """A news item. ``body`` is Markdown; figures stand before the body in order."""

    kind: Literal["article"] = "article"
    headline: str
    dateline: str = ""
    body: str = ""
    figures: tuple[Figure, ...] = ()
    read_more: Link | None = None


class Text(_Node):
    """Paragraphs that are not an article: an introduction, a note. ``body`` is Markdown."""

    kind: Literal["text"] = "text"
    body: str


class Quote(_Node):
    """What somebody said. ``attribution`` is the speaker's name, ``title`` the office held."""

    text: str
    attribution: str = ""
    title: str = ""
    organisation: str = ""
    country: str = ""


class Quotes(_Node):
    """A collection of quotes, laid out as cards."""

    kind: Literal["quotes"] = "quotes"
    title: str = ""
    quotes: tuple[Quote, ...]


class Person(_Node):
    """Somebody presented by name and office."""

    name: str
    title: str = ""
    organisation: str = ""
    country: str = ""


class Moderators(_Node):
    """Who led an event. ``label`` says what they led, e.g. "Dialogue session, co-moderators"."""

    kind: Literal["moderators"] = "moderators"
    label: str = ""
    people: tuple[Person, ...]


class BannerText(_Node):
    """An event's title, date and place as written in one language."""

    title: str
    date: str = ""
    place: str = ""


class Banner(_Node):
    """An event announced in both languages, whichever edition carries it."""

    kind: Literal["banner"] = "banner"
    zh: BannerText
    en: BannerText


class Button(_Node):
    """One call to action."""

    kind: Literal["button"] = "button"
    label: str
    url: str


class Divider(_Node):
    """A rule between two blocks."""

    kind: Literal["divider"] = "divider"


class ContactEntry(_Node):
    """One desk or person to turn to; every field may be empty, not all of them."""

    label: str = ""
    person: str = ""
    address: str = ""
    mail: str = ""
    phone: str = ""
    fax: str = ""
    web: str = ""


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

    title: str
    blocks: tuple[Block, ...] = ()


class Masthead(_Node):
    """The head of the issue. ``number`` and ``date`` are None until the editor says them: never guessed."""

    title: str
    issuer: str = ""
    number: str | None = None
    date: datetime.date | None = None


class Document(_Node):
    """One edition's whole text. ``subject`` empty: the masthead's title and number are the subject line;
    ``preheader`` is the line an inbox shows beside the subject."""

    language: Language
    masthead: Masthead
    subject: str = ""
    preheader: str = ""
    sections: tuple[Section, ...] = ()
