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

from sqlalchemy.orm import Session

from mailer.database import Database, clock
from mailer.delivery import campaigns, ledger, letters, store
from mailer.delivery.journal import Journal, JournalInUse, Pen, unsettled
from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.store import Batch, BatchState, CampaignState, DeliveryState
from mailer.delivery.transport import Transport
from mailer.settings import Settings

SLICE = 100  # letters: as many as a lost machine may leave uncertain (law 2)
LOOK_AGAIN = 0.5  # seconds between looks at the campaign's state and our lease while a slice is sent
RELAY_REST = timedelta(seconds=30)  # how long letters wait when no relay can be reached
SETTLE_EVERY = 5.0  # seconds between looks for journals of dead workers

_log = logging.getLogger(__name__)


class Sender:
    """One process's part in sending: its journal, and its kept connections to the relays in order."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Open the journal and settle what an earlier life of this process, or a dead sibling, left.

        :raises JournalUnwritable: the disk takes no journal, so nothing can be sent
        """
        self._settings, self._database = settings, database
        self._busy = threading.Lock()
        self._transports = [Transport(Relay.from_url(url)) for url in settings.relay_urls]
        self._resting: dict[str, float] = {}  # relay name -> time.monotonic() until it is asked again
        self._journal = _open_journal(settings)
        self._compositor = letters.Compositor(settings)
        self._settle(self._journal)
        self._journal.checkpoint()
        self._settled_at = 0.0

    def work(self, *, seconds: float) -> bool:
        """Send what is due for about ``seconds``; return whether more is due (False, too, when busy)."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            self._settle_the_dead()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                batch = self._lease()
                if batch is None:
                    return False
                Turn(self, batch, until).run()
            with self._database.read() as session:
                return store.anything_due(session, datetime.now(UTC))
        finally:
            self._busy.release()

    def close(self) -> None:
        """Say goodbye to the relays; the journal stays for whoever comes next."""
        with self._busy:
            for transport in self._transports:
                transport.close()
            self._journal.close()

    def deliver(self, envelopes: Sequence[Envelope], turn: Turn) -> Iterator[Outcome]:
        """Hand letters to the first relay that takes them; what none takes comes back unsent.

        :raises RelayUnavailable: no relay could be reached, after all outcomes were given
        """
        left = {envelope.key: envelope for envelope in envelopes}
        trouble: RelayUnavailable | None = None
        for transport in self._awake():
            try:
                for outcome in transport.send(
                    list(left.values()), notes=turn.pen(self._journal), deadline=turn.until, halt=turn.halted
                ):
                    if outcome.kind is not Kind.UNSENT:
                        del left[outcome.key]
                        yield outcome
                return
            except RelayUnavailable as error:
                trouble = error
                self._resting[transport.relay.name] = time.monotonic() + RELAY_REST.total_seconds()
                _log.warning("relay %s rests: %s", transport.relay.name, error)
        if trouble is not None and left:
            raise trouble

    def _awake(self) -> list[Transport]:
        now = time.monotonic()
        awake = [each for each in self._transports if self._resting.get(each.relay.name, 0.0) <= now]
        return awake or self._transports  # when all rest, ask: a letter that waits is told why

    @property
    def owner(self) -> str:
        """The name batches are leased under: that of the journal."""
        return self._journal.owner

    @property
    def compositor(self) -> letters.Compositor:
        """Makes letters."""
        return self._compositor

    @property
    def lease_time(self) -> timedelta:
        """How long a lease lasts."""
        return timedelta(seconds=self._settings.lease_seconds)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction after which the journal may forget what it holds: all of it is in the ledger."""
        with self._database.write() as session:
            yield session
        self._journal.checkpoint()

    def state_of(self, batch_id: int, campaign_id: int) -> tuple[bool, CampaignState | None]:
        """Return whether we still hold a batch, and its campaign's state."""
        with self._database.read() as session:
            return store.holds(session, batch_id, self.owner), store.state_of(session, campaign_id)

    def _lease(self) -> Batch | None:
        with self._database.write() as session:
            now = clock(session)
            store.beat(session, worker=self.owner, machine=self.owner.split("/")[0], now=now)
            return store.lease(session, owner=self.owner, now=now, until=now + self.lease_time)

    def _settle_the_dead(self) -> None:
        if time.monotonic() - self._settled_at < SETTLE_EVERY:
            return
        self._settled_at = time.monotonic()
        for journal in unsettled(self._settings.journal, but=self.owner.split("/")[1]):
            self._settle(journal)
            journal.discard()

    def _settle(self, journal: Journal) -> None:
        with self._database.write() as session:
            uncertain = ledger.settle(
                session,
                owner=journal.owner,
                leftover=journal.leftover,
                trusted=journal.trusted,
                now=clock(session),
            )
        if uncertain:
            _log.warning("%d letters of dead worker %s are uncertain", uncertain, journal.owner)


