"""Whose words: a line or two naming a speaker, split into the name and the office.

Chinese writes the office first and the name last ("X国环境部部长 李某"), often without a space; English
writes the name first ("Ann Lee, Minister of the Environment") or on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.content.readers.pages import glue, has_chinese

_OFFICE_ZH = (
    "部长|大臣|总理|总统|主席|主任|秘书长|秘书|总裁|总干事|干事|总监|总经理|经理|局长|司长|署长|处长|院长|所长|校长|行长"
    "|会长|理事长|理事|董事长|董事|市长|州长|省长|特使|大使|代表|专员|委员|顾问|教授|研究员|协调员|联络人|负责人|首席\\w{1,5}官"
    "|执行官|官员|创始人|专家|巡视员|书记|议员|议长|主编|董事总经理|召集人"
)
_OFFICE_EN = (
    "minister|president|secretary|director|chair|chairman|chairwoman|chairperson|chief|officer|head|ceo|coo|cfo"
    "|professor|ambassador|envoy|commissioner|governor|mayor|representative|adviser|advisor|executive|manager"
    "|dean|fellow|coordinator|administrator|founder|scientist|economist|delegate|counsellor|deputy"
)
_ZH_ENDS_IN_OFFICE = re.compile(rf".*(?:{_OFFICE_ZH})(?:（[^）]*）)?")
_ZH_OFFICE_THEN_NAME = re.compile(rf"(?P<title>.*(?:{_OFFICE_ZH}))(?P<name>[^\W\d_·.]+(?:[·.][^\W\d_]+)*)")
_ZH_NAME = re.compile(
    r"[\u3400-\u9fff]{2,8}(?:[·•．.][\u3400-\u9fff]{1,10})*|[\u3400-\u9fff] [\u3400-\u9fff]"
)
_EN_OFFICE = re.compile(rf"\b(?:{_OFFICE_EN})\b", re.IGNORECASE)
_EN_NAME = re.compile(
    r"[^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){1,5}"  # two to six words: "H.E. Ana de la Cruz"
)


@dataclass(frozen=True)
class Named:
    """A person as read. ``left_out``: the sign that stood between name and office; ``sure`` is False where
    no sign parted the two, or nothing said which is which."""

    name: str
    title: str
    left_out: str = ""
    sure: bool = True


def split_person(lines: Sequence[str]) -> Named:
    """Split the lines that name a speaker. Every character lands in name, title or ``left_out``."""
    text = glue(lines)
    comma = re.fullmatch(r"(?P<name>[^,，]+?)\s*(?P<sign>[,，])\s*(?P<title>.+)", text)
    if comma and not _holds_office(comma["name"]):
        return Named(comma["name"], comma["title"], comma["sign"], sure=_holds_office(comma["title"]))
    by_line = _split_by_line(lines)
    if by_line:
        return by_line
    return _split_chinese(lines) if has_chinese(text) else Named(text, "", sure=not _holds_office(text))


def names_speaker(lines: Sequence[str]) -> bool:
    """Tell whether lines above a paragraph can be nothing but a person with an office."""
    person = split_person(lines)
    if not person.sure or not person.title:
        return False
    if has_chinese(person.title):
        looks_like_name = _ZH_NAME.fullmatch(person.name) or _EN_NAME.fullmatch(person.name)
        return bool(looks_like_name and _ZH_ENDS_IN_OFFICE.fullmatch(person.title))
    return bool(_is_latin_name(person.name) and _EN_OFFICE.search(person.title))


def _holds_office(text: str) -> bool:
    return bool(re.search(_OFFICE_ZH, text) if has_chinese(text) else _EN_OFFICE.search(text))


def _is_latin_name(text: str) -> bool:
    words = [word for word in re.split(r"[\s-]", text) if len(word) > 3]
    return bool(_EN_NAME.fullmatch(text)) and all(word[0].isupper() for word in words)


def _split_by_line(lines: Sequence[str]) -> Named | None:
    """Where one line is the name and the others are the office, whichever comes first."""
    if len(lines) < 2:
        return None
    first, last = lines[0], lines[-1]
    if _ZH_ENDS_IN_OFFICE.fullmatch(last.rpartition(" ")[0]):
        return None  # the last line holds the office's end and the name
    if _is_bare_name(last) and _holds_office(glue(lines[:-1])):
        return Named(last, glue(lines[:-1]))
    if _is_bare_name(first) and _holds_office(glue(lines[1:])):
        return Named(first, glue(lines[1:]))
    return None


def _is_bare_name(text: str) -> bool:
    return not _holds_office(text) and bool(_ZH_NAME.fullmatch(text) or _is_latin_name(text))


def _split_chinese(lines: Sequence[str]) -> Named:
    *above, last = lines
    words = last.split()
    tail = _name_length(words)
    if len(words) > tail:
        return Named(" ".join(words[-tail:]), glue([*above, " ".join(words[:-tail])]))
    text = glue(lines)
    found = _ZH_OFFICE_THEN_NAME.fullmatch(text)
    if found:
        return Named(found["name"], found["title"], sure=False)
    return Named(text, "", sure=not _holds_office(text) and len(lines) == 1)


def _name_length(words: Sequence[str]) -> int:
    """Count the words of the name at the end: two single characters, or all trailing Latin words, or one."""
    if len(words) > 2 and len(words[-1]) == len(words[-2]) == 1:
        return 2
    latin = next((n for n, word in enumerate(reversed(words)) if has_chinese(word)), len(words))
    return max(1, latin)
