"""``mailer feedback`` as a script meets it."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from mailer.audience.store import Subscription, Suppression
from mailer.database import Database
from mailer.feedback import store
from mailer.feedback.store import ReturnedMail
from mailer.settings import Settings
from mailer.signing import Purpose
from tests.feedback import samples
from tests.make import KEYS, SECRET, Make


def mailer(*words: str, data: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mailer.cli", "feedback", *words],
        input=stdin, capture_output=True, timeout=60, check=False, env=environment(data),
    )  # fmt: skip


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILER_")}
    return {**kept, "MAILER_DATA": str(data), "MAILER_SECRET": SECRET, "MAILER_LISTENER_PORT": "0"}


def printed(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def return_path(campaign: int, n: int) -> str:
    expires = datetime.now(UTC) + timedelta(days=60)
    return f"b-{KEYS.sign(Purpose.RETURN_PATH, campaign, n, expires=expires)}@{samples.BOUNCES}"


def test_classify_walks_folders_and_stores_nothing(tmp_path: Path) -> None:
    """One line per file, named relative to the folder; no database is made."""
    folder = tmp_path / "mail" / "deeper"
    folder.mkdir(parents=True)
    token = KEYS.sign(Purpose.RETURN_PATH, 7, 9)
    header = f"Delivered-To: B-{token.upper()}@{samples.BOUNCES}\r\n".encode()
    (folder / "a.eml").write_bytes(header + samples.dsn(("ann@example.org", samples.GONE)))
    (tmp_path / "mail" / "b.eml").write_bytes(samples.answer())
    bounce, answer = sorted(
        printed(mailer("classify", str(tmp_path / "mail"), "--json", data=tmp_path / "data")),
        key=lambda line: str(line["kind"]),
    )
    assert list(bounce) == ["file", "kind", "recipients", "token"]
    assert (bounce["file"], bounce["kind"], bounce["token"]) == ("deeper/a.eml", "bounce", token)
    [recipient] = bounce["recipients"]
    assert recipient["diagnostic"].endswith("no such user here")
    assert {**recipient, "diagnostic": ""} == {
        "address": "ann@example.org", "category": "bad_mailbox", "status": "5.1.1", "permanent": True,
        "dead": True, "diagnostic": "", "remote_mta": "mx.example.org",
    }  # fmt: skip
    assert answer == {"file": "b.eml", "kind": "ordinary", "recipients": [], "token": None}
    assert not (tmp_path / "data").exists()


def test_diagnose_answers_every_line(tmp_path: Path) -> None:
    """Also lines that are no replies at all."""
    lines = b"mx.example.org\t550 5.1.1 No such user\n\nmx.example.org\t452 4.2.2 Mailbox full\n\xff\xfe\n"
    done = mailer("diagnose", "--json", data=tmp_path, stdin=lines)
    found = printed(done)
    assert [line["category"] for line in found] == ["bad_mailbox", "unknown", "mailbox_full", "unknown"]
    assert found[0] == {
        "category": "bad_mailbox",
        "status": "5.1.1",
        "permanent": True,
        "dead": True,
        "provider": None,
    }


@pytest.fixture
def data(settings: Settings, sqlite_database: Database) -> Path:
    """A data folder with an empty database."""
    return settings.data


def test_ingest_stores_and_applies(data: Path, sqlite_database: Database) -> None:
    """From a pipe, as a mail server's transport gives it; a second time changes nothing."""
    delivery = Make(sqlite_database).delivery("ann@example.org")
    path = return_path(delivery.campaign_id, delivery.n)
    report = samples.dsn(("ann@example.org", samples.GONE))
    [first], [again] = (
        printed(mailer("ingest", "-", "--to", path, "--json", data=data, stdin=report)) for _ in range(2)
    )
    assert first == {"file": "-", "kind": "bounce", "campaign": 1, "n": 1, "events": 1, "known": False}
    assert (again["events"], again["known"]) == (0, True)
    with sqlite_database.read() as session:
        assert session.scalars(select(Suppression.reason)).all() == ["bad_mailbox"]


