"""Real servers for the tests: PostgreSQL, a Redis-compatible server, headless Chromium. All on loopback.

One PostgreSQL serves a whole test run, also over several xdist workers: the first process that asks starts
it, the process that began the run stops it. A part that cannot be had is ``Missing`` with the reason.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from mailer.bench.servers import Postgres, Redis, free_port, kill_postmaster
from mailer.errors import MailerError

__all__ = [
    "Missing", "chromium", "close_run", "create_database", "drop_database", "empty_tables", "free_port",
    "open_run", "postgres", "redis",
]  # fmt: skip

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
    kill_postmaster(pid_file)
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
        server = Redis()
        server.start()
    except MailerError as error:
        raise Missing(f"no Redis-compatible server: {error}") from error
    try:
        yield server.url
    finally:
        server.kill()


def chromium() -> str:
    """Return the path of Chromium.

    :raises Missing: it is not installed
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise Missing("no Chromium: install the package chromium")


def _told(shared: Path) -> dict[str, str]:
    try:
        server = Postgres(shared, settings=_FAST)
        server.start()
        return {"url": server.url}
    except (OSError, LookupError, subprocess.SubprocessError, MailerError) as error:
        return {"missing": f"no PostgreSQL: {error}"}


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
