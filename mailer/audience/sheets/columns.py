"""Columns: what a column of a sheet means, by its name, by what stands in it, or because somebody said so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mailer.audience.names import Names
from mailer.audience.sheets.source import BadFile
from mailer.errors import Invalid

_ALIASES = {
    "address": "email emailaddress mail mailaddress address emails eaddress 邮箱 邮箱地址 电子邮箱"
    " 电子邮箱地址 电子邮件 电子邮件地址 邮件 邮件地址 电邮 电邮地址 邮箱账号 联系邮箱 工作邮箱 电子信箱",
    "name": "name fullname displayname 姓名 名字 全名 联系人 联系人姓名 中文姓名全名",
    "family": "family familyname lastname surname 姓 姓氏",
    "given": "given givenname firstname 名",
    "honorific": "honorific title prefix salutation 称谓 称呼 尊称 头衔 职务 职称",
    "name_zh": "namezh zhname chinesename 中文名 中文姓名 姓名中文",
    "family_zh": "familyzh familynamezh 中文姓 姓中文",
    "given_zh": "givenzh givennamezh 名中文",
    "honorific_zh": "honorificzh titlezh 中文称谓 称谓中文",
    "name_en": "nameen enname englishname 英文名 英文姓名 姓名英文",
    "family_en": "familyen familynameen 英文姓 姓英文",
    "given_en": "givenen givennameen 名英文",
    "honorific_en": "honorificen titleen 英文称谓 称谓英文",
    "language": "language lang 语言 语种",
    "country": "country countrycode cc 国家 国别 国家代码 国家地区",
    "zone": "zone timezone 时区",
    "partner": "partner partnercode 伙伴 合作伙伴 伙伴代码",
    "notes": "notes note remark remarks comment 备注 说明",
    # what other systems know of consent: part of a person's origin
    "status": "status deliverystatus memberstatus 状态 订阅状态",
    "opted_in_at": "optintime subscribedat 订阅时间",
    "opted_in_from": "optinip",
    "confirmed_at": "confirmtime 确认时间",
    "confirmed_from": "confirmip",
    "left_at": "unsubtime unsubscribedat optouttime 退订时间",
    "cleaned_at": "cleantime cleanedat bouncedat 退信时间",
}
_MEANING = {alias: meaning for meaning, aliases in _ALIASES.items() for alias in aliases.split()}
_FIRST_OF_SEVERAL = {"opted_in_at", "confirmed_at", "left_at", "cleaned_at"}  # an export may hold two

MEANINGS = tuple(_ALIASES)
"""What a column can mean."""

MOST = 500
"""Columns of a table that a person can still say the meaning of."""

NAMED = tuple(Names().columns())
EITHER_SCRIPT = ("name", "family", "given", "honorific")  # columns that may hold Chinese or Latin

ADDRESS = re.compile(r"[^\s@<>,;；，、]+[@＠][^\s@<>,;；，、]+[.．。][^\s@<>,;；，、]+")
_PHONE = re.compile(r"[+(（]?[\d\s().（）/+－-]{5,}")


class TooWide(BadFile):
    """The table has far too many columns: delete those that are empty or not needed, and import the rest."""


class NoSuchColumn(Invalid):
    """The file has no column of that name."""


class NoSuchMeaning(Invalid):
    """A column cannot mean that."""


@dataclass(frozen=True)
class Layout:
    """How somebody wants a file to be read. ``columns``: meaning by label, "" leaves the column out.

    ``tab``: the sheet of a workbook. What is not said is found in the file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    tab: str = ""

    def stored(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        return {"columns": dict(self.columns), "tab": self.tab}

    @classmethod
    def restored(cls, row: Mapping[str, Any]) -> Layout:
        """Return the layout that was ``stored``."""
        return cls(dict(row["columns"]), str(row["tab"]))

    def __bool__(self) -> bool:
        return bool(self.columns or self.tab)


FOUND = Layout()
"""Nothing was said: the file is read as it presents itself."""


class Column(NamedTuple):
    """A column. ``label``: a name no other has; ``meaning`` "": left out; ``samples``: its first cells."""

    label: str
    meaning: str
    samples: tuple[str, ...]


def meaning(cell: str) -> str:
    """Return what a column of this name means, "" when that is not known."""
    return _MEANING.get(re.sub(r"[\s_\-()（）\"'.:：/*]", "", cell).casefold(), "")


def letters(place: int) -> str:
    """Return what spreadsheets call the column at ``place``, from 0: A … Z, AA …"""
    name = ""
    while place >= 0:
        name = chr(ord("A") + place % 26) + name
        place = place // 26 - 1
    return name


def labels(header: Sequence[str]) -> list[str]:
    """Return the columns' names, each once; nameless ones are called as spreadsheets call them."""
    met: Counter[str] = Counter()
    found = []
    for place, cell in enumerate(header):
        name = " ".join(cell.split())[:80] or letters(place)
        met[name] += 1
        found.append(name if met[name] == 1 else f"{name} ({met[name]})")
    return found


def holds_addresses(cells: Sequence[str]) -> bool:
    """Tell whether half of what stands in a column are addresses."""
    said = [cell for cell in cells if cell]
    return bool(said) and 2 * sum(bool(ADDRESS.search(cell)) for cell in said) >= len(said)


def holds_phones(cells: Sequence[str]) -> bool:
    """Tell whether half of what stands in a column are telephone numbers."""
    said = [cell for cell in cells if cell]
    return bool(said) and 2 * sum(bool(_PHONE.fullmatch(cell)) for cell in said) >= len(said)


def meanings(header: Sequence[str], below: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> list[str]:
    """Return what each column means: as ``wanted``, else by its name, else by the addresses in it.

    :raises NoSuchColumn: one is wanted that is not there
    :raises NoSuchMeaning: none that a column can have
    """
    names = labels(header)
    _refuse_unknown(names, wanted)
    found = [wanted.get(label, meaning(cell)) for label, cell in zip(names, header, strict=True)]
    met: set[str] = set()
    for place, each in enumerate(found):
        if each in _FIRST_OF_SEVERAL and each in met:
            found[place] = ""
        met.add(each)
    if found.count("address") > 1:
        _leave_out_postal(found, names, below, wanted)
    if "address" not in found:
        guess = _column_of_addresses(found, names, below, wanted)
        if guess is not None:
            found[guess] = "address"
    return found


def _leave_out_postal(
    found: list[str], names: Sequence[str], below: Sequence[Sequence[str]], wanted: Mapping[str, str]
) -> None:
    """Of several columns that are called an address, leave out those in which none of mail stands."""
    places = [n for n, each in enumerate(found) if each == "address" and names[n] not in wanted]
    mail = [n for n in places if holds_addresses(cells_of(below, n))]
    for n in places if mail else ():
        found[n] = "address" if n in mail else ""


def _column_of_addresses(
    found: Sequence[str], names: Sequence[str], below: Sequence[Sequence[str]], wanted: Mapping[str, str]
) -> int | None:
    for place, label in enumerate(names):
        if not found[place] and label not in wanted and holds_addresses(cells_of(below, place)):
            return place
    return None


def cells_of(rows: Sequence[Sequence[str]], place: int) -> list[str]:
    """Return what stands in one column."""
    return [row[place] for row in rows if place < len(row)]


def _refuse_unknown(names: Sequence[str], wanted: Mapping[str, str]) -> None:
    for label, what in wanted.items():
        if label not in names:
            shown = ", ".join(f"“{name[:30]}”" for name in names[:12])
            raise NoSuchColumn(
                "The file has no column “{label}”: it has {shown}.", label=label[:40], shown=shown
            )
        if what and what not in MEANINGS:
            raise NoSuchMeaning(
                "A column cannot mean “{meaning}”: choose one of {all}.",
                meaning=what[:40],
                all=", ".join(MEANINGS),
            )


def refuse_useless(found: Sequence[str], header: Sequence[str]) -> None:
    """:raises BadFile: no column of addresses, or two columns that mean the same"""
    if "address" not in found:
        shown = ", ".join(f"“{cell[:30]}”" for cell in header[:8] if cell)
        raise NoAddresses(
            "No column is named “email” or “邮箱” (found: {shown}): name the column of addresses so.",
            shown=shown,
        )
    twice = next((each for each in found if each and found.count(each) > 1), None)
    if twice:
        cells = [cell for cell, each in zip(header, found, strict=True) if each == twice]
        raise SaidTwice(
            "The columns “{columns}” mean the same: keep one of them.", columns="” and “".join(cells)
        )


class NoAddresses(BadFile):
    """No column is named “email” or “邮箱”: name the column of addresses so."""


class SaidTwice(BadFile):
    """Two columns mean the same: keep one of them."""
