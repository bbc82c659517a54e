"""Plain text that came out of Word or a PDF, made into a draft.

The shapes it knows: a head (name, issuer, perhaps number and date); a contents list (bullets, numbers or
dotted lines) under section names; sections that begin where their name stands alone; a short line before
running text is a headline; a short line before texts that end in "— Office Name" heads a collection of
quotes; a name and an office in two lines above a text are a speaker too; "moderator: …" names moderators;
a title and a date in both languages are a banner; "mail: …", "fax: …" make a contact block; an address on
the web alone in its line is a button or an article's link. What fits no shape stays as text, with a doubt.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailer.content.document import (
    Article,
    Banner,
    BannerText,
    Block,
    Button,
    Contact,
    ContactEntry,
    Document,
    Language,
    Link,
    Masthead,
    Moderators,
    Person,
    Quote,
    Quotes,
    Section,
    Text,
    content_characters,
)
from mailer.content.readers import pages
from mailer.content.readers.dates import DATE, MONTH_YEAR, issue_date
from mailer.content.readers.doubts import Findings, look_over
from mailer.content.readers.draft import Doubt, Draft, Dropped
from mailer.content.readers.pages import (
    HEADING_WIDTH,
    Paragraph,
    Row,
    ends_sentence,
    glue,
    has_chinese,
    width,
)
from mailer.content.readers.people import Named, names_speaker, split_person

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]+")
_CONTENTS_WORD = re.compile(
    r"目\s*录|本期(?:要目|内容|目录)|contents|table of contents|in this issue", re.IGNORECASE
)
_CONTACT_WORD = re.compile(r"联系|联络|contact|get in touch", re.IGNORECASE)
_ISSUER_WORD = re.compile(
    r"秘书处|办公室|委员会|编辑部|主办|联盟|协会"
    r"|secretariat|office|published by|committee|association|coalition|network",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?:总?第\s*\d+\s*期|(?:issue|no\.?|number|vol\.?)\s*\d+(?:[ ,]*(?:issue|no\.?)\s*\d+)?)", re.IGNORECASE
)
_MODERATES = re.compile(
    r"(?P<label>.*?(?:主持人?|moderators?|moderated by|facilitators?|chaired by|co-chairs?|chairs?))"
    r"\s*(?P<sign>[:：])\s*(?P<people>.+)",
    re.IGNORECASE,
)
_WEB = re.compile(r"(?P<open><?)(?P<url>(?:https?://|www\.)[^\s<>]+)(?P<close>>?)", re.IGNORECASE)
_FIELD_WORDS = {
    "mail": r"(?:电子)?邮箱|(?:电子)?邮件|e-?mail|mail",
    "fax": r"传真|fax",
    "phone": r"(?:联系)?电话|手机|tel(?:ephone)?\.?|phone|mobile",
    "address": r"(?:通讯|联系)?地址|address",
    "web": r"网址|网站|官网|web(?:site| ?page)?|url",
    "person": r"联系人|联络人|contact(?: person)?|attn\.?",
}
_CONTACT_FIELD = re.compile(
    "(?P<label>(?:" + "|".join(f"(?P<{key}>{words})" for key, words in _FIELD_WORDS.items()) + r")\s*[:：])"
    r"\s*(?P<value>.*)",
    re.IGNORECASE,
)
_Parts = tuple[Sequence[Paragraph], Sequence[Paragraph], Sequence[Paragraph]]  # head, contents, body
_SIMILAR = 0.75  # share of characters in common from which two headlines are taken for the same item


@dataclass
class _Open:
    """A block while lines are still being added to it."""

    kind: str
    title: str = ""
    dateline: str = ""
    paragraphs: list[str] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    entries: list[dict[str, str]] = field(default_factory=list)
    link: Link | None = None
    done: Block | None = None

    def build(self) -> Block:
        match self.kind:
            case "article":
                body = "\n\n".join(self.paragraphs)
                return Article(headline=self.title, dateline=self.dateline, body=body, read_more=self.link)
            case "quotes":
                return Quotes(title=self.title, quotes=tuple(self.quotes))
            case "contact":
                return Contact(entries=tuple(ContactEntry(**entry) for entry in self.entries))
            case "text":
                return Text(body="\n\n".join(self.paragraphs))
            case _:
                assert self.done is not None
                return self.done


@dataclass
class _Contents:
    """The contents list: section names in order, and items as (line, title, section name)."""

    sections: list[str] = field(default_factory=list)
    section_rows: dict[str, Row] = field(default_factory=dict)
    items: list[tuple[int, str, str]] = field(default_factory=list)


def read_text(text: str, language: Language | None = None) -> Draft:
    """Make a draft of plain text. ``language`` None: the script most of it is written in."""
    reader = _Reader()
    document = reader.read(text, language or ("zh" if _is_chinese(text) else "en"))
    written = sum(1 for char in text if not char.isspace())
    dropped = sum(1 for piece in reader.dropped for char in piece.text if not char.isspace())
    return Draft(
        document=document,
        dropped=tuple(sorted(reader.dropped)),
        doubts=tuple(sorted(set(reader.doubts))),
        body_characters={"source": written - dropped, "document": content_characters(document)},
    )


def _is_chinese(text: str) -> bool:
    """A Chinese character says about as much as three Latin letters."""
    chinese = sum(1 for char in text if has_chinese(char))
    latin = sum(1 for char in text if char.isascii() and char.isalpha())
    return chinese * 3 > latin


class _Reader:
    """One reading of one text: paragraphs go in at the top, open blocks come out at the bottom."""

    def __init__(self) -> None:
        self.dropped: list[Dropped] = []
        self.doubts: list[Doubt] = []
        self.findings = Findings()
        self.sections: list[tuple[str, list[_Open]]] = []
        self.contents = _Contents()
        self.paragraphs: list[Paragraph] = []
        self.in_contact = False
        self.label = ""

    def drop(self, line: int, text: str, why: str) -> None:
        if text:
            self.dropped.append(Dropped(line, text, why))

    def drop_sign(self, rows: Sequence[Row], sign: str, why: str) -> None:
        """Drop a sign that stands in one of these rows."""
        self.drop(next((row.number for row in rows if sign in row.text), rows[0].number), sign, why)

    def doubt(self, line: int, what: str) -> None:
        self.doubts.append(Doubt(line, what))

    # --- from lines to a document ---------------------------------------------------------------------

    def read(self, text: str, language: Language) -> Document:
        rows = [self._printable(row) for row in pages.rows_of(text)]
        rows = self._without_page_numbers(rows)
        head, contents, body = self._grouped(rows)
        masthead, left_over = self._masthead(head)
        self._read_contents(contents)
        self.paragraphs = self._without_heads(body, masthead)
        self._open_first_section()
        for paragraph in left_over:
            self._keep_as_text(
                paragraph, "stands in the head of the issue and was put at the start of the text"
            )
        self._read_body()
        lines = [row for row in rows if row]
        self.doubts += look_over(self.findings, lines, self.contents.items, self.contents.sections)
        sections = tuple(
            Section(title=title, blocks=tuple(block.build() for block in blocks))
            for title, blocks in self.sections
        )
        return Document(language=language, masthead=masthead, sections=sections)

    def _printable(self, row: Row | None) -> Row | None:
        if row is None or not _CONTROL.search(row.text):
            return row
        for piece in _CONTROL.findall(row.text):
            self.drop(row.number, piece, "a control character, which no letter can hold")
        text = _CONTROL.sub("", row.text).strip()
        return Row(row.number, text, row.indented) if text else None

    def _without_page_numbers(self, rows: Sequence[Row | None]) -> list[Row | None]:
        kept: list[Row | None] = []
        for n, row in enumerate(rows):
            alone = n in (0, len(rows) - 1) or None in (rows[n - 1], rows[n + 1])
            if row and alone and pages.is_page_number(row.text):
                self.drop(row.number, row.text, "a page number")
            else:
                kept.append(row)
        return kept

    def _grouped(self, rows: Sequence[Row | None]) -> _Parts:
        """Group the lines; what the contents list names stands alone wherever it comes again."""
        _, contents, body = _parts(pages.paragraphs(rows, _is_field_line))
        listed = {row.text for paragraph in contents for row in paragraph.rows}
        names = listed & {row.text for paragraph in body for row in paragraph.rows}
        return _parts(pages.paragraphs(rows, lambda line: line in names or _is_field_line(line)))

    def _masthead(self, head: Sequence[Paragraph]) -> tuple[Masthead, list[Paragraph]]:
        rows = [row for paragraph in head for row in paragraph.rows]
        number: str | None = None
        date: datetime.date | None = None
        names: list[Row] = []
        for row in rows:
            if not names or not _says_number_or_date(row.text):
                names.append(row)
                continue
            found = _NUMBER.search(row.text)
            taken = found[0] if found and number is None else ""
            number, date = taken or number, date or issue_date(row.text)
            for rest in row.text.split(taken, 1) if taken else (row.text,):
                self.drop(row.number, rest.strip(), "the issue's date, or what stands beside its number")
        title, issuer = (*(row.text for row in names[:2]), "", "")[:2]
        left_over = [Paragraph((row,)) for row in names[2:]]
        return Masthead(title=title, issuer=issuer, number=number, date=date), left_over

    def _read_contents(self, contents: Sequence[Paragraph]) -> None:
        section = ""
        for paragraph in contents:
            for row in paragraph.rows:
                self.drop(row.number, row.text, "a line of the contents list, which is generated anew")
            title = _listed(paragraph)
            if title is not None:
                self.contents.items.append((paragraph.number, title, section))
            elif not _is_contents_word(paragraph):
                section = paragraph.rows[-1].text
                self.contents.section_rows |= {row.text: row for row in paragraph.rows}
        self.contents.sections = list(self.contents.section_rows)

    def _without_heads(self, body: Sequence[Paragraph], masthead: Masthead) -> list[Paragraph]:
        """Take out page heads: a title or counted line, and a heading that comes again."""
        rows = [row for paragraph in body for row in paragraph.rows]
        heads = pages.running_heads(rows, (masthead.title, masthead.issuer))
        alone = [p.text for p in body if len(p.rows) == 1 and _is_short(p) and not _is_contact_field(p)]
        again = pages.repeated(alone)
        seen: set[str] = set()
        kept: list[Paragraph] = []
        gap = 0
        for n, paragraph in enumerate(body):
            rest = tuple(row for row in paragraph.rows if row.number not in heads)
            for row in paragraph.rows:
                if row.number in heads:
                    self.drop(row.number, row.text, "a page head or foot")
            repeats = paragraph.text in again and paragraph.text in seen and len(paragraph.rows) == 1
            labels = n + 1 < len(body) and _is_contact_field(body[n + 1])
            seen.add(paragraph.text)
            if rest and repeats and not labels:
                self.drop(paragraph.number, paragraph.text, "a page head: this heading stands there already")
                rest = ()
            if rest:
                kept.append(Paragraph(rest, max(gap, paragraph.gap)))
            gap = 0 if rest else paragraph.gap + 1
        return kept

    # --- sections ---------------------------------------------------------------------------------------

    def _open_first_section(self) -> None:
        """The lead story often stands under a name that only the contents list gives."""
        if not self.paragraphs or self._is_section_line(self.paragraphs[0]) or not self.contents.sections:
            return
        item = self._contents_item(self.paragraphs[0].text)
        title = (item and item[2]) or self.contents.sections[0]
        row = self.contents.section_rows[title]
        if row.text in {paragraph.text for paragraph in self.paragraphs}:
            return
        self.dropped = [piece for piece in self.dropped if piece.line != row.number]
        self.sections.append((title, []))

    def _is_section_line(self, paragraph: Paragraph) -> bool:
        return len(paragraph.rows) == 1 and paragraph.text in self.contents.sections

    def _contents_item(self, title: str) -> tuple[int, str, str] | None:
        return max(
            (item for item in self.contents.items if _similarity(item[1], title) >= _SIMILAR),
            key=lambda item: _similarity(item[1], title),
            default=None,
        )

    def _open_section(self, paragraph: Paragraph) -> None:
        self.sections.append((paragraph.text, []))
        self.findings.sections.append((paragraph.number, paragraph.text))

    @property
    def blocks(self) -> list[_Open]:
        if not self.sections:
            self.sections.append(("", []))
            self.doubt(1, "The text does not say what its first section is called.")
        return self.sections[-1][1]

    def _current(self, kind: str) -> _Open:
        """Return the last block when it is of this kind, else open one."""
        if not self.blocks or self.blocks[-1].kind != kind:
            self.blocks.append(_Open(kind))
        return self.blocks[-1]

    # --- the body: each shape tries in turn -------------------------------------------------------------

    def _read_body(self) -> None:
        shapes: tuple[Callable[[int], int], ...] = (
            self._section,
            self._contact_section,
            self._moderators,
            self._contact_field,
            self._link,
            self._banner,
            self._speaker_above,
            self._running_text,
            self._collection,
            self._label,
            self._unnamed_section,
            self._headline,
            self._left_over,
        )
        at = 0
        while at < len(self.paragraphs):
            at = next(end for shape in shapes if (end := shape(at)) > at)

    def _section(self, at: int) -> int:
        if not self._is_section_line(self.paragraphs[at]):
            return at
        self._open_section(self.paragraphs[at])
        return at + 1

    def _contact_section(self, at: int) -> int:
        """A short line that speaks of contact, with fields further down, opens the last section."""
        paragraph = self.paragraphs[at]
        short = _is_short(paragraph) and not _is_contact_field(paragraph) and width(paragraph.text) <= 40
        if self.in_contact or not short or not _CONTACT_WORD.search(paragraph.text):
            return at
        if not any(_is_contact_field(later) for later in self.paragraphs[at + 1 :]):
            return at
        self.in_contact = True
        self._open_section(paragraph)
        return at + 1

    def _moderators(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        found = _MODERATES.fullmatch(paragraph.text)
        if not found or width(paragraph.text) > 2 * HEADING_WIDTH or ends_sentence(paragraph.text):
            return at
        self.drop_sign(paragraph.rows, found["sign"], "the colon before the moderators' names")
        named = self._person([found["people"]], paragraph.rows[::-1])
        person = Person(name=named.name, title=named.title)
        self.blocks.append(_Open("done", done=Moderators(label=found["label"], people=(person,))))
        return at + 1

    def _contact_field(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        if not _is_contact_field(paragraph):
            return at
        contact = self._current("contact")
        for row in paragraph.rows:
            found = _CONTACT_FIELD.fullmatch(row.text)
            if not found:
                contact.entries[-1]["address"] = glue([contact.entries[-1].get("address", ""), row.text])
                continue
            key = next(key for key in _FIELD_WORDS if found[key])
            if self.label or not contact.entries or contact.entries[-1].get(key):
                contact.entries.append({"label": self.label} if self.label else {})
                self.label = ""
            contact.entries[-1][key] = found["value"]
            self.drop(row.number, found["label"], "a field's label: the letter writes its own")
            if key == "mail":
                self.findings.mails.append((row.number, found["value"]))
        contact.entries = [entry for entry in contact.entries if any(entry.values())]
        if not contact.entries:
            self.blocks.pop()
        return at + 1

    def _link(self, at: int) -> int:
        """An address alone in its line, or a short line with the address in the next."""
        paragraph = self.paragraphs[at]
        after = self.paragraphs[at + 1] if at + 1 < len(self.paragraphs) else None
        if found := _WEB.fullmatch(paragraph.text):
            label, number, end = "", paragraph.number, at + 1
        elif after and _is_short(paragraph) and (found := _WEB.fullmatch(after.text)):
            label, number, end = paragraph.text, after.number, at + 2
        else:
            return at
        for bracket in (found["open"], found["close"]):
            self.drop(number, bracket, "a bracket around a web address")
        if self.blocks and self.blocks[-1].kind == "article" and not self.blocks[-1].link:
            self.blocks[-1].link = Link(url=found["url"], label=label)
        else:
            self.blocks.append(_Open("done", done=Button(label=label, url=found["url"])))
        return end

    def _banner(self, at: int) -> int:
        rows: list[Row] = []
        for end in range(at, min(at + 6, len(self.paragraphs))):
            if not _is_short(self.paragraphs[end]):
                return at
            rows += self.paragraphs[end].rows
            chinese = [row for row in rows if has_chinese(row.text)]
            latin = [row for row in rows if not has_chinese(row.text)]
            if _is_event(chinese) and _is_event(latin):
                banner = Banner(zh=self._banner_text(chinese), en=self._banner_text(latin))
                self.blocks.append(_Open("done", done=banner))
                return end + 1
        return at

    def _banner_text(self, rows: Sequence[Row]) -> BannerText:
        dated = next(row for row in rows if DATE.search(row.text))
        found = DATE.search(dated.text)
        assert found
        before, after = dated.text[: found.start()].strip(), dated.text[found.end() :].strip()
        place = glue([before, after])
        for sign in re.findall(r"^[,，、·|]|[,，、·|]$", place):
            self.drop(dated.number, sign, "the sign between a date and a place")
        place = re.sub(r"^[,，、·|]\s*|\s*[,，、·|]$", "", place)
        title = glue(row.text for row in rows if row is not dated)
        return BannerText(title=title, date=found[0], place=place)

    def _speaker_above(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        rows = [row.text for row in paragraph.rows]
        if not _is_short(paragraph) or not self._prose_at(at + 1) or not names_speaker(rows):
            return at
        if len(rows) == 1 and not (self.blocks and self.blocks[-1].kind == "quotes"):
            return at
        texts, end = self._prose_run(at + 1)
        self._add_quote(texts, rows, paragraph.rows)
        return end

    def _running_text(self, at: int) -> int:
        if not self._prose_at(at):
            return at
        texts, end = self._prose_run(at)
        speaker = self.paragraphs[end] if end < len(self.paragraphs) else None
        said_by = speaker and pages.dash_and_speaker(speaker)
        if speaker and said_by:
            quoted = texts if self.blocks and self.blocks[-1].kind == "quotes" else texts[-1:]
            self._add_prose(texts[: len(texts) - len(quoted)])
            self.drop(speaker.number, said_by[0], "the dash before a speaker: the letter draws its own")
            self._add_quote(quoted, said_by[1], speaker.rows)
            return end + 1
        self._add_prose(texts)
        return end

    def _collection(self, at: int) -> int:
        """A short line before texts that end in a dash and a speaker, or before such a speaker above."""
        if not _is_short(self.paragraphs[at]) or at + 1 >= len(self.paragraphs):
            return at
        _, end = self._prose_run(at + 1)
        closes = end > at + 1 and end < len(self.paragraphs) and pages.dash_and_speaker(self.paragraphs[end])
        speaks = self._prose_at(at + 2) and names_speaker([row.text for row in self.paragraphs[at + 1].rows])
        if not closes and not (speaks and len(self.paragraphs[at + 1].rows) > 1):
            return at
        if self._contents_item(self.paragraphs[at].text):
            return at
        self.blocks.append(_Open("quotes", self.paragraphs[at].text))
        return at + 1

    def _label(self, at: int) -> int:
        after = self.paragraphs[at + 1] if at + 1 < len(self.paragraphs) else None
        if not after or not _is_contact_field(after) or not _is_short(self.paragraphs[at]):
            return at
        self.label = self.paragraphs[at].text
        return at + 1

    def _unnamed_section(self, at: int) -> int:
        """Without a contents list, a short line above a headline is a section's name."""
        paragraph = self.paragraphs[at]
        if self.contents.sections or not _is_short(paragraph):
            return at
        if len(paragraph.rows) == 2 and self._prose_at(at + 1) and self._stands_apart(paragraph):
            headline = Paragraph(paragraph.rows[1:])
            self.paragraphs[at : at + 1] = [Paragraph(paragraph.rows[:1], paragraph.gap), headline]
        elif not (
            at + 2 < len(self.paragraphs) and _is_short(self.paragraphs[at + 1]) and self._prose_at(at + 2)
        ):
            return at
        if _dateline(self.paragraphs[at + 1].text):
            return at
        self._open_section(self.paragraphs[at])
        self.doubt(
            self.paragraphs[at].number, f"“{self.paragraphs[at].text}” was taken for a section's name."
        )
        return at + 1

    def _stands_apart(self, paragraph: Paragraph) -> bool:
        """Two short lines are name and headline, not one headline in two lines, if the first is short."""
        return width(paragraph.rows[0].text) <= 24 and not _dateline(paragraph.rows[1].text)

    def _headline(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        after = self.paragraphs[at + 1] if at + 1 < len(self.paragraphs) else None
        if not _is_short(paragraph) or after is None:
            return at
        rows = [row.text for row in paragraph.rows]
        if len(rows) > 1 and _dateline(rows[-1]) and self._prose_at(at + 1):
            dateline, headline, end = rows[-1], glue(rows[:-1]), at + 1
        elif self._prose_at(at + 1):
            dateline, headline, end = "", paragraph.text, at + 1
        elif _dateline(after.text) and _is_short(after) and self._prose_at(at + 2):
            dateline, headline, end = after.text, paragraph.text, at + 2
        else:
            return at
        self.blocks.append(_Open("article", headline, dateline))
        self.findings.headlines.append((paragraph.number, headline))
        return end

    def _left_over(self, at: int) -> int:
        self._keep_as_text(self.paragraphs[at], "is neither a heading nor a sentence; it was kept as text")
        return at + 1

    # --- pieces of the shapes ---------------------------------------------------------------------------

    def _prose_at(self, at: int) -> bool:
        if at >= len(self.paragraphs) or pages.dash_and_speaker(self.paragraphs[at]):
            return False
        paragraph = self.paragraphs[at]
        special = (
            _is_contact_field(paragraph) or self._is_section_line(paragraph) or _WEB.fullmatch(paragraph.text)
        )
        return _is_prose(paragraph) and not special and not self._is_moderators(paragraph)

    def _is_moderators(self, paragraph: Paragraph) -> bool:
        short = width(paragraph.text) <= 2 * HEADING_WIDTH and not ends_sentence(paragraph.text)
        return short and bool(_MODERATES.fullmatch(paragraph.text))

    def _prose_run(self, at: int) -> tuple[list[str], int]:
        """Collect running text from here; a paragraph cut by a page's end is put together again."""
        texts: list[str] = []
        cut = False
        end = at
        while self._prose_at(end):
            paragraph = self.paragraphs[end]
            text = paragraph.text
            if cut and texts and pages.bullet_text(text) is None:
                self._note_cut(texts[-1], paragraph.number)
                texts[-1] = glue([texts[-1], text])
            else:
                texts.append(text)
            cut = not ends_sentence(text) and pages.bullet_text(text) is None
            end += 1
        return texts, end

    def _note_cut(self, above: str, line: int) -> None:
        self.doubt(
            line,
            "This goes on a paragraph that a page's end had cut: see that the two halves belong together.",
        )
        if above.endswith(("-", "\u2010", "\u00ad")):
            self.doubt(
                line, "The word at the cut ends in a hyphen, which may only have parted its syllables."
            )

    def _add_prose(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        kind = "article" if self.blocks and self.blocks[-1].kind == "article" else "text"
        self._current(kind).paragraphs += _as_markdown(texts)

    def _keep_as_text(self, paragraph: Paragraph, why: str) -> None:
        self._add_prose([paragraph.text])
        self.doubt(paragraph.number, f"“{_short(paragraph.text)}” {why}.")

    def _add_quote(self, texts: Sequence[str], speaker: Sequence[str], rows: Sequence[Row]) -> None:
        named = self._person(speaker, rows)
        quote = Quote(text="\n\n".join(texts), attribution=named.name, title=named.title)
        self._current("quotes").quotes.append(quote)

    def _person(self, lines: Sequence[str], rows: Sequence[Row]) -> Named:
        """Split the speaker's lines, which stand in these rows, and note what was guessed."""
        named = split_person(lines)
        line = rows[0].number
        if named.left_out:
            self.drop_sign(rows, named.left_out, "the sign between a name and an office")
        self.findings.people.append((line, named.name, named.title))
        if not named.sure and named.title:
            self.doubt(
                line, f"“{named.title}” and “{named.name}” were parted by guess: see which is the office."
            )
        elif not named.title:
            self.doubt(
                line, f"No office was found for “{named.name}”: add it, or see whether this is the name."
            )
        return named


def _parts(paragraphs: Sequence[Paragraph]) -> _Parts:
    """Cut the text into head, contents and body; the first two lie before the first running text."""
    first_prose = (n for n, item in enumerate(paragraphs) if _is_prose(item) and _listed(item) is None)
    prose = next(first_prose, len(paragraphs))
    listed = [n for n in range(prose) if _listed(paragraphs[n]) is not None]
    words = [n for n in range(prose) if _is_contents_word(paragraphs[n])]
    if not listed:
        end = _head_end(paragraphs[:prose])
        return paragraphs[:end], (), paragraphs[end:]
    begin = min([*words, max(0, listed[0] - 1)])
    end = listed[-1] + 1
    return paragraphs[:begin], paragraphs[begin:end], paragraphs[end:]


def _head_end(lines: Sequence[Paragraph]) -> int:
    """Count the lines of a head that no contents list ends: the name, an issuer, number and date."""
    dated = [n for n, line in enumerate(lines[:5]) if n and _says_number_or_date(line.text)]
    if dated:
        return dated[-1] + 1
    if len(lines) > 2 and _ISSUER_WORD.search(lines[1].text):
        return 2
    return 1 if len(lines) > 1 else 0


def _is_prose(paragraph: Paragraph) -> bool:
    text = paragraph.text
    if width(text) > HEADING_WIDTH:
        return True
    return ends_sentence(text) or (pages.bullet_text(text) is not None and pages.leader(text) is None)


def _is_short(paragraph: Paragraph) -> bool:
    return not _is_prose(paragraph) and pages.dash_and_speaker(paragraph) is None


def _is_field_line(line: str) -> bool:
    return bool(_CONTACT_FIELD.fullmatch(line))


def _is_contact_field(paragraph: Paragraph) -> bool:
    return _is_field_line(paragraph.rows[0].text) and width(paragraph.text) <= 3 * HEADING_WIDTH


def _is_contents_word(paragraph: Paragraph) -> bool:
    return bool(_CONTENTS_WORD.fullmatch(paragraph.text.rstrip(":： ")))


def _listed(paragraph: Paragraph) -> str | None:
    """Return the title a line of a contents list gives, or None where it is no such line."""
    bullet = pages.bullet_text(paragraph.text)
    dotted = pages.leader(bullet or paragraph.text)
    return dotted[0] if dotted else bullet


def _says_number_or_date(text: str) -> bool:
    return width(text) < HEADING_WIDTH / 2 and bool(
        _NUMBER.search(text) or MONTH_YEAR.search(text) or DATE.search(text)
    )


def _dateline(text: str) -> bool:
    return width(text) <= HEADING_WIDTH / 2 and bool(DATE.search(text)) and not ends_sentence(text)


def _is_event(rows: Sequence[Row]) -> bool:
    return len(rows) > 1 and sum(1 for row in rows if _dateline(row.text)) == 1


def _similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _as_markdown(texts: Sequence[str]) -> list[str]:
    """Write plain paragraphs as Markdown: bullets make a list, everything else means itself."""
    found: list[str] = []
    listing = False
    for text in texts:
        bullet = None if text[0].isdigit() else pages.bullet_text(text)
        if bullet and listing:
            found[-1] += f"\n- {_literal(bullet)}"
        else:
            found.append(f"- {_literal(bullet)}" if bullet else _literal(text))
        listing = bullet is not None
    return found


def _literal(text: str) -> str:
    """Put a backslash before signs that Markdown would take for markup, and only there."""
    text = re.sub(
        r"([\\`*]|~~|<(?!https?://[^\s<>]+>)(?=[A-Za-z/!?])|&(?=#?\w+;)|\[(?=[^\]]*\][(\[:]))", r"\\\1", text
    )
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"^([#>+=-])|^(\d+)([.)])(?=\s)", lambda found: _escape_start(found), text)


def _escape_start(found: re.Match[str]) -> str:
    return f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}"
