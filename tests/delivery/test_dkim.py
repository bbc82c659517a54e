"""Signatures, as an independent library judges them, and the DNS records they need."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.delivery import dkim, dkim_dns
from mailer.delivery.dkim import Algorithm, Key, Signer, sender_domain
from mailer.delivery.dkim_dns import Verdict
from tests.delivery.receiver import NameServer, verdicts, zone

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYS = {
    algorithm: Key("news.example", f"s-{algorithm.key_type}", dkim.generate(algorithm))
    for algorithm in Algorithm
}
RSA, ED25519 = KEYS[Algorithm.RSA], KEYS[Algorithm.ED25519]
BOTH = Signer([RSA, ED25519])
ZONE = zone(RSA, ED25519)

HEAD = (
    b"From: Green Observer <letters@news.example>\r\nTo: ann@example.org\r\n"
    b"Subject: Green\r\n  Observer\t12\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <m-1@news.example>\r\nList-Unsubscribe: <https://news.example/leave/x>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)
LETTER = HEAD + b"\r\nHello, Ann.\r\n\r\nBye.\r\n"

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
FOLDS = st.sampled_from((" ", "  ", "\t", "\r\n ", " \r\n\t", "\r\n  \r\n "))
VALUES = st.lists(st.tuples(FOLDS, WORDS), max_size=4).map(lambda parts: "".join(map("".join, parts)))
FIELDS = st.tuples(
    st.sampled_from(("Subject", "TO", "cc", "Reply-To", "List-Id", "X-Other", "Received")), VALUES
)
LINES = st.lists(
    st.one_of(st.binary(max_size=30), st.just(b""), WORDS.map(str.encode), st.just(b" \t")), max_size=6
)
BODIES = st.tuples(LINES, st.sampled_from((b"", b"\r\n", b"\r\n\r\n\r\n", b"\r"))).map(
    lambda it: b"\r\n".join(line.replace(b"\n", b"-") for line in it[0]) + it[1]
)


def message(fields: list[tuple[str, str]], body: bytes) -> bytes:
    head = "".join(f"{name}:{value}\r\n" for name, value in [("From", " a@news.example"), *fields])
    return head.encode() + b"\r\n" + body


@settings(max_examples=60)
@given(st.lists(FIELDS, max_size=6), BODIES)
def test_whatever_a_letter_holds_its_signatures_verify(fields: list[tuple[str, str]], body: bytes) -> None:
    """Any script, folded and repeated fields, bodies that are empty, binary, or end in empty lines."""
    letter = message(fields, body)
    assert verdicts(BOTH.sign(letter, NOW) + letter, ZONE) == [True, True]


VALUES_ONLY = re.sub(rb"(?m)^[\w-]+:", lambda name: b":" * len(name[0]), LETTER)  # names may change case
PLACES = [hit.start() for hit in re.finditer(rb"[A-Za-z0-9]", VALUES_ONLY)]


@settings(max_examples=60)
@given(st.sampled_from(PLACES))
def test_one_changed_sign_in_header_or_body_breaks_them(place: int) -> None:
    """All fields of the letter are signed, and all of its body."""
    forged = LETTER[:place] + bytes([LETTER[place] ^ 1]) + LETTER[place + 1 :]
    assert verdicts(BOTH.sign(LETTER, NOW) + forged, ZONE) == [False, False]


@pytest.mark.parametrize("field", [b"From: evil@bad.example", b"Subject: Win", b"To: eve@example.org"])
@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
def test_nobody_adds_a_second_sender_or_subject(field: bytes, above: bool) -> None:
    """Mail programs differ in which of two they show: RFC 6376 §8.15."""
    forged = field + b"\r\n" + LETTER if above else HEAD + field + b"\r\n" + LETTER.removeprefix(HEAD)
    assert verdicts(BOTH.sign(LETTER) + forged, ZONE) == [False, False]


def test_what_relays_do_on_the_way_breaks_nothing() -> None:
    """They add their own fields, fold and space ours, and cut or add empty lines at the end."""
    on_the_way = LETTER.replace(b"Subject: Green\r\n  Observer\t12", b"SUBJECT:   Green Observer\r\n 12 ")
    letter = b"Received: from a by b\r\n" + BOTH.sign(LETTER, NOW) + on_the_way + b"\r\n\r\n"
    assert verdicts(letter, ZONE) == [True, True]


def test_both_ways_to_leave_are_signed_and_nothing_of_the_body_is_left_out() -> None:
    """RFC 8058 §4 demands the pair; l= and x= are not used; t= is the time that was given."""
    rsa, ed25519 = BOTH.sign(LETTER, NOW).removesuffix(b"\r\n").split(b"\r\nDKIM-Signature: ")
    for field, name in ((rsa, b"rsa"), (ed25519, b"ed25519")):
        tags = dict(tag.strip().split(b"=", 1) for tag in field.removeprefix(b"DKIM-Signature:").split(b";"))
        names = re.sub(rb"\s", b"", tags[b"h"]).split(b":")
        assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= set(names)
        assert names.count(b"from") == 2
        assert (tags[b"a"], tags[b"s"], tags[b"d"]) == (name + b"-sha256", b"s-" + name, b"news.example")
        assert tags[b"t"] == b"%d" % NOW.timestamp()
        assert not {b"l", b"x"} & tags.keys()


def test_without_a_time_there_is_none() -> None:
    """The clock is an argument, and RFC 6376 §3.5 makes t= optional."""
    assert b"t=" not in Signer([ED25519]).sign(LETTER).split(b"h=")[0]
    assert verdicts(Signer([ED25519]).sign(LETTER) + LETTER, ZONE) == [True]


def test_lines_stay_short() -> None:
    """Signatures are folded: no line above the 78 of RFC 5322 §2.1.1, however many fields are signed."""
    letter = b"".join(b"%b: x\r\n" % name.encode() for name in dkim.SIGNED) + b"\r\n"
    field = BOTH.sign(letter, NOW)
    assert max(map(len, field.split(b"\r\n"))) <= 78
    assert field.endswith(b"\r\n")
    assert b"\r\n\r\n" not in field


@pytest.mark.parametrize("letter", [b"From: a@news.example\r\n", b"From: a@news.example\r\n\r\n"])
def test_a_letter_without_a_body_is_signed_too(letter: bytes) -> None:
    """It counts as one empty line (RFC 6376 §3.4.3)."""
    assert verdicts(BOTH.sign(letter) + letter, ZONE) == [True, True]


@pytest.mark.parametrize(
    ("head", "domain"),
    [
        (b'From: "a@b.example, Inc." <letters@News.Example>\r\nTo: x@y.example', "news.example"),
        (
            "From: 绿色观察\r\n <编辑@xn--fsqu00a.example>\r\n\r\nFrom: z@z.example".encode(),
            "xn--fsqu00a.example",
        ),
        (b"fRoM:letters@news.example", "news.example"),
        (b"To: ann@example.org\r\n\r\n", ""),
    ],
)
def test_a_letters_domain_is_that_of_its_sender(head: bytes, domain: str) -> None:
    """Whatever the name beside the address is, and whatever is quoted in the body."""
    assert sender_domain(head) == domain


# The record in the DNS


PUBLIC = dkim.public_text(RSA.private)
RECORD = dkim_dns.record(Algorithm.RSA, PUBLIC)
NAME = "s-rsa._domainkey.news.example"


def judged(*records: str, key: Key = RSA) -> Verdict:
    algorithm = dkim.algorithm_of(key.private)
    public = dkim.public_text(key.private)
    return dkim_dns.check(key.domain, key.selector, algorithm, public, lambda _: records).verdict


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([RECORD], Verdict.PUBLISHED),
        ([f"p={PUBLIC}"], Verdict.PUBLISHED),
        ([f" v = DKIM1 ;s=email; h=sha1:sha256; p={PUBLIC[:100]} \t{PUBLIC[100:]};"], Verdict.PUBLISHED),
        ([], Verdict.MISSING),
        ([RECORD, RECORD], Verdict.SEVERAL),
        ([RECORD.replace(PUBLIC, PUBLIC[::-1])], Verdict.DIFFERENT),
        ([RECORD.replace("rsa", "ed25519")], Verdict.DIFFERENT),
        ([f"{RECORD}; h=sha1"], Verdict.DIFFERENT),
        ([f"{RECORD}; s=tlsrpt"], Verdict.DIFFERENT),
        (["v=DKIM1; k=rsa; p="], Verdict.REVOKED),
        ([f"{RECORD}; t=s:y"], Verdict.TESTING),
        ([f"p={PUBLIC}; v=DKIM1"], Verdict.MALFORMED),
        ([f"{RECORD}; p=x"], Verdict.MALFORMED),
        (["v=spf1 -all"], Verdict.MALFORMED),
        (["v=DKIM1; k=rsa"], Verdict.MALFORMED),
        ([""], Verdict.MALFORMED),
    ],
)
def test_a_record_is_read_as_receivers_read_it(records: list[str], verdict: Verdict) -> None:
    """RFC 6376 §3.6.1; only one that they would use is good."""
    assert judged(*records) == verdict


@given(st.text(max_size=60))
def test_no_record_breaks_the_reader(text: str) -> None:
    """Other people's zones hold anything."""
    assert judged(text) is not Verdict.PUBLISHED


def test_a_record_is_cut_into_strings_that_the_dns_can_hold() -> None:
    """255 octets each, RFC 1035 §3.3.14; joined they are the record again."""
    cut = dkim_dns.strings(RECORD)
    assert [len(string) for string in cut] == [255, len(RECORD) - 255]
    assert "".join(cut) == RECORD


def test_the_dns_is_asked_and_its_strings_are_joined() -> None:
    """Over the wire; a name that does not exist is an answer, a server's failure is none."""
    name = dkim_dns.record_name("news.example", "s-rsa")
    with NameServer({name: [tuple(dkim_dns.strings(RECORD))], "broken.example": None}) as server:
        look_up = dkim_dns.resolver("127.0.0.1", server.port)
        assert list(look_up(name)) == [RECORD]
        assert list(look_up("nobody.example")) == []
        with pytest.raises(dkim_dns.DnsSilent):
            look_up("broken.example")


def test_what_is_no_name_server_is_refused() -> None:
    """In a sentence, before anything is asked."""
    with pytest.raises(dkim_dns.DnsSilent):
        dkim_dns.resolver("not an address")
