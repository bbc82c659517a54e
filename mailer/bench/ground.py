"""The throw-away ground: a schema or file, a broker's database and real workers that are gone at the end.

On PostgreSQL a schema of its own in the configured database, else an SQLite file; with a Redis configured
real Celery workers and beat as ``docker-compose.yml`` runs them, with an empty database of that Redis, else
the embedded worker in a process of its own. Nothing of the configured installation is read or written.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from mailer import migrations
from mailer.bench import processes
from mailer.database import Database
from mailer.errors import MailerError
from mailer.settings import Settings

READY_WITHIN = 60.0  # seconds; a busy machine starts several Pythons at once
STOPS_WITHIN = 60.0  # seconds; a turn lasts seconds, a relay that hangs longer
_REDIS_DATABASES = 16  # that a Redis has unless told otherwise
_CLAIM = "mailer:bench"  # the key by which a bench holds a database of a Redis


class NoSchema(MailerError):
    """The bench may not make a schema of its own: grant CREATE on the database to its user."""


class NoRedis(MailerError):
    """The bench needs an empty database of the Redis: check MAILER_REDIS_URL, or empty one of its 16."""


class NoStart(MailerError):
    """A part of the bench does not start."""


class Cpu(NamedTuple):
    """Processor time in seconds. ``postgres`` None: SQLite, or a server on another machine."""

    workers: float
    postgres: float | None

    def since(self, before: Cpu) -> Cpu:
        """Return what was taken since ``before``."""
        if self.postgres is None or before.postgres is None:
            return Cpu(self.workers - before.workers, None)
        return Cpu(self.workers - before.workers, self.postgres - before.postgres)


@dataclass
class Service:
    """A program of ours as a child process: its data folder, its environment, its log."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: str  # what its log says once it works

    @property
    def log(self) -> Path:
        """What it said on both its outputs, over all its lives."""
        return self.folder.with_suffix(".log")

    @property
    def pid(self) -> int:
        """The process started last."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it anew after its death; ``wait_ready`` says when it works."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command, env=dict(self.environment), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for the bench, which then stops all in order
                preexec_fn=_end_with_parent,
            )  # fmt: skip

    def wait_ready(self) -> None:
        """:raises NoStart: it ended, or does not get ready"""
        deadline = time.monotonic() + READY_WITHIN
        while self.ready not in self._said():
            if not self.alive or time.monotonic() > deadline:
                raise NoStart(
                    "The bench's {name} does not start; it says: {said}", name=self.name, said=self.last_words
                )
            time.sleep(0.05)

    @property
    def last_words(self) -> str:
        """The last line of what this life of it said."""
        return (self._said().strip().splitlines() or ["nothing"])[-1]

    def pids(self) -> list[int]:
        """Return its process and every living one below."""
        return processes.descendants(self.pid)

    def signal(self, number: int, *, everyone: bool = False) -> None:
        """Send a signal to its process, or to every process of it."""
        if everyone:
            os.killpg(self.pid, number)
        else:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End it as Docker does: SIGTERM, then after a grace SIGKILL. One that is dead already stays so."""
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        with _nobody_left():
            os.killpg(self.pid, signal.SIGKILL)  # children of one that was killed

    def wait(self, seconds: float = STOPS_WITHIN) -> int:
        """Wait for its end; return the exit status.

        :raises subprocess.TimeoutExpired: it runs on
        """
        return self._process.wait(seconds)

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode(errors="replace")