class Turn:
    """One worker's turn with one batch."""

    def __init__(self, sender: Sender, batch: Batch, until: float) -> None:
        self.until = until  # time.monotonic()
        self._sender = sender
        self._id, self._campaign, self._attempt = batch.id, batch.campaign_id, batch.attempt
        self._numbers = list(campaigns.numbers_of(batch))
        self._looked_at = 0.0
        self._halted = False

    def run(self) -> None:
        """Go through the batch until it is done, time is up, the campaign stops, or the lease is lost."""
        outcomes: list[Outcome] = []
        trouble: RelayUnavailable | None = None
        slice_: list[int] = []
        while True:
            envelopes, slice_, going = self._turn_page(slice_, outcomes, trouble)
            if not going:
                return
            outcomes, trouble = [], None
            self._looked_at = time.monotonic()
            try:
                for outcome in self._sender.deliver(envelopes, self):
                    outcomes.append(outcome)
            except RelayUnavailable as error:
                trouble = error

    def pen(self, journal: Journal) -> Pen:
        """What the batch's letters are noted with."""
        return journal.pen(campaign=self._campaign, batch=self._id, attempt=self._attempt)

    def halted(self) -> bool:
        """Tell whether nothing more may begin: paused, cancelled, or our lease went to another."""
        now = time.monotonic()
        if not self._halted and now - self._looked_at >= LOOK_AGAIN:
            ours, state = self._sender.state_of(self._id, self._campaign)
            self._halted = not ours or state != CampaignState.SENDING
            self._looked_at = time.monotonic()
        return self._halted

    def _turn_page(
        self, slice_: Sequence[int], outcomes: Sequence[Outcome], trouble: RelayUnavailable | None
    ) -> tuple[list[Envelope], list[int], bool]:
        """Record a slice and begin the next: its letters, their numbers, and whether to go on."""
        with self._sender.writing() as session:
            now = clock(session)
            ledger.record(
                session, campaign_id=self._campaign, attempt=self._attempt, outcomes=outcomes, now=now
            )
            batch = store.held(session, self._id, self._sender.owner)
            if batch is None:
                self._lost(session, slice_, now)
                return [], [], False
            batch.done_to = batch.begun_to
            told = {outcome.key for outcome in outcomes}
            unsent = [n for n in slice_ if n not in told]
            campaign = campaigns.get(session, self._campaign)
            campaign.trouble = str(trouble) if trouble else ""
            due_at = now + RELAY_REST if trouble else now
            ledger.give_back(
                session, campaign_id=self._campaign, numbers=unsent, attempt=self._attempt, due_at=due_at
            )
            if self._must_stop(campaign.state, trouble):
                _release(session, batch, campaign.state, due_at)
                return [], [], False
            return *self._begin(session, batch, now), batch.state == BatchState.LEASED

    def _must_stop(self, state: CampaignState, trouble: RelayUnavailable | None) -> bool:
        return bool(trouble) or time.monotonic() >= self.until or state != CampaignState.SENDING

    def _begin(self, session: Session, batch: Batch, now: datetime) -> tuple[list[Envelope], list[int]]:
        """Move the cursor over the next slice that holds a letter to write, and compose its letters."""
        envelopes: list[Envelope] = []
        slice_: list[int] = []
        while not envelopes:
            batch.done_to = batch.begun_to
            slice_ = self._numbers[batch.begun_to : batch.begun_to + SLICE]
            if not slice_:
                batch.state, batch.owner, batch.lease_until = BatchState.DONE, None, None
                break
            batch.begun_to += len(slice_)
            envelopes = self._compose(session, slice_, now)
        if slice_:
            batch.lease_until = now + self._sender.lease_time
        return envelopes, [envelope.key for envelope in envelopes]

    def _compose(self, session: Session, slice_: Sequence[int], now: datetime) -> list[Envelope]:
        """Compose the letters that may be written; withdraw those that may not be any more."""
        publication_id = campaigns.get(session, self._campaign).publication_id
        people = store.addressees(
            session, campaign_id=self._campaign, numbers=slice_, publication_id=publication_id, now=now
        )
        waiting = [
            person for person in people if person.state in (DeliveryState.WAITING, DeliveryState.DEFERRED)
        ]
        for reason in sorted({person.barrier for person in waiting} - {""}):
            barred = [person.n for person in waiting if person.barrier == reason]
            store.set_state(session, self._campaign, barred, DeliveryState.WITHDRAWN, reason)
        compose = self._sender.compositor.of(session, self._campaign)
        return [compose(person, now) for person in waiting if not person.barrier]

    def _lost(self, session: Session, slice_: Sequence[int], now: datetime) -> None:
        """Our lease went to another while we sent: what we had begun is recorded, the rest is free."""
        for batch in store.begun_by(session, self._sender.owner):
            if batch.id == self._id:
                batch.state, batch.owner, batch.done_to = BatchState.DONE, None, batch.begun_to
                session.flush()
                open_ = store.not_recorded(session, self._campaign, self._attempt, slice_)
                ledger.give_back(
                    session, campaign_id=self._campaign, numbers=open_, attempt=self._attempt, due_at=now
                )


def _release(session: Session, batch: Batch, state: CampaignState, due_at: datetime) -> None:
    """Give the rest of a batch back."""
    batch.owner, batch.lease_until, batch.due_at = None, None, due_at
    batch.state = BatchState.WAITING if batch.done_to < batch.size else BatchState.DONE
    if state == CampaignState.CANCELLED:
        campaigns.withdraw_batch(session, batch, "cancelled")


def _open_journal(settings: Settings) -> Journal:
    """Open this process's journal. A process id names it: its lock tells the living from the dead."""
    name = f"worker-{os.getpid()}"
    try:
        return Journal(settings.journal, name)
    except JournalInUse:  # two containers may share a folder and a process id
        return Journal(settings.journal, f"{name}-{os.urandom(4).hex()}")
