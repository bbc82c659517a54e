"""``mailer mailbox`` as an administrator meets it, and who reads what was added."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from mailer.database import Database
from mailer.delivery.store import Delivery, Event
from mailer.settings import Settings
from mailer.signing import Purpose
from tests.feedback import samples
from tests.mailhost import ImapHost
from tests.make import KEYS, SECRET, Make
from tests.shell import Person, until


@pytest.fixture
def host() -> Iterator[ImapHost]:
    with ImapHost() as host:
        yield host


def bounce(delivery: Delivery) -> bytes:
    expires = datetime.now(UTC) + timedelta(days=60)
    token = KEYS.sign(Purpose.RETURN_PATH, delivery.campaign_id, delivery.n, expires=expires)
    to = f"Delivered-To: b-{token}@{samples.BOUNCES}\r\n".encode()
    return to + samples.dsn(("ann@example.org", samples.GONE))


@pytest.fixture
def delivery(settings: Settings, sqlite_database: Database) -> Delivery:
    """A letter in the database of the person's data folder."""
    return Make(sqlite_database).delivery("ann@example.org")


def heard(database: Database) -> list[str | None]:
    with database.read() as session:
        return list(session.scalars(select(Event.category)))


def test_a_mailbox_is_added_checked_read_and_removed(
    mailer: Person, host: ImapHost, delivery: Delivery, sqlite_database: Database
) -> None:
    """The password is in no output; reading once is a command of its own."""
    host.put(bounce(delivery))
    added = mailer("mailbox", "add", host.url(), "--json", SECRET=SECRET)
    assert (added.json["id"], added.json["mails"]) == (1, 1)
    assert "hush" not in added.out
    assert "holds 1 mails" in mailer("mailbox", "check", "1", SECRET=SECRET).out
    assert heard(sqlite_database) == []
    assert mailer("mailbox", "read", "1", "--json", SECRET=SECRET).json == {
        "stored": 1, "known": 0, "unstored": 0,
    }  # fmt: skip
    assert heard(sqlite_database) == ["bad_mailbox"]
    listed = mailer("mailbox", "list", "--json", SECRET=SECRET).json
    assert (listed["heard"], listed["trouble"], "hush" in str(listed)) == (1, None, False)
    assert "1 mails, in order at" in mailer("mailbox", "list", SECRET=SECRET).out
    assert mailer("mailbox", "remove", "1").status == 0
    for words in (("check", "1"), ("read", "1"), ("remove", "1")):
        assert "`mailer mailbox list`" in mailer("mailbox", *words, SECRET=SECRET).sentence


def test_a_mailbox_that_cannot_be_opened_is_not_added(mailer: Person, host: ImapHost) -> None:
    """Unless that is wanted; then how it goes is told."""
    url = host.url().replace("hush-hush", "wr0ng")
    said = mailer("mailbox", "add", url, SECRET=SECRET)
    assert "does not let desk@example.org sign in" in said.sentence
    assert "wr0ng" not in said.err
    assert mailer("mailbox", "list").out == ""
    assert mailer("mailbox", "add", url, "--unchecked", SECRET=SECRET).status == 0
    assert "does not let" in mailer("mailbox", "read", "1", SECRET=SECRET).sentence
    assert "does not let" in mailer("mailbox", "list").out


def test_a_password_may_come_from_standard_input(mailer: Person, host: ImapHost) -> None:
    """So that it stands in no shell's history and in no list of processes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILER_")}
    done = subprocess.run(
        [sys.executable, "-m", "mailer.cli", "mailbox", "add", host.url().replace(":hush-hush@", "@")],
        input=b"hush-hush\n", capture_output=True, check=False, timeout=60,
        env={**environment, "MAILER_DATA": str(mailer.data), "MAILER_SECRET": SECRET},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert "LOGIN" in host.commands


def test_the_doctor_tells_how_mailboxes_do(mailer: Person, host: ImapHost) -> None:
    """Read, not read, or why it cannot be."""
    mailer("mailbox", "add", host.url(), SECRET=SECRET)
    said = mailer("doctor", SECRET=SECRET)
    assert "is not read" in said.out
    assert "hush" not in said.out
    mailer("mailbox", "read", "1", SECRET=SECRET)
    assert f"ok       mailbox: imap://desk%40example.org@127.0.0.1:{host.port}/INBOX" in (
        mailer("doctor", SECRET=SECRET).out
    )
    host.answers("LOGIN", "NO [AUTHENTICATIONFAILED] wrong")
    mailer("mailbox", "read", "1", SECRET=SECRET)
    said = mailer("doctor", SECRET=SECRET)
    assert (said.status, "give the password anew" in said.out) == (1, True)


def test_mailer_serve_reads_mailboxes(
    mailer: Person, host: ImapHost, delivery: Delivery, sqlite_database: Database
) -> None:
    """Those too that are added while it runs; what came back is applied."""
    with mailer.runs("serve", "--port", "0", SECRET=SECRET) as server:
        until(lambda: any("http" in line for line in server.lines))
        mailer("mailbox", "add", host.url(), SECRET=SECRET)
        until(lambda: "IDLE" in host.commands)
        host.put(bounce(delivery))
        until(lambda: heard(sqlite_database) == ["bad_mailbox"])
        assert server.end(signal.SIGINT) == 0


def test_feedback_listen_reads_mailboxes(
    mailer: Person, host: ImapHost, delivery: Delivery, sqlite_database: Database
) -> None:
    """As production runs it; it ends in order."""
    mailer("mailbox", "add", host.url(), SECRET=SECRET)
    with mailer.runs("feedback", "listen", SECRET=SECRET, REDIS_URL="redis://127.0.0.1:1") as listener:
        listener.line("Listening on")
        until(lambda: "IDLE" in host.commands)
        host.put(bounce(delivery))
        until(lambda: heard(sqlite_database) == ["bad_mailbox"])
        assert listener.end() == 0
    assert host.connected == 0


def test_a_process_that_is_killed_loses_no_mail(
    mailer: Person, host: ImapHost, delivery: Delivery, sqlite_database: Database, tmp_path: Path
) -> None:
    """kill -9 in the midst of it: the mail is heard, or lies where it was, and the lease runs out."""
    mailer("mailbox", "add", host.url("/INBOX?then=delete"), SECRET=SECRET)
    host.answers("UID STORE", None)  # it is stored, and the connection breaks before it is deleted
    host.put(bounce(delivery))
    with mailer.runs("feedback", "listen", SECRET=SECRET, REDIS_URL="redis://127.0.0.1:1") as listener:
        until(lambda: heard(sqlite_database) == ["bad_mailbox"])
        listener.process.kill()
    assert len(host.raws()) == 1
