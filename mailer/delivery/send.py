"""Sending: a worker leases a batch, goes through it in slices, and writes down what became of each letter.

Between two slices there is one transaction: it records the slice before, moves the batch's cursor over the
slice to come, renews the lease, and looks again whether each reader may still be written to. Every body is
in the journal before it leaves (law 2), so whatever dies, the next one knows.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypedDict

from sqlalchemy.orm import Session

from mailer.database import Database, clock
from mailer.delivery import batches, ledger, letters, store
from mailer.delivery.batches import Standing
from mailer.delivery.journal import (
    Journal,
    JournalInUse,
    JournalUnwritable,
    Leftover,
    unsettled,
    vanished,
)
from mailer.delivery.relay import BadRelay
from mailer.delivery.relays import REST, Relays
from mailer.delivery.smtp import Envelope, Outcome
from mailer.delivery.store import Batch, CampaignState, DeliveryState, Spent
from mailer.errors import MailerError
from mailer.settings import Settings

SLICE = 100  # letters: as many as a lost machine may leave uncertain (law 2)
LOOK_AGAIN = 0.5  # seconds between looks at the campaign's state and our lease while a slice is sent
PUT_OFF = timedelta(seconds=REST)  # how long letters wait that could not be handed over
SETTLE_EVERY = 5.0  # seconds between looks for journals of dead workers
FAREWELL = 15.0  # seconds ``close`` waits for the answers to letters on their way

_log = logging.getLogger(__name__)


class Sender:
    """One process's part in sending. It opens nothing before its first work.

    After an error only the rows and the journal are certain: the shift ends, and the next one begins, as
    after a death, with settling what the journal holds.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._busy = threading.Lock()
        self._leaving = threading.Event()
        self._shift: Shift | None = None

    def work(self, *, seconds: float) -> bool:
        """Send what is due for about ``seconds``; return whether more is due (False, too, when busy).

        What keeps every letter back (the journal's disk, a relay's URL) is said on the campaigns.
        """
        if not self._busy.acquire(blocking=False):
            return False
        try:
            self._shift = self._shift or Shift(self._settings, self._database, self._leaving)
            return self._shift.work(time.monotonic() + seconds)
        except (BadRelay, JournalUnwritable) as error:
            self._end()
            with self._database.write() as session:
                store.tell_trouble(session, error.sentence)
            return False
        except BaseException:
            self._end()
            raise
        finally:
            self._busy.release()

    def close(self) -> None:
        """Begin nothing more and say goodbye to the relays; the journal stays for whoever comes next."""
        self._leaving.set()
        if self._busy.acquire(timeout=FAREWELL):
            try:
                self._end()
            finally:
                self._busy.release()

    def _end(self) -> None:
        shift, self._shift = self._shift, None
        if shift is not None:
            shift.close()


