"""A campaign from the shell, with the server beside it: what the README promises."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from mailer.settings import templates
from tests import servers
from tests.shell import Person, until
from tests.smtphost import SmtpHost

SAMPLE = templates() / "sample"
BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
PEOPLE = [(f"reader-{n}@example.org", "zh" if n % 2 else "en") for n in range(60)]


@pytest.fixture(params=BOTH)
def mailer(request: pytest.FixtureRequest, tmp_path: Path) -> Person:
    """Somebody at a shell, with a database of either kind and a server's port of their own."""
    settings = {"PORT": str(servers.free_port())}
    if request.param == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    return Person(tmp_path, settings)


@pytest.fixture
def embedded(tmp_path: Path) -> Person:
    """Somebody at a shell with nothing set."""
    return Person(tmp_path, {"PORT": str(servers.free_port())})


def furnish(mailer: Person) -> None:
    """Bring in both editions, the readers, and who the letters come from."""
    issue = mailer("issue", "import", SAMPLE / "issue-zh.md", "--json").json["issue"]
    assert mailer("issue", "import", SAMPLE / "issue-en.md", "--issue", issue).status == 0
    rows = "\n".join(f"{address},{language}" for address, language in PEOPLE)
    (mailer.folder / "people.csv").write_text(f"email,language\n{rows}\n")
    people = mailer("subscribers", "import", "people.csv", "--consent", "They asked for it.", "--json").json
    assert people["added"] == len(PEOPLE)
    [publication] = mailer("publication", "list", "--json").out.splitlines()
    code = re.search(r'"code": "([^"]+)"', publication)
    assert code
    assert mailer("publication", "set", code[1], "--sender", "news@example.org").status == 0


def approved(mailer: Person, *options: str) -> int:
    """Create a campaign and have a colleague approve it; return its number."""
    for name, role in (("editor", "editor"), ("approver", "approver")):
        mailer("user", "add", f"{name}@example.org", "--role", role)
    created = mailer("campaign", "create", 1, *options, "--json", "--as", "editor@example.org").json
    number = int(created["campaign"])
    own = mailer("campaign", "approve", number, "--as", "editor@example.org")
    assert "colleague" in own.sentence
    assert mailer("campaign", "approve", number, "--as", "approver@example.org").status == 0
    return number


def report(mailer: Person, campaign: int) -> Any:
    """The campaign's figures."""
    return mailer("campaign", "report", campaign, "--json").json


def test_launched_from_another_shell_it_goes_out_within_seconds(mailer: Person) -> None:
    """The server's sweep finds the rows; letters go to the relay, each once, in the reader's language."""
    furnish(mailer)
    campaign = approved(mailer)
    with SmtpHost() as host, mailer.runs("serve", SMTP_URL=host.url) as server:
        server.line("mailer is served at ")
        launched = mailer("campaign", "launch", campaign, "--json", SMTP_URL=host.url)
        at = time.monotonic()
        assert (launched.json["candidates"], launched.err) == (len(PEOPLE), "")
        until(lambda: report(mailer, campaign)["accepted"] == len(PEOPLE))
        assert time.monotonic() - at < 20
        until(lambda: mailer("campaign", "status", campaign, "--json").json["state"] == "sent")
        assert server.end() == 0
    assert sorted(letter.recipient for letter in host.letters) == sorted(address for address, _ in PEOPLE)
    by_reader = {letter.recipient: letter.body for letter in host.letters}
    for address, language in PEOPLE[:4]:
        assert f"Content-Language: {language}".encode() in by_reader[address]


def test_without_a_server_the_command_says_so_and_the_next_server_sends(embedded: Person) -> None:
    """Nothing is lost: what was launched waits in its rows. The server's own listener catches the letters."""
    furnish(embedded)
    with embedded.runs("serve") as server:
        server.line("mailer is served at ")
        assert server.end() == 0
    campaign = approved(embedded, "--audience", "language = zh", "--lang", "zh")
    launched = embedded("campaign", "launch", campaign)
    assert launched.status == 0
    assert "mailer serve" in launched.err
    assert report(embedded, campaign)["waiting"] == len(PEOPLE) // 2
    with embedded.runs("serve") as server:
        server.line("Letters do not leave this machine")
        until(lambda: report(embedded, campaign)["accepted"] == len(PEOPLE) // 2)


def test_it_launches_by_itself_at_its_time(embedded: Person) -> None:
    """A time without an offset is meant in the publication's zone; one that is past is now."""
    furnish(embedded)
    campaign = approved(embedded, "--at", "2026-01-05T08:00")
    told = embedded("campaign", "status", campaign, "--json").json
    assert (told["state"], told["scheduled_at"]) == ("scheduled", "2026-01-05T08:00+08:00")
    with embedded.runs("serve") as server:
        server.line("mailer is served at ")
        until(lambda: report(embedded, campaign)["accepted"] == len(PEOPLE))


def test_paused_it_stands_still_cancelled_it_withdraws(embedded: Person) -> None:
    """Every letter still has one fate."""
    furnish(embedded)
    campaign = approved(embedded)
    assert embedded("campaign", "launch", campaign).status == 0
    assert embedded("campaign", "pause", campaign, "--json").json["state"] == "paused"
    assert "only a campaign that is being sent" in embedded("campaign", "pause", campaign).sentence
    assert embedded("campaign", "resume", campaign, "--json").json["state"] == "sending"
    assert embedded("campaign", "cancel", campaign, "--json").json["state"] == "cancelled"
    told = report(embedded, campaign)
    assert sum(told["withdrawn"].values()) == told["deliveries"] == len(PEOPLE)
    assert embedded("campaign", "launch", campaign).sentence
    [line] = embedded("campaign", "list").out.splitlines()
    assert "cancelled" in line


def test_a_test_letter_is_no_part_of_the_sums(embedded: Person) -> None:
    """It goes to the colleague, through the relay, and counts nowhere."""
    furnish(embedded)
    campaign = approved(embedded)
    with SmtpHost() as host:
        words = ("campaign", "test", campaign, "--to", "colleague@example.org", "--lang", "zh")
        assert embedded(*words, "--json", SMTP_URL=host.url).json["reply"].startswith("250")
        [letter] = host.letters
        assert letter.recipient == "colleague@example.org"
        host.answers_rcpt("550 5.1.1 No such colleague")
        assert "No such colleague" in embedded(*words, SMTP_URL=host.url).sentence
    assert report(embedded, campaign)["deliveries"] == 0


def test_an_issue_goes_out_as_it_came_in(embedded: Person) -> None:
    """Exported Markdown is the same issue; its compiled form has every part."""
    furnish(embedded)
    for name in ("issue.md", "issue.json"):
        assert embedded("issue", "export", 1, "--lang", "en", "--out", name).status == 0
    assert embedded("issue", "check", "issue.md", "--json").json["errors"] == 0
    again = embedded("issue", "import", "issue.md", "--number", "again", "--json").json
    assert embedded("issue", "export", again["issue"], "--out", "again.md").status == 0
    first, second = ((embedded.folder / name).read_text() for name in ("issue.md", "again.md"))
    assert second.replace("number: again", "") == re.sub(r"number: .*", "", first, count=1)
    told = embedded("issue", "compile", 1, "--lang", "zh", "--out", "out", "--json").json
    assert told["html_bytes"] < told["html_limit"] == 102_400
    assert {"edition.html", "edition.mjml", "edition.txt"} <= {
        file.name for file in (embedded.folder / "out").iterdir()
    }
