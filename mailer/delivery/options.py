"""Options of a URL, behind its question mark: read by a table of how and of what is expected. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from mailer.errors import MailerError
from mailer.sentence import Sentence

Options = Mapping[str, tuple[Callable[[str], Any], str]]
"""By name: what reads a value, raising ValueError or KeyError, and the words for what it takes."""


def read(parts: SplitResult, known: Options, refusal: Callable[[Sentence], MailerError]) -> dict[str, Any]:
    """Return the options of a URL by name.

    ``refusal`` makes the error from what is to stand behind "The URL of …"; a secret is never repeated in it.

    :raises MailerError: what ``refusal`` makes
    """
    found: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            what = Sentence("has an option “{name}”: known are {known}", name=name, known=", ".join(known))
            raise refusal(what)
        reader, expected = known[name]
        try:
            found[name] = reader(text)
        except (ValueError, KeyError) as error:
            shown = "…" if "secret" in name else text
            what = Sentence("says {name}={text}: write {expected}", name=name, text=shown, expected=expected)
            raise refusal(what) from error
    return found


def flag(text: str) -> bool:
    """``yes`` or ``no``."""
    return {"yes": True, "no": False}[text]


def is_word(text: str) -> bool:
    """Say whether something is ASCII without spaces."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def word(text: str) -> str:
    """ASCII without spaces."""
    if not is_word(text):
        raise ValueError(text)
    return text


def https(text: str) -> str:
    """An address that begins with https://, without a user."""
    parts = urlsplit(word(text))
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.port == 0:
        raise ValueError(text)
    return text


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number between two others."""

    def read(text: str) -> int:
        if not least <= (value := int(text)) <= most:
            raise ValueError(text)
        return value

    return read
