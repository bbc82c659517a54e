"""What a paragraph looks like: a headline, running text, a field of a contact, a line of a contents list."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from mailer.content.readers import pages
from mailer.content.readers.dates import DATE, MONTH_YEAR
from mailer.content.readers.pages import HEADING_WIDTH, Paragraph, Row, ends_sentence, width

_CONTENTS_WORD = re.compile(
    r"目\s*录|本期(?:要目|内容|目录)|contents|table of contents|in this issue", re.IGNORECASE
)
CONTACT_WORD = re.compile(r"联系|联络|contact|get in touch", re.IGNORECASE)
ISSUER_WORD = re.compile(
    r"秘书处|办公室|委员会|编辑部|主办|联盟|协会"
    r"|secretariat|office|published by|committee|association|coalition|network",
    re.IGNORECASE,
)
NUMBER = re.compile(
    r"(?:总?第\s*\d+\s*期|(?:issue|no\.?|number|vol\.?)\s*\d+(?:[ ,]*(?:issue|no\.?)\s*\d+)?)", re.IGNORECASE
)
MODERATES = re.compile(
    r"(?P<label>.*?(?:主持人?|moderators?|moderated by|facilitators?|chaired by|co-chairs?|chairs?))"
    r"\s*(?P<sign>[:：])\s*(?P<people>.+)",
    re.IGNORECASE,
)
WEB = re.compile(r"(?P<open><?)(?P<url>(?:https?://|www\.)[^\s<>]+)(?P<close>>?)", re.IGNORECASE)
FIELD_WORDS = {
    "mail": r"(?:电子)?邮箱|(?:电子)?邮件|e-?mail|mail",
    "fax": r"传真|fax",
    "phone": r"(?:联系)?电话|手机|tel(?:ephone)?\.?|phone|mobile",
    "address": r"(?:通讯|联系)?地址|address",
    "web": r"网址|网站|官网|web(?:site| ?page)?|url",
    "person": r"联系人|联络人|contact(?: person)?|attn\.?",
}
CONTACT_FIELD = re.compile(
    "(?P<label>(?:" + "|".join(f"(?P<{key}>{words})" for key, words in FIELD_WORDS.items()) + r")\s*[:：])"
    r"\s*(?P<value>.*)",
    re.IGNORECASE,
)
SIMILAR = 0.75  # share of characters in common from which two headlines are taken for the same item


def is_prose(paragraph: Paragraph) -> bool:
    text = paragraph.text
    if width(text) > HEADING_WIDTH:
        return True
    return ends_sentence(text) or (pages.bullet_text(text) is not None and pages.leader(text) is None)


def is_short(paragraph: Paragraph) -> bool:
    return not is_prose(paragraph) and pages.dash_and_speaker(paragraph) is None


def is_field_line(line: str) -> bool:
    return bool(CONTACT_FIELD.fullmatch(line))


def is_contact_field(paragraph: Paragraph) -> bool:
    return is_field_line(paragraph.rows[0].text) and width(paragraph.text) <= 3 * HEADING_WIDTH


def is_contents_word(paragraph: Paragraph) -> bool:
    return bool(_CONTENTS_WORD.fullmatch(paragraph.text.rstrip(":： ")))


def listed_title(paragraph: Paragraph) -> str | None:
    """Return the title a line of a contents list gives, or None where it is no such line."""
    bullet = pages.bullet_text(paragraph.text)
    dotted = pages.leader(bullet or paragraph.text)
    return dotted[0] if dotted else bullet


def says_number_or_date(text: str) -> bool:
    return width(text) < HEADING_WIDTH / 2 and bool(
        NUMBER.search(text) or MONTH_YEAR.search(text) or DATE.search(text)
    )


def is_dateline(text: str) -> bool:
    return width(text) <= HEADING_WIDTH / 2 and bool(DATE.search(text)) and not ends_sentence(text)


def is_event(rows: Sequence[Row]) -> bool:
    return len(rows) > 1 and sum(1 for row in rows if is_dateline(row.text)) == 1


def similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
