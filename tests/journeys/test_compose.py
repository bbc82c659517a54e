"""Production: each service of docker-compose.yml, its very command and environment, as a plain process.

PostgreSQL and the Redis-compatible server are real. Names that only Docker's network knows, ports and the
data folder are mapped to this machine; nothing else is changed.
"""

from __future__ import annotations

import email
import http.client
import os
import re
import shlex
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.delivery import campaigns
from mailer.reports.campaign import Report, report
from mailer.settings import Settings
from tests import servers
from tests.make import SECRET, Make
from tests.smtphost import Received, SmtpHost

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
READERS = [f"reader-{n}@example.org" for n in range(20)]
OURS = ("web", "worker", "beat", "listener")
PATIENCE = 60.0  # seconds; a loaded machine with two cores starts five Pythons at once


@dataclass(frozen=True)
class Site:
    """What an operator's .env says, and where on this machine Docker's names are."""

    given: dict[str, str]
    places: dict[str, str]
    folder: Path

    def here(self, text: str) -> str:
        """Fill in ``${NAME}``, ``${NAME:-default}``, ``${NAME:?why}`` as Compose does; map Docker's names."""
        text = re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", self._value, text)
        return re.sub("|".join(map(re.escape, self.places)), lambda hit: self.places[hit[0]], text)

    def _value(self, hit: re.Match[str]) -> str:
        name, kind, rest = hit.groups()
        return self.given.get(name) or (rest if kind == "-" else pytest.fail(f"{name} is not given"))

    def environment(self, service: str) -> dict[str, str]:
        """The service's environment and no other variable that mailer reads."""
        stated = COMPOSE["services"][service]["environment"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"PATH": path, "PYTHONUNBUFFERED": "1", "HOME": str(self.folder)}
        return ours | {name: self.here(value) for name, value in stated.items()}

    def command(self, service: str) -> list[str]:
        """The service's command, in words."""
        return shlex.split(self.here(COMPOSE["services"][service]["command"]))

    def healthy(self, service: str) -> bool:
        """Run the service's own health check."""
        kind, *words = COMPOSE["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        check = subprocess.run(
            [self.here(word) for word in words],
            env=self.environment(service), cwd=self.folder, capture_output=True, check=False,
        )  # fmt: skip
        return check.returncode == 0


def until(happened: Callable[[], object], what: str, site: Site) -> None:
    """Wait for something; past patience, fail with what the services said."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            said = "\n".join(f"-- {log.name}\n{log.read_text()[-2000:]}" for log in site.folder.glob("*.log"))
            pytest.fail(f"not within {PATIENCE:.0f} s: {what}\n{said}")
        time.sleep(0.2)


@pytest.fixture
def host() -> Iterator[SmtpHost]:
    """The relay that takes the letters."""
    with SmtpHost() as host:
        yield host


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table: the services bring it to its schema."""
    name = f"compose_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    yield servers.create_database(postgres_server, name)
    servers.drop_database(postgres_server, name)


@pytest.fixture
def site(tmp_path: Path, empty_postgres: str, redis_url: str, host: SmtpHost) -> Site:
    """What Docker and an operator would bring, on this machine."""
    given = {
        "POSTGRES_PASSWORD": "secret", "MAILER_SECRET": SECRET, "MAILER_BASE_URL": "https://news.example",
        "MAILER_BOUNCE_DOMAIN": "bounces.example", "MAILER_SMTP_URL": host.url,
    }  # fmt: skip
    places = {
        "postgresql+psycopg://mailer:secret@postgres:5432/mailer": empty_postgres,
        "redis://redis:6379/0": redis_url,
        "0.0.0.0": "127.0.0.1",  # noqa: S104 - it is what must not stay
        "/data": str(tmp_path / "data"),
        "8000": str(servers.free_port()),
        "2525": str(servers.free_port()),
    }
    (tmp_path / "data" / "journal").mkdir(parents=True)
    return Site(given, places, tmp_path)


