r"""A document as a text file that an editor types by hand, and back without loss.

``from_markdown(to_markdown(document)) == document`` for every document. The form::

    ---
    language: en
    title: Green Observer
    issuer: The secretariat
    number: 7
    date: 2026-05-01
    subject: only where it is not the title and number
    preheader: the line an inbox shows beside the subject
    ---

    # Section

    ## Headline
    *Oslo, 25 April*

    ![what the picture shows](file.png "caption"){credit="who took it"}

    Body in Markdown; its own headings start at ###.

    [Read more](https://example.org/)

    :::quotes Voices
    > What was said, over as many lines as it needs.
    > — Name | Office | Organisation | Country
    :::

    :::moderators Dialogue session
    - Name | Office | Organisation | Country
    :::

    :::banner
    zh: title | date | place
    en: title | date | place
    :::

    :::contact
    label: Secretariat
    mail: info@example.org

    person: a blank line starts the next entry
    :::

The other blocks are ``:::text`` (Markdown), ``:::figure`` (an image line), ``:::button`` (a link line) and
``:::divider``; ``:::`` alone closes a block. Paragraphs that stand in no block are a text block too.
A date line stands directly under its headline; figures stand before the body, the "read more" link is
an article's last line if that line is nothing but a link.

A line of running text that looks like structure (``# x``, ``## x``, ``:::``; an image as a body's first
line, a lone link as its last, a dash opening a quote's last line) is written with one backslash more in
front, and read with one less. Inside ``[ ]``, ``" "``, ``< >`` and between ``|`` the signs
``\ [ ] " < > |`` are written with a backslash.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mailer.content.document import (
    LANGUAGES,
    Article,
    Banner,
    BannerText,
    Block,
    Button,
    Contact,
    ContactEntry,
    Divider,
    Document,
    Figure,
    Link,
    Masthead,
    Moderators,
    Person,
    Quote,
    Quotes,
    Section,
    Text,
    printable,
)
from mailer.errors import Invalid
from mailer.sentence import Sentence

_KEYS = ("language", "title", "issuer", "number", "date", "subject", "preheader")
_TARGET = r"(?:<(?P<angled>(?:\\.|[^\\<>])*)>|(?P<bare>(?:[^\s<>()\\]|\([^\s<>()\\]*\))*))"
_LINK = re.compile(rf"\[(?P<label>(?:\\.|[^\\\]])*)\]\({_TARGET}\)\s*")
_FIGURE = re.compile(
    rf"!\[(?P<label>(?:\\.|[^\\\]])*)\]\({_TARGET}"
    r'(?:\s+"(?P<caption>(?:\\.|[^\\"])*)")?\)(?:\{credit="(?P<credit>(?:\\.|[^\\"])*)"\})?\s*'
)
_BARE_TARGET = re.compile(r"(?:[^\s<>()\\]|\([^\s<>()\\]*\))*")
_STRUCTURE = re.compile(r"(?:#{1,2}(?:\s.*)?|:::.*)")
_OPENING = re.compile(r":::\s*(?P<name>[^\s:]+)(?:\s+(?P<title>.*))?")
_SAID_BY = re.compile(r"(?:[—–―]+|--+)(?P<who>.*)")  # editors type every kind of dash
_FIELD = re.compile(r"(?P<key>[A-Za-z_]+)\s*[:：]\s*(?P<value>.*)")
_NEEDS_QUOTES = re.compile(r"[\s\"'#&*!|>%@`\[\]{},?:-].*|.*: .*|.* #.*|.*:|", re.DOTALL)  # YAML's own signs


class BadMarkdown(Invalid):
    """The file is not in the form this program reads; the message names the line and the block."""

    def __init__(self, line: int, what: Sentence) -> None:
        super().__init__("Line {line}: {what}", line=line, what=what)
        self.line = line


# --- writing ------------------------------------------------------------------------------------------


def to_markdown(document: Document) -> str:
    """Write the document in the form the module describes."""
    parts = [_front_matter(document)]
    for section in document.sections:
        parts.append(f"# {section.title}".rstrip())
        previous: Block | None = None
        for block in section.blocks:
            parts.append(_written(block, previous))
            previous = block
    return "\n\n".join(parts) + "\n"


def _front_matter(document: Document) -> str:
    head = document.masthead
    date = head.date.isoformat() if head.date else None
    values = (document.language, head.title, head.issuer, head.number, date)
    texts = zip(_KEYS, (*values, document.subject, document.preheader), strict=True)
    lines = [f"{key}: {_front_value(value)}" for key, value in texts if value or key == "title"]
    return "\n".join(["---", *lines, "---"])


def _front_value(value: str | None) -> str:
    text = value or ""
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.fullmatch(text) else text


def _written(block: Block, previous: Block | None) -> str:
    match block:
        case Article():
            return _article(block)
        case Text():
            # an open article or paragraph would swallow the text: only then it needs a fence
            loose = block.body and not isinstance(previous, Article | Text)
            return _guarded(block.body) if loose else _fenced("text", "", [_guarded(block.body)])
        case Quotes():
            return _fenced("quotes", block.title, ["\n\n".join(map(_quote, block.quotes))])
        case Moderators():
            return _fenced("moderators", block.label, [f"- {_person(person)}" for person in block.people])
        case Banner():
            texts = (("zh", block.zh), ("en", block.en))
            return _fenced("banner", "", [f"{lang}: {_banner_text(text)}" for lang, text in texts])
        case Figure():
            return _fenced("figure", "", [_figure(block)])
        case Button():
            return _fenced("button", "", [_link(block.label, block.url)])
        case Divider():
            return _fenced("divider", "", [])
        case Contact():
            return _fenced("contact", "", ["\n\n".join(map(_contact_entry, block.entries))])


def _fenced(name: str, title: str, lines: Iterable[str]) -> str:
    return "\n".join([f":::{name} {title}".rstrip(), *filter(None, lines), ":::"])


def _article(article: Article) -> str:
    head = [f"## {article.headline}".rstrip()]
    if article.dateline:
        head.append(f"*{article.dateline}*")
    parts = ["\n".join(head), *map(_figure, article.figures)]
    if article.body:
        parts.append(_guarded(article.body, first=_FIGURE, last=_LINK))
    if article.read_more:
        parts.append(_link(article.read_more.label, article.read_more.url))
    return "\n\n".join(parts)


def _guarded(body: str, first: re.Pattern[str] | None = None, last: re.Pattern[str] | None = None) -> str:
    lines = [_guard(line, _STRUCTURE) for line in body.split("\n")]
    if first:
        lines[0] = _guard(lines[0], first)
    if last:
        lines[-1] = _guard(lines[-1], last)
    return "\n".join(lines)


def _guard(line: str, pattern: re.Pattern[str]) -> str:
    return "\\" + line if pattern.fullmatch(line.lstrip("\\")) else line


def _figure(figure: Figure) -> str:
    caption = f' "{_escaped(figure.caption)}"' if figure.caption else ""
    credit = f'{{credit="{_escaped(figure.credit)}"}}' if figure.credit else ""
    return f"![{_escaped(figure.alt)}]({_target(figure.src)}{caption}){credit}"


def _link(label: str, url: str) -> str:
    return f"[{_escaped(label)}]({_target(url)})"


def _target(url: str) -> str:
    return url if _BARE_TARGET.fullmatch(url) else f"<{_escaped(url)}>"


def _quote(quote: Quote) -> str:
    lines = quote.text.split("\n")
    lines[-1] = _guard(lines[-1], _SAID_BY)
    who = _piped(quote.attribution, quote.title, quote.organisation, quote.country)
    if who:
        lines = [*(lines if quote.text else []), f"— {who}"]
    return "\n".join(f"> {line}" if line else ">" for line in lines)


def _person(person: Person) -> str:
    return _piped(person.name, person.title, person.organisation, person.country)


def _banner_text(text: BannerText) -> str:
    return _piped(text.title, text.date, text.place)


def _piped(*values: str) -> str:
    filled = len(values) - next((n for n, value in enumerate(reversed(values)) if value), len(values))
    return " | ".join(_escaped(value) for value in values[:filled])


def _contact_entry(entry: ContactEntry) -> str:
    return "\n".join(f"{key}: {value}" for key, value in entry if value)


def _escaped(text: str) -> str:
    return re.sub(r'([\\\[\]"<>|])', r"\\\1", text)


# --- reading ------------------------------------------------------------------------------------------


# the other pieces are called as they are written, :::quotes
_KINDS = {"section": Sentence("section"), "article": Sentence("article"), "text": Sentence("text")}


@dataclass
class _Piece:
    """A run of lines that makes one section head, article, fenced block or loose paragraph."""

    line: int
    name: str
    title: str = ""
    lines: list[tuple[int, str]] = field(default_factory=list)

    def error(self, what: Sentence, line: int | None = None) -> BadMarkdown:
        block = _KINDS.get(self.name, self.name)
        place = Sentence("in the {block}, {what}", block=block, what=what)
        if self.title:
            place = Sentence("in the {block} “{title}”, {what}", block=block, title=self.title, what=what)
        return BadMarkdown(line or self.line, place)

    def filled(self) -> list[tuple[int, str]]:
        return [(no, line.strip()) for no, line in self.lines if line.strip()]


def from_markdown(text: str) -> Document:
    """Read what ``to_markdown`` writes and an editor types.

    :raises BadMarkdown: naming the line and the block
    """
    lines = printable(text.removeprefix("\ufeff")).split("\n")
    head, body_starts = _read_front_matter(lines)
    sections: list[tuple[str, list[Block]]] = []
    for piece in _pieces(lines, body_starts):
        if piece.name == "section":
            sections.append((piece.title, []))
        elif sections:
            sections[-1][1].append(_BLOCKS[piece.name](piece))
        else:
            raise BadMarkdown(
                piece.line,
                Sentence("this stands before the first section; put a line “# Title” above it"),
            )
    read = tuple(Section(title=title, blocks=tuple(blocks)) for title, blocks in sections)
    return head.model_copy(update={"sections": read})


def _read_front_matter(lines: Sequence[str]) -> tuple[Document, int]:
    """Return the document's head, still without sections, and how many lines it took."""
    fences = [n for n, line in enumerate(lines) if line.strip() == "---"][:2]
    if len(fences) < 2 or any(line.strip() for line in lines[: fences[0]]):
        raise BadMarkdown(
            1, Sentence("the file must start with its head, “key: value” lines between two lines “---”")
        )
    values: dict[str, str] = {}
    for number, line in enumerate(lines[fences[0] + 1 : fences[1]], fences[0] + 2):
        if line.strip() and not line.startswith("# "):
            key, value = _read_field(number, line, _KEYS)
            if key in values:
                raise BadMarkdown(number, Sentence("“{key}” is given twice; keep one", key=key))
            values[key] = _unquoted(number, value)
    return _document_head(values, fences[0] + 1), fences[1] + 1


