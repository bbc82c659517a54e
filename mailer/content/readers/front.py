"""What stands before and around the text: head, contents list, page numbers, page heads."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mailer.content.document import Masthead
from mailer.content.readers import pages
from mailer.content.readers.dates import issue_date
from mailer.content.readers.draft import Account
from mailer.content.readers.pages import Paragraph, Row, ends_sentence
from mailer.content.readers.shapes import (
    ISSUER_WORD,
    NUMBER,
    is_contact_field,
    is_contents_word,
    is_field_line,
    is_prose,
    is_short,
    listed_title,
    says_number_or_date,
)
from mailer.sentence import Sentence

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]+")
Parts = tuple[Sequence[Paragraph], Sequence[Paragraph], Sequence[Paragraph]]  # head, contents, body


@dataclass
class Contents:
    """The contents list: section names in order, and items as (line, title, section name)."""

    section_rows: dict[str, Row] = field(default_factory=dict)
    items: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def sections(self) -> list[str]:
        return list(self.section_rows)


def printable_row(row: Row | None, account: Account) -> Row | None:
    """Take control characters out of a line."""
    if row is None or not _CONTROL.search(row.text):
        return row
    for piece in _CONTROL.findall(row.text):
        account.drop(row.number, piece, Sentence("a control character, which no letter can hold"))
    text = _CONTROL.sub("", row.text).strip()
    return Row(row.number, text, row.indented) if text else None


def without_page_numbers(rows: Sequence[Row | None], account: Account) -> list[Row | None]:
    """Take out numbers that stand alone between blank lines."""
    kept: list[Row | None] = []
    for n, row in enumerate(rows):
        alone = n in (0, len(rows) - 1) or None in (rows[n - 1], rows[n + 1])
        if row and alone and pages.is_page_number(row.text):
            account.drop(row.number, row.text, Sentence("a page number"))
        else:
            kept.append(row)
    return kept


def grouped(rows: Sequence[Row | None]) -> Parts:
    """Group the lines; what the contents list names stands alone wherever it comes again."""
    _, contents, body = _parts(pages.paragraphs(rows, is_field_line))
    listed = {row.text for paragraph in contents for row in paragraph.rows}
    names = listed & {row.text for paragraph in body for row in paragraph.rows}
    return _parts(pages.paragraphs(rows, lambda line: line in names or is_field_line(line)))


def _parts(paragraphs: Sequence[Paragraph]) -> Parts:
    """Cut the text into head, contents and body; the first two lie before the first running text."""
    first_prose = (n for n, item in enumerate(paragraphs) if is_prose(item) and listed_title(item) is None)
    prose = next(first_prose, len(paragraphs))
    listed = [n for n in range(prose) if listed_title(paragraphs[n]) is not None]
    words = [n for n in range(prose) if is_contents_word(paragraphs[n])]
    if not listed:
        end = _head_end(paragraphs[:prose])
        return paragraphs[:end], (), paragraphs[end:]
    begin = min([*words, max(0, listed[0] - 1)])
    end = listed[-1] + 1
    return paragraphs[:begin], paragraphs[begin:end], paragraphs[end:]


def _head_end(lines: Sequence[Paragraph]) -> int:
    """Count the lines of a head that no contents list ends: the name, an issuer, number and date."""
    dated = [n for n, line in enumerate(lines[:5]) if n and says_number_or_date(line.text)]
    if dated:
        return dated[-1] + 1
    if len(lines) > 2 and ISSUER_WORD.search(lines[1].text):
        return 2
    return 1 if len(lines) > 1 else 0


def read_masthead(head: Sequence[Paragraph], account: Account) -> tuple[Masthead, list[Paragraph]]:
    """Read name, issuer, number and date; what is none of these is handed back."""
    rows = [row for paragraph in head for row in paragraph.rows]
    number: str | None = None
    date: datetime.date | None = None
    names: list[Row] = []
    for row in rows:
        if not names or not says_number_or_date(row.text):
            names.append(row)
            continue
        found = NUMBER.search(row.text)
        taken = found[0] if found and number is None else ""
        number, date = taken or number, date or issue_date(row.text)
        for rest in row.text.split(taken, 1) if taken else (row.text,):
            why = Sentence("the issue's date, or what stands beside its number")
            account.drop(row.number, rest.strip(), why)
    title, issuer = (*(row.text for row in names[:2]), "", "")[:2]
    left_over = [Paragraph((row,)) for row in names[2:]]
    return Masthead(title=title, issuer=issuer, number=number, date=date), left_over


def read_contents(paragraphs: Sequence[Paragraph], account: Account) -> Contents:
    """Read the contents list, which leaves the text: it is generated anew."""
    contents = Contents()
    section = ""
    for paragraph in paragraphs:
        for row in paragraph.rows:
            why = Sentence("a line of the contents list, which is generated anew")
            account.drop(row.number, row.text, why)
        title = listed_title(paragraph)
        if title is not None:
            contents.items.append((paragraph.number, title, section))
        elif not is_contents_word(paragraph):
            section = paragraph.rows[-1].text
            contents.section_rows |= {row.text: row for row in paragraph.rows}
    return contents


def without_heads(
    body: Sequence[Paragraph], masthead: Masthead, contents: Contents, account: Account
) -> list[Paragraph]:
    """Take out page heads: a title of the issue, a counted line, a heading that comes again."""
    rows = [row for paragraph in body for row in paragraph.rows]
    heads = pages.running_heads(rows, (masthead.title, masthead.issuer))
    again = pages.repeated([item.text for item in body if _could_head_a_page(item)])
    seen: set[str] = set()
    kept: list[Paragraph] = []
    for n, paragraph in enumerate(body):
        for row in paragraph.rows:
            if row.number in heads:
                account.drop(row.number, row.text, Sentence("a page head or foot"))
        rest = tuple(row for row in paragraph.rows if row.number not in heads)
        labels = n + 1 < len(body) and is_contact_field(body[n + 1])
        interrupts = _is_cut(kept) and paragraph.text not in contents.sections
        repeats = _could_head_a_page(paragraph) and paragraph.text in again
        if rest and repeats and not labels and (interrupts or paragraph.text in seen):
            why = Sentence("a page head: this line comes again and again")
            account.drop(paragraph.number, paragraph.text, why)
        elif rest:
            kept.append(Paragraph(rest))
        seen.add(paragraph.text)
    return kept


def _could_head_a_page(paragraph: Paragraph) -> bool:
    return len(paragraph.rows) == 1 and is_short(paragraph) and not is_contact_field(paragraph)


def _is_cut(kept: Sequence[Paragraph]) -> bool:
    return bool(kept) and is_prose(kept[-1]) and not ends_sentence(kept[-1].text)
