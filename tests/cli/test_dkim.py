"""DKIM keys from a shell: made, published, activated, replaced, retired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.delivery.receiver import NameServer
from tests.shell import Person, Said

DOMAIN = "news.example"


def rows(said: Said) -> list[Any]:
    """The objects that a list printed."""
    assert said.status == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def made(mailer: Person, selector: str, *words: str) -> dict[str, Any]:
    facts: dict[str, Any] = mailer("dkim", "make", DOMAIN, "--selector", selector, *words, "--json").json
    return facts


def test_a_key_on_its_way_from_its_making_to_the_dns(mailer: Person) -> None:
    """What `make` prints is what `check` wants to see; until then nothing is activated."""
    facts = made(mailer, "one")
    record = facts["dns"]
    assert (facts["state"], facts["algorithm"], record["name"]) == (
        "new",
        "rsa-sha256",
        "one._domainkey.news.example",
    )
    assert "".join(record["strings"]) == record["value"]
    published: dict[str, list[tuple[str, ...]] | None] = {}
    with NameServer(published) as server:
        asks = ("--nameserver", "127.0.0.1", "--nameserver-port", server.port)
        missing = mailer("dkim", "check", DOMAIN, *asks)
        assert missing.status == 1
        assert "There is no TXT record at one._domainkey.news.example: publish it" in missing.out
        assert record["value"] in missing.out
        assert "no TXT record" in mailer("dkim", "activate", DOMAIN, "one", *asks).sentence
        published[record["name"]] = [tuple(record["strings"])]
        [found] = rows(mailer("dkim", "check", DOMAIN, "one", *asks, "--json"))
        assert (found["verdict"], found["good"], found["wanted"]) == ("published", True, record["value"])
        assert mailer("dkim", "activate", DOMAIN, "one", *asks).out == "one signs for news.example.\n"
    [listed] = rows(mailer("dkim", "list", "--json"))
    assert listed == facts | {"state": "signing"}


def test_a_record_is_printed_as_a_zone_file_takes_it(mailer: Person) -> None:
    """In strings of at most 255 octets; copied whole, they are the record."""
    made(mailer, "one")
    lines = mailer("dkim", "list", DOMAIN).out.splitlines()
    assert lines[0] == "news.example  one  rsa-sha256  new"
    assert lines[1] == "  one._domainkey.news.example. IN TXT ("
    strings = [line.strip().strip('"') for line in lines[2:-1]]
    assert "".join(strings).startswith("v=DKIM1; k=rsa; p=MII")
    assert max(map(len, strings)) == 255


def test_a_key_is_replaced_and_the_old_record_stays_a_week(mailer: Person) -> None:
    """The person is told until when."""
    made(mailer, "one", "--algorithm", "ed25519")
    made(mailer, "two", "--algorithm", "ed25519")
    mailer("dkim", "activate", DOMAIN, "one", "--unchecked")
    said = mailer("dkim", "activate", DOMAIN, "two", "--unchecked")
    assert said.out.startswith("two signs for news.example.\none signs no more. Leave its DNS record until ")
    assert [row["state"] for row in rows(mailer("dkim", "list", "--json"))] == ["replaced", "signing"]
    assert "is gone. Leave its DNS record until" in mailer("dkim", "retire", DOMAIN, "one").out
    assert "say --last" in mailer("dkim", "retire", DOMAIN, "two").sentence
    assert mailer("dkim", "retire", DOMAIN, "two", "--last", "--json").json["state"] == "retired"


def test_a_key_that_never_signed_leaves_nothing_behind(mailer: Person) -> None:
    """Its record may go at once."""
    made(mailer, "one", "--algorithm", "ed25519")
    said = mailer("dkim", "retire", DOMAIN, "one")
    assert said.out == "one of news.example is gone. Its DNS record may be removed.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("make", "nodots"), "This is not a domain: write it like news.example.org."),
        (("make", DOMAIN, "--selector", "a.b"), "A selector is one word"),
        (("activate", DOMAIN, "none", "--unchecked"), "There is no such DKIM key: `mailer dkim list`"),
        (("check", DOMAIN), "There is no such DKIM key: `mailer dkim list`"),
        (("retire", DOMAIN, "none"), "There is no such DKIM key: `mailer dkim list`"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    mailer: Person, words: tuple[str, ...], sentence: str
) -> None:
    """With what to do instead."""
    assert mailer("dkim", *words).sentence.startswith(sentence)


def test_a_silent_dns_is_told_apart_from_a_missing_record(mailer: Person) -> None:
    """It says nothing about the key."""
    made(mailer, "one", "--algorithm", "ed25519")
    with NameServer({"one._domainkey.news.example": None}) as server:
        asks = ("--nameserver", "127.0.0.1", "--nameserver-port", server.port)
        assert "The DNS gives no answer" in mailer("dkim", "check", DOMAIN, *asks).sentence
