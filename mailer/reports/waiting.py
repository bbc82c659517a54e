"""Why letters wait: what each destination still has to get, and when it can have it.

Counted from batches, so that it costs the same however many letters wait; readers who will be withdrawn are
still counted. Times at a lane's pace are estimates: they take its limit for the speed, and campaigns to go
in turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from mailer.delivery import lanes, pace, windows
from mailer.delivery import store as delivery
from mailer.delivery.pace import Limit
from mailer.delivery.store import Campaign, CampaignState, Slowdown
from mailer.reports import store
from mailer.reports.store import Waiting
from mailer.sentence import Sentence

WORTH_TELLING = 60.0  # seconds at a lane's pace; below, nobody asks why it takes so long
LAST_SEEN = timedelta(minutes=1)  # a worker that has work is seen every few seconds


class Why(StrEnum):
    """What keeps letters back."""

    PAUSED = "paused"  # a person
    WINDOW = "window"  # the campaign's hours
    NOBODY = "nobody"  # no worker is there
    REST = "rest"  # the destination asked us to slow down
    PACE = "pace"  # the destination's limit
    RELAY = "relay"  # our own relay's limit, or that of its warm-up
    HOUR = "hour"  # the readers' own hour
    AGAIN = "again"  # deferred, to be tried again
    LOST = "lost"  # begun by a worker that is gone: its journal knows


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason why letters of a campaign wait.

    ``until`` is when the first of them may go; None: nobody knows. ``seconds`` is how long the pace takes
    (PACE and RELAY only).
    """

    why: Why
    letters: int
    until: datetime | None = None
    lane: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Destination:
    """A lane, its limit, and what waits in it of all campaigns.

    ``set_by`` and ``set_at``: who has set the limit, None for a default. ``seconds``: how long the ready
    letters take at its pace, 0.0 without one. ``slowdown``: that it has asked us to slow down and accepted
    nothing since; ``rests_until`` None: it does not rest now.
    """

    lane: str
    limit: Limit
    set_by: str | None
    set_at: datetime | None
    ready: int
    later: int
    next_at: datetime | None  # of the later ones
    paused: int
    seconds: float
    slowdown: Slowdown | None
    rests_until: datetime | None

    @property
    def letters(self) -> int:
        """All that wait."""
        return self.ready + self.later + self.paused


# --- one campaign ---------------------------------------------------------------------------------------


def waits(session: Session, campaign: Campaign, now: datetime, relay: Limit = pace.NONE) -> list[Wait]:
    """Return the reasons why letters of a campaign wait, those that hold back most of it first.

    Of the destinations that are only kept to their pace, the one that will be through last; or in place of
    it the relay, if what ``relay`` allows today takes longer.
    """
    if campaign.state not in (CampaignState.SENDING, CampaignState.PAUSED):
        return []
    everything = store.waiting(session, now)
    mine = [row for row in everything if row.campaign_id == campaign.id]
    lost = sum(row.lost for row in mine)
    left = sum(row.ready + row.later + row.again for row in mine)
    opens = _opens(mine[0], now) if mine else now
    if campaign.state == CampaignState.PAUSED:
        found = [Wait(Why.PAUSED, left)]
    elif opens > now:
        found = [Wait(Why.WINDOW, left, opens)]
    else:
        found = [
            *_nobody(session, mine, now),
            *_by_lane(session, mine, everything, now, relay),
            *_by_time(mine),
        ]
    return [wait for wait in [*found, Wait(Why.LOST, lost)] if wait.letters]


def _nobody(session: Session, mine: Iterable[Waiting], now: datetime) -> list[Wait]:
    if store.workers(session, now - LAST_SEEN):
        return []
    return [Wait(Why.NOBODY, sum(row.ready for row in mine))]


def _by_lane(
    session: Session, mine: Iterable[Waiting], everything: Iterable[Waiting], now: datetime, relay: Limit
) -> list[Wait]:
    """Return the lanes that rest, and the slowest of the others."""
    resting = {row.lane: row.until for row in lanes.slowdowns(session) if row.until > now}
    rests = [Wait(Why.REST, row.ready, resting[row.lane], row.lane) for row in mine if row.lane in resting]
    limits = lanes.limits(session)
    sharing = [row for row in everything if row.state == CampaignState.SENDING and _opens(row, now) <= now]
    going = [row for row in mine if row.lane not in resting]
    paced = [Wait(Why.RELAY, sum(row.ready for row in going), seconds=_in_turns(relay, going, sharing))]
    for row in going:
        here = [each for each in sharing if each.lane == row.lane]
        seconds = _in_turns(limits.get(row.lane, pace.NONE), [row], here)
        paced.append(Wait(Why.PACE, row.ready, lane=row.lane, seconds=seconds))
    slowest = max(paced, key=lambda wait: wait.seconds)
    return [*rests, slowest] if slowest.seconds >= WORTH_TELLING else rests


