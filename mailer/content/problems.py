"""What is still missing from a document, said to a person and naming the block it is in.

Errors are what no edition may go out with; warnings are what an editor should know. ``read_json`` says in
the same words what is wrong with a document that does not even have the right shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from mailer.content.document import (
    Article,
    Banner,
    Block,
    Button,
    Contact,
    Divider,
    Document,
    Figure,
    Language,
    Moderators,
    Quotes,
    Text,
)
from mailer.errors import Invalid
from mailer.sentence import Sentence, as_sentence

_NAME_LENGTH = 30  # characters of a title that are enough to know a block by
_NAMED_BY = ("headline", "title", "label", "name", "attribution", "src")


@dataclass(frozen=True)
class Problem:
    """``where`` names the block for a person: Section 2 “News”, quote 3 of “Voices”."""

    where: Sentence
    message: Sentence
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> Sentence:
        """Where and what in one."""
        return Sentence("{where}: {message}", where=self.where, message=self.message)


class BadDocument(Invalid):
    """The document does not have the right shape; ``problems`` lists every place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, *more = (problem.sentence for problem in problems)
        others = Sentence("{first} ({n} more like this)", first=first, n=len(more))
        super().__init__(others if more else first)
        self.problems = tuple(problems)


def problems(document: Document) -> tuple[Problem, ...]:
    """List what is missing, in reading order; an empty tuple means that the document is whole."""
    return tuple(_problems(document))


def errors(document: Document) -> tuple[Problem, ...]:
    """List only what stops an edition from going out."""
    return tuple(problem for problem in problems(document) if problem.severity == "error")


