"""Compilation: a document becomes MJML, HTML and plain text, once per edition and never per reader."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from html import escape

from mailer.content import mjml, prose, slots, text, theme, words
from mailer.content.document import Article, Document, Language, Link
from mailer.content.links import Links
from mailer.content.look import Look
from mailer.content.theme import Places
from mailer.errors import Conflict

GMAIL_CLIP = 102_400  # octets of HTML, after which Gmail shows "[Message clipped]"
_TEASER = {"zh": 160, "en": 420}  # characters of a shortened article: two or three sentences


class TooLong(Conflict):
    """The edition is too long for one letter."""

    def __init__(self, octets: int, limit: int) -> None:
        super().__init__(
            "The letter has {octets} bytes of HTML even with every article shortened, and {limit} are"
            " allowed: take out some quotes or texts, or make two issues of it.",
            octets=f"{octets:,}",
            limit=f"{limit:,}",
        )


@dataclass(frozen=True)
class Compiled:
    """An edition ready to be frozen.

    ``html`` and ``text`` hold slots (``content.slots``) when it was made for readers, none when it was made
    for the web. ``links[n]`` is where ``/c/{token}/{n}`` leads. ``shortened`` are the headlines of articles
    that were cut to a teaser.
    """

    language: Language
    subject: str
    mjml: str
    html: str
    text: str
    links: tuple[str, ...]
    shortened: tuple[str, ...] = ()

    @property
    def html_bytes(self) -> int:
        """Octets of HTML in a letter whose slots are filled with long values."""
        return len(slots.fill(self.html, slots.SAMPLE, escape).encode())

    @property
    def text_bytes(self) -> int:
        """Octets of plain text, counted likewise."""
        return len(slots.fill(self.text, slots.SAMPLE).encode())


def compile_edition(document: Document, *, look: Look, places: Places, personal: bool = True) -> Compiled:
    """Compile a document for readers, or with ``personal=False`` for the web: direct links, no slots.

    :raises BadLink: a button, "read more" or body holds an address no letter should
    :raises MissingFigure: a picture is not in ``places.figures``
    :raises BadMjml: the templates are wrong
    """
    document, look = _cleaned(document), _cleaned_look(look)
    links = Links(places.base if personal else None)
    source = theme.to_mjml(document, look=look, places=places, links=links, personal=personal)
    return Compiled(
        language=document.language,
        subject=words.subject_of(document),
        mjml=source,
        html=mjml.to_html(source),
        text=text.to_text(document, look=look, places=places, links=links, personal=personal),
        links=links.urls,
    )


def _cleaned(document: Document) -> Document:
    """Return the document without the signs that mark slots: no author can write one."""
    return Document.model_validate_json(slots.clean(document.model_dump_json()))


def _cleaned_look(look: Look) -> Look:
    return Look(**{name: slots.clean(value) for name, value in asdict(look).items()})


def fit(document: Document, *, look: Look, places: Places, limit: int = GMAIL_CLIP) -> Compiled:
    """Compile for readers in at most ``limit`` octets of HTML.

    Articles are cut to a teaser that leads to the web version, the longest first and no more than needed.

    :raises TooLong: it cannot be done; also when ``places.web`` is empty, for then nothing may be cut
    """
    compiled = compile_edition(document, look=look, places=places)
    shortened: list[str] = []
    longest_first = sorted(_articles(document), key=lambda found: -len(found[2].body)) if places.web else []
    for place, number, article in longest_first:
        if compiled.html_bytes <= limit:
            break
        short = shorten(article, document, f"{places.web}#{theme.article_anchor(number)}")
        if short.body == article.body:
            continue
        document = _with(document, place, short)
        shortened.append(article.headline)
        compiled = compile_edition(document, look=look, places=places)
    if compiled.html_bytes > limit:
        raise TooLong(compiled.html_bytes, limit)
    return replace(compiled, shortened=tuple(shortened))


def shorten(article: Article, document: Document, url: str) -> Article:
    """Return the article with its body cut to a teaser and its "read more" leading to ``url``."""
    body = prose.teaser(article.body, _TEASER[document.language])
    return article.model_copy(
        update={"body": body, "read_more": Link(url=url, label=words.of(document).read_on)}
    )


_Place = tuple[int, int]  # of a block: its section, and its place there, from 0


def _articles(document: Document) -> list[tuple[_Place, int, Article]]:
    """Return every article with its place and its number through the document, from 1."""
    found = [
        ((row, column), block)
        for row, section in enumerate(document.sections)
        for column, block in enumerate(section.blocks)
        if isinstance(block, Article)
    ]
    return [(place, number, article) for number, (place, article) in enumerate(found, 1)]


def _with(document: Document, place: _Place, article: Article) -> Document:
    """Return the document with another article at ``place``."""
    row, column = place
    sections, section = document.sections, document.sections[row]
    blocks = (*section.blocks[:column], article, *section.blocks[column + 1 :])
    changed = section.model_copy(update={"blocks": blocks})
    return document.model_copy(update={"sections": (*sections[:row], changed, *sections[row + 1 :])})
