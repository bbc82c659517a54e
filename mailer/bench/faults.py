"""What breaks while letters are sent, and whether the promises hold: nothing lost, nothing sent twice.

Every scenario is a campaign of its own, sent by real workers through a relay that records each letter it
takes. At its end three counts are compared: candidates, ledger, and the relay's record (``reckoning``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailer.bench import servers
from mailer.bench.faulty import OFFERS, Act, Fault, Plan, Record, Step
from mailer.bench.reckoning import Reckoning
from mailer.bench.siege import Place, Siege
from mailer.errors import Invalid, MailerError

DATABASES = ("postgres", "sqlite")
_QUICK = "&timeout=2&final_timeout=2&connect_timeout=2"  # a relay that says nothing is soon given up
_ENVELOPE = (Step.MAIL, Step.RCPT, Step.DATA)
_LOCKSTEP = tuple(word for word in OFFERS if word != "PIPELINING")

Say = Callable[[str], None]


class NoSuchScenario(Invalid):
    """There is no such scenario."""


class PromiseBroken(MailerError):
    """The send path does not keep its promises under these faults: look at what they broke."""


@dataclass(frozen=True)
class Scenario:
    """One way things break. ``act`` disturbs a siege; ``faults`` are the relay's own."""

    name: str
    act: Callable[[Siege], None]
    faults: tuple[Fault, ...] = ()
    offers: tuple[str, ...] = OFFERS
    options: str = ""  # of the relay's URL
    machines: int = 1
    databases: tuple[str, ...] = ("postgres",)
    within: tuple[str, ...] = ()  # the module that workers and beat run in


def _each(act: Act, says: str = "", steps: Sequence[Step] = tuple(Step)) -> tuple[Fault, ...]:
    """Return a fault for every step; connections are opened far less often than letters are sent."""
    seldom = {Step.GREETING: (3, 4), Step.EHLO: (3, 4)}
    return tuple(
        Fault(step, act, says, one_in=one_in, most=most)
        for step in steps
        for one_in, most in [seldom.get(step, (40, 15))]
    )


def _refusal(name: str, says: str) -> Scenario:
    return Scenario(name, Siege.wait, _each(Act.SAY, says))


SCENARIOS = (
    Scenario("workers-killed", Siege.kill_workers, machines=2, databases=DATABASES),
    Scenario("workers-terminated", Siege.terminate_workers, machines=2, databases=DATABASES),
    Scenario("worker-stopped", Siege.stop_worker, machines=2),
    Scenario("machine-lost", Siege.lose_machine, machines=2),
    Scenario("beat-killed", Siege.kill_beat),
    Scenario("redis-killed", Siege.kill_redis),
    Scenario("redis-emptied", Siege.empty_redis),
    Scenario("postgres-restarted", Siege.restart_postgres),
    Scenario("postgres-crashed", Siege.crash_postgres),
    Scenario("disk-full", Siege.fill_disk),
    Scenario("clock-jumps", Siege.jump_clocks, within=("mailer.bench.skew",), databases=DATABASES),
    Scenario("relay-killed", Siege.kill_relay, databases=DATABASES),
    Scenario("relay-closes", Siege.wait, _each(Act.CLOSE), databases=DATABASES),
    Scenario("relay-resets", Siege.wait, _each(Act.RESET)),
    Scenario("relay-421", Siege.wait, _each(Act.SAY, "421 4.3.2 closing for maintenance")),
    Scenario("relay-451", Siege.wait, _each(Act.SAY, "451 4.3.0 local error")),
    Scenario("relay-452", Siege.wait, _each(Act.SAY, "452 4.3.1 no room")),
    Scenario("relay-550", Siege.wait, _each(Act.SAY, "550 5.1.1 no such user")),
    Scenario("relay-garbage", Siege.wait, _each(Act.GARBAGE), options=_QUICK),
    Scenario("relay-silent", Siege.wait, _each(Act.SILENCE), options=_QUICK),
    Scenario(
        "relay-chunked", Siege.wait, (*_each(Act.CLOSE), *_each(Act.SAY, "451 4.3.0 local error", _ENVELOPE)),
        offers=(*OFFERS, "CHUNKING"),
    ),
    Scenario(
        "relay-lockstep", Siege.wait, (*_each(Act.RESET), *_each(Act.SAY, "452 4.3.1 no room", _ENVELOPE)),
        offers=_LOCKSTEP,
    ),
)  # fmt: skip


