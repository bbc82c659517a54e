"""Lines of a file that came out of Word or a PDF, put together again as paragraphs.

What such text looks like: blank lines between paragraphs, or none and one line per paragraph, or lines
broken at a fixed width; page numbers and page heads standing among the text; full-width or hyphen bullets;
a paragraph that stops without a full stop where the page ended.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

WIDE_LINE = 100  # columns; no one breaks lines by hand beyond it: such a line is a whole paragraph
HEADING_WIDTH = 120  # columns (60 Chinese characters); what is longer is running text

_BULLET = re.compile(r"(?:[-–•·●▪◆■*]|\d{1,2}[.)、])\s+(?P<text>\S.*)")
_DASH = re.compile(r"(?P<dash>—+|―+|–|--+)\s*(?P<who>[^\s—–-].*)")
_LEADER = re.compile(r"(?P<text>.*?\S)(?P<leader>\s*(?:[.．…·]\s?){3,}\s*\d{1,3})")
_PAGE_NUMBER = re.compile(
    r"(?:[-–—]\s*)?\d{1,3}(?:\s*[-–—])?|\d{1,3}\s*/\s*\d{1,3}|第\s*\d{1,3}\s*页(?:\s*共\s*\d{1,3}\s*页)?"
    r"|page\s+\d{1,3}(?:\s+of\s+\d{1,3})?",
    re.IGNORECASE,
)
_CLOSERS = "”’\"'）)】」』》]"
_SENTENCE_ENDS = "。！？!?.…：:；;"


@dataclass(frozen=True)
class Row:
    """One line of the source: its number (from 1), its text without the space around it, its indent."""

    number: int
    text: str
    indented: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Rows that belong together; never none."""

    rows: tuple[Row, ...]

    @property
    def text(self) -> str:
        return glue(row.text for row in self.rows)

    @property
    def number(self) -> int:
        return self.rows[0].number


def width(text: str) -> int:
    """Count columns: a Chinese, Japanese or Korean character takes two."""
    return sum(2 if is_wide(char) else 1 for char in text)


def is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def has_chinese(text: str) -> bool:
    return any("\u3400" <= char <= "\u9fff" for char in text)


def glue(texts: Iterator[str] | Sequence[str]) -> str:
    """Join pieces of one paragraph: Chinese needs no space where a line was broken, Latin does."""
    return reduce(_glue_two, texts, "")


def _glue_two(left: str, right: str) -> str:
    if not left or not right or is_wide(left[-1]) or is_wide(right[0]):
        return left + right
    return f"{left} {right}"


def ends_sentence(text: str) -> bool:
    """Tell whether a sentence, or a line that announces one with a colon, is complete."""
    bare = text.rstrip(_CLOSERS + " ")
    return bool(bare) and bare[-1] in _SENTENCE_ENDS


def bullet_text(text: str) -> str | None:
    """Return what follows a bullet or a short number, or None where there is no bullet."""
    found = _BULLET.fullmatch(text)
    return found["text"] if found else None


def leader(text: str) -> tuple[str, str] | None:
    """Split a contents line "Title ...... 4" into its title and the dots with the page, or return None."""
    found = _LEADER.fullmatch(text) if width(text) <= 2 * HEADING_WIDTH else None
    return (found["text"], found["leader"]) if found else None


def dash_and_speaker(paragraph: Paragraph) -> tuple[str, list[str]] | None:
    """Return the dash and the lines after it of a paragraph that says who spoke, or None."""
    first, *rest = (row.text for row in paragraph.rows)
    found = _DASH.fullmatch(first)
    if not found or width(paragraph.text) > HEADING_WIDTH:
        return None
    return found["dash"], [found["who"], *rest]


def rows_of(text: str) -> Iterator[Row | None]:
    """Walk the lines; None stands for a blank one. A form feed is a page's end: it counts as two blanks."""
    for number, line in enumerate(text.split("\n"), 1):
        for n, part in enumerate(line.split("\f")):
            if n:
                yield None
                yield None
            yield Row(number, part.strip(), part.startswith(("\u3000", "  ", "\t"))) if part.strip() else None


def is_page_number(text: str) -> bool:
    return bool(_PAGE_NUMBER.fullmatch(text))


def running_heads(rows: Sequence[Row], titles: Sequence[str]) -> set[int]:
    """Return the numbers of lines that are a page's head or foot.

    Those are a title of the issue with or without a page number, and short lines that come again with
    nothing but another number. ``titles``: how the issue and its issuer are called.
    """
    names = {_numberless(title) for title in titles if len(_numberless(title)) > 1}
    shapes: dict[str, set[str]] = {}
    for row in rows:
        if width(row.text) <= HEADING_WIDTH / 2 and any(char.isdigit() for char in row.text):
            shapes.setdefault(_numberless(row.text), set()).add(row.text)
    counted = {shape for shape, texts in shapes.items() if len(texts) > 1 and len(shape) > 3}
    return {
        row.number
        for row in rows
        if (shape := _numberless(row.text)) in names or (shape in counted and _ends_in_page(row.text))
    }


def _numberless(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text).casefold()


def _ends_in_page(text: str) -> bool:
    return bool(re.match(r"\d{1,3}\b(?!\s*[.,:年月日)])|.*[^\d.:@/-]\d{1,3}$", text)) and not ends_sentence(
        text
    )


def paragraphs(rows: Sequence[Row | None], stands_alone: Callable[[str], bool]) -> list[Paragraph]:
    """Group rows. ``stands_alone`` names lines that are never part of their neighbours."""
    found: list[Paragraph] = []
    block: list[Row] = []
    for row in [*rows, None]:
        if row:
            block.append(row)
        elif block:
            found += _split(block, stands_alone)
            block = []
    return found


def _split(block: Sequence[Row], stands_alone: Callable[[str], bool]) -> Iterator[Paragraph]:
    """Cut a run of lines without a blank one where a new paragraph starts all the same."""
    widest = max(width(row.text) for row in block)
    start = 0
    for n in range(1, len(block)):
        if _starts_paragraph(block[n - 1], block[n], widest, stands_alone):
            yield Paragraph(tuple(block[start:n]))
            start = n
    yield Paragraph(tuple(block[start:]))


def _starts_paragraph(above: Row, row: Row, widest: int, stands_alone: Callable[[str], bool]) -> bool:
    if row.indented and not above.indented and ends_sentence(above.text):
        return True
    if _is_marked(row.text) or stands_alone(row.text) or stands_alone(above.text):
        return True
    if max(width(above.text), width(row.text)) > WIDE_LINE:
        return True
    return ends_sentence(above.text) and width(above.text) < 0.75 * widest


def _is_marked(text: str) -> bool:
    return bool(_BULLET.fullmatch(text) or _DASH.fullmatch(text) or leader(text))


def repeated(texts: Sequence[str]) -> set[str]:
    """Return the texts that occur more than once."""
    return {text for text, times in Counter(texts).items() if times > 1}
