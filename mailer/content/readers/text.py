"""Plain text that came out of Word or a PDF, made into a draft.

The shapes it knows: a head (name, issuer, perhaps number and date); a contents list (bullets, numbers or
dotted lines) under section names; sections that begin where their name stands alone; a short line before
running text is a headline; a short line before texts that end in "— Office Name" heads a collection of
quotes; a name and an office in two lines above a text are a speaker too; "moderator: …" names moderators;
a title and a date in both languages are a banner; "mail: …", "fax: …" make a contact block; an address on
the web alone in its line is a button or an article's link. What fits no shape stays as text, with a doubt.
"""

from __future__ import annotations

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
    Moderators,
    Person,
    Quote,
    Quotes,
    Section,
    Text,
    content_characters,
)
from mailer.content.readers import pages
from mailer.content.readers.dates import DATE
from mailer.content.readers.doubts import Findings, look_over
from mailer.content.readers.draft import Account, Draft
from mailer.content.readers.front import (
    Contents,
    grouped,
    printable_row,
    read_contents,
    read_masthead,
    without_heads,
    without_page_numbers,
)
from mailer.content.readers.literal import as_markdown
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
from mailer.content.readers.shapes import (
    CONTACT_FIELD,
    CONTACT_WORD,
    FIELD_WORDS,
    MODERATES,
    SIMILAR,
    WEB,
    is_contact_field,
    is_dateline,
    is_event,
    is_prose,
    is_short,
    shortened,
    similarity,
)
from mailer.sentence import Sentence


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


def read_text(text: str, language: Language | None = None) -> Draft:
    """Make a draft of plain text. ``language`` None: the script most of it is written in."""
    account = Account()
    rows = without_page_numbers([printable_row(row, account) for row in pages.rows_of(text)], account)
    head, listed, body = grouped(rows)
    masthead, left_over = read_masthead(head, account)
    contents = read_contents(listed, account)
    reader = _Reader(account, contents, without_heads(body, masthead, contents, account))
    sections = reader.read(left_over)
    account.doubts += look_over(reader.findings, [row for row in rows if row], contents)
    language = language or ("zh" if _is_chinese(text) else "en")
    document = Document(language=language, masthead=masthead, sections=sections)
    written = sum(1 for char in text if not char.isspace())
    dropped = sum(1 for piece in account.dropped for char in piece.text if not char.isspace())
    return Draft(
        document=document,
        dropped=tuple(sorted(account.dropped)),
        doubts=tuple(sorted(set(account.doubts))),
        body_characters={"source": written - dropped, "document": content_characters(document)},
    )


def _is_chinese(text: str) -> bool:
    """A Chinese character says about as much as three Latin letters."""
    chinese = sum(1 for char in text if has_chinese(char))
    latin = sum(1 for char in text if char.isascii() and char.isalpha())
    return chinese * 3 > latin