@pytest.fixture
def services(site: Site) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Every service of ours, started at once and healthy by its own check; stopped as Docker stops them."""
    running = {}
    for name in OURS:
        with (site.folder / f"{name}.log").open("wb") as log:
            running[name] = subprocess.Popen(
                site.command(name), env=site.environment(name), cwd=site.folder / "data",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
    try:
        for name in OURS:
            until(partial(site.healthy, name), f"{name} is healthy", site)
        yield running
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def outside(site: Site, services: object) -> Iterator[Database]:
    """The database that the services brought to its schema, seen from a process beside them."""
    database = Database(site.environment("worker")["MAILER_DATABASE_URL"])
    yield database
    database.close()


def launched(database: Database, settings: Settings) -> int:
    """Launch a campaign to READERS in both languages; return its id."""
    make, shell, now = Make(database), Actor(None, "shell"), datetime.now(UTC)
    for n, reader in enumerate(READERS):
        make.subscriber(reader, language="zh" if n % 2 else "en")
    issue = make.issue()
    with database.write() as session:
        campaign = campaigns.create(session, issue_id=issue.id, audience="everyone", now=now, actor=shell)
        campaigns.ask(session, campaign_id=campaign.id, settings=settings, now=now, actor=shell)
        campaigns.approve(session, campaign_id=campaign.id, now=now, actor=shell)
        campaigns.launch(session, campaign_id=campaign.id, settings=settings, now=now, actor=shell)
        return campaign.id


def bounce(letter: Received) -> bytes:
    """What a mail system sends back when it finds out late (RFC 3464)."""
    return f"""\
From: MAILER-DAEMON@mx.example
To: {letter.sender}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=cut

--cut
Content-Type: text/plain

The address does not exist.
--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {letter.recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 No such user
--cut--
""".replace("\n", "\r\n").encode()


def click(site: Site, letter: Received) -> None:
    """Follow the letter's first tracked link as a reader's browser does, through the web service."""
    body = email.message_from_bytes(letter.body, policy=policy.default).get_body(("html",))
    link = re.search(r"https://news\.example(/c/[a-z2-7]+/\d+)", body.get_content())
    assert link
    web = http.client.HTTPConnection("127.0.0.1", int(site.here("8000")), timeout=10)
    web.request("GET", link[1], headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"})
    answer = web.getresponse()
    assert (answer.status // 100, answer.headers["Location"]) == (3, "https://example.org/report")
    web.close()


def test_a_campaign_goes_through_the_services(site: Site, outside: Database, host: SmtpHost) -> None:
    """Launched by one process, sent by the worker, heard by listener and web, applied by the worker."""
    nobody, gone, reads = READERS[:3]
    host.answers_rcpt("550 5.1.1 No such user", address=nobody)
    stated = site.environment("web")
    settings = Settings.model_validate(
        {
            name: stated[f"MAILER_{name.upper()}"]
            for name in ("secret", "base_url", "bounce_domain", "smtp_url")
        }
    )
    campaign = launched(outside, settings)

    def told() -> Report:
        with outside.read() as session:
            return report(session, campaign)

    until(lambda: told().progress == 1, "every letter tried", site)
    assert (told().accepted, told().rejected, told().uncertain) == (len(READERS) - 1, 1, 0)
    assert sorted(letter.recipient for letter in host.letters) == sorted(set(READERS) - {nobody})

    letters = {letter.recipient: letter for letter in host.letters}
    with smtplib.SMTP("127.0.0.1", int(site.here("2525"))) as peer:
        peer.sendmail("", [letters[gone].sender], bounce(letters[gone]))
    click(site, letters[reads])
    until(
        lambda: told().bounced_total and told().clicked and told().suppressed == 2, "feedback applied", site
    )
    assert (told().bounced, told().clicked) == ({"bad_mailbox": 1}, 1)


def test_every_service_comes_back_and_is_watched() -> None:
    """A service that dies is started again; one that hangs is seen; a worker may end its turn."""
    for name, service in COMPOSE["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] == "CMD", name
    assert all("stop_grace_period" in COMPOSE["services"][name] for name in OURS)


def test_the_worker_keeps_its_journal() -> None:
    """What was begun is known after the container is made anew; nobody else writes there."""
    mounts = {name: COMPOSE["services"][name].get("volumes", []) for name in OURS}
    assert mounts == {"web": [], "worker": ["journal:/data/journal"], "beat": [], "listener": []}


def test_no_secret_has_a_default() -> None:
    """Whoever forgets a secret is told so; no installation runs with one that stands in a public file."""
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"\$\{\w*(?:SECRET|PASSWORD)\w*(..)", text)
    assert secrets
    assert set(secrets) == {":?"}
