"""``mailer pace``: what an admin sees of limits and sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailer.database import Database
from mailer.delivery import lanes, pace
from tests.shell import Person


def test_limits_are_shown_set_and_cleared(mailer: Person) -> None:
    """What is not named stays as it is, and `none` lifts a limit."""
    before = mailer("pace", "list", "--json").json["limits"]
    assert {limit["lane"] for limit in before} == set(pace.DEFAULTS)
    mailer("pace", "set", "gmail", "--per-second", "20", "--per-hour", "none", "--letters", "100")
    set_ = mailer("pace", "set", "Ministry.Example", "--per-second", "0.5")
    assert set_.out == "ministry.example: 0.5 a second\n"
    after = {limit["lane"]: limit for limit in mailer("pace", "list", "--json").json["limits"]}
    gmail = after["gmail"]
    assert (gmail["per_second"], gmail["per_hour"], gmail["connections"], gmail["letters"]) == (
        20, None, 5, 100
    )  # fmt: skip
    assert (gmail["set_by"], after["qq"]["set_by"]) == ("shell", None)
    assert "ministry.example" in after
    for lane in ("gmail", "ministry.example"):
        assert mailer("pace", "clear", lane).status == 0
    assert mailer("pace", "list", "--json").json["limits"] == before
    assert mailer("pace", "clear", "gmail").sentence.startswith("No limit is set")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["gmail"], 2),
        (["gmail", "--per-hour", "many"], 2),
        (["gmail", "--per-hour", "1.5"], 2),
        (["gmail", "--per-hour", "0"], 1),
        (["gmail", "--per-second", "nan"], 1),
        (["gmial", "--per-hour", "5"], 1),
    ],
)
def test_what_cannot_be_a_limit_is_refused(mailer: Person, words: list[str], status: int) -> None:
    """In one sentence, and nothing is kept."""
    said = mailer("pace", "set", *words)
    assert said.status == status
    assert said.err
    assert all(limit["set_by"] is None for limit in mailer("pace", "list", "--json").json["limits"])


def test_who_asked_us_to_slow_down_is_shown_with_the_words(mailer: Person) -> None:
    """And until when it rests."""
    assert mailer("pace", "list").status == 0
    now = datetime.now(UTC)
    database = Database(f"sqlite:///{mailer.data / 'mailer.db'}")
    with database.write() as session:
        lanes.slow_down(session, "gmail", said="421 4.7.28 Too fast", now=now)
        lanes.slow_down(session, "qq", said="550 频率", now=now - timedelta(hours=1))
    database.close()
    gmail, qq = mailer("pace", "list", "--json").json["slowdowns"]
    assert (gmail["lane"], gmail["resting"], gmail["strikes"]) == ("gmail", True, 1)
    assert gmail["said"] == "421 4.7.28 Too fast"
    assert datetime.fromisoformat(gmail["until"]) - now <= timedelta(minutes=1)
    assert (qq["lane"], qq["resting"]) == ("qq", False)
    shown = mailer("pace", "list").out
    assert "rests until" in shown
    assert "has rested until" in shown
    assert "421 4.7.28 Too fast" in shown


def test_relays_that_warm_up_are_shown_with_what_they_carry_today(mailer: Person) -> None:
    """An old one is warm; one without a first day is not spoken of."""
    today = datetime.now(UTC).date()
    relays = (
        f"smtp://new.example:25?warmup={today} smtp://old.example:25?warmup=2020-01-01 smtp://free.example:25"
    )
    new, old = mailer("pace", "list", "--json", SMTP_URL=relays).json["relays"]
    assert (new["relay"], old["relay"], old["letters_today"]) == ("new.example:25", "old.example:25", None)
    assert new["letters_today"] in pace.WARM_UP[:2]  # midnight may pass
    assert "is warm" in mailer("pace", "list", SMTP_URL=relays).out
