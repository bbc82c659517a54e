"""The gate: which lanes are open to this process just now, and how many letters may begin in each.

It joins what is counted over all workers (``meter``), what admins have set and destinations have asked for
(``lanes``), and what the relay takes (``relays``).
"""

from __future__ import annotations

import time
from collections.abc import Set
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.delivery import lanes, pace
from mailer.delivery.meter import Meter
from mailer.delivery.pace import Grant, Limit
from mailer.delivery.relays import Relays

LOOK_AGAIN = 5.0  # seconds between looks at limits and slowdowns
TAKEN = 1.0  # seconds a lane is left alone whose connections others hold
LONGEST = 60.0  # seconds a lane is left alone without asking again: limits are lifted, relays mended


class Gate:
    """For one worker. Instants are those of ``time.monotonic()``."""

    def __init__(self, meter: Meter, relays: Relays) -> None:
        self._meter, self._relays = meter, relays
        self._limits: dict[str, Limit] = {}
        self._resting: set[str] = set()  # as the rows say: they asked us to slow down
        self._slowed: set[str] = set()  # have asked, and accepted nothing since
        self._held: dict[str, float] = {}  # lane -> when it is worth asking again
        self._looked_at = float("-inf")

    def look(self, session: Session, now: datetime) -> None:
        """Read what was set and asked for, unless that was just done."""
        if time.monotonic() - self._looked_at < LOOK_AGAIN:
            return
        self._looked_at = time.monotonic()
        self._limits = lanes.limits(session)
        slowdowns = lanes.slowdowns(session)
        self._slowed = {row.lane for row in slowdowns}
        self._resting = {row.lane for row in slowdowns if row.until > now}

    @property
    def closed(self) -> Set[str]:
        """The lanes that nothing may be begun in now."""
        now = time.monotonic()
        self._held = {lane: until for lane, until in self._held.items() if until > now}
        return self._resting | self._held.keys()

    @property
    def opens_in(self) -> float | None:
        """Seconds until a lane opens that is only held for its pace; None: none is."""
        return min((until - time.monotonic() for until in self._held.values()), default=None)

    def hold(self, lane: str, seconds: float) -> None:
        """Keep a lane closed to this process for a while."""
        self._held[lane] = time.monotonic() + seconds

    def has_asked(self, lane: str) -> bool:
        """Tell whether a lane has asked us to slow down and accepted nothing since."""
        return lane in self._slowed

    def rest(self, lane: str) -> None:
        """A lane has asked us to slow down: it is closed until the rows say otherwise."""
        self._resting.add(lane)
        self._slowed.add(lane)

    def forgiven(self, lane: str) -> None:
        """A lane has accepted a letter after its rest."""
        self._slowed.discard(lane)

    def ask(self, lane: str, want: int, now: datetime) -> Grant:
        """Take up to ``want`` letters of what lane and relay allow now; with none, ``hold`` the lane."""
        here = self._meter.take(_key(lane), self._limit(lane), want)
        there = self._relays.allowance(here.granted, now) if here.granted else Grant(0, here.wait)
        self.give_back(lane, here.granted - there.granted)
        wait = max(there.wait, here.wait) if there.granted < want else 0.0
        return Grant(there.granted, min(wait, LONGEST), there.ours)

    def give_back(self, lane: str, count: int) -> None:
        """Put back letters of a lane that were granted and not begun."""
        if count > 0:
            self._meter.give_back(_key(lane), self._limit(lane), count)

    def letters_per_connection(self, lane: str) -> int | None:
        """How many letters of a lane a connection may carry; None: any number."""
        return self._limit(lane).letters

    def enter(self, lane: str, want: int) -> int | None:
        """Hold connections for a lane; return how many: None any number, 0 none is free."""
        limit = self._limit(lane).connections
        if limit is None:
            return None
        return self._meter.seats(_key(lane), limit, min(want, limit))

    def leave(self, lane: str) -> None:
        """Give a lane's connections back."""
        limit = self._limit(lane).connections
        if limit is not None:
            self._meter.seats(_key(lane), limit, 0)

    def _limit(self, lane: str) -> Limit:
        return self._limits.get(lane, pace.NONE)


def _key(lane: str) -> str:
    return f"to:{lane}"