def choose(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, all of them without any.

    :raises NoSuchScenario: one is not known
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if unknown := [name for name in names if name not in known]:
        raise NoSuchScenario(
            "There is no scenario {name}: choose among {known}.", name=unknown[0], known=", ".join(known)
        )
    return tuple(known[name] for name in names) or SCENARIOS


def run(
    letters: int, scenarios: Sequence[Scenario], *, databases: Sequence[str], seed: int, say: Say
) -> Iterator[dict[str, Any]]:
    """Yield what became of each scenario, or why it was skipped. ``say`` is told what goes on.

    :raises NotInstalled: all of them need PostgreSQL and Redis, which are not there
    """
    for name in databases:
        possible = [scenario for scenario in scenarios if name in scenario.databases]
        try:
            with _place(name) if possible else nullcontext(Place(name)) as place:
                for scenario in possible:
                    say(f"{scenario.name} on {name}")
                    yield _besiege(scenario, place, letters, seed)
        except servers.NotInstalled as error:
            if len(databases) == 1:
                raise
            yield from (_skipped(scenario, name, str(error)) for scenario in possible)


@contextmanager
def _place(name: str) -> Iterator[Place]:
    """Give servers of the bench's own for a database; SQLite and the embedded worker need none."""
    if name == "sqlite":
        yield Place(name)
        return
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="mailer-faults-")))
        folder.chmod(0o755)  # PostgreSQL refuses to be root and must reach its own folder
        postgres = servers.Postgres(folder, settings=_SETTINGS)
        redis = servers.Redis()
        parts.callback(redis.kill)
        redis.start()
        parts.callback(postgres.stop, "immediate")
        postgres.start()
        yield Place(name, postgres, redis)


_SETTINGS = ("fsync=off", "full_page_writes=off")
"""No power fails here: a crash of the server alone loses nothing that it has handed to the kernel."""


def _besiege(scenario: Scenario, place: Place, letters: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mailer-siege-") as folder:
        siege = Siege(
            place, Path(folder),
            plan=Plan(scenario.faults, scenario.offers), options=scenario.options, letters=letters,
            machines=1 if place.postgres is None else scenario.machines, within=scenario.within, seed=seed,
        )  # fmt: skip
        with siege:
            scenario.act(siege)
            finished, seconds = siege.finished(), siege.seconds
            reckoning, record = siege.reckon()
            unsettled = siege.settle()
    return _result(scenario, place, siege, finished, seconds, reckoning, record, unsettled)


def _skipped(scenario: Scenario, database: str, why: str) -> dict[str, Any]:
    return {"name": scenario.name, "database": database, "skipped": why, "broken": []}


def _result(
    scenario: Scenario,
    place: Place,
    siege: Siege,
    finished: bool,
    seconds: float,
    counted: Reckoning,
    record: Record,
    unsettled: int,
) -> dict[str, Any]:
    allowed = siege.allowed + record.broken
    disturbed = siege.disturbed + record.faults.total()
    broken = {
        "letters are lost": counted.lost,
        "letters were sent twice": counted.twice,
        "the relay took letters that the ledger does not know of": counted.unknown,
        "more letters are uncertain than may be": counted.uncertain > allowed,
        "uncertain letters cannot be settled": unsettled,
        "the counts do not add up": not counted.adds_up,
        "the campaign does not finish by itself": not finished,
        "letters wait although the campaign is finished": finished and counted.open,
        "nothing was disturbed: send more letters": not disturbed,
    }
    return {
        "name": scenario.name,
        "database": place.name,
        "candidates": counted.candidates,
        "ledger": counted.ledger,
        "listener": {"accepted": counted.taken, "distinct": counted.distinct},
        "lost": counted.lost,
        "twice": counted.twice,
        "unknown": counted.unknown,
        "uncertain": counted.uncertain,
        "uncertain_taken": counted.uncertain_taken,
        "uncertain_allowed": allowed,
        "disturbed": disturbed,
        "restarted": siege.restarted,
        "adds_up": counted.adds_up,
        "finished": finished,
        "seconds": round(seconds, 1),
        "skipped": None,
        "broken": [what for what, is_so in broken.items() if is_so],
    }


def line(result: dict[str, Any]) -> str:
    """Return a result in one line for a person."""
    name = f"{result['name']:<20} {result['database']:<9}"
    if result["skipped"]:
        return f"{name} skipped: {result['skipped']}"
    ledger = ", ".join(f"{count:,} {state}" for state, count in result["ledger"].items() if count)
    told = (
        f"{result['candidates']:,} candidates: {ledger}; the relay took {result['listener']['accepted']:,};"
        f" lost {result['lost']}, twice {result['twice']}, {result['uncertain']} uncertain of"
        f" {result['uncertain_allowed']} allowed; {result['seconds']:,} s"
    )
    return f"{name} {told}" + "".join(f"\n    BROKEN: {what}" for what in result["broken"])