def _in_turns(limit: Limit, mine: Iterable[Waiting], sharing: Iterable[Waiting]) -> float:
    """Return about how many seconds my ready letters take at a limit, if campaigns take turns."""
    own = sum(row.ready for row in mine)
    theirs: Counter[int] = Counter()
    for row in sharing:
        theirs[row.campaign_id] += row.ready
    return time_at(limit, sum(min(own, letters) for letters in theirs.values()))


def _by_time(mine: Iterable[Waiting]) -> list[Wait]:
    later = [(row.later, row.later_at) for row in mine]
    again = [(row.again, row.again_at) for row in mine]
    return [Wait(Why.HOUR, *_first(later)), Wait(Why.AGAIN, *_first(again))]


def _first(counted: list[tuple[int, datetime | None]]) -> tuple[int, datetime | None]:
    return sum(letters for letters, _ in counted), min((at for _, at in counted if at), default=None)


def _opens(row: Waiting, now: datetime) -> datetime:
    return windows.read(row.window).opens(now, row.zone)


# --- all of them ----------------------------------------------------------------------------------------


def destinations(session: Session, now: datetime) -> list[Destination]:
    """Return every lane that has a limit, letters or a slowdown: those with most letters first."""
    limits, set_ = lanes.limits(session), {row.lane: row for row in lanes.set_limits(session)}
    slowdowns = {row.lane: row for row in lanes.slowdowns(session)}
    rows = [_as_of(row, now) for row in store.waiting(session, now)]
    names = {*limits, *slowdowns, *(row.lane for row in rows)}
    found = []
    for lane in sorted(names):
        here = [row for row in rows if row.lane == lane]
        found.append(
            _destination(lane, limits.get(lane, pace.NONE), set_.get(lane), slowdowns.get(lane), here, now)
        )
    return sorted(found, key=lambda each: -each.letters)


def _destination(
    lane: str,
    limit: Limit,
    by: delivery.Limit | None,
    slowdown: Slowdown | None,
    rows: list[Waiting],
    now: datetime,
) -> Destination:
    sending = [row for row in rows if row.state == CampaignState.SENDING]
    ready = sum(row.ready for row in sending)
    later, next_at = _first(
        [(row.later, row.later_at) for row in sending] + [(row.again, row.again_at) for row in sending]
    )
    return Destination(
        lane=lane,
        limit=limit,
        set_by=by.set_by if by else None,
        set_at=by.set_at if by else None,
        ready=ready,
        later=later,
        next_at=next_at,
        paused=sum(row.ready + row.later + row.again for row in rows if row.state == CampaignState.PAUSED),
        seconds=time_at(limit, ready),
        slowdown=slowdown,
        rests_until=slowdown.until if slowdown and slowdown.until > now else None,
    )


def _as_of(row: Waiting, now: datetime) -> Waiting:
    """Return the row as it stands; while its campaign's window is closed, all of it waits for that."""
    opens = _opens(row, now)
    if opens <= now:
        return row
    due = [now if row.ready else None, row.later_at, row.again_at]
    first = max(opens, min((at for at in due if at), default=opens))
    left = row.ready + row.later + row.again
    return row._replace(ready=0, again=0, again_at=None, later=left, later_at=first if left else None)


# --- relays ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failing:
    """A relay that failed at some workers and took no letter from them since.

    ``resting`` of those ``workers`` leave it alone, the last of them until ``until``; the others try it with
    one letter. ``why``: what it failed with, at the one that rests longest.
    """

    name: str
    workers: int
    resting: int
    until: datetime
    why: Sentence


def failing(session: Session, now: datetime) -> list[Failing]:
    """Return the relays that fail workers who were seen of late, by name."""
    seen = delivery.failing_relays(session, now - LAST_SEEN)
    found = []
    for name in sorted({each.name for each in seen}):
        here = [each for each in seen if each.name == name]
        last = max(here, key=lambda each: each.until)
        resting = sum(each.until > now for each in here)
        found.append(Failing(name, len(here), resting, last.until, last.why))
    return found


def time_at(limit: Limit, letters: int) -> float:
    """Return about how many seconds letters take at a limit, 0.0 without one."""
    rates = [bucket.rate for bucket in limit.buckets.values()]
    return letters / min(rates) if rates else 0.0
