"""How fast campaigns are sent: rounds over the real path, alternating with what they are compared with.

Each round is a fresh campaign over the same readers, launched and sent as any campaign is: ledger, journal,
signed tokens and the look at suppressions are all on. Figures are read from the ledger and from /proc.
"""

from __future__ import annotations

import email
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from statistics import median
from typing import Any, Literal

from sqlalchemy.orm import Session

from mailer import queue
from mailer.accounts.audit import Actor
from mailer.address import parse
from mailer.audience.names import Names, salutation
from mailer.bench import issue, rows
from mailer.bench.against import LASTS, Baseline, Smtplib, SmtpSource
from mailer.bench.ground import Cpu, Ground
from mailer.bench.issue import LANGUAGE, Script
from mailer.bench.plain import Task
from mailer.bench.readers import FEW, Readers, settle
from mailer.bench.rows import Sent, Spans
from mailer.bench.sink import Sink
from mailer.delivery import campaigns, dkim_keys, letters
from mailer.delivery.dkim import Algorithm
from mailer.delivery.smtp import Envelope
from mailer.errors import Conflict
from mailer.settings import Settings

BASELINES = (Smtplib.name, SmtpSource.name)
DKIM = {"rsa": Algorithm.RSA, "ed25519": Algorithm.ED25519}
_LOOK = 0.1  # seconds between looks at the batches
_PATIENCE = 120.0  # seconds without progress after which the bench gives up
_SHELL = Actor(None, "shell")

Say = Callable[[str], None]


class Stuck(Conflict):
    """The bench's campaign does not get on."""


@dataclass(frozen=True)
class Plan:
    """What is measured. ``relay`` "host:port", empty: a sink of its own that answers after ``delay`` s;
    ``dkim`` a name of ``DKIM``, None: letters are not signed."""

    recipients: int
    wire_kb: int = 60
    connections: int = 20
    workers: int = 2
    relay: str = ""
    script: Script = "latin"
    rounds: int = 5
    against: tuple[str, ...] = ()
    delay: float = 0.0
    dkim: str | None = None

    @property
    def octets(self) -> int:
        """What a letter weighs on the wire."""
        return self.wire_kb * 1024


@dataclass(frozen=True)
class Round:
    """One campaign: from its launch to its last reply. ``wall`` seconds lie between the two."""

    sent: Sent
    wall: float
    cpu: Cpu
    spans: Spans
    launch_seconds: float
    launch_cpu: Cpu
    sink_received: int | None

    @property
    def per_second(self) -> float:
        """Letters a second from the first reply to the last; over all of it when one slice held them all."""
        if not self.sent.after_first:
            return self.sent.letters / self.wall
        return self.sent.after_first / self.sent.seconds

    @property
    def seconds(self) -> float:
        """How long all letters took at that rate."""
        return self.sent.letters / self.per_second

    @property
    def cpu_us_per_letter(self) -> float:
        """Processor time of our processes and PostgreSQL for a letter, in microseconds."""
        return (self.cpu.workers + (self.cpu.postgres or 0.0)) / self.sent.letters * 1e6


