"""Events are told once, whoever tells them."""

from __future__ import annotations

import threading
from datetime import timedelta

from sqlalchemy import func, select

from mailer import queue
from mailer.database import Database
from mailer.delivery import events
from mailer.delivery.events import News
from mailer.delivery.store import Delivery, Event, EventInbox, EventKind
from tests.make import NOON, Make


def news(delivery: Delivery, kind: EventKind = EventKind.BOUNCE, key: str = "") -> News:
    return News(campaign_id=delivery.campaign_id, n=delivery.n, kind=kind, at=NOON, source="dsn", key=key)


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def test_news_told_twice_is_written_once(database: Database, make: Make) -> None:
    """The second telling writes nothing and says so."""
    delivery = make.delivery()
    fields = {"campaign_id": delivery.campaign_id, "n": delivery.n, "kind": EventKind.BOUNCE, "at": NOON}
    with database.write() as session:
        first = events.record(session, **fields, source="dsn", key="a")
    with database.write() as session:
        again = events.record(session, **{**fields, "at": NOON + timedelta(hours=1)}, source="smtp", key="a")
    assert first is not None
    assert again is None
    assert count(database) == 1


def test_news_repeated_within_one_telling_is_written_once(database: Database, make: Make) -> None:
    """A report that says the same of two recipients makes one event."""
    delivery = make.delivery()
    with database.write() as session:
        told = events.record_many(session, [news(delivery, key="a"), news(delivery, key="a")])
    assert len(told) == 1
    assert count(database) == 1


def test_the_same_key_of_another_delivery_kind_or_news_is_other_news(database: Database, make: Make) -> None:
    """A key tells apart only within one delivery and kind."""
    first = make.delivery()
    second = make.delivery()
    with database.write() as session:
        told = events.record_many(
            session,
            [news(first), news(second), news(first, EventKind.DELAY), news(first, key="b")],
        )
    assert len(set(told)) == 4


def test_only_what_policy_looks_at_waits_in_its_inbox(database: Database, make: Make) -> None:
    """A click needs no decision; a bounce and a complaint do."""
    delivery = make.delivery()
    with database.write() as session:
        events.record_many(session, [news(delivery, kind) for kind in EventKind])
    with database.read() as session:
        waiting = session.scalars(select(Event.kind).join(EventInbox, EventInbox.event_id == Event.id)).all()
    assert sorted(waiting) == ["bounce", "complaint"]


def test_policy_is_called_once_the_news_is_safe(sqlite_database: Database) -> None:
    """The bell rings after the commit; news told before rings nobody."""
    delivery = Make(sqlite_database).delivery()
    with sqlite_database.write() as session:
        events.record_many(session, [news(delivery)])
        assert session.info["rung"] == {queue.APPLY}
    with sqlite_database.write() as session:
        events.record_many(session, [news(delivery)])
        assert "rung" not in session.info


def test_two_workers_with_the_same_news_write_it_once(database: Database, make: Make) -> None:
    """However they interleave, every piece of news is told by one of them."""
    delivery = make.delivery()
    told: list[list[int]] = []

    def tell(order: int) -> None:
        with database.write() as session:
            told.append(events.record_many(session, [news(delivery, key=str(i)) for i in range(50)][::order]))

    workers = [threading.Thread(target=tell, args=(order,)) for order in (1, -1, 1, -1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(told) == 4
    assert sum(map(len, told)) == count(database) == 50


def test_words_no_database_can_hold_are_mended(database: Database, make: Make) -> None:
    """NUL and lone surrogates come from broken mail systems; the rest of their words is kept."""
    delivery = make.delivery()
    with database.write() as session:
        [event_id] = events.record_many(
            session,
            [News(campaign_id=delivery.campaign_id, n=delivery.n, kind=EventKind.BOUNCE, at=NOON,
                  source="dsn", detail="no\x00 such \ud800user" + "!" * 5_000)],
        )  # fmt: skip
    with database.read() as session:
        event = session.get(Event, event_id)
        assert event is not None
        assert event.detail.startswith("no such ?user!")
        assert len(event.detail) == events.DETAIL_LIMIT
        assert events.of_delivery(session, delivery.campaign_id, delivery.n) == [event]