class Ground:
    """Database, broker and workers for one bench, from ``with`` to its end.

    ``settings`` are what every part of it runs with; each worker machine has a data folder of its own, and
    thus a journal of its own. ``overrides`` are settings by field name.
    """

    def __init__(
        self, given: Settings, *, relay: str, concurrency: int = 2, overrides: Mapping[str, Any] | None = None
    ) -> None:
        """Touch nothing yet. ``relay`` is a relay's URL, ``concurrency`` the processes of a machine."""
        self._given, self._relay, self._concurrency = given, relay, concurrency
        self._overrides = dict(overrides or {})
        self.machines: list[Service] = []
        self.beats: list[Service] = []

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self.folder = Path(tempfile.mkdtemp(prefix="mailer-bench-"))
            parts.callback(shutil.rmtree, self.folder, ignore_errors=True)
            redis_url = parts.enter_context(_redis(self._given.redis_url))
            database_url = parts.enter_context(_database(self._given, self.folder))
            self.settings = self._settings(database_url, redis_url)
            self.database = Database(self.settings.database)
            parts.callback(self.database.close)
            migrations.upgrade(self.database)
            self._postmaster = _postmaster(self.database)
            parts.callback(self.stop)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    @property
    def embedded(self) -> bool:
        """Whether worker and beat share one process, for want of a Redis."""
        return self.settings.embedded

    def start_workers(self, machines: int = 1, *, within: Sequence[str] = ()) -> list[Service]:
        """Start worker machines, and return once they work. Embedded, a machine is one process.

        ``within``: a module, with its arguments, that runs the worker's module as its last argument says.
        """
        started = [self._machine(within) for _ in range(machines)]
        for machine in started:
            machine.start()
            self.machines.append(machine)
        for machine in started:
            machine.wait_ready()
        return started

    def start_beat(self, *, within: Sequence[str] = ()) -> Service | None:
        """Start what rings each second, ``within`` as workers; None: the embedded worker does it itself."""
        if self.embedded:
            return None
        beat = self._service("beat", (*within, *BEAT), ready="beat: Starting...")
        beat.start()
        self.beats.append(beat)
        beat.wait_ready()
        return beat

    def stop(self) -> None:
        """Stop beat and workers."""
        for service in [*self.beats, *self.machines]:
            service.stop()

    def worker_pids(self) -> list[int]:
        """Return the processes of the worker machines, masters and children."""
        return [pid for machine in self.machines for pid in machine.pids()]

    def cpu(self) -> Cpu:
        """Return the processor time taken by beat and workers and by PostgreSQL since they started."""
        ours = [pid for service in [*self.beats, *self.machines] for pid in service.pids()]
        server = self._postmaster
        return Cpu(
            processes.cpu_seconds(ours),
            processes.cpu_seconds(processes.descendants(server)) if server is not None else None,
        )

    def peak_rss_mb(self) -> float:
        """Return the most memory that one of the workers' processes has held, in MiB."""
        return max(map(processes.peak_rss_mb, self.worker_pids()), default=0.0)

    def _settings(self, database_url: str, redis_url: str) -> Settings:
        own = {
            "data": self.folder / "desk",
            "database_url": database_url,
            "redis_url": redis_url,
            "smtp_url": self._relay,
            "base_url": "https://news.mailer.example",
            "bounce_domain": "bounces.mailer.example",
            "secret": f"1:{secrets.token_urlsafe(32)}",
        }
        return Settings(**(self._given.model_dump() | own | self._overrides))

    def _machine(self, within: Sequence[str]) -> Service:
        name = f"worker-{len(self.machines) + 1}"
        while (self.folder / name).exists():
            name += "b"
        if self.embedded:
            return self._service(name, (*within, *EMBEDDED), ready="embedded worker is ready")
        command = (*within, *WORKER, "--concurrency", str(self._concurrency))
        return self._service(name, command, ready=" ready.")

    def _service(self, name: str, command: Sequence[str], *, ready: str) -> Service:
        folder = self.folder / name
        environment = _environment(self.settings.model_copy(update={"data": folder}))
        return Service(name, (sys.executable, "-m", *command), environment, folder, ready)


WORKER = (
    "celery", "--app", "workers.app", "worker", "--queues", "smtp,desk",
    "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO",
)  # fmt: skip
"""The service ``worker`` of docker-compose.yml, without its concurrency."""

BEAT = ("celery", "--app", "workers.app", "beat", "--pidfile=", "--loglevel", "INFO")
"""The service ``beat`` of docker-compose.yml."""

EMBEDDED = ("mailer.bench.embedded",)


def _environment(settings: Settings) -> dict[str, str]:
    """Return what a child process is told: these settings and nothing of the caller's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILER_")}
    told = {name: value for name, value in settings.model_dump().items() if value is not None}
    return {
        **kept,
        **{f"MAILER_{name.upper()}": str(value) for name, value in told.items()},
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _database(given: Settings, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database: a schema of its own on PostgreSQL, else a file."""
    if make_url(given.database).get_backend_name() != "postgresql":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    schema = f"mailer_bench_{secrets.token_hex(6)}"
    try:
        _execute(given.database, f"CREATE SCHEMA {schema}")
    except ProgrammingError as error:
        raise NoSchema from error
    try:
        yield _in_schema(given.database, schema)
    finally:
        _execute(given.database, f"DROP SCHEMA {schema} CASCADE")


def _in_schema(url: str, schema: str) -> str:
    """Return the URL by which every connection finds its tables in ``schema``."""
    parts = make_url(url)
    before = str(parts.query.get("options", ""))
    options = f"{before} -csearch_path={schema}".strip()
    return parts.update_query_dict({"options": options}).render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> None:
    database = Database(url)
    try:
        with database.write() as session:
            session.execute(text(statement))
    finally:
        database.close()


@contextmanager
def _redis(url: str) -> Iterator[str]:
    """Give the URL of an empty database of that Redis, emptied again at the end; "" stays "".

    :raises NoRedis: it does not answer, or has no empty database
    """
    if not url:
        yield ""
        return
    client, own = _claimed(url)
    try:
        yield own
    finally:
        with client:
            client.flushdb()


def _claimed(url: str) -> tuple[Redis, str]:
    base = make_url(url)
    for number in range(_REDIS_DATABASES - 1, 0, -1):
        own = base.set(database=str(number)).render_as_string(hide_password=False)
        client = Redis.from_url(own, socket_timeout=10, socket_connect_timeout=5)
        try:
            if base.database != str(number) and client.dbsize() == 0 and client.set(_CLAIM, 1, nx=True):
                return client, own
        except ResponseError:
            continue  # it has fewer
        except RedisError as error:
            raise NoRedis from error
        client.close()
    raise NoRedis


def _postmaster(database: Database) -> int | None:
    """Return the process id of PostgreSQL's first process; None when it is not on this machine."""
    if database.dialect != "postgresql":
        return None
    with database.read() as session:
        backend: int = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return processes.parent(backend) if processes.name(backend).startswith("postgres") else None


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


def _end_with_parent() -> None:
    """Have the kernel end this process once the bench is gone, even one that was killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _nobody_left() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return
