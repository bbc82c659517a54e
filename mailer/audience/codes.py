"""Codes: languages, countries and time zones as people write them, and as they are stored."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from babel import Locale

from mailer.errors import Invalid
from mailer.sentence import Sentence

LANGUAGES = ("zh", "en")
_LANGUAGE_WORDS = {
    "zh": ("zh", "zh-cn", "zh-hans", "zh-hant", "zh-tw", "cn", "chinese", "中文", "汉语", "简体中文"),
    "en": ("en", "en-gb", "en-us", "english", "英文", "英语"),
}
_LANGUAGE_OF = {word: code for code, words in _LANGUAGE_WORDS.items() for word in words}


class BadCode(Invalid):
    """This code cannot be used: write another."""


def language(text: str) -> str:
    """Return ``zh`` or ``en`` for a code or a word such as 中文.

    :raises BadCode: neither
    """
    found = _LANGUAGE_OF.get(text.strip().lower().replace("_", "-"))
    if found is None:
        raise BadCode(
            "“{text}” is not a language of the newsletter: {advice}.",
            text=text.strip()[:40],
            advice=Sentence("write zh or en"),
        )
    return found


def country(text: str) -> str:
    """Return an ISO 3166-1 alpha-2 code in capitals, for a code or a country's name in Chinese or English.

    :raises BadCode: no such country
    """
    found = _countries().get(text.strip().casefold())
    if found is None:
        raise BadCode(
            "“{text}” is not a country: {advice}.",
            text=text.strip()[:40],
            advice=Sentence("write two letters, such as CN or FR"),
        )
    return found


def zone(text: str) -> str:
    """Return an IANA time zone.

    :raises BadCode: no such zone
    """
    if text.strip() not in _zones():
        raise BadCode(
            "“{text}” is not a time zone: {advice}.",
            text=text.strip()[:40],
            advice=Sentence("write one such as Asia/Shanghai"),
        )
    return text.strip()


def countries() -> frozenset[str]:
    """Return the codes of all countries."""
    return frozenset(_countries().values())


@cache
def zones() -> tuple[str, ...]:
    """Return the time zones that people choose from: those named after a place."""
    return tuple(
        sorted(each for each in _zones() if "/" in each and not each.startswith(("Etc/", "SystemV/", "US/")))
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _countries() -> dict[str, str]:
    found = {"uk": "GB", "usa": "US", "prc": "CN"}
    for language in ("en", "zh"):
        for code, name in Locale(language).territories.items():
            if len(str(code)) == 2 and code != "ZZ":  # ZZ: unknown; three figures: a continent
                found |= {str(code).lower(): str(code), str(name).casefold(): str(code)}
    return found
