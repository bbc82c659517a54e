"""Names: what a person is called in Chinese and in Latin script, and how a letter greets them."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from mailer.errors import Invalid

_LONGEST = (80, 80, 160, 40) * 2  # family, given, name, honorific, in both scripts: store._Names
_LONGEST_SALUTATION = 200  # store.Subscriber.salutation_zh, delivery.store.Delivery.salutation

_HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_PADDED = re.compile(f"(?<={_HAN})[ \u3000]+(?={_HAN})")  # 李　敏: padded so that names align in a table
_ONLY_HAN = re.compile(f"{_HAN}+")
_UNSEEN = frozenset(
    {"Cc", "Cs", "Cn", "Zl", "Zp", "Zs"}
)  # not Cf: joiners are part of Persian and Hindi names


class NameTooLong(Invalid):
    """A name is too long: shorten it."""


class Names(NamedTuple):
    """A person's names; any may be empty. ``name_*`` is the full name as the person writes it."""

    family_zh: str = ""
    given_zh: str = ""
    name_zh: str = ""
    honorific_zh: str = ""  # after the name: 部长, 女士
    family_en: str = ""
    given_en: str = ""
    name_en: str = ""
    honorific_en: str = ""  # before the name: Dr, Ms

    def full(self, language: str) -> str:
        """Return the full name in ``zh`` or ``en``, joined from its parts where it was not given whole."""
        if language == "zh":
            gap = "" if _ONLY_HAN.fullmatch(self.family_zh + self.given_zh) else " "
            return self.name_zh or f"{self.family_zh}{gap}{self.given_zh}".strip()
        return self.name_en or f"{self.given_en} {self.family_en}".strip()

    def columns(self) -> dict[str, str]:
        """Return the names by column."""
        return dict(zip(_FIELDS, self))  # noqa: B905 - a million times: they are as many

    @property
    def known(self) -> bool:
        """Whether the person has any name; an honorific alone is none."""
        return bool(self.full("zh") or self.full("en"))

    def over(self, older: Names) -> Names:
        """Return these names, and ``older`` where these are empty.

        A full name is not kept beside new parts that contradict it: parts and whole change together.
        """
        mine, theirs = self.columns(), older.columns()
        for language in ("zh", "en"):
            if any(mine[f"{part}_{language}"] for part in ("family", "given", "name")):
                theirs |= {f"{part}_{language}": "" for part in ("family", "given", "name")}
        return Names(**{field: mine[field] or theirs[field] for field in mine})


_FIELDS = Names._fields


def clean(names: Names) -> Names:
    """Return the names as they are stored: white space settled, full names filled in.

    :raises NameTooLong: longer than its column
    """
    found = Names._make([_tidy(text) if text else "" for text in names])
    if any((found.family_zh, found.given_zh, found.family_en, found.given_en)):
        found = found._replace(name_zh=_tidy(found.full("zh")), name_en=_tidy(found.full("en")))
    if len("".join(found)) > min(_LONGEST):
        for text, longest in zip(found, _LONGEST, strict=True):
            if len(text) > longest:
                raise NameTooLong("The name “{name}…” is too long: shorten it.", name=text[:30])
    return found


def salutation(names: Names, language: str) -> str:
    """Return the greeting that opens a letter in ``zh`` or ``en``.

    "尊敬的李敏部长：", "Dear Dr Lee,"; where only the other script's name is known, that one; without any
    name "您好，" and "Hello,". Never longer than 200 characters: the honorific goes first.
    """
    greet = _greet_zh if language == "zh" else _greet_en
    greeting = greet(names)
    if len(greeting) <= _LONGEST_SALUTATION:
        return greeting
    return greet(names._replace(honorific_zh="", honorific_en="", family_en=""))


def _greet_zh(names: Names) -> str:
    name = names.name_zh or names.full("zh")
    own = f"{name}{names.honorific_zh}"
    if name and own != names.family_zh:  # 尊敬的李： greets nobody
        return f"尊敬的{own}："
    if latin := names.name_en or names.full("en"):
        return f"尊敬的 {names.honorific_en} {latin}：" if names.honorific_en else f"尊敬的 {latin}："
    return "您好，"


def _greet_en(names: Names) -> str:
    title = names.honorific_en
    if title and names.family_en:
        return f"Dear {title} {names.family_en},"
    if name := names.name_en or names.full("en"):
        return f"Dear {title} {name}," if title else f"Dear {name},"
    name = names.name_zh or names.full("zh")
    return f"Dear {name}," if name != names.family_zh else "Hello,"


def _tidy(text: str) -> str:
    visible = text
    if text.isprintable():
        if " " not in text:  # the one sign that is seen through and printable
            return text
    else:
        visible = "".join(" " if unicodedata.category(sign) in _UNSEEN else sign for sign in text)
    return _PADDED.sub("", " ".join(visible.split()))
