"""Events: what came back about a delivery. Append-only, and the same news is told only once.

Whoever hears something says what makes it the same news (``key``); hearing it again, from a second worker
or a peer that tries again, writes nothing. Bounces and complaints wait in an inbox for feedback's policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mailer import queue
from mailer.delivery import cases
from mailer.delivery.store import Event, EventInbox, EventKey, EventKind

DETAIL_LIMIT = 2_000  # characters of a mail system's words that are kept; the raw mail has them all
MACHINE = "machine"  # start of ``detail`` of an open or click that no person made

_FOR_POLICY = frozenset({EventKind.BOUNCE, EventKind.COMPLAINT})


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something heard about one delivery.

    ``key`` tells this news from other news of the same kind about the same delivery: "" when there can be
    only one. ``category``, ``status``, ``permanent``, ``dead`` and ``reason`` are a diagnosis, ``detail`` the
    words it was made from; ``link`` is the place of a clicked link; ``mail_id`` the stored message, if mail
    told it.
    """

    campaign_id: int
    n: int
    kind: EventKind
    at: datetime
    source: str
    key: str = ""
    category: str | None = None
    status: str | None = None
    permanent: bool = False
    dead: bool = False
    reason: str = ""
    detail: str = ""
    link: int | None = None
    mail_id: int | None = None

    @property
    def fingerprint(self) -> str:
        """What ``event_keys`` holds: 64 hexadecimal digits over delivery, kind and key."""
        whole = f"{self.campaign_id}:{self.n}:{self.kind}:{self.key}"
        return blake2b(whole.encode(errors="surrogatepass"), digest_size=32).hexdigest()


def record(session: Session, **news: Any) -> int | None:
    """Write one event, given as the fields of ``News``, and return its id; None when it was told before."""
    ids = record_many(session, [News(**news)])
    return ids[0] if ids else None


def record_many(session: Session, news: Iterable[News]) -> list[int]:
    """Write what is new among ``news`` and return the events' ids, in no order that means anything.

    Rings for policy when there is something to decide. The deliveries must exist.
    """
    by_key: dict[str, News] = {}
    for item in news:
        by_key.setdefault(item.fingerprint, item)
    fresh = _claim(session, by_key)
    if not fresh:
        return []
    in_order = insert(Event).returning(Event.id, sort_by_parameter_order=True)
    told = list(zip(session.scalars(in_order, [_row(item) for item in fresh]), fresh, strict=True))
    cases.open_for(session, told)
    waiting = [event_id for event_id, item in told if item.kind in _FOR_POLICY]
    if waiting:
        session.execute(insert(EventInbox), [{"event_id": event_id} for event_id in waiting])
        queue.ring(session, queue.APPLY)
    return [event_id for event_id, _ in told]


def of_delivery(session: Session, campaign_id: int, n: int) -> Sequence[Event]:
    """Return all that came back about one delivery, oldest first."""
    return session.scalars(
        select(Event).where(Event.campaign_id == campaign_id, Event.n == n).order_by(Event.at, Event.id)
    ).all()


def _claim(session: Session, by_key: dict[str, News]) -> list[News]:
    """Write the keys and return the news whose key was not there: the WHERE clause is the idempotence."""
    if not by_key:
        return []
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(EventKey).on_conflict_do_nothing().returning(EventKey.key)
    # in one order everywhere: two workers with the same news wait for each other instead of deadlocking
    keys = [{"key": key, "at": by_key[key].at} for key in sorted(by_key)]
    return [by_key[key] for key in session.scalars(statement, keys)]


def _row(news: News) -> dict[str, Any]:
    return {
        "campaign_id": news.campaign_id,
        "n": news.n,
        "kind": news.kind,
        "at": news.at,
        "source": news.source,
        "category": news.category,
        "status": news.status[:12] if news.status else None,
        "permanent": news.permanent,
        "dead": news.dead,
        "detail": writable(news.detail)[:DETAIL_LIMIT],
        "link": news.link,
        "mail_id": news.mail_id,
    }


def writable(text: str) -> str:
    """Return ``text`` as both databases can keep it: no NUL, no lone surrogates."""
    return text if text.isascii() and "\x00" not in text else _mended(text)


def _mended(text: str) -> str:
    return text.replace("\x00", "").encode(errors="replace").decode()
