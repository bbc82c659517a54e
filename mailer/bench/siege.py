"""A siege: one campaign under way on a ground of its own, and everything that can be done to it meanwhile.

Disturbances come at random moments of its progress, by a seed. Time that a campaign would spend waiting for
a retry is taken out: what waits for its hour is made due at once, as if the hours had passed.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from redis import Redis as Client
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailer import settings
from mailer.accounts.audit import Actor
from mailer.audience.store import Subscription, SubscriptionState
from mailer.bench import issue, skew
from mailer.bench.faulty import Faulty, Plan, Record
from mailer.bench.ground import Ground, Service
from mailer.bench.readers import Readers
from mailer.bench.reckoning import Reckoning, reckon
from mailer.bench.servers import Postgres, Redis
from mailer.database import clock
from mailer.delivery import campaigns, ledger, send, slices
from mailer.delivery.store import Batch, BatchState, Campaign, CampaignState, DeliveryState, Slowdown
from mailer.errors import MailerError
from mailer.settings import Settings

CONNECTIONS = 4  # of a worker process
PROCESSES = 2  # of a worker machine; the embedded worker is one
LEASE = 4  # seconds: short, so that what dead workers held is soon free

_LETTER = 40 * 1024  # octets
_LASTS = 4.0  # seconds that sending takes at least, so that there is time to break in
_LOOK = 0.02  # seconds between looks at the relay's record
_HURRY = 0.25  # seconds between looks at the rows
_PATIENCE = 200.0  # seconds without any progress after which a campaign counts as stuck
_LEFT_OUT = 100  # one reader in so many has left, and is an exclusion
_CRUMB = 4096  # octets of the journal that a full disk still takes
_SHELL = Actor(None, "shell")


@dataclass(frozen=True)
class Place:
    """Where a siege takes place: on servers of its own, or on none (SQLite, the embedded worker)."""

    name: str
    postgres: Postgres | None = None
    redis: Redis | None = None

    def settings(self, folder: Path) -> Settings:
        """Return the settings of an installation here."""
        url = self.postgres.url.replace("postgresql:", "postgresql+psycopg:", 1) if self.postgres else ""
        return settings.load(data=folder, database_url=url, redis_url=self.redis.url if self.redis else "")


class Siege:
    """From ``with`` on a campaign is being sent by ``machines`` worker machines; ``disturbed`` counts acts,
    ``restarted`` the programs that ended by themselves.

    ``allowed`` is how many letters may be uncertain for what was done; what the relay broke comes on top.
    """

    def __init__(
        self, place: Place, folder: Path, *, plan: Plan, options: str, letters: int, machines: int,
        within: tuple[str, ...], seed: int,
    ) -> None:  # fmt: skip
        """``options`` go into the relay's URL; workers and beat run ``within`` a module."""
        self._place, self._folder, self._options = place, folder, options
        self._letters, self._machines, self._within = letters, machines, within
        self._random = random.Random(seed)  # noqa: S311 - moments are to be repeatable, not secret
        pause = max(0.0, _LASTS / letters - 0.0002)
        self.relay = Faulty(
            Plan(plan.faults, plan.offers, pause if pause > 0.0001 else 0.0, seed), folder / "record"
        )
        self.allowed = self.disturbed = self.restarted = 0
        self._down: list[Service] = []  # dead on purpose
        self._moved_at = self._looked_at = 0.0
        self._standing = (0, 0)  # letters taken and batches left, when last looked at
        self._state: str = CampaignState.SENDING
        self._left: Counter[str] = Counter()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            parts.enter_context(self.relay)
            url = f"smtp://127.0.0.1:{self.relay.port}?starttls=off&connections={CONNECTIONS}{self._options}"
            self.ground = parts.enter_context(
                Ground(
                    self._place.settings(self._folder),
                    relay=url,
                    concurrency=PROCESSES,
                    overrides={"lease_seconds": LEASE},
                )
            )
            self._campaign = self._launch()
            self._began = self._moved_at = time.monotonic()
            self.ground.start_workers(self._machines, within=self._within)
            self.ground.start_beat(within=self._within)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    # -- what is done to it --

    def wait(self) -> None:
        """Do nothing: the relay does."""

    def jump_clocks(self) -> None:
        """Nothing but wait, too, for workers and beat run within ``skew``."""
        self._pass_until(self._is_sent)
        self.disturbed += int(self.seconds / skew.STAYS)

    def kill_workers(self) -> None:
        """SIGKILL, 20 times in 100,000 letters: a process of a machine, and every third time all of it."""
        for count in self._moments(max(3, round(self._letters / 5000))):
            machine = self._random.choice(self.ground.machines)
            children = machine.pids()[1:]
            if count % 3 and children and not self.ground.embedded:
                self.allowed += CONNECTIONS
                os.kill(self._random.choice(children), signal.SIGKILL)
            else:
                self._kill_machine(machine)
                machine.start()

    def kill_beat(self) -> None:
        """SIGKILL to what rings each second; it comes back."""
        [beat] = self.ground.beats
        for _ in self._moments(3):
            self._down.append(beat)
            beat.signal(signal.SIGKILL)
            beat.wait()
            self._pass(1.0)
            beat.start()
            self._down.remove(beat)

    def kill_redis(self) -> None:
        """SIGKILL to the broker, which loses all it held, and comes back."""
        assert self._place.redis is not None
        for _ in self._moments(2):
            self._place.redis.kill()
            self._pass(1.5)
            self._place.redis.start()

    def empty_redis(self) -> None:
        """FLUSHALL, again and again."""
        assert self._place.redis is not None
        with Client.from_url(self._place.redis.url) as client:
            for _ in self._moments(5):
                client.flushall()

    def restart_postgres(self) -> None:
        """The database is restarted in order: everybody is turned out in mid-transaction."""
        assert self._place.postgres is not None
        for _ in self._moments(2):
            self._place.postgres.restart()

    def crash_postgres(self) -> None:
        """The database crashes, stays away for a while, and recovers."""
        assert self._place.postgres is not None
        for _ in self._moments(2):
            self._place.postgres.stop("immediate")
            time.sleep(1.0)
            self._place.postgres.start()

    def stop_worker(self) -> None:
        """A whole machine sleeps past its lease (SIGSTOP), others go on, and it wakes up."""
        machine = self.ground.machines[0]
        for _ in self._moments(2):
            machine.signal(signal.SIGSTOP, everyone=True)
            self._pass(LEASE + 2.0)
            machine.signal(signal.SIGCONT, everyone=True)
            self._pass(0.5)

    def terminate_workers(self) -> None:
        """SIGTERM during a batch, as on every update."""
        for _ in self._moments(3):
            machine = self._random.choice(self.ground.machines)
            machine.stop()
            machine.start()

    def fill_disk(self) -> None:
        """The journals' disk takes a few kilobytes more, then nothing, then room is made."""
        for _ in self._moments(2):
            limited = [pid for machine in self.ground.machines for pid in machine.pids()[1:]]
            for pid in limited:
                _limit_files(pid, _CRUMB)
            self._pass(2.0)
            for pid in limited:
                _limit_files(pid, resource.RLIM_INFINITY)

    def kill_relay(self) -> None:
        """SIGKILL to the relay, with letters on their way; it comes back on its port."""
        for _ in self._moments(3):
            self.relay.kill()
            self.allowed += self._processes(self.ground.machines) * CONNECTIONS
            self._pass(0.5)
            self.relay.start()

    def lose_machine(self) -> None:
        """A machine dies and its disk with it: all but its begun slices is sent, those wait for a word."""
        lost = self.ground.machines[0]
        for _ in self._moments(1):
            self._down.append(lost)
            self._kill_machine(lost, doubted=send.SLICE)
            shutil.rmtree(lost.folder)
        self._pass_until(self._all_but_orphans)
        with self.ground.database.write() as session:
            ledger.declare_lost(session, campaign_id=self._campaign, now=clock(session))

    # -- how it ends --

    def finished(self) -> bool:
        """Wait until the campaign says it has been sent; False: it does not get on any more."""
        return self._pass_until(self._is_sent)

    @property
    def seconds(self) -> float:
        """Since the campaign was launched."""
        return time.monotonic() - self._began

    def reckon(self) -> tuple[Reckoning, Record]:
        """Stop all workers and count."""
        self.ground.stop()
        record = Record.read(self.relay.record)
        with self.ground.database.read() as session:
            return reckon(session, self._campaign, record), record

    def settle(self) -> int:
        """Have a person's word about the uncertain letters: take them as sent. Return how many stay so."""
        with self.ground.database.write() as session:
            campaigns.settle_uncertain(
                session, campaign_id=self._campaign, resend=False, now=clock(session), actor=_SHELL
            )
            return len(slices.in_state(session, self._campaign, DeliveryState.UNCERTAIN))

    # -- inside --

    def _launch(self) -> int:
        """Write readers and an issue, and launch a campaign to everyone; return its id."""
        own = self.ground.settings
        with self.ground.database.write() as session:
            now = datetime.now(UTC)
            draft = issue.publish(
                session, script="latin", octets=_LETTER, weigh=issue.on_wire, settings=own, now=now
            )
            Readers(draft.publication_id, self._letters, "latin", own.keys, now).write(session)
            session.execute(
                update(Subscription)
                .where(Subscription.subscriber_id % _LEFT_OUT == 0)
                .values(state=SubscriptionState.LEFT)
            )
            approved: dict[str, Any] = {"campaign_id": draft.id, "now": now, "actor": _SHELL}
            campaigns.ask(session, settings=own, **approved)
            campaigns.approve(session, **approved)
            campaigns.launch(session, settings=own, **approved)
            return draft.id

    def _moments(self, count: int) -> Iterator[int]:
        """Yield at random moments of the campaign's progress; those after its end are left out."""
        moments = sorted(self._random.uniform(0.05, 0.85) * self._letters for _ in range(count))
        for number, moment in enumerate(moments):
            self._pass_until(partial(self._has_come_to, moment))
            if self._is_sent():
                return
            self.disturbed += 1
            yield number

    def _has_come_to(self, letters: float) -> bool:
        return self.relay.taken() >= letters or self._is_sent()

    def _kill_machine(self, machine: Service, *, doubted: int = CONNECTIONS) -> None:
        """``doubted``: how many letters a process of it may leave uncertain."""
        self.allowed += doubted * self._processes([machine])
        machine.signal(signal.SIGKILL, everyone=True)
        machine.wait()

    def _processes(self, machines: Sequence[Service]) -> int:
        return len(machines) * (1 if self.ground.embedded else PROCESSES)

    def _pass(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()

    def _pass_until(self, happened: Callable[[], bool]) -> bool:
        """Let time pass until something has happened; False: nothing moves any more."""
        while not happened():
            if time.monotonic() - self._moved_at > _PATIENCE:
                return False
            self._look()
        return True

    def _look(self) -> None:
        """Wait a moment; now and then look at the rows, if the database is there."""
        time.sleep(_LOOK)
        if time.monotonic() - self._looked_at < _HURRY:
            return
        self._looked_at = time.monotonic()
        self._restart_the_dead()
        with suppress(MailerError, SQLAlchemyError), self.ground.database.write() as session:
            _hurry(session)
            self._state = session.get_one(Campaign, self._campaign).state
            self._left = _left(session, self._campaign)
        standing = (self.relay.taken(), self._left.total())
        if standing != self._standing:
            self._standing, self._moved_at = standing, time.monotonic()

    def _restart_the_dead(self) -> None:
        """Start what ended by itself anew, as docker-compose.yml does (``restart: unless-stopped``)."""
        for service in [*self.ground.machines, *self.ground.beats]:
            if not service.alive and service not in self._down:
                service.start()
                self.restarted += 1

    def _is_sent(self) -> bool:
        return self._state == CampaignState.SENT

    def _all_but_orphans(self) -> bool:
        return self._is_sent() or not self._left[BatchState.WAITING] + self._left[BatchState.LEASED]


def _hurry(session: Session) -> None:
    """Let what waits for its hour be due, and lanes that were closed for a while be open."""
    now = clock(session)
    late = select(Batch.id).where(Batch.state == BatchState.WAITING, Batch.due_at > now)
    held = list(session.scalars(late.with_for_update(skip_locked=True)))
    if held:
        session.execute(update(Batch).where(Batch.id.in_(held)).values(due_at=now))
    session.execute(update(Slowdown).where(Slowdown.until > now).values(until=now))


def _left(session: Session, campaign_id: int) -> Counter[str]:
    """Count a campaign's batches that are not done, by state."""
    counted = (
        select(Batch.state, func.count())
        .where(Batch.campaign_id == campaign_id, Batch.state != BatchState.DONE)
        .group_by(Batch.state)
    )
    return Counter({str(state): count for state, count in session.execute(counted)})


def _limit_files(pid: int, octets: int) -> None:
    """Let no file that a process writes grow beyond so many octets; its hard limit stays as it is."""
    with suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, hard))
