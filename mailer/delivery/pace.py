"""Pace: how fast letters may go to a destination or a relay, and when to slow down. Pure.

Letters go to relays, never to MX hosts; still the big providers judge a sender by how fast letters come.
The arithmetic is that of the generic cell rate algorithm (ITU-T I.371): a bucket holds up to ``burst``
letters and fills at ``rate`` letters a second; its whole state is the instant at which it is full again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from mailer.diagnosis import Category

_Number = TypeVar("_Number", int, float)
_DAY = 86_400  # seconds
_ROUNDING = 1e-6  # letters: what sums of floats may be short of a whole one


class Bucket(NamedTuple):
    """In any window of ``t`` seconds at most ``burst + rate * t`` letters pass."""

    rate: float  # letters per second
    burst: float  # letters at once, never below 1


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a destination or a relay is given; None: without limit.

    The promise: in any window of t seconds no more letters are granted than ``per_second * t`` and one
    second's worth (at least one letter), and no more than ``per_hour / 3600 * t`` and one minute's worth (at
    least one). So any second sees at most twice ``per_second``, any hour at most 1/60 above ``per_hour``.
    """

    per_second: float | None = None
    per_hour: int | None = None
    connections: int | None = None  # that carry letters to it at once, from all workers
    letters: int | None = None  # per connection

    @classmethod
    def of_day(cls, letters: int) -> Limit:
        """Return the limit that spreads so many letters evenly over 24 hours: no burst, at most one more."""
        return cls(per_second=letters / _DAY)

    @property
    def unlimited(self) -> bool:
        """True when letters may go at any speed; connections may still be limited."""
        return self.per_second is None and self.per_hour is None

    @property
    def buckets(self) -> dict[str, Bucket]:
        """The buckets that all must hold a letter before it goes, by the name of their interval."""
        found = {}
        if self.per_second is not None:
            found["second"] = Bucket(self.per_second, max(1.0, self.per_second))
        if self.per_hour is not None:
            found["hour"] = Bucket(self.per_hour / 3600, max(1.0, self.per_hour / 60))
        return found

    def stricter(self, other: Limit) -> Limit:
        """Return the limit that keeps both: a relay's own, say, and that of its warm-up."""
        return Limit(
            _least(self.per_second, other.per_second),
            _least(self.per_hour, other.per_hour),
            _least(self.connections, other.connections),
            _least(self.letters, other.letters),
        )


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    return min((value for value in (one, other) if value is not None), default=None)


NONE = Limit()
"""Without any limit."""


# What providers are given unless an admin says otherwise. No provider publishes a rate that is safe for
# everyone: they publish that they limit, and by what. The hourly figures let a list of 50,000 people, 40 % of
# them at Gmail, be through in about an hour, and are below what each is known to take from a sender in good
# standing. KumoMTA's shaping.toml, kept with the providers' postmasters, is the second source of
# connections and letters per connection.
DEFAULTS: Mapping[str, Limit] = MappingProxyType(
    {
        # https://support.google.com/a/answer/81126: a consistent rate, no bursts, no sudden spikes, fewer
        # letters when deferrals begin. KumoMTA: 5 connections, 50 letters on each.
        "gmail": Limit(per_second=10, per_hour=20_000, connections=5, letters=50),
        # https://sendersupport.olc.protection.outlook.com/pm/troubleshooting: by reputation of the address,
        # "4.7.5xx server busy" beyond it. 30 letters a minute is a mailbox's own limit for what it sends, and
        # binds a relay that submits there, not us. KumoMTA: 5 and 50.
        "outlook": Limit(per_second=5, per_hour=12_000, connections=5, letters=50),
        # https://senders.yahooinc.com/best-practices and help.yahoo.com SLN3433: at most 20 letters on a
        # connection, then it hangs up; of connections a number "with respect".
        "yahoo": Limit(per_second=5, per_hour=12_000, connections=5, letters=20),
        # https://service.mail.qq.com/cgi-bin/help?subtype=1&id=20022: limits a minute, an hour and a day for
        # each address, not made public; beyond them it is shut out for minutes, hours or the day.
        "qq": Limit(per_second=3, per_hour=8_000, connections=3, letters=20),
        # Tencent's mail for companies: the same rules, counted apart.
        "exmail": Limit(per_second=3, per_hour=8_000, connections=3, letters=20),
        # https://mail.163.com/help/help_spam_16.htm: HL:ICC connections at once, HL:IFC letters in a short
        # time, MI:DMC letters on a connection, MI:SFQ letters of one sender in 15 minutes; no numbers.
        "netease": Limit(per_second=3, per_hour=8_000, connections=3, letters=20),
        # https://help.aliyun.com/document_detail/36612.html: "attempts is achieved the maximum" by address
        # and hour; no numbers.
        "alimail": Limit(per_second=3, per_hour=8_000, connections=3, letters=50),
    }
)


