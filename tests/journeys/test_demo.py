"""``mailer demo``: the main job from end to end, and figures that add up, on both databases."""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mailer.settings import templates
from tests.shell import Person, Running, until
from tests.smtphost import SmtpHost

READERS = 60
BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture
def mailer(tmp_path: Path) -> Person:
    """Somebody at a shell in an empty folder."""
    return Person(tmp_path)


@pytest.fixture(params=BOTH)
def where(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings that choose the database."""
    if request.param == "sqlite":
        return {}
    return {"DATABASE_URL": request.getfixturevalue("postgres_url")}


def adds_up(told: dict[str, Any]) -> None:
    """Every candidate is a letter or an exclusion; every letter has one fate."""
    assert told["candidates"] == told["deliveries"] + sum(told["exclusions"].values())
    fates = (told["accepted"], told["deferred"], told["rejected"], told["uncertain"])
    assert sum(fates) + sum(told["withdrawn"].values()) == told["deliveries"]
    assert told["bounced"] == sum(told["bounced_by"].values()) <= told["accepted"]


def test_the_figures_add_up(mailer: Person, where: dict[str, str]) -> None:
    """Every outcome happens, the listener counts the same, and standard output is one object."""
    said = mailer.process("demo", "--recipients", READERS, "--no-serve", "--json", "--data", "demo", **where)
    told = said.json
    adds_up(told)
    assert told["candidates"] == READERS
    assert told["listener_received"] == told["accepted"]
    assert set(told["exclusions"]) == {"left", "pending", "suppressed"}
    assert set(told["editions"]) == {"zh", "en"}
    assert all(told[name] > 0 for name in ("accepted", "deferred", "rejected", "bounced", "complaints"))
    assert all(told[name] > 0 for name in ("left", "opened", "clicked", "suppressed"))
    assert told["uncertain"] == 0
    for edition in told["editions"].values():
        assert 0 < edition["html_bytes"] < 102_400
        assert edition["text_bytes"] > 0 < edition["links"]
    assert "Letters sent" in said.err
    again = mailer("demo", "--recipients", READERS, "--no-serve", "--data", "demo", **where)
    assert "in use" in again.sentence


def test_an_outside_sink_counts_the_same(mailer: Person) -> None:
    """With --smtp every letter goes there, none twice, and its refusals are recorded."""
    with SmtpHost() as host:
        host.answers("MAIL", "451 4.3.2 Later", times=1)
        host.answers("BODY", "554 5.7.1 Not this one", times=2)
        told = mailer.process(
            "demo", "--recipients", READERS, "--no-serve", "--json", "--data", "shown", "--smtp", host.url
        ).json
        adds_up(told)
        assert (told["rejected"], told["deferred"]) == (2, 1)
        assert told["accepted"] == len(host.letters) == len({letter.recipient for letter in host.letters})
        assert told["listener_received"] is None


def test_the_environment_of_a_production_server_does_no_harm(mailer: Person) -> None:
    """A relay and a broker set there are not used, and a database with people in it is refused."""
    with SmtpHost() as host:
        told = mailer.process(
            "demo", "--recipients", 12, "--no-serve", "--json", "--data", "shown",
            SMTP_URL=host.url, REDIS_URL="redis://127.0.0.1:9/0", BASE_URL="https://news.example",
        ).json  # fmt: skip
        assert (host.letters, told["listener_received"]) == ([], told["accepted"])
    mailer("user", "add", "ann@example.org", "--role", "admin")
    url = f"sqlite:///{mailer.data / 'mailer.db'}"
    assert "MAILER_DATABASE_URL" in mailer("demo", "--data", "demo", "--no-serve", DATABASE_URL=url).sentence
    assert mailer("user", "list").out.split() == ["ann@example.org", "admin"]


def test_another_issue_may_be_shown(mailer: Person) -> None:
    """A file in one language; those who read another get it by fallback."""
    file = templates() / "sample" / "issue-en.md"
    told = mailer.process(
        "demo", "--issue", file, "--recipients", 20, "--no-serve", "--json", "--data", "d"
    ).json
    adds_up(told)
    assert list(told["editions"]) == ["en"]
    assert "no_edition" not in told["exclusions"]


@pytest.fixture
def shown(mailer: Person) -> Iterator[Running]:
    """A demonstration that has come to its web app."""
    with mailer.runs("demo", "--recipients", 30, "--json", "--data", "demo") as running:
        running.line("Stop with Ctrl-C")
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_the_web_app_and_in_order(mailer: Person, shown: Running, number: int) -> None:
    """The links sign in once; Ctrl-C or SIGTERM stops it, and what it made can be served again."""
    for who, desk in (("administrator", "/desk"), ("manager", "/partner")):
        link = shown.line(f"  as the {who}").rpartition(": ")[2]
        with httpx2.Client(follow_redirects=True) as browser:
            csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get(link).text)
            assert csrf
            page = browser.post(link, data={"csrf": csrf[1]})
            assert page.status_code == 200
            assert page.url.path.startswith(desk)
    assert shown.end(number) == 0
    assert "mailer serve --data demo" in shown.lines[-1]
    with sqlite3.connect(mailer.folder / "demo" / "mailer.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert mailer("campaign", "report", 1, "--data", "demo", "--json").json["candidates"] == 30


def test_a_demonstration_that_is_stopped_half_way_says_so(
    mailer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1, one sentence, and nothing left of a folder of its own."""
    own = mailer.folder / "tmp"
    own.mkdir()
    monkeypatch.setenv("TMPDIR", str(own))
    with mailer.runs("demo", "--recipients", 50_000, "--no-serve") as running:
        until(lambda: list(own.glob("mailer-demo-*/mailer.db")))
        assert running.end() == 1
    assert running.lines[-1] == "mailer: stopped."
    assert list(own.iterdir()) == []
