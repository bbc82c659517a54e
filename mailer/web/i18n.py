"""Languages of the pages: catalogues, the language of the request, dates and numbers as people write them.

Message ids are English; ``mailer.po`` (pages) and ``errors.po`` (what verbs say: errors, doubts, problems)
in ``templates/locale/<language>/LC_MESSAGES`` translate them and are compiled in memory on first use. The
language of a request lives in a ContextVar, which the threads that run endpoints inherit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from functools import lru_cache
from gettext import GNUTranslations
from typing import Any
from unicodedata import normalize
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from mailer.audience import codes
from mailer.sentence import Sentence
from mailer.settings import templates

NAMES = {"zh": "中文", "en": "English"}  # each in its own words
TAGS = {"zh": "zh-CN", "en": "en"}  # BCP 47, for ``lang``
_LOCALES = {"zh": "zh_Hans_CN", "en": "en_GB"}
_MINUTES = {
    "zh": "y年M月d日 HH:mm",
    "en": "d MMM y, HH:mm",
}  # CLDR's own patterns show seconds or a short year
_DEFAULT = "en"
_NO_COUNTRY = {"EU", "EZ", "QO", "UN", "XA", "XB"}  # CLDR counts them as territories

_current: ContextVar[str] = ContextVar("language", default=_DEFAULT)
_zone: ContextVar[str] = ContextVar("zone", default="UTC")


def use(language: str) -> None:
    """Make ``language`` the language of this request."""
    _current.set(language if language in NAMES else _DEFAULT)


def current() -> str:
    """Return the language of this request, ``zh`` or ``en``."""
    return _current.get()


def use_zone(name: str) -> None:
    """Make ``name``, an IANA zone, the one that this request's times are told in where no other is meant."""
    _zone.set(name)


def negotiate(wished: str | None, accepted: str) -> str:
    """Return the language wished for, else the best of an Accept-Language header (RFC 9110 §12.5.4)."""
    if wished in NAMES:
        return wished
    return next((tag for tag in _by_preference(accepted) if tag in NAMES), _DEFAULT)


def _by_preference(header: str) -> Iterable[str]:
    weighted: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";q=")
        primary = tag.strip().lower().partition("-")[0]  # zh-CN, zh-Hant-TW: Chinese readers all read zh
        try:
            weighted.append((-float(weight or 1), primary))
        except ValueError:
            continue
    return (tag for _, tag in sorted(weighted, key=lambda pair: pair[0]))


@lru_cache
def catalogue(language: str) -> GNUTranslations:
    """Return the compiled catalogue of a language: the pages' messages, then the sentences of errors."""
    found = _compiled(language, "mailer")
    found.add_fallback(_compiled(language, "errors"))
    return found


def _compiled(language: str, domain: str) -> GNUTranslations:
    compiled = io.BytesIO()
    with (templates() / "locale" / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def translate(message: str) -> str:
    """Return a message as it stands in the catalogue, with its ``%(…)s`` still in it."""
    return catalogue(current()).gettext(message) if message else ""


def tell(text: str) -> str:
    """Return what a verb says in the request's language; text that is no sentence may be one whole message.

    The values go in as they are, plain text: whoever shows it escapes.
    """
    if not isinstance(text, Sentence) or not text.values:
        return translate(text)
    values = {name: tell(each) if isinstance(each, Sentence) else each for name, each in text.values.items()}
    return translate(text.template).format_map(values)


def gettext(message: str, **values: Any) -> str:
    """Return the message in the request's language, values filled in; a literal per cent is ``%%``."""
    return translate(message) % values


def ngettext(one: str, many: str, n: int, **values: Any) -> str:
    """Return the form of the message that suits ``n``; ``%(num)s`` is ``n`` as people write it."""
    text = catalogue(current()).ngettext(one, many, n)
    return text % {"num": number(n), **values}


def number(value: float) -> str:
    """Return 1204 as "1,204"."""
    return str(format_decimal(value, locale=_LOCALES[current()]))


def share(part: int, whole: int) -> str:
    """Return "12.3%" of the whole, "–" when there is no whole."""
    return str(format_percent(part / whole, "#,##0.0%", locale=_LOCALES[current()])) if whole else "–"


def day(value: date | None) -> str:
    """Return a date like "22 Nov 2026"; "" for None."""
    return format_date(value, "medium", locale=_LOCALES[current()]) if value else ""


def day_in(value: datetime, zone: str) -> str:
    """Return the day that an instant falls on in a named zone."""
    return day(value.astimezone(ZoneInfo(zone)).date())


def when(value: datetime | None, zone: str = "") -> str:
    """Return an instant like "22 Nov 2026, 18:00 (UTC+8)", in a zone or that of the house; "" for None."""
    if value is None:
        return ""
    local = value.astimezone(ZoneInfo(zone or _zone.get()))
    written = format_datetime(local, _MINUTES[current()], locale=_LOCALES[current()])
    return f"{written} ({offset(local)})"


def soon(value: datetime, now: datetime, zone: str = "") -> str:
    """Return an instant to come as people say it: "15:40 (UTC+8)", within six days "Monday 08:00 (UTC+8)"."""
    zone = zone or _zone.get()
    local = value.astimezone(ZoneInfo(zone))
    days = (local.date() - now.astimezone(ZoneInfo(zone)).date()).days
    if not 0 <= days < 7:
        return when(value, zone)
    written = format_datetime(local, "EEEE HH:mm" if days else "HH:mm", locale=_LOCALES[current()])
    return f"{written} ({offset(local)})"


def span(seconds: float) -> str:
    """Return how long something takes: "40 minutes", "3 hours"."""
    return format_timedelta(timedelta(seconds=seconds), threshold=1.5, locale=_LOCALES[current()])


def offset(local: datetime) -> str:
    """Return how far a local time is from UTC: "UTC", "UTC+8", "UTC+5:30"."""
    minutes = round((local.utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{hours}{f':{rest:02d}' if rest else ''}" if minutes else "UTC"


def country(code: str | None) -> str:
    """Return what people call a country, by its ISO 3166 code: "France"; "–" for None."""
    if not code:
        return "–"
    return str(Locale.parse(_LOCALES[current()]).territories.get(code, code))


def listed(items: Iterable[str]) -> str:
    """Return things said one after the other: "a, b" or “甲、乙”."""
    return ("、" if current() == "zh" else ", ").join(items)


def sentences(*said: str) -> str:
    """Return sentences one after the other, as the language writes them; empty ones are left out."""
    return ("" if current() == "zh" else " ").join(filter(None, said))


def countries() -> list[tuple[str, str]]:
    """Return every country's ISO 3166 code with what people call it, in the order they look for it."""
    return list(_countries(current()))


@lru_cache
def _countries(language: str) -> tuple[tuple[str, str], ...]:
    named = Locale.parse(_LOCALES[language]).territories
    found = [(code, str(name)) for code, name in named.items() if code in codes.countries() - _NO_COUNTRY]
    order: Callable[[str], Any] = _by_sound if language == "zh" else _by_letter
    return tuple(sorted(found, key=lambda pair: order(pair[1])))


def _by_sound(name: str) -> bytes:
    """Order Chinese by pinyin: GB 2312 puts its common characters in that order."""
    return name.encode("gb18030")


def _by_letter(name: str) -> str:
    """Order Latin names without regard to accents: Åland beside Albania."""
    return normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()


def ago(value: datetime, now: datetime) -> str:
    """Return how long ago an instant was: "3 hours ago"."""
    elapsed: timedelta = value - now
    return format_timedelta(elapsed, add_direction=True, locale=_LOCALES[current()])


_ = gettext
