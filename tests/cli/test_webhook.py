"""Webhooks from a shell: set up, listed, removed, and looked at by the doctor."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from mailer.database import Database
from mailer.feedback.webhooks import store
from mailer.feedback.webhooks.hear import Outcome
from tests import webhooks
from tests.cli.test_doctor import findings
from tests.shell import Person

BASE = {"BASE_URL": "https://news.example.org"}


def counted(mailer: Person, provider: str, **numbers: int) -> None:
    """As if so much had come today."""
    database = Database(f"sqlite:///{mailer.data / 'mailer.db'}")
    with database.write() as session:
        store.count(session, provider, {Outcome(name): it for name, it in numbers.items()}, datetime.now(UTC))
    database.close()


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("postmark", "https://mailer:{}@news.example.org/webhooks/postmark"),
        ("tencent", "https://news.example.org/webhooks/tencent/{}"),
        ("directmail", "https://news.example.org/webhooks/directmail"),
    ],
)
def test_an_address_is_printed_once_and_its_secret_never_again(
    mailer: Person, provider: str, address: str
) -> None:
    """Whoever lists webhooks later does not learn to sign."""
    made = mailer("webhook", "add", provider, "--json", **BASE).json
    before, _, after = address.partition("{}")
    secret = made.get("token") or made["address"].removeprefix(before).removesuffix(after)
    assert made["address"] == address.format(secret)
    assert len(secret) >= 32
    listed = mailer("webhook", "list", "--json", **BASE)
    assert secret not in listed.out
    assert listed.json["address"] == f"https://news.example.org/webhooks/{provider}"
    assert listed.json["counted"] == {}


def test_a_secret_may_come_from_standard_input(mailer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on a command line is seen by others."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{webhooks.SVIX}\n"))
    said = mailer("webhook", "add", "resend", "-", **BASE)
    assert said.out.startswith("Address: https://news.example.org/webhooks/resend\n")
    assert webhooks.SVIX not in said.out


def test_a_wrong_secret_is_answered_with_where_the_right_one_is(mailer: Person) -> None:
    """In a sentence."""
    assert "the ARN of the SNS topic" in mailer("webhook", "add", "ses", "arn:aws:s3:::bucket").sentence
    assert "leave it out, one is made" in mailer("webhook", "add", "postmark", "my own").sentence
    assert mailer("webhook", "add", "pigeon").status == 2
    assert "There is no such webhook" in mailer("webhook", "remove", "7").sentence


def test_what_came_is_listed_and_what_is_removed_is_gone(mailer: Person) -> None:
    """By number."""
    number = mailer("webhook", "add", "brevo", "--json").json["id"]
    counted(mailer, "brevo", heard=3, refused=1)
    assert "brevo" in mailer("webhook", "list").out
    assert "3 heard, 1 refused" in mailer("webhook", "list").out
    assert mailer("webhook", "remove", number).out == f"Webhook {number} of Brevo is gone.\n"
    assert mailer("webhook", "list").out == ""


@pytest.mark.parametrize(
    ("numbers", "state", "words"),
    [
        ({}, "ok", "nothing yet"),
        ({"heard": 5, "refused": 2}, "ok", "5 heard, 2 refused"),
        ({"heard": 1, "refused": 2}, "problem", "Compare its secret there"),
        ({"heard": 9, "failed": 1}, "problem", "the web app's log"),
        ({"heard": 9, "stale": 1}, "note", "clock"),
        ({"heard": 9, "unknown": 1}, "note", "not known to this version"),
    ],
)
def test_the_doctor_looks_at_what_came(
    mailer: Person, numbers: dict[str, int], state: str, words: str
) -> None:
    """Refusals are a problem once they are most of it: anybody may knock."""
    mailer("webhook", "add", "brevo")
    counted(mailer, "brevo", **numbers)
    found: dict[str, Any] = findings(mailer)["webhook"]
    assert (found["state"], words in found["found"] + found["mend"]) == (state, True)


def test_a_secret_that_does_not_open_is_a_problem(mailer: Person) -> None:
    """MAILER_SECRET was replaced and the old key thrown away."""
    mailer("webhook", "add", "brevo", SECRET="1:a-key-for-tests-only")
    found = findings(mailer, SECRET="2:another-key-for-tests")["webhook"]
    assert (found["state"], "MAILER_SECRET" in found["mend"]) == ("problem", True)


def test_what_the_doctor_says_is_json_too(mailer: Person) -> None:
    """Scripts watch it."""
    mailer("webhook", "add", "tencent")
    told = json.loads(mailer("doctor", "--json").out)
    assert "tencent" in next(it["found"] for it in told["findings"] if it["part"] == "webhook")
