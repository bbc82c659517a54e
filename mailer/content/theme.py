"""The theme: what the templates in ``templates/letters`` are given, and the MJML they make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from mailer.content import prose, slots, words
from mailer.content.document import Article, Banner, BannerText, Block, ContactEntry, Document, Person, Quote
from mailer.content.links import Links, is_safe
from mailer.content.look import INK, NIGHT_CARD, Look
from mailer.content.words import WORDS, Words
from mailer.errors import Invalid
from mailer.settings import templates

_MAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_COLOURS = {"ink": INK, "muted": "#5b6662", "rule": "#d9dedb", "paper": "#eef1ef", "night": "#121615"}
# Only fonts that readers' systems bring; no letter ever loads one.
_TYPE: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "fonts": "'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif",
        "display_font": "bold 30px 'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif",
        "headline_font": "bold 20px 'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif",
        "leading": "1.8",
        "tracking": "1px",
    },
    "en": {
        "fonts": "'Segoe UI',Helvetica,Arial,sans-serif",
        "display_font": "bold 32px Georgia,'Times New Roman',serif",
        "headline_font": "bold 21px Georgia,'Times New Roman',serif",
        "leading": "1.6",
        "tracking": ".4px",
    },
}


class MissingFigure(Invalid):
    """A picture of the document is not among the issue's figures."""

    def __init__(self, src: str) -> None:
        super().__init__(
            "The picture “{src}” is not among the issue's figures: add it or take it out.", src=src
        )


@dataclass(frozen=True)
class Places:
    """Where an edition's fixed links lead.

    ``base``: the web app's address, without trailing slash. ``web``: this edition on the web, for teasers
    to lead to; empty while it has none. ``other``: the edition in the other language on the web; empty
    when there is none. ``figures``: absolute address of every picture by the ``src`` the document names.
    """

    base: str
    web: str = ""
    other: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)

    def figure(self, src: str) -> str:
        """Return a picture's address; a ``src`` that is an https address already is its own.

        :raises MissingFigure: it is neither
        """
        if src in self.figures:
            return self.figures[src]
        if src.startswith("https://"):
            return src
        raise MissingFigure(src)


def section_anchor(place: int) -> str:
    """Return the id of a section's heading; ``place`` counts from 1."""
    return f"s{place}"


def article_anchor(place: int) -> str:
    """Return the id of an article's heading; ``place`` counts from 1 through the whole document."""
    return f"a{place}"


def to_mjml(document: Document, *, look: Look, places: Places, links: Links, personal: bool) -> str:
    """Return the edition as MJML. ``personal``: with slots and pixel, else as the web shows it to anybody."""
    own = words.of(document)

    def href(url: str) -> Markup:
        return escape(links.href(url))

    given: dict[str, Any] = {
        **_COLOURS,
        **_TYPE[document.language],
        "night_card": NIGHT_CARD,
        "look": look,
        "words": own,
        "head": document.masthead,
        "subject": words.subject_of(document),
        "preheader": words.preheader_of(document),
        "issue_line": issue_line(document),
        "sections": parts(document),
        "contents": contents(document),
        "personal": personal,
        "why": why(document, look),
        "href": href,
        "src": places.figure,
        "prose": lambda body: Markup(  # noqa: S704  what nh3 returns is safe HTML
            prose.html(body, href=links.href, src=places.figure, link_colour=look.link)
        ),
        "office": lambda person: office(person, own),
        "ways": lambda entry: ways(entry, own),
        "address": lambda way, text: _address(way, text, href),
        "both": lambda banner: both(banner, document),
        "foot": foot(places, own, personal=personal),
        **_slots(places, personal=personal),
    }
    return _environment().get_template("letter.mjml.j2").render(given)


def _slots(places: Places, *, personal: bool) -> dict[str, Any]:
    """Return the addresses and words that differ per reader, or their open forms for the web."""
    if not personal:
        return {"view": "", "other": places.other, "salutation": "", "pixel": ""}
    pixel = Markup(f"{places.base}/o/{_mark(slots.TOKEN)}.gif")  # noqa: S704  our own address
    return {
        "view": _mark(slots.VIEW),
        "other": places.other and _mark(slots.OTHER),
        "salutation": _mark(slots.SALUTATION),
        "pixel": pixel,
    }


def foot(places: Places, own: Words, *, personal: bool) -> list[tuple[str, str, str]]:
    """Return the footer's links as (label, address, language of the label if another)."""
    other = [(own.other, _mark(slots.OTHER) if personal else places.other, own.other_tag)]
    mine = [
        (own.view, _mark(slots.VIEW), ""),
        (own.preferences, _mark(slots.PREFERENCES), ""),
        (own.unsubscribe, _mark(slots.UNSUBSCRIBE), ""),
    ]
    return (mine if personal else []) + (other if places.other else [])


def _mark(name: str) -> Markup:
    return Markup(slots.mark(name))  # noqa: S704  a slot holds no markup


@dataclass(frozen=True)
class Placed:
    """A block and, for an article, the id of its heading."""

    block: Block
    anchor: str


@dataclass(frozen=True)
class Part:
    """A section, the id of its heading and its blocks in order."""

    title: str
    anchor: str
    blocks: tuple[Placed, ...]

    @property
    def articles(self) -> list[tuple[str, str]]:
        """(anchor, headline) of each article."""
        return [(it.anchor, it.block.headline) for it in self.blocks if isinstance(it.block, Article)]


def parts(document: Document) -> tuple[Part, ...]:
    """Return the sections with the anchors that contents and teasers lead to."""
    article = count(1)

    def placed(block: Block) -> Placed:
        return Placed(block, article_anchor(next(article)) if isinstance(block, Article) else "")

    return tuple(
        Part(section.title, section_anchor(place), tuple(map(placed, section.blocks)))
        for place, section in enumerate(document.sections, 1)
    )


def contents(document: Document) -> tuple[Part, ...]:
    """Return the generated contents; empty when there is only one thing to find."""
    titled = tuple(part for part in parts(document) if part.title)
    return titled if len(titled) + sum(len(part.articles) for part in titled) > 1 else ()


def issue_line(document: Document) -> str:
    """Return number and date as the masthead shows them, as far as they are known."""
    date = words.date_line(document.masthead.date, words.of(document))
    return " · ".join(filter(None, (words.number_line(document), date)))


def why(document: Document, look: Look) -> str:
    """Return the sentence that says why the reader gets this letter."""
    return look.reason or words.of(document).why.format(document.masthead.title)


def office(person: Quote | Person, own: Words) -> str:
    """Return title, organisation and country on one line, as far as they are given."""
    return own.comma.join(filter(None, (person.title, person.organisation, person.country)))


def ways(entry: ContactEntry, own: Words) -> Iterator[tuple[str, str, str]]:
    """Yield (field, label, text) per way to reach a desk."""
    for name, label in own.contact.items():
        if text := getattr(entry, name):
            yield name, label, text


def _address(way: str, text: str, href: prose.Hrefs) -> str:
    """Return where a way to reach a desk leads; empty where a link would not work."""
    if way == "mail" and _MAIL.fullmatch(text):
        return f"mailto:{text}"
    return href(text) if way == "web" and is_safe(text) else ""


def both(banner: Banner, document: Document) -> Iterator[tuple[str, BannerText]]:
    """Yield (language tag, text) of an event, the edition's own language first."""
    texts = {"zh": banner.zh, "en": banner.en}
    for language in sorted(WORDS, key=lambda language: language != document.language):
        yield WORDS[language].tag, texts[language]


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(templates() / "letters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