class Shift:
    """From the opening of a journal to its closing: the journal, kept connections, and turns with batches."""

    def __init__(self, settings: Settings, database: Database, leaving: threading.Event) -> None:
        """Open the journal and settle what an earlier life of this worker left.

        :raises BadRelay: a relay's URL cannot be used
        :raises JournalUnwritable: the disk takes no journal, so nothing can be sent
        """
        self.leaving = leaving
        self.compositor = letters.Compositor(settings)
        self._settings, self._database = settings, database
        self._settled_at = float("-inf")
        self.spent = Spent()
        self.journal = _open_journal(settings)
        try:
            self.relays = Relays(settings.relay_urls)
            self._settle(self.journal.owner, self.journal.leftover, self.journal.trusted)
            self.journal.checkpoint()
        except BaseException:
            self.journal.close()
            raise

    @property
    def owner(self) -> str:
        """The name batches are leased under: that of the journal."""
        return self.journal.owner

    @property
    def lease_time(self) -> timedelta:
        """How long a lease lasts."""
        return timedelta(seconds=self._settings.lease_seconds)

    def work(self, until: float) -> bool:
        """Take turns until ``time.monotonic()`` is ``until``; return whether more is due."""
        self._settle_the_dead()
        with self._database.steady() as self._steady:
            while time.monotonic() < until and not self.leaving.is_set():
                if not self.relays.awake:
                    return False
                batch = self._lease()
                if batch is None or not Turn(self, batch, until).run():
                    return False
        with self._database.read() as session:
            return batches.due(session, clock(session))

    def close(self) -> None:
        """Hang up, and let go of the journal."""
        self.relays.close()
        self.journal.close()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction after which the journal may forget what it holds: all of it is in the ledger."""
        with self._steady.write() as session:
            yield session
        self.journal.checkpoint()

    def may_go_on(self, batch_id: int) -> bool:
        """Tell whether we hold a batch still, its campaign is being sent, and nobody waits for us to end."""
        with self._database.read() as session:
            return not self.leaving.is_set() and batches.may_go_on(session, batch_id, self.owner)

    def _lease(self) -> Batch | None:
        with self._steady.write() as session:
            now = clock(session)
            store.beat(
                session, worker=self.owner, machine=self.owner.split("/")[0], now=now, spent=self.spent
            )
            self.spent = Spent()
            return batches.lease(session, owner=self.owner, now=now, until=now + self.lease_time)

    def _settle_the_dead(self) -> None:
        """Settle what workers of this machine left who died, or whose very journal is gone."""
        if time.monotonic() - self._settled_at < SETTLE_EVERY:
            return
        self._settled_at = time.monotonic()
        for journal in unsettled(self._settings.journal, but=self.owner.split("/")[1]):
            try:
                self._settle(journal.owner, journal.leftover, journal.trusted)
            except BaseException:
                journal.close()
                raise
            journal.discard()
        with self._database.read() as session:
            waiting = batches.orphaning_owners(session)
        for owner in vanished(self._settings.journal, waiting):
            self._settle(owner, Leftover((), ()), False)

    def _settle(self, owner: str, leftover: Leftover, trusted: bool) -> None:
        with self._database.write() as session:
            uncertain = ledger.settle(
                session, owner=owner, leftover=leftover, trusted=trusted, now=clock(session)
            )
        if uncertain:
            _log.warning("%d letters of dead worker %s are uncertain", uncertain, owner)


class Turn:
    """One worker's turn with one batch."""

    def __init__(self, shift: Shift, batch: Batch, until: float) -> None:
        self._shift = shift
        self._until = until  # time.monotonic()
        self._id = batch.id
        self._place: _Place = {
            "campaign_id": batch.campaign_id, "attempt": batch.attempt, "lane": batch.lane
        }  # fmt: skip
        self._numbers = batches.numbers(batch)
        self._begun_to = batch.begun_to
        self._pen = shift.journal.pen(campaign=batch.campaign_id, batch=batch.id, attempt=batch.attempt)
        self._looked_at = time.monotonic()
        self._halted = False

    def run(self) -> bool:
        """Go through the batch until it is done, time is up, the campaign stops, or the lease is lost.

        Returns False when letters could not be handed over: the campaign says why.
        """
        envelopes: list[Envelope] = []
        outcomes: list[Outcome] = []
        trouble: MailerError | None = None
        while True:
            envelopes = self._turn_page(envelopes, outcomes, trouble)
            if not envelopes:
                return trouble is None
            outcomes, trouble = [], None
            self._looked_at = began = time.monotonic()
            try:
                for outcome in self._shift.relays.send(
                    envelopes, notes=self._pen, deadline=self._until, halt=self._must_halt
                ):
                    outcomes.append(outcome)
            except MailerError as error:  # relays out of reach, disk full: what was told before still counts
                trouble = error
            self._shift.spent.letters += len(outcomes)
            self._shift.spent.wire += time.monotonic() - began

    def _must_halt(self) -> bool:
        """Tell whether nothing more may begin: paused, cancelled, or our lease went to another."""
        now = time.monotonic()
        if not self._halted and now - self._looked_at >= LOOK_AGAIN:
            self._halted = not self._shift.may_go_on(self._id)
            self._looked_at = time.monotonic()
        return self._halted

    def _turn_page(
        self, before: Sequence[Envelope], outcomes: Sequence[Outcome], trouble: MailerError | None
    ) -> list[Envelope]:
        """Record what became of a slice and begin the next; no letters: the turn is over."""
        began, composing = time.monotonic(), self._shift.spent.composing
        told = {outcome.key for outcome in outcomes}
        unsent = [envelope.key for envelope in before if envelope.key not in told]
        with self._shift.writing() as session:
            now = clock(session)
            standing = batches.standing(session, self._id, self._shift.owner)
            held = standing is not None
            ledger.record(session, **self._place, outcomes=outcomes, now=now, untold=held)
            if standing is None:
                self._part(session, unsent, now)
                envelopes = []
            else:
                self._tell(session, standing, trouble, outcomes)
                envelopes = self._go_on(session, standing, unsent, trouble, now)
        composed = self._shift.spent.composing - composing
        self._shift.spent.recording += time.monotonic() - began - composed
        return envelopes

    def _tell(
        self, session: Session, standing: Standing, trouble: MailerError | None, outcomes: Sequence[Outcome]
    ) -> None:
        """Say on the campaign why its letters wait, or that they do not any more."""
        said = trouble.sentence if trouble else ""
        if (trouble or outcomes) and standing.trouble != said:
            store.tell_trouble(session, said, self._place["campaign_id"])

    def _go_on(
        self,
        session: Session,
        standing: Standing,
        unsent: Sequence[int],
        trouble: MailerError | None,
        now: datetime,
    ) -> list[Envelope]:
        """Begin the next slice, or give the batch back."""
        if trouble or unsent or self._is_over(standing.campaign):
            self._give_back(session, unsent, now + PUT_OFF if trouble else now)
            return []
        done_to = self._begun_to
        while slice_ := self._numbers[self._begun_to : self._begun_to + SLICE]:
            done_to, self._begun_to = self._begun_to, self._begun_to + len(slice_)
            envelopes = self._compose(session, slice_, standing.publication_id, now)
            if envelopes:
                until = now + self._shift.lease_time
                batches.move(session, self._id, done_to=done_to, begun_to=self._begun_to, lease_until=until)
                return envelopes
        self._give_back(session, [], now)
        return []

    def _is_over(self, state: CampaignState) -> bool:
        return (
            state != CampaignState.SENDING or time.monotonic() >= self._until or self._shift.leaving.is_set()
        )

    def _give_back(self, session: Session, unsent: Sequence[int], due_at: datetime) -> None:
        """Let go of the batch: it is done, or what is left of it waits for anybody."""
        batch = session.get_one(Batch, self._id)
        batch.begun_to = self._begun_to
        batches.release(batch, unsent=unsent, due_at=due_at)

    def _compose(
        self, session: Session, slice_: Sequence[int], publication_id: int, now: datetime
    ) -> list[Envelope]:
        """Compose the letters that may be written; withdraw those that may not be any more."""
        campaign_id = self._place["campaign_id"]
        people = batches.addressees(
            session, campaign_id=campaign_id, numbers=slice_, publication_id=publication_id, now=now
        )
        waiting = [person for person in people if person.state in batches.OPEN]
        for reason in sorted({person.barrier for person in waiting} - {""}):
            barred = [person.n for person in waiting if person.barrier == reason]
            batches.set_state(session, campaign_id, barred, DeliveryState.WITHDRAWN, reason)
        began = time.monotonic()
        compose = self._shift.compositor.of(session, campaign_id)
        envelopes = [compose(person, now) for person in waiting if not person.barrier]
        self._shift.spent.composing += time.monotonic() - began
        return envelopes

    def _part(self, session: Session, unsent: Sequence[int], now: datetime) -> None:
        """Our lease went to another while we sent: all we had begun is recorded, the rest of it is free."""
        batch = batches.orphaned(session, self._id, self._shift.owner)
        if batch is not None:
            batches.close(batch)
            ledger.give_back(session, **self._place, numbers=unsent, due_at=now)


class _Place(TypedDict):
    """Where in the ledger a batch's letters stand."""

    campaign_id: int
    attempt: int
    lane: str


def _open_journal(settings: Settings) -> Journal:
    """Open this process's journal. A process id names it: its lock tells the living from the dead."""
    name = f"worker-{os.getpid()}"
    try:
        return Journal(settings.journal, name)
    except JournalInUse:  # two containers may share a folder and a process id
        return Journal(settings.journal, f"{name}-{os.urandom(4).hex()}")
