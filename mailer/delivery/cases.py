"""Cases: the events that a person may have to look at are written down once more, ready to be listed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from mailer.delivery.store import Case, Delivery, EventKind, about
from mailer.diagnosis import Category, provider_of

if TYPE_CHECKING:
    from mailer.delivery.events import News

KINDS = (EventKind.BOUNCE, EventKind.DELAY, EventKind.COMPLAINT, EventKind.AUTO_REPLY)
"""What becomes a case; opens, clicks and leaves are for the reports."""

SAYS_NOTHING = frozenset({Category.UNKNOWN, Category.TECHNICAL})
"""What silences nobody by itself (law 4): a bounce that says so waits for a person."""

_Going = dict[tuple[int, int], tuple[str, int | None]]

REASON_LIMIT = 300  # characters of a diagnosis' grounds that are kept


def open_for(session: Session, told: Iterable[tuple[int, News]]) -> None:
    """Write a case for each of these events (their ids are given) that a person may have to look at."""
    trouble = [(event_id, news) for event_id, news in told if news.kind in KINDS]
    if not trouble:
        return
    going = _letters(session, {(news.campaign_id, news.n) for _, news in trouble})
    session.execute(insert(Case), [_row(event_id, news, going) for event_id, news in trouble])


def waits(kind: EventKind, category: str) -> bool:
    """Tell whether a new case waits for a person."""
    return kind == EventKind.BOUNCE and category in SAYS_NOTHING


def _row(
    event_id: int, news: News, going: dict[tuple[int, int], tuple[str, int | None]]
) -> dict[str, object]:
    provider, partner_id = going[news.campaign_id, news.n]
    category = news.category or Category.UNKNOWN.value
    return {
        "event_id": event_id,
        "kind": news.kind,
        "at": news.at,
        "campaign_id": news.campaign_id,
        "n": news.n,
        "category": category,
        "provider": provider,
        "partner_id": partner_id,
        "reason": news.reason[:REASON_LIMIT],
        "open": waits(news.kind, category),
    }


def _letters(
    session: Session, keys: Collection[tuple[int, int]]
) -> dict[tuple[int, int], tuple[str, int | None]]:
    """Return the provider ("": nobody known) and the partner of each delivery."""
    rows = session.execute(
        select(
            Delivery.campaign_id, Delivery.n, Delivery.provider, Delivery.domain, Delivery.partner_id
        ).where(about(Delivery, keys))
    )
    return {
        (row.campaign_id, row.n): (row.provider or provider_of(row.domain) or "", row.partner_id)
        for row in rows
    }
