"""Send windows: the hours of the week in which a campaign may send. Pure.

Written as ``mon-fri 08:00-18:00``, ``08:00-20:00`` (every day), ``22:00-06:00`` (overnight, named by the
evening), or several separated by commas; empty: always. Hours are those of the wall clock in a zone, so an
hour that summer time skips never opens, and one that winter time repeats is open both times.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from mailer.errors import Invalid

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60  # minutes
_WEEK = timedelta(weeks=1)
LONGEST = 200  # characters, written out

_SPAN = re.compile(
    rf"(?:({'|'.join(_DAYS)})(?:\s*-\s*({'|'.join(_DAYS)}))?\s+)?"
    r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)"
)
_DASHES = str.maketrans("‐‑‒–—−~、", "-------,")


class BadWindow(Invalid):
    """The send window cannot be read: write it like “mon-fri 08:00-18:00, sat 10:00-12:00”, or nothing."""


@dataclass(frozen=True)
class Span:
    """The same hours on the days ``first``…``last`` (0 is Monday; last < first: over the weekend).

    ``start`` and ``end`` are minutes of the day; ``end`` not above ``start``: of the next day.
    """

    first: int
    last: int
    start: int
    end: int

    @property
    def days(self) -> range:
        """Its days; 7 is the next week's Monday."""
        return range(self.first, self.first + (self.last - self.first) % 7 + 1)

    @property
    def length(self) -> int:
        """How many minutes it is open on a day."""
        return (self.end - self.start - 1) % _DAY + 1

    def __str__(self) -> str:
        hours = f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"
        if len(self.days) == 7:
            return hours
        first, last = _DAYS[self.first], _DAYS[self.last]
        return f"{first} {hours}" if first == last else f"{first}-{last} {hours}"


@dataclass(frozen=True)
class Window:
    """When letters may leave; without spans, always."""

    spans: tuple[Span, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, self.spans))

    def is_open(self, now: datetime, zone: str) -> bool:
        """Tell whether letters may leave at ``now``, by the wall clock of ``zone``."""
        if not self.spans:
            return True
        hour = _hour(now, zone)
        return any((hour - begin) % _WEEK < length for begin, length in self._openings())

    def opens(self, now: datetime, zone: str) -> datetime:
        """Return the first instant from ``now`` on at which it is open; ``now`` itself when it is."""
        at = now.astimezone(UTC)  # where adding a span adds just that
        while not self.is_open(at, zone):
            hour = _hour(at, zone)
            then = at + min((begin - hour) % _WEEK for begin, _ in self._openings())
            # where clocks change on the way, that moment itself may be the first open one
            at = then if _offset(then, zone) == _offset(at, zone) else _change(at, then, zone)
        return at.astimezone(now.tzinfo)

    def _openings(self) -> Iterator[tuple[timedelta, timedelta]]:
        """Yield when in the week it opens, and for how long."""
        for span in self.spans:
            for day in span.days:
                yield timedelta(day % 7, minutes=span.start), timedelta(minutes=span.length)


def read(text: str) -> Window:
    """Read a window as people write it; ``str`` of it gives the one spelling that is stored.

    :raises BadWindow: it cannot be read, a span begins and ends at the same time, or it is too long to keep
    """
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES).strip().lower()
    window = Window(tuple(_span(part.strip()) for part in plain.split(",")) if plain else ())
    if len(str(window)) > LONGEST:
        raise BadWindow
    return window


def same_hour(at: datetime, *, of: str, zone: str) -> datetime:
    """Return when the clocks of ``zone`` show the day and hour that those of zone ``of`` show at ``at``.

    An hour that summer time skips is taken an hour later; of one that comes twice, the first. A zone that
    is not known (any more) is taken to be ``of``.
    """
    if zone == of or zone not in _zones():
        return at
    shown = at.astimezone(ZoneInfo(of))
    return shown.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def first_hour(at: datetime, *, of: str) -> datetime:
    """Return when that day and hour begins on Earth: where clocks are 14 hours ahead of UTC."""
    return same_hour(at, of=of, zone=_FIRST)


_FIRST = "Etc/GMT-14"  # POSIX's sign: east of Greenwich is negative


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _span(text: str) -> Span:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise BadWindow
    first, last, *hours = found.groups()
    start, end = _time(*hours[:2]), _time(*hours[2:])
    if start in (end, _DAY):
        raise BadWindow
    days = (_DAYS.index(first), _DAYS.index(last or first)) if first else (0, 6)
    if (days[1] + 1) % 7 == days[0]:
        days = (0, 6)  # all seven, wherever the week begins
    return Span(*days, start, end)


def _time(hour: str, minute: str) -> int:
    """Return the minute of the day, 24:00 included."""
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > _DAY:
        raise BadWindow
    return total


def _hour(at: datetime, zone: str) -> timedelta:
    """Return how long the week has run, from its Monday at midnight, by the wall clock of ``zone``."""
    local = at.astimezone(ZoneInfo(zone))
    return timedelta(local.weekday(), local.second, local.microsecond, minutes=local.minute, hours=local.hour)


def _offset(at: datetime, zone: str) -> timedelta | None:
    return at.astimezone(ZoneInfo(zone)).utcoffset()


def _change(before: datetime, after: datetime, zone: str) -> datetime:
    """Return the second at which clocks changed between two instants whose offsets differ."""
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(datetime.fromtimestamp(middle, before.tzinfo), zone) == _offset(before, zone)
        low, high = (middle, high) if same else (low, middle)
    return datetime.fromtimestamp(high, before.tzinfo)
