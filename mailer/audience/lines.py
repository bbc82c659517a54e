"""Lines: people as somebody types them, or pastes them from a mail program, into a box. Pure.

``Li Min <li.min@example.org>``, ``李敏 li.min@example.org``, an address alone; a line each, or several
separated by semicolons, as Outlook copies them. Whatever stands there comes back as a line: nothing is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailer.audience.names import Names
from mailer.errors import Invalid

MOST = 100  # people in a box; more are a file's business

_HALF = str.maketrans("＜＞《》〈〉；，＠　", "<><><>;,@ ")  # as Chinese keyboards write them
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_BRACKETED = re.compile(r"(?P<name>.*?)<\s*(?:mailto:)?(?P<address>[^<>]*)>\s*,?\s*")
_WORD = re.compile(r"[^\s,]*@[^\s,]*")


class TooMany(Invalid):
    """These are more than 100 people: add them in several goes, or upload them as a file."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A line and what it says: ``text`` as it was typed, the address "" where there is none."""

    text: str
    address: str
    name: str

    @property
    def names(self) -> Names:
        """Return the name in its script."""
        return Names(name_zh=self.name) if _HAN.search(self.name) else Names(name_en=self.name)


def read(text: str) -> list[Typed]:
    """Read a box, a person per line; empty lines are none.

    :raises TooMany: more than ``MOST``
    """
    pieces = [piece.strip() for line in text.replace("\x00", "").splitlines() for piece in _pieces(line)]
    found = [_typed(piece) for piece in pieces if piece]
    if len(found) > MOST:
        raise TooMany
    return found


def _pieces(line: str) -> list[str]:
    """Part a line at semicolons, and at commas where an address stands between each."""
    plain = line.translate(_HALF)
    if ";" in plain:
        return re.split("[;；]", line)
    by_comma = plain.split(",")
    bare = len(by_comma) > 1 and "<" not in plain and all("@" in piece for piece in by_comma if piece.strip())
    return re.split("[,，]", line) if bare else [line]


def _typed(text: str) -> Typed:
    plain = text.translate(_HALF).strip()
    bracketed = _BRACKETED.fullmatch(plain)
    if bracketed:
        return Typed(text, bracketed["address"].strip(), _name(bracketed["name"]))
    word = _WORD.search(plain)
    if word is None:
        return Typed(text, "", _name(plain))
    return Typed(text, word.group(), _name(f"{plain[: word.start()]} {plain[word.end() :]}"))


def _name(text: str) -> str:
    bare = " ".join(text.split()).strip(" ,:\"'“”‘’\t")
    family, comma, given = bare.partition(",")
    if comma and "," not in given:  # "Lee, Ann", as directories write it
        return f"{given.strip()} {family.strip()}".strip()
    return bare
