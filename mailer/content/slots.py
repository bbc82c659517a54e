"""Slots: the places of a compiled edition that differ from reader to reader.

A slot is its name between two characters of Unicode's private use area. Author text is cleaned of both
(``clean``), so no author can write a slot, and they pass unharmed through Jinja2, Markdown, the sanitiser
and the mjml library. Everything outside the slots is the same for every reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

SALUTATION = "salutation"  # "Dear Minister Li," — plain text, never empty by convention
TOKEN = "token"  # noqa: S105  the reader's signed token inside click and open addresses; URL-safe
VIEW = "view"  # address of this very letter on the web
PREFERENCES = "preferences"  # address of the reader's preferences
UNSUBSCRIBE = "unsubscribe"  # address that shows the leave button; a bare POST there leaves (RFC 8058)
OTHER = "other"  # address of the edition in the other language on the web

# Generous values, to say how long a letter will be before there is a reader.
SAMPLE: Mapping[str, str] = {
    SALUTATION: "尊敬的阿卜杜勒拉赫曼·伊布拉希莫维奇·穆罕默多夫副部长阁下：",
    TOKEN: "x" * 48,
    VIEW: "https://newsletter.secretariat.example.org/view/" + "x" * 72,
    PREFERENCES: "https://newsletter.secretariat.example.org/preferences/" + "x" * 72,
    UNSUBSCRIBE: "https://newsletter.secretariat.example.org/leave/" + "x" * 72,
    OTHER: "https://newsletter.secretariat.example.org/other/" + "x" * 72,
}

_OPEN, _CLOSE = "\ue000", "\ue001"
_SLOT = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")
# Not allowed in XML 1.0 §2.2, except tab, line feed and carriage return; and our own two signs.
_UNWRITABLE = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff{_OPEN}{_CLOSE}]")


def mark(name: str) -> str:
    """Return the slot called ``name`` as it stands in compiled text."""
    return f"{_OPEN}{name}{_CLOSE}"


def clean(text: str) -> str:
    """Return author text without the characters that XML forbids or that could imitate a slot."""
    return _UNWRITABLE.sub("", text)


def split(text: str) -> tuple[list[str], list[str]]:
    """Return what stands between the slots (n + 1 pieces, some empty) and the n slots' names."""
    parts = _SLOT.split(text)
    return parts[::2], parts[1::2]


def fill(text: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """Return ``text`` with every slot filled; ``escape`` suits a value to its surroundings.

    :raises KeyError: a slot has no value
    """
    return _SLOT.sub(lambda slot: escape(values[slot[1]]), text)