def read_json(text: str | bytes) -> Document:
    """Read a stored document.

    :raises BadDocument: with one problem per wrong field, each naming its block
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise BadDocument(
            [Problem(Sentence("The file"), Sentence("it is not JSON; export the document again"))]
        ) from error
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        found = [
            Problem(_place(raw, item["loc"]), _said(item["msg"], item["type"])) for item in error.errors()
        ]
        raise BadDocument(found) from error


# --- a whole document -----------------------------------------------------------------------------------


def _problems(document: Document) -> Iterator[Problem]:
    head = document.masthead
    if not head.title:
        yield Problem(
            Sentence("Masthead"), Sentence("the newsletter's title is missing; write it in the head")
        )
    if not head.number:
        yield Problem(
            Sentence("Masthead"), Sentence("the number of the issue is missing; write it in the head")
        )
    if not head.date:
        yield Problem(
            Sentence("Masthead"), Sentence("the date of the issue is missing; write it in the head")
        )
    if not head.issuer:
        yield Problem(
            Sentence("Masthead"), Sentence("the issuer is missing; write who publishes this"), "warning"
        )
    if not document.sections:
        yield Problem(Sentence("Document"), Sentence("there is no section; write at least one"))
    for number, section in enumerate(document.sections, 1):
        where = _named(Sentence("Section {number}", number=number), section.title)
        if not section.title:
            yield Problem(where, Sentence("the title is missing; the contents list needs it"))
        if not section.blocks:
            yield Problem(where, Sentence("it is empty; fill it or take it out"), "warning")
        for position, block in enumerate(section.blocks, 1):
            yield from _block_problems(where, position, block, document.language)


def _block_problems(section: Sentence, position: int, block: Block, language: Language) -> Iterator[Problem]:
    match block:
        case Article():
            yield from _article(
                _named(Sentence("{section}, article", section=section), block.headline, position), block
            )
        case Text():
            if not block.body:
                where = Sentence("{section}, text (block {position})", section=section, position=position)
                yield Problem(where, Sentence("it is empty; write it or take it out"))
        case Quotes():
            yield from _quotes(section, position, block)
        case Moderators():
            yield from _moderators(section, position, block)
        case Banner():
            yield from _banner(
                _named(
                    Sentence("{section}, event", section=section), getattr(block, language).title, position
                ),
                block,
            )
        case Figure():
            yield from _figure(
                _named(Sentence("{section}, figure", section=section), block.src, position), block
            )
        case Button():
            yield from _button(
                _named(Sentence("{section}, button", section=section), block.label, position), block
            )
        case Contact():
            yield from _contact(
                Sentence("{section}, contact (block {position})", section=section, position=position), block
            )
        case Divider():
            return


def _article(where: Sentence, article: Article) -> Iterator[Problem]:
    if not article.headline:
        yield Problem(where, Sentence("the headline is missing; the contents list needs it"))
    if not article.body and not article.figures:
        yield Problem(where, Sentence("there is no text; write it or take the article out"))
    for number, figure in enumerate(article.figures, 1):
        yield from _figure(Sentence("{where}, figure {number}", where=where, number=number), figure)
    if article.read_more and not _is_web(article.read_more.url):
        yield Problem(where, Sentence("the “read more” address must start with http:// or https://"))


def _quotes(section: Sentence, position: int, block: Quotes) -> Iterator[Problem]:
    collection = Sentence("the quotes (block {position})", position=position)
    if block.title:
        collection = Sentence("“{title}”", title=_shortened(block.title))
    if not block.quotes:
        where = Sentence("{section}, {collection}", section=section, collection=collection)
        yield Problem(where, Sentence("there is no quote in it; add one or take it out"))
    for number, quote in enumerate(block.quotes, 1):
        where = Sentence(
            "{section}, quote {number} of {collection}", section=section, number=number, collection=collection
        )
        if not quote.text:
            yield Problem(where, Sentence("the words are missing; write what was said"))
        if not quote.attribution:
            yield Problem(where, Sentence("the attribution is missing; say who said it"))
        elif not (quote.title or quote.organisation):
            yield Problem(
                where, Sentence("the office of {name} is missing", name=quote.attribution), "warning"
            )


def _moderators(section: Sentence, position: int, block: Moderators) -> Iterator[Problem]:
    where = _named(Sentence("{section}, moderators", section=section), block.label, position)
    if not block.people:
        yield Problem(where, Sentence("nobody is named; name someone or take the block out"))
    for number, person in enumerate(block.people, 1):
        if not person.name:
            yield Problem(where, Sentence("the name of person {number} is missing", number=number))


def _banner(where: Sentence, banner: Banner) -> Iterator[Problem]:
    for text, language in ((banner.zh, Sentence("Chinese")), (banner.en, Sentence("English"))):
        if not text.title:
            yield Problem(where, Sentence("the {language} title is missing", language=language))
        if not text.date:
            yield Problem(where, Sentence("the date in {language} is missing", language=language), "warning")
        if not text.place:
            yield Problem(where, Sentence("the place in {language} is missing", language=language), "warning")


def _figure(where: Sentence, figure: Figure) -> Iterator[Problem]:
    if not figure.src:
        yield Problem(where, Sentence("the picture's file is missing; name it"))
    if not figure.alt:
        yield Problem(
            where, Sentence("the alternative text is missing; say what the picture shows"), "warning"
        )


def _button(where: Sentence, button: Button) -> Iterator[Problem]:
    if not button.label:
        yield Problem(where, Sentence("the label is missing; say what a click does"))
    if not _is_web(button.url) and not button.url.startswith("mailto:"):
        yield Problem(where, Sentence("the address must start with http://, https:// or mailto:"))


def _contact(where: Sentence, contact: Contact) -> Iterator[Problem]:
    if not contact.entries:
        yield Problem(where, Sentence("there is no entry; add one or take the block out"))
    for number, entry in enumerate(contact.entries, 1):
        if entry.mail and not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+", entry.mail):
            at = _named(
                Sentence("{where}, entry {number}", where=where, number=number), entry.label or entry.person
            )
            # a warning: it is shown as text, not as a link, so the letter can go out as its editor wrote it
            wrong = Sentence("“{mail}” is not a mail address; correct it", mail=entry.mail)
            yield Problem(at, wrong, "warning")


def _is_web(url: str) -> bool:
    return bool(re.match(r"https?://[^\s/]", url))


# --- a document of the wrong shape ----------------------------------------------------------------------


def _place(raw: object, path: Sequence[str | int]) -> Sentence:
    """Name the place of a pydantic ``loc``, such as ("sections", 1, "blocks", 0, "quotes", "quotes", 2)."""
    names: list[str] = []
    field, tagged = "", False
    for step in path:
        if isinstance(step, int):
            raw = raw[step] if isinstance(raw, list) else None
            names.append(_named(as_sentence(f"{_SINGULAR.get(field, field)} {step + 1}"), _known_by(raw)))
            field, tagged = "", field == "blocks"
        elif tagged:  # pydantic puts the kind of a block into the path, where the data has no step
            tagged = False
        else:
            raw = raw.get(step) if isinstance(raw, Mapping) else None
            field = step
    place = ", ".join(filter(None, [*names, field])) or "the document"
    return as_sentence(place[:1].upper() + place[1:])


_SINGULAR = {
    "sections": "section",
    "blocks": "block",
    "quotes": "quote",
    "people": "person",
    "entries": "entry",
}


def _known_by(raw: object) -> str:
    if not isinstance(raw, Mapping):
        return ""
    return next((raw[key] for key in _NAMED_BY if isinstance(raw.get(key), str) and raw[key]), "")


def _said(message: str, kind: str) -> Sentence:
    if kind == "missing":
        return Sentence("this is missing; add it")
    if kind == "extra_forbidden":
        return Sentence("nothing of this name belongs here; take it out")
    said = message.removeprefix("Value error, ").removeprefix("Input ")
    return as_sentence(said.replace("should be", "this should be"))


def _named(what: Sentence, title: str, position: int | None = None) -> Sentence:
    """Call a block by its title, or by its position where it has none."""
    if title:
        return Sentence("{what} “{title}”", what=what, title=_shortened(title))
    return Sentence("{what} (block {position})", what=what, position=position) if position else what


def _shortened(title: str) -> str:
    return title if len(title) <= _NAME_LENGTH else title[: _NAME_LENGTH - 1] + "…"