def _document_head(values: dict[str, str], line: int) -> Document:
    spoken = next((known for known in LANGUAGES if known == values.get("language")), None)
    if spoken is None:
        raise BadMarkdown(line, Sentence("the head must say “language: zh” or “language: en”"))
    if "title" not in values:
        raise BadMarkdown(line, Sentence("the head must say the newsletter's name: “title: …”"))
    masthead = Masthead(
        title=values["title"],
        issuer=values.get("issuer", ""),
        number=values.get("number"),
        date=_read_date(values.get("date"), line),
    )
    return Document(
        language=spoken,
        masthead=masthead,
        subject=values.get("subject", ""),
        preheader=values.get("preheader", ""),
    )


def _read_date(value: str | None, line: int) -> datetime.date | None:
    if not value:
        return None
    try:
        return datetime.date.fromisoformat(value)
    except ValueError as error:
        raise BadMarkdown(
            line, Sentence("the date “{date}” must be written as year-month-day: 2026-05-01", date=value)
        ) from error


def _read_field(number: int, line: str, keys: Iterable[str]) -> tuple[str, str]:
    found = _FIELD.fullmatch(line.strip())
    if found and found["key"].lower() in keys:
        return found["key"].lower(), found["value"]
    stray = Sentence(
        "“{line}” is not one of the lines that may stand here: {keys}",
        line=line.strip(),
        keys=", ".join(keys),
    )
    raise BadMarkdown(number, stray)


