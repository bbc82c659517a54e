"""What a test of sending needs: a campaign launched by the real verbs, workers, and a look at the ledger."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from mailer.accounts.audit import Actor
from mailer.audience.store import Subscriber
from mailer.database import Database
from mailer.delivery import campaigns, store, sweep
from mailer.delivery.send import Sender
from mailer.delivery.store import Attempt, Batch, BatchState, Campaign, Delivery, Event
from mailer.settings import Settings
from tests.make import Make

SHELL = Actor(None, "shell")
MINUTE = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(UTC)


def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


class Desk:
    """Campaigns of one database and the workers that send them."""

    def __init__(self, database: Database, settings: Settings, make: Make) -> None:
        self.database, self.settings, self.make = database, settings, make
        self._senders: list[Sender] = []

    def close(self) -> None:
        for sender in self._senders:
            sender.close()

    def sender(self, **changes: Any) -> Sender:
        """A worker of this machine, closed at the end of the test."""
        sender = Sender(self.settings.model_copy(update=changes), self.database)
        self._senders.append(sender)
        return sender

    def readers(self, *addresses: str) -> None:
        for address in addresses:
            self.make.subscriber(address)

    def draft(self, *addresses: str, **given: Any) -> int:
        """A campaign to everyone, ``addresses`` among them."""
        self.readers(*addresses)
        issue = self.make.issue()
        with self.database.write() as session:
            facts = {"audience": "everyone", "now": now(), "actor": SHELL, **given}
            return campaigns.create(session, issue_id=issue.id, **facts).id

    def approved(self, *addresses: str, **given: Any) -> int:
        campaign = self.draft(*addresses, **given)
        self.do(campaigns.ask, campaign, settings=self.settings)
        self.do(campaigns.approve, campaign)
        return campaign

    def launched(self, *addresses: str, **given: Any) -> int:
        campaign = self.approved(*addresses, **given)
        self.do(campaigns.launch, campaign, settings=self.settings)
        return campaign

    def do(self, verb: Callable[..., Any], campaign: int, **given: Any) -> Any:
        with self.database.write() as session:
            return verb(session, campaign_id=campaign, **{"now": now(), "actor": SHELL, **given})

    def sweep(self, at: datetime | None = None) -> None:
        """What the timetable does every second."""
        with self.database.write() as session:
            sweep.sweep(session, now=at or now())
        sweep.launch_due(self.database, settings=self.settings, now=at or now())

    def work(self, sender: Sender | None = None) -> Sender:
        """Have a worker send until nothing is due, then sweep."""
        sender = sender or self.sender()
        while sender.work(seconds=5):
            pass
        self.sweep()
        return sender

    def working(self, sender: Sender) -> threading.Thread:
        """Have a worker send in a thread of its own."""
        thread = threading.Thread(target=sender.work, kwargs={"seconds": 30})
        thread.start()
        return thread

    def hurry(self, campaign: int) -> None:
        """Let what waits for its time be due."""
        with self.database.write() as session:
            session.execute(
                update(Batch)
                .where(Batch.campaign_id == campaign, Batch.state == BatchState.WAITING)
                .values(due_at=now() - MINUTE)
            )

    # -- a look at the rows --

    def campaign(self, campaign: int) -> Campaign:
        with self.database.read() as session:
            return campaigns.get(session, campaign)

    def ledger(self, campaign: int) -> dict[int, Delivery]:
        return {row.n: row for row in self._rows(Delivery, campaign)}

    def counts(self, campaign: int) -> dict[str, int]:
        """How many letters are in each state, by its name."""
        counted = Counter(store.DeliveryState(row.state).name for row in self._rows(Delivery, campaign))
        return dict(counted)

    def state(self, campaign: int, address: str) -> tuple[str, str]:
        """Where the letter to ``address`` stands, and why it was withdrawn."""
        with self.database.read() as session:
            row = session.scalars(
                select(Delivery)
                .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
                .where(Delivery.campaign_id == campaign, Subscriber.address_key == address)
            ).one()
            return store.DeliveryState(row.state).name, row.reason

    def attempts(self, campaign: int) -> list[Attempt]:
        return self._rows(Attempt, campaign)

    def events(self, campaign: int) -> list[Event]:
        return self._rows(Event, campaign)

    def batches(self, campaign: int, *states: BatchState) -> list[Batch]:
        return [row for row in self._rows(Batch, campaign) if not states or row.state in states]

    def _rows(self, table: Any, campaign: int) -> list[Any]:
        with self.database.read() as session:
            return list(session.scalars(select(table).where(table.campaign_id == campaign)))
