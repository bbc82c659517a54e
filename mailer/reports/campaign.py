"""The report of a campaign: its figures, and the rows behind every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from mailer.delivery.store import Campaign, DeliveryState, EventKind
from mailer.errors import NotFound
from mailer.reports import store
from mailer.reports.store import Behind, Line, Reply

PAGE_SIZE = 50  # rows on a page


class NoSuchFigure(NotFound):
    """The report has no such figure: open it again and choose one."""


class NoSuchCampaign(NotFound):
    """There is no such campaign: look it up with `mailer campaign list`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign came to so far. Every figure counts people's letters, never events.

    ``waiting`` were never tried, ``deferred`` will be tried again. ``bounced`` (by category) are accepted
    letters that came back. ``opened`` and ``clicked`` leave machines out. ``progress`` is the share of
    letters nothing more happens to (0…1), ``seconds`` the time from launch to the last try, ``rate`` the
    letters tried a second; both 0.0 before the first try.
    """

    candidates: int
    exclusions: dict[str, int]
    deliveries: int
    waiting: int
    accepted: int
    deferred: int
    rejected: int
    uncertain: int
    withdrawn: dict[str, int]
    bounced: dict[str, int]
    bounced_total: int
    delayed: int
    complaints: int
    left: int
    opened: int
    clicked: int
    suppressed: int
    progress: float
    seconds: float
    rate: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as they go into JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Row:
    """One person behind a figure.

    ``n`` None: excluded, there is no letter. ``address`` "": erased. ``what`` is a state, reason, category or
    kind of event, whichever says most; ``words`` is what the relay or a report said, ``at`` when (None:
    nothing was said yet).
    """

    n: int | None
    address: str
    name: str
    partner: str
    what: str
    words: str
    at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Return the row as it goes into JSON."""
        return asdict(self)


def report(session: Session, campaign_id: int) -> Report:
    """Count a campaign. Seven queries, however large it is.

    :raises NoSuchCampaign: no campaign has that number
    """
    campaign = session.get(Campaign, campaign_id)
    if campaign is None:
        raise NoSuchCampaign
    ledger = store.by_state(session, campaign_id)
    states = {
        state: sum(count for (of, _), count in ledger.items() if of is state) for state in DeliveryState
    }
    bounced = store.by_bounce(session, campaign_id)
    kinds = store.by_kind(session, campaign_id)
    deliveries = sum(states.values())
    tried = deliveries - states[DeliveryState.WAITING] - states[DeliveryState.WITHDRAWN]
    seconds = _seconds(campaign, store.last_attempt(session, campaign_id))
    return Report(
        candidates=campaign.candidates or 0,
        exclusions=store.by_exclusion(session, campaign_id),
        deliveries=deliveries,
        waiting=states[DeliveryState.WAITING],
        accepted=states[DeliveryState.ACCEPTED],
        deferred=states[DeliveryState.DEFERRED],
        rejected=states[DeliveryState.REJECTED],
        uncertain=states[DeliveryState.UNCERTAIN],
        withdrawn={reason: n for (of, reason), n in ledger.items() if of is DeliveryState.WITHDRAWN},
        bounced=bounced,
        bounced_total=sum(bounced.values()),
        **{name: kinds.get(kind, 0) for name, kind in _TOLD.items()},
        suppressed=store.suppressions(session, campaign_id),
        progress=_progress(states, campaign),
        seconds=seconds,
        rate=tried / seconds if seconds else 0.0,
    )


def rows(
    session: Session,
    campaign_id: int,
    figure: str,
    *,
    page: int = 1,
    size: int = PAGE_SIZE,
    partner_id: int | None = None,
    language: str = "en",
) -> list[Row]:
    """Return a page of the rows behind ``figure``, in the order of the ledger.

    ``figure`` is a field of ``Report``, or ``exclusions:REASON``, ``withdrawn:REASON``, ``bounced:CATEGORY``.
    ``partner_id``: only that partner's people. ``language`` chooses between a person's two names.

    :raises NoSuchFigure: the report has none of that name
    """
    found = store.lines(
        session,
        _behind(campaign_id, figure),
        size=size,
        skip=(max(page, 1) - 1) * size,
        partner_id=partner_id,
    )
    tried = [line.n for line in found if line.n is not None and line.at is None]
    replies = store.last_replies(session, campaign_id, tried) if tried else {}
    return [_row(line, replies, language) for line in found]


def count(session: Session, campaign_id: int, figure: str, *, partner_id: int | None = None) -> int:
    """Count the rows behind ``figure``.

    :raises NoSuchFigure: the report has none of that name
    """
    if figure in _TOLD and partner_id is None:
        return store.told_of(session, campaign_id, _TOLD[figure])
    return store.count(session, _behind(campaign_id, figure), partner_id)


_TOLD = {
    "delayed": EventKind.DELAY,
    "complaints": EventKind.COMPLAINT,
    "left": EventKind.LEAVE,
    "opened": EventKind.OPEN,
    "clicked": EventKind.CLICK,
}
_FIGURES: dict[str, Callable[[int], Behind]] = {
    "candidates": store.candidates,
    "exclusions": store.excluded,
    "deliveries": store.in_states,
    "waiting": lambda campaign: store.in_states(campaign, DeliveryState.WAITING),
    "accepted": lambda campaign: store.in_states(campaign, DeliveryState.ACCEPTED),
    "deferred": lambda campaign: store.in_states(campaign, DeliveryState.DEFERRED),
    "rejected": lambda campaign: store.in_states(campaign, DeliveryState.REJECTED),
    "uncertain": lambda campaign: store.in_states(campaign, DeliveryState.UNCERTAIN),
    "withdrawn": store.withdrawn,
    "bounced": store.bounced,
    "suppressed": store.suppressed,
    **{name: partial(store.with_event, kind=kind) for name, kind in _TOLD.items()},
}
_PARTED: dict[str, Callable[[int, str], Behind]] = {
    "exclusions": store.excluded,
    "withdrawn": store.withdrawn,
    "bounced": store.bounced,
}


def _behind(campaign_id: int, figure: str) -> Behind:
    name, colon, part = figure.partition(":")
    if colon and name in _PARTED:
        return _PARTED[name](campaign_id, part)
    if colon or name not in _FIGURES:
        raise NoSuchFigure
    return _FIGURES[name](campaign_id)


def _row(line: Line, replies: dict[int, Reply], language: str) -> Row:
    what, words, at = line.what, line.words or "", line.at
    if line.n is not None and at is None and line.n in replies:
        category, words, at = replies[line.n]
        what = category or what
    return Row(
        n=line.n,
        address=line.address or "",
        name=_in(language, line.name_zh, line.name_en),
        partner=_in(language, line.partner_zh, line.partner_en),
        what=what,
        words=words,
        at=at,
    )


def _in(language: str, zh: str | None, en: str | None) -> str:
    return (zh or en or "") if language == "zh" else (en or zh or "")


def _progress(states: dict[DeliveryState, int], campaign: Campaign) -> float:
    open_letters = states[DeliveryState.WAITING] + states[DeliveryState.DEFERRED]
    if not (deliveries := sum(states.values())):
        return 1.0 if campaign.launched_at else 0.0
    return 1 - open_letters / deliveries


def _seconds(campaign: Campaign, last: datetime | None) -> float:
    if campaign.launched_at is None or last is None:
        return 0.0
    return max((last - campaign.launched_at).total_seconds(), 0.0)
