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

from mailer.audience.store import Suppression
from mailer.database import Database
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
