"""Plain text: the same edition for readers and programs that show no HTML. Every word and link is kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from mailer.content import prose, slots, theme, words
from mailer.content.document import (
    Article,
    Banner,
    Block,
    Button,
    Contact,
    ContactEntry,
    Divider,
    Document,
    Figure,
    Moderators,
    Person,
    Quote,
    Quotes,
    Text,
)
from mailer.content.links import Links
from mailer.content.look import Look
from mailer.content.theme import Places
from mailer.content.words import Words

_WIDEST_RULE = 60  # columns


def to_text(document: Document, *, look: Look, places: Places, links: Links, personal: bool) -> str:
    """Return the edition as text; paragraphs are single lines, for the reader's program to wrap."""
    writer = _Writer(words.of(document), links, document)
    chunks = [
        *writer.head(),
        slots.mark(slots.SALUTATION) if personal else "",
        writer.contents(),
        *writer.sections(),
        _foot(document, look, places, personal=personal),
    ]
    return "\n\n".join(filter(None, chunks)) + "\n"


def _foot(document: Document, look: Look, places: Places, *, personal: bool) -> str:
    own = words.of(document)
    lines = ["-- ", look.organisation, *look.address.splitlines()]  # RFC 3676 §4.3: the signature begins
    if personal:
        lines += ["", theme.why(document, look)]
    links = theme.foot(places, own, personal=personal)
    lines += [f"{label}{own.colon}{address}" for label, address, _ in links]
    return "\n".join(lines)


class _Writer:
    """Writes a document block by block; one method per kind."""

    def __init__(self, own: Words, links: Links, document: Document) -> None:
        self._own = own
        self._links = links
        self._document = document

    def head(self) -> Iterator[str]:
        masthead = self._document.masthead
        yield masthead.issuer
        yield _underlined(masthead.title, "=")
        yield theme.issue_line(self._document)

    def contents(self) -> str:
        lines = [self._own.contents]
        for part in theme.contents(self._document):
            lines += [part.title, *(f"  - {headline}" for _, headline in part.articles)]
        return "\n".join(lines) if len(lines) > 1 else ""

    def sections(self) -> Iterator[str]:
        for section in self._document.sections:
            if section.title:
                yield _underlined(section.title, "=")
            yield from map(self.block, section.blocks)

    def block(self, block: Block) -> str:
        match block:
            case Article():
                return _paragraphs(self._article(block))
            case Text():
                return prose.plain(block.body, href=self._links.href)
            case Quotes():
                return _paragraphs([_underlined(block.title, "-"), *map(self._quote, block.quotes)])
            case Moderators():
                return _lines([block.label, *map(self._person, block.people)])
            case Banner():
                return _paragraphs(
                    _lines([event.title, event.date, event.place])
                    for _, event in theme.both(block, self._document)
                )
            case Figure():
                return self._figure(block)
            case Button():
                return f"{block.label}{self._own.colon}{self._links.href(block.url)}"
            case Divider():
                return "* * *"
            case Contact():
                return _paragraphs(map(self._entry, block.entries))

    def _article(self, article: Article) -> Iterator[str]:
        yield _underlined(article.headline, "-")
        yield article.dateline
        yield from map(self._figure, article.figures)
        yield prose.plain(article.body, href=self._links.href)
        if article.read_more:
            label = article.read_more.label or self._own.read_more
            yield f"{label}{self._own.colon}{self._links.href(article.read_more.url)}"

    def _figure(self, figure: Figure) -> str:
        credit = self._own.photo.format(figure.credit) if figure.credit else ""
        words = " ".join(filter(None, (figure.alt, figure.caption, credit)))
        return f"[{words}]" if words else ""

    def _quote(self, quote: Quote) -> str:
        speaker = self._own.comma.join(filter(None, (quote.attribution, theme.office(quote, self._own))))
        said = "\n".join(filter(None, quote.text.split("\n")))
        return _lines([said, f"—— {speaker}" if speaker else ""])

    def _person(self, person: Person) -> str:
        return self._own.comma.join(filter(None, (person.name, theme.office(person, self._own))))

    def _entry(self, entry: ContactEntry) -> str:
        ways = [f"{label}{self._own.colon}{text}" for _, label, text in theme.ways(entry, self._own)]
        return _lines([entry.label, entry.person, *ways])


def _underlined(title: str, sign: str) -> str:
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in title)
    return f"{title}\n{sign * min(columns, _WIDEST_RULE)}" if title else ""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(filter(None, lines))


def _paragraphs(chunks: Iterable[str]) -> str:
    return "\n\n".join(filter(None, chunks))
