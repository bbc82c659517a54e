"""``mailer doctor``: what is wrong, how to mend it, and no word of a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mailer import queue
from mailer.database import Database
from mailer.delivery import lanes
from tests.cli.conftest import Person
from tests.make import Make
from tests.oidchost import OidcHost
from tests.smtphost import SmtpHost

PASSWORD = "hush-hush-hush"


def findings(mailer: Person, **settings: str) -> dict[str, Any]:
    """What the doctor finds, by part."""
    said = mailer("doctor", "--json", **settings)
    told = json.loads(said.out)
    assert said.status == (1 if told["problems"] else 0)
    return {finding["part"]: finding for finding in told["findings"]}


def test_a_fresh_folder_is_in_order_and_stays_fresh(mailer: Person) -> None:
    """Looking makes nothing."""
    found = findings(mailer)
    assert {finding["state"] for finding in found.values()} == {"ok"}
    assert "first use" in found["database"]["found"]
    assert not mailer.data.exists()


def test_every_fault_has_a_line_that_says_how_to_mend_it(
    mailer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fault hides no other."""
    monkeypatch.setattr(queue, "_app", None)  # another test may have served from this process
    found = findings(
        mailer,
        DATABASE_URL="postgresql+psycopg://mailer@127.0.0.1:9/mailer",
        REDIS_URL="redis://127.0.0.1:9/0",
        SMTP_URL="smtp://127.0.0.1:9",
        BASE_URL="news",
    )
    ill = {part for part, finding in found.items() if finding["state"] == "problem"}
    assert ill == {"database", "broker", "relay", "base URL", "secret"}
    assert all(found[part]["mend"].endswith(".") for part in ill)


def test_secrets_are_not_shown(mailer: Person) -> None:
    """What is printed here is pasted into mails to whoever helps."""
    for url in (f"smtp://u:{PASSWORD}@127.0.0.1:9", f"smtp://u:12#{PASSWORD}@127.0.0.1", PASSWORD):
        said = mailer(
            "doctor",
            DATABASE_URL=f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:9/x?password={PASSWORD}",
            REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:9/0",
            SMTP_URL=url,
            SECRET=f"1:{PASSWORD}",
        )
        assert said.status == 1
        assert PASSWORD not in said.out + said.err


def test_what_still_stands_at_its_default_is_told_before_letters_leave(mailer: Person) -> None:
    """Links to this machine, bounces to nowhere and a placeholder for a sender reach nobody."""
    mailer("publication", "list")
    found = findings(mailer, SMTP_URL="smtp://relay.invalid:25")
    ill = {part for part, finding in found.items() if finding["state"] == "problem"}
    assert ill == {"base URL", "bounce domain", "relay"}


def test_a_relay_is_asked_and_gets_no_letter(mailer: Person) -> None:
    """It signs in and takes its leave."""
    with SmtpHost(user="desk", password=PASSWORD) as host:
        found = findings(mailer, SMTP_URL=host.url)
        assert (found["relay"]["state"], host.letters) == ("ok", [])
        host.answers("AUTH", "535 5.7.8 Wrong password")
        assert findings(mailer, SMTP_URL=host.url)["relay"]["state"] == "problem"


def test_the_limits_of_a_relay_are_shown(mailer: Person) -> None:
    """What all workers together keep to, and how far its warm-up has come."""
    today = datetime.now(UTC).date()
    with SmtpHost() as host:
        url = host.url_with(per_second=2.5, per_hour=900, total=8, letters=50, warmup=today)
        found = findings(mailer, SMTP_URL=url)["relay"]["found"]
    assert found == (
        f"127.0.0.1:{host.port} answers, at most 2.5 letters a second, at most 900 letters an hour,"
        f" at most 8 connections, at most 50 letters on a connection,"
        f" warming up since {today}: 50 letters today"
    )


def test_a_port_in_use_is_named(mailer: Person) -> None:
    """With the variable that chooses another."""
    with SmtpHost() as host:
        found = findings(mailer, LISTENER_PORT=str(host.port))
    assert found["listener port"]["state"] == "problem"
    assert "MAILER_LISTENER_PORT" in found["listener port"]["mend"]


