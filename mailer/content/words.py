"""The letter's own words, in each language it can be written in. Author text never comes from here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from babel.dates import format_date

from mailer.content.document import Document, Language


@dataclass(frozen=True)
class Words:
    """What the theme says in one language. ``{}`` marks where a name or number goes."""

    tag: str  # BCP 47 (RFC 5646), for ``lang``
    locale: str  # CLDR, for dates
    number: str
    contents: str
    view: str
    other: str
    other_tag: str
    read_more: str
    read_on: str
    photo: str
    why: str
    preferences: str
    unsubscribe: str
    contact: Mapping[str, str]
    comma: str
    colon: str


WORDS: Mapping[Language, Words] = {
    "zh": Words(
        tag="zh-CN",
        locale="zh_Hans_CN",
        number="第{}期",
        contents="本期目录",
        view="在浏览器中查看",
        other="English edition",
        other_tag="en",
        read_more="阅读全文",
        read_on="在网页上继续阅读",
        photo="图：{}",
        why="您收到这封邮件，是因为您或您所在的机构订阅了《{}》。",
        preferences="订阅设置",
        unsubscribe="退订",
        contact={"address": "地址", "mail": "邮箱", "phone": "电话", "fax": "传真", "web": "网址"},
        comma="，",
        colon="：",
    ),
    "en": Words(
        tag="en",
        locale="en_GB",
        number="No. {}",
        contents="In this issue",
        view="View in browser",
        other="中文版",
        other_tag="zh-CN",
        read_more="Read more",
        read_on="Read on in the web version",
        photo="Picture: {}",
        why="You receive this letter because you or your organisation subscribed to {}.",
        preferences="Preferences",
        unsubscribe="Unsubscribe",
        contact={"address": "Address", "mail": "Email", "phone": "Tel.", "fax": "Fax", "web": "Web"},
        comma=", ",
        colon=": ",
    ),
}


def of(document: Document) -> Words:
    """Return the words of the document's language."""
    return WORDS[document.language]


def number_line(document: Document) -> str:
    """Return "No. 3", "第3期", or the number as written when it is more than digits; "" without one."""
    number = document.masthead.number or ""
    return of(document).number.format(number) if number.isdigit() else number


def date_line(date: datetime.date | None, words: Words) -> str:
    """Return the date as the language writes it in full; "" when it is not known yet."""
    return format_date(date, "long", words.locale) if date else ""


def subject_of(document: Document) -> str:
    """Return the subject line: the editor's, else the masthead's title and number."""
    comma = ", " if document.language == "en" else " "
    return document.subject or comma.join(filter(None, (document.masthead.title, number_line(document))))


def preheader_of(document: Document) -> str:
    """Return the line an inbox shows beside the subject: the editor's, else the first headlines."""
    headlines = [
        block.headline for section in document.sections for block in section.blocks if block.kind == "article"
    ]
    return document.preheader or " · ".join(headlines[:3])
