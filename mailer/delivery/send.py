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
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailer import queue
from mailer.database import Database, Unreachable, clock
from mailer.delivery import batches, campaigns, lanes, ledger, letters, refresh_tokens, slices, store
from mailer.delivery.batches import Shut, Standing
from mailer.delivery.gate import TAKEN, Gate
from mailer.delivery.journal import (
    Journal,
    JournalInUse,
    JournalUnwritable,
    Leftover,
    unsettled,
    vanished,
)
from mailer.delivery.meter import Meter
from mailer.delivery.pace import Grant
from mailer.delivery.relay import BadRelay
from mailer.delivery.relays import REST, LettersRefused, Relays
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.store import Batch, CampaignState, DeliveryState, Spent
from mailer.errors import MailerError
from mailer.settings import Settings

SLICE = 100  # letters: as many as a lost machine may leave uncertain (law 2)
LOOK_AGAIN = 0.5  # seconds between looks at the campaign's state and our lease while a slice is sent
PUT_OFF = timedelta(seconds=REST)  # how long letters wait that could not be handed over
SETTLE_EVERY = 5.0  # seconds between looks for journals of dead workers
NAP = 0.2  # seconds between looks for work while only a pace keeps letters back
COLLEAGUE = timedelta(seconds=30)  # who was seen within it sends, and shares the limits
FAREWELL = 15.0  # seconds ``close`` waits for the answers to letters on their way