def test_a_file_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Exit status 1; nothing on standard output."""
    done = mailer("classify", str(tmp_path / "none.eml"), "--json", data=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"none.eml cannot be read" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_listen_hears_until_it_is_told_to_stop(data: Path, sqlite_database: Database) -> None:
    """A process of its own, as production runs it: no letters for strangers, a clean end."""
    delivery = Make(sqlite_database).delivery()
    with subprocess.Popen(
        [sys.executable, "-m", "mailer.cli", "feedback", "listen"], stderr=subprocess.PIPE, text=True,
        env={**environment(data), "MAILER_REDIS_URL": "redis://127.0.0.1:1"},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        port = int(process.stderr.readline().rsplit(":", 1)[1].strip(".\n"))
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as smtp:
            path = return_path(delivery.campaign_id, delivery.n)
            began = time.monotonic()
            smtp.sendmail("", [path], samples.dsn(("ann@example.org", samples.FULL)))
            assert time.monotonic() - began < 20
            smtp.mail("")
            assert smtp.rcpt("ann@example.org")[0] == 550
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read()
    with sqlite_database.read() as session:
        assert session.scalar(select(func.count()).select_from(ReturnedMail)) == 1


def test_a_pipe_asks_to_come_again_while_the_database_is_away(tmp_path: Path) -> None:
    """EX_TEMPFAIL: a mail server would take any other failure for a last word."""
    report = samples.dsn(("ann@example.org", samples.GONE))
    for url in ("postgresql+psycopg://u@127.0.0.1:9/none", "nonsense://"):
        done = subprocess.run(
            [sys.executable, "-m", "mailer.cli", "feedback", "ingest", "-", "--to", "x@example.net"],
            input=report, capture_output=True, timeout=60, check=False,
            env={**environment(tmp_path), "MAILER_DATABASE_URL": url},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (75, b"")
        assert done.stderr.startswith(b"mailer: ")
        assert done.stderr.count(b"\n") == 1


def test_a_pipe_asks_to_come_again_whatever_else_goes_wrong(data: Path, sqlite_database: Database) -> None:
    """A fault of ours loses no mail."""
    with sqlite_database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE returned_mail RENAME TO away")
    done = mailer("ingest", "-", data=data, stdin=samples.answer())
    assert (done.returncode, b"come again: OperationalError" in done.stderr) == (75, True)


def test_ingest_takes_mbox_files_and_maildirs(data: Path, sqlite_database: Database, tmp_path: Path) -> None:
    """Each mail of an mbox for itself; of a Maildir what is written to its end."""
    path = return_path(*((delivery := Make(sqlite_database).delivery()).campaign_id, delivery.n))
    header = f"Delivered-To: {path}\n".encode()
    postmark = b"From MAILER-DAEMON Fri Nov 20 12:00:00 2026\n"
    gone = samples.dsn(("ann@example.org", samples.GONE)).replace(b"\r\n", b"\n")
    quoting = samples.answer("Dear all,\n\n>From here it is far.\n\nFrom now on, write to Bob.")
    folder = tmp_path / "mail"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "archive.mbox").write_bytes(postmark + header + gone + b"\n" + postmark + quoting + b"\n")
    (folder / "new" / "1.M1.host").write_bytes(header + samples.auto_reply())
    (folder / "tmp" / "2.M2.host").write_bytes(header + gone)
    told = printed(mailer("ingest", str(folder), "--json", data=data))
    assert [(line["file"], line["kind"], line["n"]) for line in told] == [
        ("archive.mbox:1", "bounce", 1),
        ("archive.mbox:2", "ordinary", None),
        ("new/1.M1.host", "auto_reply", 1),
    ]
    with sqlite_database.read() as session:
        kept = store.mail_content(session, 2)
    assert kept is not None
    assert b"\nFrom here it is far." in kept
    assert kept.rstrip().endswith(b"From now on, write to Bob.")


def test_a_mail_to_a_leave_address_leaves_from_a_pipe(data: Path, sqlite_database: Database) -> None:
    """List-Unsubscribe by mail, where Postfix pipes what comes."""
    delivery = Make(sqlite_database).delivery()
    to = samples.leave_address(delivery)
    [line] = printed(mailer("ingest", "-", "--to", to, "--json", data=data, stdin=samples.answer("leave")))
    assert (line["kind"], line["events"]) == ("leave", 1)
    with sqlite_database.read() as session:
        assert session.scalars(select(Subscription.state)).all() == ["left"]


def test_answers_that_wait_are_listed_shown_and_passed_on(data: Path, sqlite_database: Database) -> None:
    """A person decides about what a machine seems to have written."""
    delivery = Make(sqlite_database).delivery()
    path = return_path(delivery.campaign_id, delivery.n)
    raw = b"Precedence: bulk\n" + samples.answer()
    mailer("ingest", "-", "--to", path, data=data, stdin=raw)
    [line] = printed(mailer("answers", "--json", data=data))
    assert (line["id"], line["state"], line["why"]) == (1, "kept", "a machine seems to have written it")
    assert mailer("show", "1", data=data).stdout == raw
    assert mailer("pass-on", "1", data=data).returncode == 0
    assert [line["state"] for line in printed(mailer("answers", "--json", data=data))] == ["waiting"]
    for words in (("show", "9"), ("pass-on", "9")):
        assert (done := mailer(*words, data=data)).returncode == 1
        assert done.stderr.count(b"\n") == 1