def _unquoted(number: int, value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError as error:
        unmatched = Sentence("the quotation marks of {value} do not match; leave them out", value=value)
        raise BadMarkdown(number, unmatched) from error


def _pieces(lines: Sequence[str], start: int) -> Iterator[_Piece]:
    piece = _Piece(start + 1, "text")
    fence = False
    for number, line in enumerate(lines[start:], start + 1):
        if not _STRUCTURE.fullmatch(line):
            piece.lines.append((number, line))
            continue
        if fence and line.strip() != ":::":
            early = Sentence("“{line}” comes before its end; close it with a line “:::”", line=line.strip())
            raise piece.error(early, number)
        if fence or piece.name != "text" or piece.filled():
            yield piece
        piece = _Piece(number, "text") if fence else _opened(number, line)
        fence = piece.name not in ("section", "article") and not fence
        if piece.name == "section":
            yield piece
            piece = _Piece(number + 1, "text")
    if fence:
        raise piece.error(Sentence("the end is missing; close it with a line “:::”"))
    if piece.name != "text" or piece.filled():
        yield piece


def _opened(number: int, line: str) -> _Piece:
    if line.startswith("##"):
        return _Piece(number, "article", line[2:].strip())
    if line.startswith("#"):
        return _Piece(number, "section", line[1:].strip())
    opening = _OPENING.fullmatch(line.rstrip())
    if opening and opening["name"] in _FENCED:
        return _Piece(number, opening["name"], (opening["title"] or "").strip())
    if opening:
        known = ", ".join(_FENCED)
        unknown = Sentence(
            "there is no block called “{name}”; there are: {known}", name=opening["name"], known=known
        )
        raise BadMarkdown(number, unknown)
    raise BadMarkdown(number, Sentence("this “:::” closes nothing; take it out or name the block it opens"))


def _read_article(piece: _Piece) -> Article:
    lines = [line for _, line in piece.lines]
    dateline = ""
    if lines and len(under := lines[0].strip()) > 2 and under[0] == under[-1] == "*":
        dateline = under[1:-1]
        lines = lines[1:]
    figures = []
    while lines and (not lines[0].strip() or _FIGURE.fullmatch(lines[0])):
        line = lines.pop(0)
        if found := _FIGURE.fullmatch(line):
            figures.append(_as_figure(found))
    while lines and not lines[-1].strip():
        lines.pop()
    read_more = None
    if lines and (found := _LINK.fullmatch(lines[-1])):
        read_more = Link(url=_read_target(found), label=_unescaped(found["label"]))
        lines.pop()
    return Article(
        headline=piece.title,
        dateline=dateline,
        body=_unguarded(lines, first=_FIGURE, last=_LINK),
        figures=tuple(figures),
        read_more=read_more,
    )


def _unguarded(
    lines: list[str], first: re.Pattern[str] | None = None, last: re.Pattern[str] | None = None
) -> str:
    body = "\n".join(_unguard(line, _STRUCTURE) for line in lines).strip().split("\n")
    if first:
        body[0] = _unguard(body[0], first)
    if last:
        body[-1] = _unguard(body[-1], last)
    return "\n".join(body)


def _unguard(line: str, pattern: re.Pattern[str]) -> str:
    return line[1:] if line.startswith("\\") and pattern.fullmatch(line.lstrip("\\")) else line


def _read_text(piece: _Piece) -> Text:
    return Text(body=_unguarded([line for _, line in piece.lines]))


def _read_quotes(piece: _Piece) -> Quotes:
    groups: list[list[str]] = []
    together = False
    for number, line in piece.lines:
        if line.strip() and not line.startswith(">"):
            raise piece.error(Sentence("every line of a quote starts with “>”"), number)
        if line.strip():
            groups[-1:] = [[*groups[-1], line[1:]]] if together else [*groups[-1:], [line[1:]]]
        together = bool(line.strip())
    return Quotes(title=piece.title, quotes=tuple(map(_read_quote, groups)))


def _read_quote(lines: list[str]) -> Quote:
    said = [line.removeprefix(" ") for line in lines]
    who: list[str] = []
    if by := _SAID_BY.fullmatch(said[-1]):
        who = _split(by["who"])
        said.pop()
    text = "\n".join(said).strip().split("\n")
    text[-1] = _unguard(text[-1], _SAID_BY)
    name, title, organisation, country = _padded(who, 4)
    return Quote(
        text="\n".join(text), attribution=name, title=title, organisation=organisation, country=country
    )


def _read_moderators(piece: _Piece) -> Moderators:
    people = []
    for number, line in piece.filled():
        if not line.startswith("-"):
            raise piece.error(Sentence("every person's line starts with “- ”"), number)
        name, title, organisation, country = _padded(_fit(piece, number, line[1:], 4), 4)
        people.append(Person(name=name, title=title, organisation=organisation, country=country))
    return Moderators(label=piece.title, people=tuple(people))


def _read_banner(piece: _Piece) -> Banner:
    texts: dict[str, BannerText] = {}
    for number, line in piece.filled():
        language, value = _read_field(number, line, LANGUAGES)
        title, date, place = _padded(_fit(piece, number, value, 3), 3)
        texts[language] = BannerText(title=title, date=date, place=place)
    if missing := [language for language in LANGUAGES if language not in texts]:
        raise piece.error(
            Sentence("the line “{language}: title | date | place” is missing", language=missing[0])
        )
    return Banner(zh=texts["zh"], en=texts["en"])


def _read_figure(piece: _Piece) -> Figure:
    found = _FIGURE.fullmatch(_only_line(piece, "![what it shows](file.png)"))
    if not found:
        raise piece.error(Sentence('the line must read ![what it shows](file.png "caption")'))
    return _as_figure(found)


def _read_button(piece: _Piece) -> Button:
    found = _LINK.fullmatch(_only_line(piece, "[label](address)"))
    if not found:
        raise piece.error(Sentence("the line must read [label](address)"))
    return Button(label=_unescaped(found["label"]), url=_read_target(found))


def _read_divider(piece: _Piece) -> Divider:
    if piece.filled():
        raise piece.error(Sentence("nothing may stand between “:::divider” and “:::”"))
    return Divider()


def _read_contact(piece: _Piece) -> Contact:
    entries: list[dict[str, str]] = []
    together = False
    for number, line in piece.lines:
        if line.strip():
            key, value = _read_field(number, line, ContactEntry.model_fields)
            entries = entries if together else [*entries, {}]
            entries[-1][key] = value
        together = bool(line.strip())
    return Contact(entries=tuple(ContactEntry(**entry) for entry in entries if any(entry.values())))


def _only_line(piece: _Piece, form: str) -> str:
    lines = piece.filled()
    if len(lines) != 1 or piece.title:
        one = Sentence(
            "exactly one line must stand between “:::{block}” and “:::”: {form}", block=piece.name, form=form
        )
        raise piece.error(one)
    return lines[0][1]


def _as_figure(found: re.Match[str]) -> Figure:
    return Figure(
        src=_read_target(found),
        alt=_unescaped(found["label"]),
        caption=_unescaped(found["caption"] or ""),
        credit=_unescaped(found["credit"] or ""),
    )


def _read_target(found: re.Match[str]) -> str:
    return found["bare"] or _unescaped(found["angled"] or "")


def _fit(piece: _Piece, number: int, line: str, most: int) -> list[str]:
    values = _split(line)
    if len(values) > most:
        parts = Sentence(
            "at most {most} parts may stand between “|”; write \\| where the sign is meant", most=most
        )
        raise piece.error(parts, number)
    return values


def _split(line: str) -> list[str]:
    return [_unescaped(part) for part in re.findall(r"(?:^|\|)((?:\\.|[^\\|]|\\$)*)", line)]


def _padded(values: list[str], length: int) -> list[str]:
    return (values + [""] * length)[:length]


def _unescaped(text: str) -> str:
    return re.sub(r'\\([\\\[\]"<>|])', r"\1", text.strip())


_FENCED: dict[str, Callable[[_Piece], Block]] = {
    "text": _read_text,
    "quotes": _read_quotes,
    "moderators": _read_moderators,
    "banner": _read_banner,
    "figure": _read_figure,
    "button": _read_button,
    "divider": _read_divider,
    "contact": _read_contact,
}
_BLOCKS: dict[str, Callable[[_Piece], Block]] = {"article": _read_article, **_FENCED}