class _Reader:
    """One reading of one body: paragraphs go in at the top, open blocks come out at the bottom."""

    def __init__(self, account: Account, contents: Contents, paragraphs: list[Paragraph]) -> None:
        self.account = account
        self.contents = contents
        self.paragraphs = paragraphs
        self.findings = Findings()
        self.sections: list[tuple[str, list[_Open]]] = []
        self.in_contact = False
        self.label = ""

    def read(self, left_over: Sequence[Paragraph]) -> tuple[Section, ...]:
        """Read the body; ``left_over`` are lines of the head that are neither name nor date."""
        self._open_first_section()
        for paragraph in left_over:
            self._add_prose([paragraph.text])
            head = Sentence(
                "“{text}” stands in the issue's head and was put at the start of the text.",
                text=shortened(paragraph.text),
            )
            self.account.doubt(paragraph.number, head)
        self._read_body()
        return tuple(
            Section(title=title, blocks=tuple(block.build() for block in blocks))
            for title, blocks in self.sections
        )

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
        self.account.keep(row)
        self.sections.append((title, []))

    def _is_section_line(self, paragraph: Paragraph) -> bool:
        alone = len(paragraph.rows) == 1 and not is_contact_field(paragraph)
        return alone and paragraph.text in self.contents.sections

    def _contents_item(self, title: str) -> tuple[int, str, str] | None:
        return max(
            (item for item in self.contents.items if similarity(item[1], title) >= SIMILAR),
            key=lambda item: similarity(item[1], title),
            default=None,
        )

    def _open_section(self, paragraph: Paragraph) -> None:
        self.sections.append((paragraph.text, []))
        self.findings.sections.append((paragraph.number, paragraph.text))

    @property
    def blocks(self) -> list[_Open]:
        if not self.sections:
            self.sections.append(("", []))
            self.account.doubt(1, Sentence("The text does not say what its first section is called."))
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
        short = is_short(paragraph) and not is_contact_field(paragraph) and width(paragraph.text) <= 40
        if self.in_contact or not short or not CONTACT_WORD.search(paragraph.text):
            return at
        if not any(is_contact_field(later) for later in self.paragraphs[at + 1 :]):
            return at
        self.in_contact = True
        self._open_section(paragraph)
        return at + 1

    def _moderators(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        found = self._moderating(paragraph)
        if not found:
            return at
        self.account.drop_sign(
            paragraph.rows, found["sign"], Sentence("the colon before the moderators' names")
        )
        named = self._person([found["people"]], paragraph.rows[::-1])
        person = Person(name=named.name, title=named.title)
        self.blocks.append(_Open("done", done=Moderators(label=found["label"], people=(person,))))
        return at + 1

    def _contact_field(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        if not is_contact_field(paragraph):
            return at
        contact = self._current("contact")
        for row in paragraph.rows:
            found = CONTACT_FIELD.fullmatch(row.text)
            if not found:
                contact.entries[-1]["address"] = glue([contact.entries[-1].get("address", ""), row.text])
                continue
            key = next(key for key in FIELD_WORDS if found[key])
            if self.label or not contact.entries or contact.entries[-1].get(key):
                contact.entries.append({"label": self.label} if self.label else {})
                self.label = ""
            contact.entries[-1][key] = found["value"]
            why = Sentence("a field's label: the letter writes its own")
            self.account.drop(row.number, found["label"], why)
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
        if found := WEB.fullmatch(paragraph.text):
            label, number, end = "", paragraph.number, at + 1
        elif after and is_short(paragraph) and (found := WEB.fullmatch(after.text)):
            label, number, end = paragraph.text, after.number, at + 2
        else:
            return at
        for bracket in (found["open"], found["close"]):
            self.account.drop(number, bracket, Sentence("a bracket around a web address"))
        if self.blocks and self.blocks[-1].kind == "article" and not self.blocks[-1].link:
            self.blocks[-1].link = Link(url=found["url"], label=label)
        else:
            self.blocks.append(_Open("done", done=Button(label=label, url=found["url"])))
        return end

    def _banner(self, at: int) -> int:
        rows: list[Row] = []
        for end in range(at, min(at + 6, len(self.paragraphs))):
            if not is_short(self.paragraphs[end]):
                return at
            rows += self.paragraphs[end].rows
            chinese = [row for row in rows if has_chinese(row.text)]
            latin = [row for row in rows if not has_chinese(row.text)]
            if is_event(chinese) and is_event(latin):
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
            self.account.drop(dated.number, sign, Sentence("the sign between a date and a place"))
        place = re.sub(r"^[,，、·|]\s*|\s*[,，、·|]$", "", place)
        title = glue(row.text for row in rows if row is not dated)
        return BannerText(title=title, date=found[0], place=place)

    def _speaker_above(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        rows = [row.text for row in paragraph.rows]
        if not is_short(paragraph) or not self._prose_at(at + 1) or not names_speaker(rows):
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
            why = Sentence("the dash before a speaker, drawn by the letter")
            self.account.drop(speaker.number, said_by[0], why)
            self._add_quote(quoted, said_by[1], speaker.rows)
            return end + 1
        self._add_prose(texts)
        return end

    def _collection(self, at: int) -> int:
        """A short line before texts that end in a dash and a speaker, or before such a speaker above."""
        if not is_short(self.paragraphs[at]) or at + 1 >= len(self.paragraphs):
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
        if not after or not is_contact_field(after) or not is_short(self.paragraphs[at]):
            return at
        self.label = self.paragraphs[at].text
        return self._contact_field(at + 1)

    def _unnamed_section(self, at: int) -> int:
        """Without a contents list, a short line above a headline is a section's name."""
        paragraph = self.paragraphs[at]
        if self.contents.sections or not is_short(paragraph):
            return at
        if len(paragraph.rows) == 2 and self._prose_at(at + 1) and self._stands_apart(paragraph):
            headline = Paragraph(paragraph.rows[1:])
            self.paragraphs[at : at + 1] = [Paragraph(paragraph.rows[:1]), headline]
        elif not (
            at + 2 < len(self.paragraphs) and is_short(self.paragraphs[at + 1]) and self._prose_at(at + 2)
        ):
            return at
        if is_dateline(self.paragraphs[at + 1].text):
            return at
        self._open_section(self.paragraphs[at])
        name = self.paragraphs[at]
        taken = Sentence("“{name}” was taken for a section's name.", name=name.text)
        self.account.doubt(name.number, taken)
        return at + 1

    def _stands_apart(self, paragraph: Paragraph) -> bool:
        """Two short lines are name and headline, not one headline in two lines, if the first is short."""
        return width(paragraph.rows[0].text) <= 24 and not is_dateline(paragraph.rows[1].text)

    def _headline(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        after = self.paragraphs[at + 1] if at + 1 < len(self.paragraphs) else None
        if not is_short(paragraph) or after is None:
            return at
        rows = [row.text for row in paragraph.rows]
        if len(rows) > 1 and is_dateline(rows[-1]) and self._prose_at(at + 1):
            dateline, headline, end = rows[-1], glue(rows[:-1]), at + 1
        elif self._prose_at(at + 1):
            dateline, headline, end = "", paragraph.text, at + 1
        elif is_dateline(after.text) and is_short(after) and self._prose_at(at + 2):
            dateline, headline, end = after.text, paragraph.text, at + 2
        else:
            return at
        self.blocks.append(_Open("article", headline, dateline))
        self.findings.headlines.append((paragraph.number, headline))
        return end

    def _left_over(self, at: int) -> int:
        paragraph = self.paragraphs[at]
        self._add_prose([paragraph.text])
        neither = Sentence(
            "“{text}” is neither a heading nor a sentence; it was kept as text.",
            text=shortened(paragraph.text),
        )
        self.account.doubt(paragraph.number, neither)
        return at + 1

    # --- pieces of the shapes ---------------------------------------------------------------------------

    def _prose_at(self, at: int) -> bool:
        if at >= len(self.paragraphs) or pages.dash_and_speaker(self.paragraphs[at]):
            return False
        paragraph = self.paragraphs[at]
        special = (
            is_contact_field(paragraph) or self._is_section_line(paragraph) or WEB.fullmatch(paragraph.text)
        )
        return is_prose(paragraph) and not special and not self._moderating(paragraph)

    def _moderating(self, paragraph: Paragraph) -> re.Match[str] | None:
        short = width(paragraph.text) <= 2 * HEADING_WIDTH and not ends_sentence(paragraph.text)
        return MODERATES.fullmatch(paragraph.text) if short else None

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
        self.account.doubt(
            line,
            Sentence(
                "This goes on a paragraph that a page's end had cut: see that the two halves belong together."
            ),
        )
        if above.endswith(("-", "\u2010", "\u00ad")):
            hyphen = Sentence(
                "The word at the cut ends in a hyphen, which may only have parted its syllables."
            )
            self.account.doubt(line, hyphen)

    def _add_prose(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        kind = "article" if self.blocks and self.blocks[-1].kind == "article" else "text"
        self._current(kind).paragraphs += as_markdown(texts)

    def _add_quote(self, texts: Sequence[str], speaker: Sequence[str], rows: Sequence[Row]) -> None:
        named = self._person(speaker, rows)
        quote = Quote(text="\n\n".join(texts), attribution=named.name, title=named.title)
        self._current("quotes").quotes.append(quote)

    def _person(self, lines: Sequence[str], rows: Sequence[Row]) -> Named:
        """Split the speaker's lines, which stand in these rows, and note what was guessed."""
        named = split_person(lines)
        line = rows[0].number
        if named.left_out:
            self.account.drop_sign(rows, named.left_out, Sentence("the sign between a name and an office"))
        self.findings.people.append((line, named.name, named.title))
        if not named.sure and named.title:
            parted = Sentence(
                "“{title}” and “{name}” were parted by guess: see which is the office.",
                title=named.title,
                name=named.name,
            )
            self.account.doubt(line, parted)
        elif not named.title:
            none = Sentence(
                "No office was found for “{name}”: add it, or see whether this is the name.", name=named.name
            )
            self.account.doubt(line, none)
        return named