_NOTHING = Grant(0, 0.0)
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
        if self._leaving.is_set() or not self._busy.acquire(blocking=False):
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
        self._aside: dict[int, float] = {}  # campaign -> time.monotonic() until which it is left alone
        self.spent = Spent()
        self.journal = _open_journal(settings)
        try:
            self._meter = Meter(settings.redis_url, holder=self.owner, workers=self._colleagues)
            self.relays = Relays(settings.relay_urls, self._meter, refresh_tokens.shelf(settings))
            self.gate = Gate(self._meter, self.relays)
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
        self._beat()
        over = self._take_turns(until)
        self._beat()
        return not over and self._more_is_due()

    def _take_turns(self, until: float) -> bool:
        """Take turns; return whether to stop for now: nothing is due, or what is cannot be handed over."""
        woken = False
        with self._database.steady() as self._steady:
            while time.monotonic() < until and not self.leaving.is_set():
                batch = self._lease()
                if batch is not None and not woken:
                    woken = self._wake_another()
                if batch is None and not self._nap(until):
                    self.relays.rest()
                    return True
                if batch is not None and not Turn(self, batch, until).run():
                    return True
        return False

    def _more_is_due(self) -> bool:
        with self._database.read() as session:
            return batches.due(session, clock(session), self._shut)

    def _wake_another(self) -> bool:
        """Ring for a colleague if there is work for two: so all are awake soon, however many there are."""
        if self._more_is_due():
            queue.ring_now(queue.WORK)
        return True

    def _beat(self) -> None:
        """Say that we are alive, and what we have done since we last said so."""
        with self._database.write() as session:
            machine, now = self.owner.split("/")[0], clock(session)
            failing = self.relays.failing(now)
            store.beat(
                session, worker=self.owner, machine=machine, now=now, spent=self.spent, failing=failing
            )
        self.spent = Spent()

    def _nap(self, until: float) -> bool:
        """Wait a moment for a lane that is held for its pace alone; return whether that is worth it."""
        pause = self.gate.opens_in
        if pause is None or time.monotonic() + pause >= until:
            return False
        self.leaving.wait(min(max(pause, 0.0), NAP))
        return True

    def close(self) -> None:
        """Hang up, and let go of the journal, whatever else fails: its lock says that we live."""
        try:
            self.relays.close()
            self._meter.close()
        finally:
            self.journal.close()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction after which the journal may forget what it holds: all of it is in the ledger."""
        with self._steady.write() as session:
            yield session
        self.journal.checkpoint()

    def renew(self, batch_id: int) -> bool:
        """Say that we live while a slice takes its time; return whether the batch is still ours."""
        with self._steady.write() as session:
            until = clock(session) + self.lease_time
            return batches.renew(session, batch_id, self.owner, until)

    def may_go_on(self, batch_id: int) -> bool:
        """Tell whether we hold a batch still, its campaign is being sent, and nobody waits for us to end."""
        with self._database.read() as session:
            return not self.leaving.is_set() and batches.may_go_on(session, batch_id, self.owner)

    def _lease(self) -> Batch | None:
        with self._steady.write() as session:
            now = clock(session)
            self.gate.look(session, now)
            until = now + self.lease_time
            return batches.lease(session, owner=self.owner, now=now, until=until, shut=self._shut)

    @property
    def _shut(self) -> Shut:
        """What is not to be begun now."""
        now = time.monotonic()
        self._aside = {campaign: until for campaign, until in self._aside.items() if until > now}
        return Shut(self.gate.closed, self._aside.keys())

    def put_aside(self, campaign_id: int) -> None:
        """Take none of a campaign's batches for a while: its letters cannot be made."""
        self._aside[campaign_id] = time.monotonic() + PUT_OFF.total_seconds()

    def _colleagues(self) -> int:
        """Count the workers that share limits with this one; 1 when the database does not say."""
        try:
            with self._database.read() as session:
                return store.workers_seen(session, clock(session) - COLLEAGUE)
        except (Unreachable, SQLAlchemyError):
            return 1

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
        self._id, self._lane, self._gate = batch.id, batch.lane, shift.gate
        self._place: _Place = {
            "campaign_id": batch.campaign_id, "attempt": batch.attempt, "lane": batch.lane
        }  # fmt: skip
        self._numbers = batches.numbers(batch)
        self._begun_to = batch.begun_to
        self._pen = shift.journal.pen(campaign=batch.campaign_id, batch=batch.id, attempt=batch.attempt)
        self._looked_at = self._renewed_at = time.monotonic()
        self._seats: int | None = None  # connections it may use; None: all
        self._halted = False
        self._in_trouble = False

    def run(self) -> bool:
        """Go through the batch until it is done, time is up, the campaign stops, or the lease is lost.

        Returns False when letters could not be handed over: the campaign says why.
        """
        envelopes: list[Envelope] = []
        outcomes: list[Outcome] = []
        trouble: MailerError | None = None
        try:
            while True:
                envelopes = self._turn_page(envelopes, outcomes, trouble)
                if not envelopes:
                    return not self._in_trouble
                outcomes, trouble = [], None
                self._looked_at = self._renewed_at = began = time.monotonic()
                try:
                    for outcome in self._send(envelopes):
                        outcomes.append(outcome)
                except MailerError as error:  # relays out of reach, disk full: what was told still counts
                    trouble = error
                self._shift.spent.letters += len(outcomes)
                self._shift.spent.wire += time.monotonic() - began
        finally:
            self._gate.leave(self._lane)

    def _send(self, envelopes: Sequence[Envelope]) -> Iterator[Outcome]:
        return self._shift.relays.send(
            envelopes,
            notes=self._pen,
            deadline=self._until,
            halt=self._must_halt,
            connections=self._seats,
            letters_per_connection=self._gate.letters_per_connection(self._lane),
            paced=bool(self._lane),
        )

    def _must_halt(self) -> bool:
        """Tell whether nothing more may begin: paused, cancelled, or our lease went to another."""
        now = time.monotonic()
        if not self._halted and now - self._looked_at >= LOOK_AGAIN:
            self._halted = not (self._keep(now) and self._shift.may_go_on(self._id))
            if self._seats is not None:
                self._gate.enter(self._lane, self._seats)  # they lapse, and one answer may take minutes
            self._looked_at = time.monotonic()
        return self._halted

    def _keep(self, now: float) -> bool:
        """Renew the lease in time; return whether it is not lost."""
        if now - self._renewed_at < self._shift.lease_time.total_seconds() / 3:
            return True
        self._renewed_at = now
        return self._shift.renew(self._id)

    def _turn_page(
        self, before: Sequence[Envelope], outcomes: Sequence[Outcome], trouble: MailerError | None
    ) -> list[Envelope]:
        """Record what became of a slice and begin the next; no letters: the turn is over."""
        began, composing = time.monotonic(), self._shift.spent.composing
        told = {outcome.key for outcome in outcomes}
        unsent = [envelope.key for envelope in before if envelope.key not in told]
        grant = _NOTHING if trouble or unsent or self._must_end() else self._ask()
        with self._shift.writing() as session:
            standing = batches.standing(session, self._id, self._shift.owner)
            now = standing.now if standing else clock(session)
            asked = ledger.record(
                session, **self._place, outcomes=outcomes, now=now, untold=standing is not None
            )
            self._heed(session, outcomes, asked, now)
            envelopes = []
            if standing is None:
                self._part(session, unsent, now)
            elif (
                trouble or unsent or asked or not grant.granted or standing.campaign != CampaignState.SENDING
            ):
                self._tell(session, standing, trouble, outcomes)
                pause = PUT_OFF if trouble else timedelta(seconds=0 if grant.ours else grant.wait)
                self._give_back(session, unsent, asked or now + pause)
            else:
                self._tell(session, standing, trouble, outcomes)
                envelopes = self._begin(session, standing, grant.granted, now)
        self._gate.give_back(self._lane, grant.granted - len(envelopes) + len(unsent))
        if grant.wait and not grant.granted:  # from now: the batch is due again only then, or is for others
            self._gate.hold(self._lane, grant.wait)
        composed = self._shift.spent.composing - composing
        self._shift.spent.recording += time.monotonic() - began - composed
        return envelopes

    def _ask(self) -> Grant:
        """Take what the next slice may hold, and the connections it may use."""
        self._seats = self._gate.enter(self._lane, SLICE)
        if self._seats == 0:
            return Grant(0, TAKEN, ours=True)
        return self._gate.ask(self._lane, SLICE, datetime.now(UTC))

    def _must_end(self) -> bool:
        return time.monotonic() >= self._until or self._shift.leaving.is_set()

    def _heed(
        self, session: Session, outcomes: Sequence[Outcome], asked: datetime | None, now: datetime
    ) -> None:
        """Leave a lane alone that asked us to slow down; one that takes letters again is forgiven."""
        if asked:
            self._gate.rest(self._lane)
        elif self._gate.has_asked(self._lane) and any(each.kind is Kind.ACCEPTED for each in outcomes):
            lanes.forgive(session, self._lane, now)
            self._gate.forgiven(self._lane)

    def _tell(
        self, session: Session, standing: Standing, trouble: MailerError | None, outcomes: Sequence[Outcome]
    ) -> None:
        """Say on the campaign why its letters wait, or that they do not any more."""
        self._in_trouble = trouble is not None
        said = trouble.sentence if trouble else ""
        if isinstance(trouble, LettersRefused):
            campaigns.hold(
                session, campaign_id=self._place["campaign_id"], why=trouble.sentence, now=standing.now
            )
        elif (trouble or outcomes) and standing.trouble != said:
            store.tell_trouble(session, said, self._place["campaign_id"])

    def _begin(self, session: Session, standing: Standing, granted: int, now: datetime) -> list[Envelope]:
        """Move the cursor over the next slice that holds a letter to write, and compose its letters."""
        try:
            while slice_ := self._numbers[self._begun_to : self._begun_to + granted]:
                done_to, begun_to = self._begun_to, self._begun_to + len(slice_)
                envelopes = self._compose(session, slice_, standing.publication_id, now)
                self._begun_to = begun_to
                if envelopes:
                    until = now + self._shift.lease_time
                    batches.move(session, self._id, done_to=done_to, begun_to=begun_to, lease_until=until)
                    return envelopes
        except MailerError as error:  # a letter that cannot be signed stops its campaign, not the others
            store.tell_trouble(session, error.sentence, self._place["campaign_id"])
            self._shift.put_aside(self._place["campaign_id"])
            self._give_back(session, [], now + PUT_OFF)
            return []
        self._give_back(session, [], now)
        return []

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
        people = slices.addressees(
            session, campaign_id=campaign_id, numbers=slice_, publication_id=publication_id, now=now
        )
        waiting = [person for person in people if person.state in slices.OPEN]
        for reason in sorted({person.barrier for person in waiting} - {""}):
            barred = [person.n for person in waiting if person.barrier == reason]
            slices.set_state(session, campaign_id, barred, DeliveryState.WITHDRAWN, reason)
        began = time.monotonic()
        people = [person for person in waiting if not person.barrier]
        envelopes = self._shift.compositor.slice(session, campaign_id, people, now) if people else []
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