def run(given: Settings, plan: Plan, say: Say) -> dict[str, Any]:
    """Measure; return the figures. ``say`` is told what goes on.

    :raises Stuck: the relay does not take the letters
    """
    with ExitStack() as parts:
        sink = None if plan.relay else parts.enter_context(Sink(delay=plan.delay))
        address = plan.relay or (sink.address if sink else "")
        each = max(1, plan.connections // (1 if given.embedded else plan.workers))
        relay = f"smtp://{address}?starttls=off&connections={each}"
        ground = parts.enter_context(Ground(given, relay=relay, concurrency=plan.workers))
        if not ground.embedded:
            queue.connect(ground.settings)  # so that the launch rings, as the desk's does
        return Bench(ground, plan, sink, address, say).measure()


class Bench:
    """Rounds on one ground."""

    def __init__(self, ground: Ground, plan: Plan, sink: Sink | None, address: str, say: Say) -> None:
        """``address`` "host:port" is where letters and those of the baselines go."""
        self._ground, self._plan, self._sink, self._say = ground, plan, sink, say
        self._address = address
        self._workers = 1 if ground.embedded else plan.workers

    def measure(self) -> dict[str, Any]:
        """Make everything ready, warm up, go through the rounds, and return the figures."""
        self._say(f"writing {self._plan.recipients:,} readers and an issue")
        sample = self._prepare()
        settle(self._ground.database)
        self._ground.start_workers()
        self._ground.start_beat()
        self._say("warming up")
        self._round(FEW)
        baselines = self._baselines(sample)
        measured = [self._alternate(number, baselines) for number in range(1, self._plan.rounds + 1)]
        return self._figures(
            [own for own, _ in measured], baselines, [rates for _, rates in measured], sample
        )

    def _prepare(self) -> Envelope:
        """Write issue and readers; return a sample of the letter."""
        plan, settings = self._plan, self._ground.settings
        with self._ground.database.write() as session:
            now = _now()
            draft = issue.publish(
                session,
                script=plan.script,
                octets=plan.octets,
                weigh=issue.on_wire,
                settings=settings,
                now=now,
            )
            self._issue = draft.issue_id
            Readers(draft.publication_id, plan.recipients, plan.script, settings.keys, now).write(session)
            if plan.dkim:
                _sign_with(session, DKIM[plan.dkim], settings, now)
            reader = parse("reader-000001@north.example")
            return letters.trial(session, draft, recipient=reader, language=None, settings=settings, now=now)

    def _alternate(self, number: int, baselines: Sequence[Baseline]) -> tuple[Round, dict[str, float]]:
        """One round of ours and one of each baseline."""
        own = self._round("everyone")
        self._say(f"round {number}: {own.per_second:,.0f} letters a second")
        rates = {it.name: it.per_second() for it in baselines if not it.missing}
        for name, rate in rates.items():
            self._say(f"  {name}: {rate:,.0f}")
        return own, rates

    def _round(self, audience: str) -> Round:
        campaign_id = self._approved(audience)
        taken, spans, cpu = self._taken(), self._spans(), self._ground.cpu()
        started = time.monotonic()
        with self._ground.database.write() as session:
            campaigns.launch(
                session, campaign_id=campaign_id, settings=self._ground.settings, now=_now(), actor=_SHELL
            )
        launched, launch_cpu = time.monotonic(), self._ground.cpu()
        self._wait(campaign_id)
        wall = time.monotonic() - launched
        spent = self._ground.cpu().since(launch_cpu)
        with self._ground.database.read() as session:
            sent = rows.sent(session, campaign_id)
        return Round(
            sent=sent,
            wall=wall,
            cpu=spent,
            spans=self._spans().since(spans),
            launch_seconds=launched - started,
            launch_cpu=launch_cpu.since(cpu),
            sink_received=None if taken is None else (self._taken() or 0) - taken,
        )

    def _approved(self, audience: str) -> int:
        with self._ground.database.write() as session:
            made = campaigns.create(
                session, issue_id=self._issue, audience=audience, now=_now(), actor=_SHELL,
                languages=[LANGUAGE[self._plan.script]],
            )  # fmt: skip
            campaigns.ask(
                session, campaign_id=made.id, settings=self._ground.settings, now=_now(), actor=_SHELL
            )
            campaigns.approve(session, campaign_id=made.id, now=_now(), actor=_SHELL)
            return made.id

    def _wait(self, campaign_id: int) -> None:
        """Wait until nothing of a campaign is left to do.

        :raises Stuck: nothing moves
        """
        before, since = -1, time.monotonic()
        while True:
            with self._ground.database.read() as session:
                left = rows.batches_left(session, campaign_id)
                trouble = rows.trouble(session, campaign_id)
            if not left:
                return
            if left != before:
                before, since = left, time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                said = trouble or self._ground.machines[0].last_words
                raise Stuck("The bench's letters are not sent; the worker says: {said}", said=said)
            time.sleep(_LOOK)

    def _taken(self) -> int | None:
        return self._sink.count() if self._sink else None

    def _spans(self) -> Spans:
        with self._ground.database.read() as session:
            return rows.spans(session)

    def _baselines(self, sample: Envelope) -> list[Baseline]:
        host, _, port = self._address.rpartition(":")
        message = email.message_from_bytes(bytes(sample.body), _class=EmailMessage, policy=policy.default)
        task = Task(
            host=host.strip("[]"),
            port=int(port),
            seconds=LASTS,
            octets=sample.octets,
            subject=str(message["Subject"]),
            greeting=salutation(Names(), LANGUAGE[self._plan.script]),
            html=_part(message, "html"),
            text=_part(message, "plain"),
        )
        source = SmtpSource(address=self._address, octets=sample.octets, connections=self._plan.connections)
        known: tuple[Baseline, ...] = (Smtplib(task), source)
        return [it for it in known if it.name in self._plan.against]

    def _figures(
        self,
        rounds: Sequence[Round],
        baselines: Sequence[Baseline],
        rates: Sequence[dict[str, float]],
        sample: Envelope,
    ) -> dict[str, Any]:
        own = median(it.per_second for it in rounds)
        received = [it.sink_received for it in rounds if it.sink_received is not None]
        workers_cpu = [it.cpu.workers for it in rounds]
        postgres_cpu = [it.cpu.postgres for it in rounds if it.cpu.postgres is not None]
        return {
            "letters": sum(it.sent.letters for it in rounds),
            "accepted": sum(it.sent.accepted for it in rounds),
            "seconds": round(sum(it.seconds for it in rounds), 3),
            "per_second": round(own, 1),
            "cpu_us_per_letter": round(median(it.cpu_us_per_letter for it in rounds), 1),
            "cpu_us": {
                "workers": _per_letter(workers_cpu, rounds),
                "postgres": _per_letter(postgres_cpu, rounds),
            },
            "peak_rss_mb": round(self._ground.peak_rss_mb(), 1),
            "share": self._shares(rounds),
            "sink_received": sum(received) if received else None,
            "against": {
                it.name: _against(own, [found[it.name] for found in rates if it.name in found], it.missing)
                for it in baselines
            },
            "wire_bytes": sample.octets,
            "launch_seconds": round(median(it.launch_seconds for it in rounds), 3),
            "launch_cpu_us_per_letter": round(
                median((it.launch_cpu.postgres or 0.0) / it.sent.letters * 1e6 for it in rounds), 1
            ),
            "rounds": [round(it.per_second, 1) for it in rounds],
        }

    def _shares(self, rounds: Sequence[Round]) -> dict[str, float]:
        """Return what part of the workers' time went where; the broker's is what is left."""
        whole = sum(it.wall for it in rounds) * self._workers
        parts = {
            name: sum(getattr(it.spans, name) for it in rounds) / whole
            for name in ("assembling", "wire", "ledger")
        }
        parts["broker"] = max(0.0, 1 - sum(parts.values()))
        return {name: round(part, 4) for name, part in parts.items()}


def _sign_with(session: Session, algorithm: Algorithm, settings: Settings, now: datetime) -> None:
    """Have letters signed for the sender's domain."""
    domain = issue.SENDER.partition("@")[2]
    key = dkim_keys.make(
        session, domain=domain, algorithm=algorithm, keys=settings.keys, now=now, actor=_SHELL
    )
    dkim_keys.activate(session, domain=domain, selector=key.selector, seen=None, now=now, actor=_SHELL)


def _per_letter(seconds: Sequence[float], rounds: Sequence[Round]) -> float | None:
    """Return the median of microseconds for a letter; None: not measured."""
    if not seconds:
        return None
    each = [spent / it.sent.letters * 1e6 for spent, it in zip(seconds, rounds, strict=True)]
    return round(median(each), 1)


def _against(own: float, rates: Sequence[float], missing: str) -> dict[str, Any]:
    if not rates:
        return {"per_second": None, "ratio": None, "missing": missing}
    theirs = median(rates)
    return {
        "per_second": round(theirs, 1),
        "ratio": round(own / theirs, 3),
        "rounds": [round(rate, 1) for rate in rates],
    }


def _part(message: EmailMessage, subtype: Literal["html", "plain"]) -> str:
    body = message.get_body((subtype,))
    return str(body.get_content()) if body is not None else ""


def _now() -> datetime:
    return datetime.now(UTC)
