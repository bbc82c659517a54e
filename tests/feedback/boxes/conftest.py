"""Mailboxes of a test: added, and read once or watched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from mailer.accounts.audit import SYSTEM, Actor
from mailer.database import Base, Database
from mailer.delivery.store import Delivery, Event
from mailer.feedback.boxes import mailboxes, store
from mailer.feedback.boxes.account import Account
from mailer.feedback.boxes.collect import Collected
from mailer.feedback.boxes.store import Mailbox, UnstoredMail
from mailer.feedback.boxes.watch import Reader, Watcher
from mailer.settings import Settings
from mailer.signing import Purpose
from tests.feedback import samples
from tests.make import KEYS, NOON
from tests.shell import until
from tests.smtphost import self_signed


def addressed(delivery: Delivery, raw: bytes) -> bytes:
    """A mail as it lies in a mailbox that takes whatever comes to the bounce domain."""
    expires = datetime.now(UTC) + timedelta(days=60)
    token = KEYS.sign(Purpose.RETURN_PATH, delivery.campaign_id, delivery.n, expires=expires)
    return f"Delivered-To: b-{token}@{samples.BOUNCES}\r\n".encode() + raw


def bounce(delivery: Delivery, words: str = samples.GONE) -> bytes:
    return addressed(delivery, samples.dsn(("ann@example.org", words)))


class Desk:
    """An administrator with a database."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database

    def add(self, url: str) -> int:
        with self.database.write() as session:
            account = Account.from_url(url)
            return mailboxes.add(session, account, keys=KEYS, now=NOON, actor=Actor(None, "test")).id

    def read(self, mailbox: int) -> Collected | None:
        """Read once what is new."""
        return Reader(self.settings, self.database, mailbox, threading.Event()).run(once=True)

    def row(self, mailbox: int) -> Mailbox:
        with self.database.read() as session:
            return mailboxes.get(session, mailbox)

    def trouble(self, mailbox: int) -> str:
        return str(mailboxes.trouble_of(self.row(mailbox)) or "")

    def try_again(self, mailbox: int) -> None:
        """Let the time pass until it is tried again."""
        with self.database.write() as session:
            mailboxes.get(session, mailbox).retry_at = None

    def try_unstored(self, mailbox: int) -> None:
        """Have what could not be stored tried at once."""
        with self.database.write() as session:
            mailboxes.try_again(session, mailbox, now=NOON, actor=SYSTEM)

    def unstored(self, mailbox: int) -> list[UnstoredMail]:
        with self.database.read() as session:
            return store.unstored(session, mailbox)

    def seen(self, mailbox: int) -> set[str]:
        with self.database.read() as session:
            return store.seen(session, mailbox)

    def events(self) -> list[str]:
        return [str(event.category or event.kind) for event in self.rows(Event)]

    def rows(self, table: type[Base]) -> list[Base]:
        with self.database.read() as session:
            return list(session.scalars(select(table)))

    def heard(self, count: int) -> None:
        """Wait until so many events are told."""
        until(lambda: len(self.events()) == count)


@pytest.fixture
def desk(settings: Settings, database: Database) -> Desk:
    return Desk(settings, database)


@pytest.fixture
def watch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """Somebody watches, and looks around more often."""
    monkeypatch.setattr("mailer.feedback.boxes.watch.LOOK_AROUND", 0.2)
    watcher = Watcher(desk.settings, desk.database)
    watcher.start()
    yield watcher
    watcher.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("boxes"))
