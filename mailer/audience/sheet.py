"""Sheets: a table of people as a colleague sends it, read into persons. Pure.

CSV with commas, semicolons or tabs, in UTF-8 (with or without a byte order mark), UTF-16 with one, or
GB18030. The first row names the columns, in Chinese or English; columns without a meaning here are left
out and listed. A row that cannot be read does not stop the others.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from mailer import address as addresses
from mailer.audience.intake import Person
from mailer.audience.names import Names
from mailer.errors import Invalid
from mailer.sentence import Sentence

LARGEST = 40_000_000  # octets: a million people; read as a whole, so that a bad file changes nothing
DELIMITERS = ",;\t"

_ALIASES = {
    "address": "email emailaddress mail mailaddress address 邮箱 邮箱地址 电子邮箱 电子邮件 邮件地址 电邮",
    "name": "name fullname 姓名 名字 全名",
    "family": "family familyname lastname surname 姓 姓氏",
    "given": "given givenname firstname 名",
    "honorific": "honorific title prefix 称谓 称呼 尊称 头衔",
    "name_zh": "namezh zhname chinesename 中文名 中文姓名 姓名中文",
    "family_zh": "familyzh familynamezh 中文姓 姓中文",
    "given_zh": "givenzh givennamezh 名中文",
    "honorific_zh": "honorificzh titlezh 中文称谓 称谓中文",
    "name_en": "nameen enname englishname 英文名 英文姓名 姓名英文",
    "family_en": "familyen familynameen 英文姓 姓英文",
    "given_en": "givenen givennameen 名英文",
    "honorific_en": "honorificen titleen 英文称谓 称谓英文",
    "language": "language lang 语言 语种",
    "country": "country countrycode 国家 国别 国家代码 国家地区",
    "zone": "zone timezone 时区",
    "partner": "partner partnercode 伙伴 合作伙伴 伙伴代码",
    "notes": "notes note remark remarks comment 备注 说明",
}
_MEANING = {alias: field for field, aliases in _ALIASES.items() for alias in aliases.split()}
_EITHER_SCRIPT = ("name", "family", "given", "honorific")  # columns that may hold Chinese or Latin
_NAMED = tuple(Names().columns())
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_OTHER_FILES = {
    b"PK\x03\x04": Sentence("an Excel workbook"),
    b"\xd0\xcf\x11\xe0": Sentence("an Excel workbook"),
    b"%PDF": Sentence("a PDF"),
    b"\x89PNG": Sentence("a picture"),
    b"\xff\xd8\xff": Sentence("a picture"),
    b"GIF8": Sentence("a picture"),
}


class BadFile(Invalid):
    """This file cannot be read as a table of people: save it as CSV UTF-8 and import that."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the sheet. ``person`` None: ``refusal`` says why it cannot be taken in."""

    line: int  # of the file, from 1
    person: Person | None
    partner: str = ""  # a partner's code, where the sheet has such a column
    refusal: str = ""  # a Sentence


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file of people. ``digest``: SHA-256 of its octets; ``unread``: columns that were left out."""

    name: str
    digest: str
    rows: tuple[Row, ...]
    unread: tuple[str, ...]


def read(raw: bytes, name: str) -> Sheet:
    """Read a file.

    :raises BadFile: not a table, or without a column of addresses; the message says what to do
    """
    lines = records(decoded(raw))
    header = next(lines, None)
    if header is None:
        raise BadFile("The file is empty: export the table again and import that.")
    fields = _fields(header[1])
    rows = _without_repeats([_row(line, cells, fields, name) for line, cells in lines])
    if not rows:
        raise BadFile("The file has a header and no people below it: there is nothing to import.")
    unread = tuple(cell for cell, field in zip(header[1], fields, strict=True) if not field and cell)
    return Sheet(name, sha256(raw).hexdigest(), tuple(rows), unread)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""First signs by which spreadsheets take a cell for a formula."""


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula; ``unguarded`` gives the text back."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def unguarded(cell: str) -> str:
    """Undo the apostrophe of ``guarded``."""
    return cell[1:] if cell.startswith("'") and guarded(cell) != cell else cell


