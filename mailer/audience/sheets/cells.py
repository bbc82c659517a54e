"""Cells: an address as people write it into a table, made the address they mean."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mailer import address as addresses
from mailer.audience.sheets.columns import ADDRESS
from mailer.sentence import Sentence

PLAIN = re.compile(r"(?!')[A-Za-z0-9!#$%&*+/=?^_`{|}~.'-]+@[A-Za-z0-9.-]+").fullmatch
"""Tells at once that there is nothing to tidy."""

_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_BRACKETS = re.compile(r"(?P<name>[^<>＜＞]*)[<＜]\s*(?P<address>[^<>＜＞]+?)\s*[>＞]\s*[,;，；]?")
_FULL_WIDTH = re.compile("[\uff01-\uff5e\u3002\u3000]")  # ！ to ～, the full stop of Chinese, its space

SEVERAL = Sentence("The cell holds several addresses: put each person on a row of their own.")


def tidied(cell: str) -> tuple[str, str, str]:
    """Return the address in a cell, the name beside it, and why the cell cannot be used.

    Drops what people do not see, ``mailto:`` and angle brackets, and makes full-width signs plain. What is
    no address then is returned as it is: whoever parses it says what is wrong.
    """
    text = _UNSEEN.sub("", cell).replace("\xa0", " ").strip()
    text = _FULL_WIDTH.sub(_plain, text).strip()
    if text[:7].lower() == "mailto:":
        text = text[7:].partition("?")[0].strip()
    name, found = "", _BRACKETS.fullmatch(text)
    if found:
        name, text = found["name"].strip(" \"'\t"), found["address"]
    elif text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    if len(ADDRESS.findall(text)) > 1:
        return text, name, SEVERAL
    return text.strip(",;，； "), name, ""


def _plain(found: re.Match[str]) -> str:
    return "." if found[0] == "。" else unicodedata.normalize("NFKC", found[0])


@lru_cache(maxsize=1024)
def key_of(cell: str) -> str:
    """Return the form by which two cells are one address."""
    return addresses.key_of(tidied(cell)[0])