# --- taking letters -------------------------------------------------------------------------------------


class Grant(NamedTuple):
    """How many letters may begin now, and in how many seconds it is worth asking for the rest.

    ``wait`` is 0.0 when all that was wanted is granted. Otherwise it is the time until the rest may go, but
    no more of it than half a burst: who waits that long loses no speed, and does not come for single letters.
    ``ours``: it is only the asking worker that has to wait (its relays rest, others hold the connections).
    """

    granted: int
    wait: float
    ours: bool = False


def take(
    full_at: Mapping[str, float], now: float, buckets: Mapping[str, Bucket], want: int
) -> tuple[dict[str, float], Grant]:
    """Take up to ``want`` letters out of all ``buckets``; a negative ``want`` puts letters back.

    ``full_at`` and the result are the buckets' states, the instants (seconds) at which each is full; one
    without a state is full. A state further off than an empty bucket's, after a clock was set back or a limit
    raised, counts as empty.
    """
    ends = {
        name: min(max(full_at.get(name, now), now), now + bucket.burst / bucket.rate)
        for name, bucket in buckets.items()
    }
    room = {name: bucket.burst - (ends[name] - now) * bucket.rate for name, bucket in buckets.items()}
    granted = min([want, *(int(each + _ROUNDING) for each in room.values())])
    wait = 0.0
    for name, bucket in buckets.items():
        ends[name] += granted / bucket.rate
        wait = max(wait, _wait(bucket, room[name] - granted, want - granted))
    return ends, Grant(granted, wait)


def _wait(bucket: Bucket, room: float, wanted: int) -> float:
    """Return the seconds until as many as are still ``wanted``, at most half a burst, may go."""
    if wanted <= 0:
        return 0.0
    return max(0.0, (min(wanted, max(1.0, bucket.burst / 2)) - room) / bucket.rate)


def beginning(now: float, buckets: Mapping[str, Bucket]) -> dict[str, float]:
    """Return the states of buckets that hold one letter: of who does not know what went before."""
    return {name: now + (bucket.burst - 1) / bucket.rate for name, bucket in buckets.items()}


def share(limit: Limit, among: int) -> dict[str, Bucket]:
    """Return the buckets of one of ``among`` workers who cannot count together: each has its part."""
    return {
        name: Bucket(bucket.rate / among, max(1.0, bucket.burst / among))
        for name, bucket in limit.buckets.items()
    }


# --- new sending addresses ------------------------------------------------------------------------------

WARM_UP = tuple(50 * 2**day for day in range(12))
"""Letters on each day of a new address: 50, 100, 200 … 102,400.

Providers publish no figures; those who send for others begin with 50 (Twilio SendGrid's manual schedule) and
reach a hundred thousand within about two weeks. Gmail advises against more than doubling.
"""


def warm_up(first_day: date, today: date) -> int | None:
    """Return how many letters a new sending address may carry today; None: it is warm.

    Before its first day it has that of the first.
    """
    day = max(0, (today - first_day).days)
    return WARM_UP[day] if day < len(WARM_UP) else None


# --- slowing down ---------------------------------------------------------------------------------------

_FIRST_REST = timedelta(minutes=1)
_LONGEST_REST = timedelta(hours=1)  # most hourly limits have passed by then
_ABOUT_ONE_MAILBOX = "2"  # RFC 3463 §3.3, mailbox status: full, or getting too much from everybody
_ABOUT_A_SYSTEM = "3"  # RFC 3463 §3.4, mail system status: disk full, cannot take it now
_ABOUT_POLICY = "7"  # RFC 3463 §3.8: who may send, and how much


def rest(strikes: int) -> timedelta:
    """Return how long a destination rests after so many requests in a row (>= 1): 1, 2, 4 … 60 minutes."""
    return min(_FIRST_REST * (1 << min(strikes - 1, 10)), _LONGEST_REST)


def asks_to_slow(code: int | None, status: str | None, category: str | None) -> bool:
    """Tell whether an answer to a letter, at whatever command, asks us to slow down towards its destination.

    421 (RFC 5321 §3.8: closes the channel), 4.7.x, and whatever the diagnosis calls ``rate`` do. What is said
    of one mailbox (4.2.2, or Gmail's "450 4.2.1 receiving mail too quickly") or of a system that cannot take
    this letter (452 4.3.1) does not.
    """
    class_, _, detail = (status or "").partition(".")
    subject = detail.partition(".")[0]
    if subject == _ABOUT_ONE_MAILBOX or (subject == _ABOUT_A_SYSTEM and code != 421):
        return False
    return code == 421 or category == Category.RATE or (class_ == "4" and subject == _ABOUT_POLICY)