def decoded(raw: bytes) -> str:
    """Return the text of a file, whatever it is encoded in.

    :raises BadFile: too large, another kind of file, or no text
    """
    if len(raw) > LARGEST:
        raise BadFile(
            "The file is larger than {most} MB: split it and import the parts.", most=LARGEST // 1_000_000
        )
    for magic, what in _OTHER_FILES.items():
        if raw.startswith(magic):
            raise BadFile(
                "This file is {what}, not a CSV: open it, save it as CSV UTF-8 and import that.", what=what
            )
    for encoding in _encodings(raw):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise BadFile


def _encodings(raw: bytes) -> Sequence[str]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    return ("utf-8-sig", "gb18030")


def records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the line it begins on."""
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            tidy = [unguarded(cell.strip()) for cell in cells]
            if any(tidy) and not (begins == 1 and text.startswith("sep=")):
                yield begins, tidy
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadFile(
            "Line {line} of the file cannot be read ({why}): mend its quotes.", line=begins, why=error
        ) from error


def _delimiter(text: str) -> str:
    """Return the sign under which the header has the most columns that mean something."""
    if text.startswith("sep=") and text[4:5] in DELIMITERS:  # Excel's own way of saying it
        return text[4]
    first = next((line for line in text.splitlines() if line.strip(f"{DELIMITERS} ")), "")

    def known(delimiter: str) -> tuple[int, int]:
        cells = first.split(delimiter)
        return sum(bool(_meaning(cell)) for cell in cells), len(cells)

    return max(DELIMITERS, key=known)


def _meaning(cell: str) -> str:
    return _MEANING.get(re.sub(r"[\s_\-()（）\"'.:：/]", "", cell).casefold(), "")


def _fields(header: Sequence[str]) -> list[str]:
    fields = [_meaning(cell) for cell in header]
    if "address" not in fields:
        shown = ", ".join(f"“{cell[:30]}”" for cell in header[:8] if cell)
        raise BadFile(
            "No column is named “email” or “邮箱” (found: {shown}): name the column of addresses so.",
            shown=shown,
        )
    twice = next((field for field in fields if field and fields.count(field) > 1), None)
    if twice:
        cells = [cell for cell, field in zip(header, fields, strict=True) if field == twice]
        raise BadFile(
            "The columns “{columns}” mean the same: keep one of them.", columns="” and “".join(cells)
        )
    return fields


def _row(line: int, cells: Sequence[str], fields: Sequence[str], file_name: str) -> Row:
    if any(cells[len(fields) :]):
        return Row(
            line,
            None,
            refusal=Sentence("The row has more cells than the header: check its separators and quotes."),
        )
    said = {field: cell for field, cell in zip(fields, cells, strict=False) if field and cell}
    if "address" not in said:
        return Row(line, None, refusal=Sentence("The row has no address: add it or remove the row."))
    for field in _EITHER_SCRIPT:
        if field in said:
            said.setdefault(f"{field}_{'zh' if _HAN.search(said[field]) else 'en'}", said[field])
    person = Person(
        address=said["address"],
        names=Names(**{column: said.get(column, "") for column in _NAMED}),
        language=said.get("language", ""),
        country=said.get("country", ""),
        zone=said.get("zone", ""),
        notes=said.get("notes", ""),
        origin=f"{file_name[:150]}:{line}",
    )
    return Row(line, person, said.get("partner", ""))


def _without_repeats(rows: Sequence[Row]) -> list[Row]:
    """Refuse an address that stands further up already, under the same partner."""
    first: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        if row.person is not None:
            line = first.setdefault((addresses.key_of(row.person.address), row.partner), row.line)
            if line != row.line:
                again = Sentence("The same address stands on line {line} already.", line=line)
                row = replace(row, person=None, refusal=again)
        kept.append(row)
    return kept