def test_a_setting_that_cannot_be_read_is_a_finding(mailer: Person) -> None:
    """The doctor is asked when nothing else works."""
    found = findings(mailer, PORT="eighty")
    assert "MAILER_PORT" in found["settings"]["mend"]


def test_a_campaign_that_waits_for_a_server_is_a_problem(mailer: Person) -> None:
    """Without one it waits for ever."""
    assert mailer("db", "upgrade").status == 0
    database = Database(f"sqlite:///{mailer.data / 'mailer.db'}")
    Make(database).campaign(trouble="relay.example: cannot be reached")
    database.close()
    found = findings(mailer)
    assert (found["server"]["state"], found["campaign"]["state"]) == ("problem", "problem")
    assert "mailer serve" in found["server"]["mend"]


def test_a_secret_that_others_may_read_is_a_problem(mailer: Person) -> None:
    """Whoever reads it can forge bounces and leave in others' names."""
    mailer.data.mkdir()
    secret = mailer.data / "secret"
    secret.write_text("1:a-key-for-tests-only\n")
    secret.chmod(0o644)
    assert "chmod" in findings(mailer)["secret"]["mend"]


def test_a_schema_that_is_behind_is_told(mailer: Person) -> None:
    """And how to bring it up to date."""
    mailer.data.mkdir()
    (mailer.data / "mailer.db").touch()
    assert "mailer db upgrade" in findings(mailer)["schema"]["mend"]


def test_letters_that_go_unsigned_are_noted_with_the_command_to_run(mailer: Person) -> None:
    """Until a key is active; a relay may sign in our place, so it is no problem."""
    assert mailer("db", "upgrade").status == 0
    assert "DKIM" not in findings(mailer)  # nothing sends yet
    database = Database(f"sqlite:///{mailer.data / 'mailer.db'}")
    Make(database).publication()
    database.close()
    found = findings(mailer)["DKIM"]
    assert (found["state"], "`mailer dkim make news.example`" in found["mend"]) == ("note", True)
    mailer("dkim", "make", "news.example", "--selector", "one")
    assert "`mailer dkim activate news.example one`" in findings(mailer)["DKIM"]["mend"]
    mailer("dkim", "activate", "news.example", "one", "--unchecked")
    found = findings(mailer)["DKIM"]
    assert (found["state"], "one._domainkey.news.example" in found["found"]) == ("ok", True)
    found = findings(mailer, SECRET="2:another-key-for-tests")["DKIM"]
    assert (found["state"], "cannot be opened" in found["mend"]) == ("problem", True)


def test_limits_and_who_asked_us_to_slow_down_are_told(mailer: Person) -> None:
    """With the destination's words."""
    mailer("pace", "set", "city.example", "--per-hour", "100")
    database = Database(f"sqlite:///{mailer.data / 'mailer.db'}")
    with database.write() as session:
        lanes.slow_down(session, "qq", said="450 too frequent", now=datetime.now(UTC))
    database.close()
    found = findings(mailer)
    assert found["limits"]["found"] == "set for city.example; else the defaults"
    assert "450 too frequent" in found["destination"]["found"]


def test_the_organisations_sign_in_is_asked_where_it_answers(mailer: Person) -> None:
    """Reachable, named, and set up; its secret is not shown."""
    with OidcHost() as provider:
        set_ = {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_SECRET": PASSWORD}
        found = findings(mailer, **set_)["sign-in provider"]
        assert "MAILER_OIDC_CLIENT_ID" in found["mend"]
        found = findings(mailer, **set_, OIDC_CLIENT_ID="mailer")["sign-in provider"]
        assert found["state"] == "ok"
        assert "/sign-in/provider/back" in found["found"]
        assert PASSWORD not in mailer("doctor", **set_).out
        wrong = findings(mailer, OIDC_ISSUER=f"{provider.issuer}/realms/none")["sign-in provider"]
        assert wrong["state"] == "problem"
    silent = findings(mailer, OIDC_ISSUER="http://127.0.0.1:9")["sign-in provider"]
    assert (silent["state"], silent["found"]) == ("problem", "does not work")
