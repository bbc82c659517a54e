"""Letters over real sockets to a real server on loopback, and what becomes of each when things break."""

from __future__ import annotations

import contextlib
import itertools
import re
import smtplib
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.delivery.journal import Journal, read
from mailer.delivery.relay import BadRelay, Relay, RelayUnavailable
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.transport import Transport
from tests.smtphost import Received, SmtpHost, self_signed

BODY = b"Subject: News\r\n\r\nGood news.\r\n"
STEPS = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "HALF", "BODY", "KEEP"]
WAYS = {
    "pipelined": ("PIPELINING", "8BITMIME", "SMTPUTF8"),
    "in lock-step": ("8BITMIME", "SMTPUTF8"),
    "in chunks": ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"),
    "in chunks and lock-step": ("CHUNKING",),
}


def letters(count: int, *, body: bytes = BODY) -> list[Envelope]:
    return [
        Envelope(n, "b@lists.test", f"reader{n}@example.org", body, clean=True) for n in range(1, count + 1)
    ]


def send(host: SmtpHost, envelopes: Iterable[Envelope], **options: object) -> list[Outcome]:
    with dial(host, **({"connections": 2} | options)) as transport:
        return list(transport.send(envelopes))


def dial(host: SmtpHost, **options: object) -> Transport:
    return Transport(Relay.from_url(host.url_with(**options)))


def kinds(outcomes: Iterable[Outcome]) -> dict[int, str]:
    outcomes = list(outcomes)
    found = Counter(outcome.key for outcome in outcomes)
    assert set(found.values()) <= {1}, "one outcome for each letter"
    return {outcome.key: outcome.kind.value for outcome in outcomes}


@pytest.fixture
def host() -> Iterator[SmtpHost]:
    with SmtpHost() as host:
        yield host


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("offers", WAYS.values(), ids=list(WAYS))
def test_every_letter_arrives_once_as_it_was(offers: tuple[str, ...]) -> None:
    """Whatever the relay offers, it gets each letter with its own envelope and body."""
    sent = [
        Envelope(
            n, f"b-{n}@lists.test", f"reader{n}@example.org", b"Subject: %d\r\n\r\nHello.\r\n" % n, clean=True
        )
        for n in range(40)
    ]
    with SmtpHost(offers=offers) as host:
        outcomes = send(host, sent, connections=4)
    assert kinds(outcomes) == dict.fromkeys(range(40), "accepted")
    taken = {(letter.sender, letter.recipient, letter.body) for letter in host.letters}
    assert taken == {(letter.sender, letter.recipient, letter.body) for letter in sent}
    assert len(host.letters) == 40


@pytest.mark.parametrize("offers", WAYS.values(), ids=list(WAYS))
def test_refusals_in_between_hit_only_their_own_letters(offers: tuple[str, ...]) -> None:
    """Refused at RCPT, at DATA or after the body, each outcome carries the relay's words and the command."""
    with SmtpHost(offers=offers) as host:
        host.answers_rcpt("550 5.1.1 No such user", address="reader3@example.org")
        host.answers_rcpt("452 4.2.2 Mailbox full", address="reader4@example.org")
        host.answers("BODY", "554-5.7.1 We do not\n554 5.7.1 like it", address="reader6@example.org")
        outcomes = {outcome.key: outcome for outcome in send(host, letters(9), connections=1)}
    assert outcomes[3][1:] == (
        Kind.REJECTED,
        550,
        "5.1.1",
        "5.1.1 No such user",
        "RCPT",
        f"127.0.0.1:{host.port}",
    )
    assert outcomes[4][1:5] == (Kind.DEFERRED, 452, "4.2.2", "4.2.2 Mailbox full")
    assert outcomes[6][1:6] == (Kind.REJECTED, 554, "5.7.1", "5.7.1 We do not\n5.7.1 like it", "BODY")
    arrived = [letter.recipient for letter in host.letters]
    assert arrived == [f"reader{n}@example.org" for n in (1, 2, 5, 7, 8, 9)]


@pytest.mark.parametrize("offers", [WAYS["pipelined"], WAYS["in lock-step"]])
def test_a_refusal_of_data_defers_that_letter_alone(offers: tuple[str, ...]) -> None:
    """451 in answer to DATA, where 354 was expected."""
    with SmtpHost(offers=offers) as host:
        host.answers("DATA", "451 4.3.0 Not now", address="reader2@example.org")
        outcomes = send(host, letters(3), connections=1)
    assert kinds(outcomes) == {1: "accepted", 2: "deferred", 3: "accepted"}


def test_a_relay_that_wants_a_body_for_nobody_gets_a_lone_dot(host: SmtpHost) -> None:
    """RFC 2920 §3.1: 354 after the recipient was refused; the letter behind it still goes through."""
    host.answers("DATA", "354 Go ahead all the same", times=2)
    host.answers_rcpt("550 5.1.1 No such user", address="reader2@example.org")
    outcomes = send(host, letters(3), connections=1)
    assert kinds(outcomes) == {1: "accepted", 2: "rejected", 3: "accepted"}
    assert [letter.recipient for letter in host.letters] == ["reader1@example.org", "reader3@example.org"]
    assert "RSET" not in host.commands


def test_a_refused_sender_refuses_each_letter_without_its_body(host: SmtpHost) -> None:
    """The reply to MAIL counts, not the 503s that follow from it."""
    host.answers("MAIL", "550 5.7.1 Sender not allowed")
    outcomes = send(host, letters(3), connections=1)
    assert {(outcome.code, outcome.command) for outcome in outcomes} == {(550, "MAIL")}
    assert not host.letters


def test_a_body_and_the_next_envelope_leave_in_one_write(host: SmtpHost) -> None:
    """One round trip per letter: the relay reads body, dot, MAIL, RCPT and DATA at once."""
    send(host, letters(5), connections=1)
    together = [data for data in host.reads if data.startswith(b"Subject:") and data.endswith(b"DATA\r\n")]
    assert len(together) == 4


@pytest.mark.parametrize("chunking", [True, False])
def test_a_letter_costs_one_round_trip(chunking: bool) -> None:
    """A relay that answers a body only once it has the next envelope too is never waited for."""
    body = BODY * 2000
    envelope = rb"MAIL FROM:<\S+>\r\nRCPT TO:<\S+>\r\n" + (b"" if chunking else rb"DATA\r\n")
    agreed = b"250 Ok\r\n250 Ok\r\n" + (b"" if chunking else b"354 Go\r\n")
    text = (rb"BDAT %d LAST\r\n" % len(body) if chunking else b"") + re.escape(body)
    text += b"" if chunking else rb"\.\r\n"

    def converse(server: socket.socket) -> None:
        guest = server.accept()[0]
        with guest:
            guest.sendall(b"220 slow.test\r\n")
            for awaited, answer in [
                (rb"EHLO \S+\r\n", b"250-slow.test\r\n250-CHUNKING\r\n250 PIPELINING\r\n"),
                (envelope, agreed),
                *[(text + envelope, b"250 Taken\r\n" + agreed)] * 3,
                (text, b"250 Taken\r\n"),
                (rb"QUIT\r\n", b"221 Bye\r\n"),
            ]:
                data = b""
                while not re.fullmatch(awaited, data):
                    data += guest.recv(1 << 20)
                guest.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        host = pool.submit(converse, server)
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}?connections=1&timeout=5&final_timeout=5"
        with Transport(Relay.from_url(f"{url}&chunking={'yes' if chunking else 'no'}")) as transport:
            assert kinds(transport.send(letters(4, body=body))) == dict.fromkeys(range(1, 5), "accepted")
        host.result()


def test_without_pipelining_no_command_goes_before_its_answer() -> None:
    """A relay that does not offer it hears one command at a time."""
    with SmtpHost(offers=("8BITMIME",)) as host:
        host.answers_rcpt("550 5.1.1 No such user", address="reader2@example.org")
        send(host, letters(3), connections=1)
    assert all(data.count(b"\r\n") == 1 or data.endswith(b"\r\n.\r\n") for data in host.reads)


@pytest.mark.parametrize("offers", [WAYS["pipelined"], WAYS["in chunks"]])
@given(bodies=st.lists(st.binary(max_size=60) | st.text(".\r\na", max_size=30).map(str.encode), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_bytes_arrive_in_lines_and_cannot_smuggle(offers: tuple[str, ...], bodies: list[bytes]) -> None:
    """Dots, bare CR and LF, no last line end: the relay gets the text in CRLF lines, nothing more."""
    bodies = [b"Subject: x\r\n\r\n" + body for body in bodies]
    with SmtpHost(offers=offers) as host:
        sent = [Envelope(n, "b@lists.test", "ann@example.org", body) for n, body in enumerate(bodies)]
        assert set(kinds(send(host, sent, connections=1)).values()) <= {"accepted"}
    expected = [body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for body in bodies]
    assert [letter.body for letter in host.letters] == [
        (body if body.endswith(b"\n") else body + b"\n").replace(b"\n", b"\r\n") for body in expected
    ]


def test_a_letter_larger_than_the_socket_takes_arrives_whole(host: SmtpHost) -> None:
    """Eight megabytes leave in many portions, with the next envelope behind them."""
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 450_000
    outcomes = send(host, letters(2, body=body), connections=1)
    assert kinds(outcomes) == {1: "accepted", 2: "accepted"}
    assert {letter.body for letter in host.letters} == {body}


def test_our_envelopes_are_those_of_smtplib(host: SmtpHost) -> None:
    """The standard library is the oracle: same sender, recipient and body on the wire."""
    body = b"Subject: dots\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    send(host, [Envelope(1, "b-token@lists.test", "ann@example.org", body)], connections=1)
    with smtplib.SMTP("127.0.0.1", host.port) as client:
        client.sendmail("b-token@lists.test", ["ann@example.org"], body)
    ours, theirs = host.letters
    assert (ours.sender, ours.recipient, ours.body) == (theirs.sender, theirs.recipient, theirs.body)


# ---- addresses ----


def test_a_local_part_in_chinese_goes_with_smtputf8(host: SmtpHost) -> None:
    """RFC 6531: the parameter is said and the domain goes as A-labels."""
    send(host, [Envelope(1, "b@lists.test", "张三@例子.公司", BODY, clean=True)])
    (letter,) = host.letters
    assert (letter.recipient, letter.options) == ("张三@xn--fsqu00a.xn--55qx5d", "SMTPUTF8")


def test_a_local_part_in_chinese_is_refused_where_the_relay_lacks_smtputf8() -> None:
    """The reason is our own, and the letters behind it go out."""
    with SmtpHost(offers=("PIPELINING",)) as host:
        outcomes = send(host, [Envelope(0, "b@lists.test", "张三@例子.公司", BODY, clean=True), *letters(1)])
    refused = outcomes[0]
    assert refused[1:4] == (Kind.REJECTED, 553, "5.6.7")
    assert refused.command == ""
    assert "SMTPUTF8" in refused.text
    assert outcomes[1].kind == Kind.ACCEPTED


@pytest.mark.parametrize(
    ("recipient", "body", "offers", "status"),
    [
        ("ann@example.org>\r\nRSET", BODY, (), "5.1.3"),
        ("ann", BODY, (), "5.1.3"),
        ("ann@exa mple.org", BODY, (), "5.1.3"),
        ("ann@-例.org", BODY, (), "5.1.2"),
        ("ann@example.org", b"Subject: a\r\n\r\n\xe4\r\n", (), "5.6.3"),
        ("ann@example.org", "Subject: 好\r\n\r\n\r\n".encode(), ("8BITMIME",), "5.6.7"),
        ("ann@example.org", BODY * 50, ("SIZE 100",), "5.3.4"),
    ],
)
def test_what_no_smtp_can_carry_there_is_refused_without_asking(
    recipient: str, body: bytes, offers: tuple[str, ...], status: str
) -> None:
    """Commands in addresses, 8-bit text for a 7-bit relay, letters beyond SIZE: nothing reaches the wire."""
    with SmtpHost(offers=("PIPELINING", *offers)) as host:
        (outcome,) = send(host, [Envelope(1, "b@lists.test", recipient, body)])
    assert (outcome.kind, outcome.status, outcome.command) == (Kind.REJECTED, status, "")
    assert not any(command.startswith(("MAIL", "RCPT")) for command in host.commands)


def test_a_header_in_chinese_goes_with_smtputf8(host: SmtpHost) -> None:
    """RFC 6531 §3.6: such a letter is announced, whatever its addresses."""
    body = "Subject: 好\r\n\r\n好\r\n".encode()
    send(host, [Envelope(1, "b@lists.test", "ann@example.org", body)])
    (letter,) = host.letters
    assert (letter.options, letter.body) == ("SMTPUTF8 BODY=8BITMIME", body)


def test_eight_bit_text_and_size_are_announced() -> None:
    """RFC 6152 and RFC 1870; the null return path is <>."""
    with SmtpHost(offers=("PIPELINING", "8BITMIME", "SIZE")) as host:
        send(host, [Envelope(1, "", '"a b"@example.org', b"Subject: a\r\n\r\n\xe4\r\n")])
    (letter,) = host.letters
    assert (letter.sender, letter.recipient, letter.options) == (
        "",
        '"a b"@example.org',
        "SIZE=17 BODY=8BITMIME",
    )


# ---- when it breaks ----


@pytest.mark.parametrize("offers", [WAYS["pipelined"], WAYS["in lock-step"]])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_body_costs_nothing(step: str, offers: tuple[str, ...]) -> None:
    """The letter goes out on another connection; what was in flight before it is told apart."""
    with SmtpHost(offers=offers) as host:
        host.drops(step, times=1, address="reader5@example.org" if step != "MAIL" else None)
        outcomes = send(host, letters(8), connections=1)
    found = kinds(outcomes)
    assert set(found) == set(range(1, 9))
    assert set(found.values()) <= {"accepted", "uncertain"}
    arrived = Counter(letter.recipient for letter in host.letters)
    assert max(arrived.values()) == 1
    accepted = {f"reader{key}@example.org" for key, kind in found.items() if kind == "accepted"}
    assert accepted <= set(arrived)
    assert sum(kind == "uncertain" for kind in found.values()) <= 1


@pytest.mark.parametrize("step", ["HALF", "BODY", "KEEP"])
def test_a_connection_lost_after_the_body_began_leaves_one_uncertain(step: str) -> None:
    """Taken or not, nobody can tell: it is never sent again by itself."""
    with SmtpHost() as host:
        host.drops(step, times=1, address="reader3@example.org")
        outcomes = send(host, letters(6, body=BODY * 3000), connections=1)
    assert kinds(outcomes) == {
        1: "accepted",
        2: "accepted",
        3: "uncertain",
        4: "accepted",
        5: "accepted",
        6: "accepted",
    }
    arrived = Counter(letter.recipient for letter in host.letters)
    assert arrived["reader3@example.org"] == (1 if step == "KEEP" else 0)
    assert max(arrived.values()) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_421_before_the_body_sends_the_letter_on_another_connection(step: str) -> None:
    """Relays end a connection so after so many letters: it says nothing about this one."""
    with SmtpHost() as host:
        host.answers(step, "421 4.7.0 Too many letters", times=1)
        outcomes = send(host, letters(4), connections=1)
    assert kinds(outcomes) == dict.fromkeys(range(1, 5), "accepted")
    assert len(host.letters) == 4
    assert host.connections == 2


FATES = {  # what becomes of the letter, when the answer comes before its body, and when it answers the body
    "451 4.3.0 Local error": ("deferred", "deferred"),
    "452 4.3.1 No room": ("deferred", "deferred"),
    "550 5.7.1 No": ("rejected", "rejected"),
    "421 4.3.2 Going down": ("accepted", "deferred"),
    "hello": ("accepted", "uncertain"),
    "SILENCE": ("accepted", "uncertain"),
    None: ("accepted", "uncertain"),  # the connection is closed
}


@pytest.mark.parametrize("answer", FATES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "BODY"])
def test_every_answer_at_every_step_is_the_fate_of_one_letter(
    step: str, way: str, answer: str | None
) -> None:
    """The first letter meets it; the others go out, and what the relay took adds up."""
    if step == "DATA" and "CHUNKING" in WAYS[way]:
        step = "KEEP" if answer is None else "BODY"
    with SmtpHost(offers=WAYS[way]) as host:
        if answer is None:
            host.drops(step, times=1)
        else:
            host.answers(step, answer, times=1)
        found = kinds(send(host, letters(3), connections=1, timeout=0.3, final_timeout=0.3))
    fate = FATES[answer][step in ("BODY", "KEEP")]
    assert found == {1: fate, 2: "accepted", 3: "accepted"}
    arrived = Counter(letter.recipient for letter in host.letters)
    assert max(arrived.values()) == 1
    assert arrived["reader1@example.org"] == (fate == "accepted" or step == "KEEP")


def test_421_again_and_again_gives_the_letter_back_with_the_relays_words(host: SmtpHost) -> None:
    """After two connections the letter is unsent, for its batch to try later."""
    host.answers_rcpt("421 4.3.2 Shutting down", address="reader2@example.org")
    outcomes = {outcome.key: outcome for outcome in send(host, letters(4), connections=1)}
    assert kinds(outcomes.values()) == {1: "accepted", 2: "unsent", 3: "accepted", 4: "accepted"}
    assert (outcomes[2].code, outcomes[2].status) == (421, "4.3.2")


def test_421_in_answer_to_a_body_defers_the_letter(host: SmtpHost) -> None:
    """A reply was seen, so nothing is uncertain."""
    host.answers("BODY", "421 4.3.2 Shutting down", times=1, address="reader2@example.org")
    assert kinds(send(host, letters(3), connections=1)) == {1: "accepted", 2: "deferred", 3: "accepted"}


def test_a_body_refused_before_its_end_is_refused_not_uncertain(host: SmtpHost) -> None:
    """A relay that has had enough says 552 and closes while we are still sending."""
    host.answers("HALF", "552 5.3.4 Too big", times=1)
    body = BODY + b"0123456789abcdef\r\n" * 600_000
    found = {outcome.key: outcome for outcome in send(host, letters(2, body=body), connections=1)}
    assert found[1].kind in (Kind.REJECTED, Kind.UNCERTAIN)  # the reset may have overtaken the reply
    assert found[2].kind == Kind.ACCEPTED


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "BODY", "RSET"])
@pytest.mark.parametrize("nonsense", ["hello there", "999 9.9.9 What", "25O Ok", "354 Go on", "250"])
def test_nonsense_loses_no_letter_and_sends_none_twice(step: str, nonsense: str) -> None:
    """After garbage the connection is given up; an answer not understood leaves its letter uncertain."""
    with SmtpHost() as host:
        host.answers(step, nonsense, times=1)
        host.answers_rcpt("550 5.1.1 No such user", address="reader3@example.org")
        outcomes = send(host, letters(5), connections=1)
    found = kinds(outcomes)
    arrived = Counter(letter.recipient for letter in host.letters)
    assert set(found) == set(range(1, 6))
    assert max(arrived.values()) == 1
    for key, kind in found.items():
        if kind != "uncertain":
            assert (kind == "accepted") == (arrived[f"reader{key}@example.org"] == 1)


def test_a_silent_relay_is_given_up_after_its_time(host: SmtpHost) -> None:
    """Silence after a body is uncertain; silence before it is not."""
    host.answers("BODY", "SILENCE", address="reader2@example.org")
    started = time.monotonic()
    outcomes = send(host, letters(3), connections=1, final_timeout=0.4)
    assert kinds(outcomes) == {1: "accepted", 2: "uncertain", 3: "accepted"}
    assert time.monotonic() - started < 5


def test_a_relay_that_takes_no_letter_is_unavailable_and_nothing_is_lost(host: SmtpHost) -> None:
    """It hangs up on everybody: what was taken from the caller comes back, then the reason."""
    host.drops("RCPT")
    with dial(host, connections=2) as transport:
        outcomes: list[Outcome] = []
        with pytest.raises(RelayUnavailable, match="closed the connection, again and again"):
            outcomes.extend(transport.send(letters(50)))
        assert {outcome.kind for outcome in outcomes} == {Kind.UNSENT}
        assert not host.letters


@settings(max_examples=60, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    connections=st.integers(1, 4),
    room=st.none() | st.integers(1, 3),
    share=st.none() | st.integers(1, 5),
    breaks=st.lists(
        st.tuples(
            st.sampled_from(
                [*STEPS[2:], "421 MAIL", "421 RCPT", "421 BODY", "550 RCPT", "451 BODY", "354 MAIL"]
            ),
            st.integers(0, 12),
        ),
        max_size=5,
    ),
)
def test_whatever_breaks_no_letter_is_lost_or_sent_twice(
    tmp_path_factory: pytest.TempPathFactory,
    way: str,
    connections: int,
    room: int | None,
    share: int | None,
    breaks: list[tuple[str, int]],
) -> None:
    """The relay's own record, the outcomes, the journal and the letters always add up."""
    journal = Journal(tmp_path_factory.mktemp("journal"), "w1")
    pen = journal.pen(campaign=7, batch=70, attempt=1)
    with SmtpHost(offers=WAYS[way]) as host:
        for step, at in breaks:
            code, _, command = step.rpartition(" ")
            if code:
                host.answers(command, f"{code} because", times=1, address=f"reader{at}@example.org")
            else:
                host.drops(step, times=1, after=at)
        outcomes: list[Outcome] = []
        with dial(host, connections=connections) as transport, contextlib.suppress(RelayUnavailable):
            outcomes.extend(transport.send(letters(12), notes=pen, connections=room, letters=share))
            assert len(outcomes) == 12
    found = kinds(outcomes)
    arrived = Counter(letter.recipient for letter in host.letters)
    assert max(arrived.values(), default=0) <= 1
    for key in range(1, 13):
        there, kind = arrived[f"reader{key}@example.org"], found.get(key, "unsent")
        assert kind == "uncertain" or (kind == "accepted") == (there == 1)
    assert sum(kind == "uncertain" for kind in found.values()) <= len(breaks)
    left = read(journal.path.read_bytes())
    journal.close()
    assert not left.uncertain
    noted = {letter.n: outcome for letter, outcome in left.ended if outcome.kind != Kind.UNSENT}
    assert noted == {outcome.key: outcome for outcome in outcomes if outcome.kind != Kind.UNSENT}


# ---- opening ----


def test_an_unreachable_relay_is_named_and_no_letter_is_taken_for_sent() -> None:
    """Connection refused: one sentence; the letters that were taken come back unsent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Transport(Relay.from_url(f"smtp://127.0.0.1:{port}")) as transport:
        outcomes: list[Outcome] = []
        with pytest.raises(
            RelayUnavailable, match=rf"127.0.0.1:{port} cannot be reached \(Connection refused\)"
        ):
            outcomes.extend(transport.send(letters(9)))
        assert {outcome.kind for outcome in outcomes} <= {Kind.UNSENT}


@pytest.mark.parametrize(
    ("step", "reply", "says"),
    [
        ("CONNECT", "554 5.7.1 Go away", "does not greet us"),
        ("CONNECT", "421 4.3.2 Busy", "does not greet us"),
        ("CONNECT", "nonsense", "is not a reply"),
        ("EHLO", "421 4.3.2 Busy", "refuses our greeting"),
    ],
)
def test_a_relay_that_does_not_let_us_in_says_why(host: SmtpHost, step: str, reply: str, says: str) -> None:
    """Its own words are in the sentence."""
    host.answers(step, reply)
    with pytest.raises(RelayUnavailable, match=says):
        send(host, letters(1))


@pytest.mark.parametrize(
    "answer", [None, "SILENCE", "hello", "421 4.3.2 Busy", "454 4.3.0 Not now", "550 No"]
)
@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "STARTTLS"])
def test_a_relay_that_fails_in_the_opening_is_unavailable(
    certificate: Path, step: str, answer: str | None
) -> None:
    """No letter was near the wire, and it comes back."""
    with SmtpHost(starttls=True, certificate=certificate) as host:
        if answer is None:
            host.drops(step)
        else:
            host.answers(step, answer)
            host.answers("HELO", answer)
        outcomes: list[Outcome] = []
        with (
            dial(host, starttls="required", ca=certificate, timeout=0.3) as transport,
            pytest.raises(RelayUnavailable),
        ):
            outcomes.extend(transport.send(letters(1)))
    assert {outcome.kind for outcome in outcomes} == {Kind.UNSENT}
    assert not host.letters


def test_an_old_server_without_ehlo_is_spoken_to_with_helo(host: SmtpHost) -> None:
    """RFC 5321 §3.2; then nothing is pipelined."""
    host.answers("EHLO", "500 5.5.1 What?")
    assert kinds(send(host, letters(2))) == {1: "accepted", 2: "accepted"}
    assert any(command.startswith("HELO ") for command in host.commands)


def test_connections_the_relay_does_not_grant_are_done_without(host: SmtpHost) -> None:
    """It lets in one of four: the letters go over that one."""
    host.delay = 0.01
    host.answers("EHLO", "421 4.7.0 Too many connections", times=3)
    assert kinds(send(host, letters(20), connections=4)) == dict.fromkeys(range(1, 21), "accepted")


def test_a_name_with_several_addresses_is_tried_at_each(host: SmtpHost) -> None:
    """localhost may be ::1 first, where this host does not listen."""
    with Transport(Relay.from_url(f"smtp://localhost:{host.port}")) as transport:
        assert kinds(transport.send(letters(3))) == {1: "accepted", 2: "accepted", 3: "accepted"}


def test_an_address_that_swallows_everything_is_passed_over(
    host: SmtpHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No refusal comes, only silence: the next address is tried after the time to connect."""
    with socket.create_server(("127.0.0.2", host.port), backlog=0), contextlib.ExitStack() as full:
        for _ in range(3):
            guest = full.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(("127.0.0.2", host.port))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, host.port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert kinds(send(host, letters(2), connections=1, connect_timeout=0.2)) == {
            1: "accepted",
            2: "accepted",
        }


def test_ipv6_is_spoken(certificate: Path) -> None:
    """An address in brackets; its certificate names it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with SmtpHost(address="::1", implicit_tls=True, certificate=certificate) as host:
        outcomes = send(host, letters(2), ca=certificate, connections=1)
    assert kinds(outcomes) == {1: "accepted", 2: "accepted"}
    assert {outcome.relay for outcome in outcomes} == {f"[::1]:{host.port}"}


def test_a_pause_is_heard_while_the_relay_is_silent(host: SmtpHost) -> None:
    """It never greets: nothing was begun, so nobody need wait for it."""
    host.answers("CONNECT", "SILENCE")
    started = time.monotonic()
    with dial(host) as transport:
        outcomes = list(transport.send(letters(5), halt=lambda: time.monotonic() - started > 0.3))
    assert {outcome.kind for outcome in outcomes} == {Kind.UNSENT}
    assert time.monotonic() - started < 2


def test_a_single_letter_opens_a_single_connection(host: SmtpHost) -> None:
    """Connections are opened for letters, and together."""
    send(host, letters(1), connections=8)
    assert host.connections == 1
    host.delay = 0.05
    send(host, letters(30), connections=8)
    assert host.most_at_once == 8


def test_connections_are_kept_between_calls_and_left_with_quit(host: SmtpHost) -> None:
    """One handshake for many slices."""
    with dial(host, connections=1) as transport:
        for _ in range(3):
            assert len(list(transport.send(letters(3)))) == 3
    assert host.connections == 1
    assert host.commands[-1] == "QUIT"


def test_a_kept_connection_that_the_relay_has_closed_is_replaced(host: SmtpHost) -> None:
    """Idle relays hang up; nobody needs to hear of it."""
    with dial(host, connections=1) as transport:
        list(transport.send(letters(1)))
        host.hangs_up()
        assert kinds(transport.send(letters(2))) == {1: "accepted", 2: "accepted"}


def test_check_signs_in_and_sends_nothing(host: SmtpHost) -> None:
    """For `mailer doctor`."""
    with dial(host) as transport:
        transport.check()
    assert [command.split()[0] for command in host.commands] == ["EHLO", "QUIT"]


# ---- limits, and the relay's name ----


def test_a_call_uses_no_more_connections_than_it_is_told(host: SmtpHost) -> None:
    """Those that are open already stay, idle, for the next call."""
    host.delay = 0.005
    with dial(host, connections=4) as transport:
        assert len(list(transport.send(letters(8), connections=2))) == 8
        assert host.most_at_once == 2
        list(transport.send(letters(20)))
        before = host.served()
        assert len(before) == 4
        assert kinds(transport.send(letters(8), connections=1)) == dict.fromkeys(range(1, 9), "accepted")
        assert sum(after > was for after, was in zip(host.served(), before, strict=True)) == 1
    assert host.connections == 4


def test_an_idle_connection_steps_in_for_one_that_is_lost(host: SmtpHost) -> None:
    """Nothing new is opened while one is at hand."""
    host.delay = 0.005
    with dial(host, connections=3) as transport:
        list(transport.send(letters(12)))
        host.drops("RCPT", times=1)
        assert kinds(transport.send(letters(4), connections=1)) == dict.fromkeys(range(1, 5), "accepted")
    assert host.connections == 3


@pytest.mark.parametrize("offers", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("where", ["in the call", "in the URL"])
def test_a_connection_takes_leave_after_its_share_of_letters(offers: tuple[str, ...], where: str) -> None:
    """Relays dislike endless ones: QUIT, and another is opened when it is gone."""
    with SmtpHost(offers=offers) as host:
        in_url = {"letters": 3} if where == "in the URL" else {}
        with dial(host, connections=2, **in_url) as transport:
            outcomes = list(transport.send(letters(20), letters=3 if not in_url else None))
        assert host.most_at_once <= 2
    assert kinds(outcomes) == dict.fromkeys(range(1, 21), "accepted")
    assert max(host.served()) == 3
    assert host.commands.count("QUIT") >= host.served().count(3) >= 5


def test_a_relay_that_does_not_answer_quit_is_left_all_the_same(host: SmtpHost) -> None:
    """After a second; nothing was on its way there."""
    host.answers("QUIT", "SILENCE", times=1)
    with dial(host, connections=1) as transport:
        assert kinds(transport.send(letters(2), letters=1)) == {1: "accepted", 2: "accepted"}
    assert host.connections == 2


def test_a_smaller_share_of_connections_closes_idle_ones(host: SmtpHost) -> None:
    """All workers together keep to the relay's total."""
    host.delay = 0.005
    with dial(host, connections=4) as transport:
        list(transport.send(letters(20)))
        transport.shrink(1)
        assert kinds(transport.send(letters(3))) == {1: "accepted", 2: "accepted", 3: "accepted"}
        assert host.commands.count("QUIT") == 3


def test_dns_is_not_asked_while_a_connection_is_alive(
    host: SmtpHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It blocks, and its failing must not stop what works."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def once(name: str, *args: Any, **options: Any) -> Any:
        asked.append(name)
        if len(asked) > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with Transport(Relay.from_url(f"smtp://localhost:{host.port}?connections=3")) as transport:
        for _ in range(2):
            found = kinds(transport.send(letters(12), letters=3))
            assert found == dict.fromkeys(range(1, 13), "accepted")
    assert asked == ["localhost"]
    assert host.connections > 3


# ---- TLS and AUTH ----


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("auth", ["PLAIN LOGIN", "LOGIN"])
def test_letters_travel_in_tls_with_a_password(certificate: Path, implicit: bool, auth: str) -> None:
    """Implicit TLS and STARTTLS; AUTH PLAIN where offered, else LOGIN."""
    with SmtpHost(
        implicit_tls=implicit,
        starttls=not implicit,
        certificate=certificate,
        user="desk",
        password="geheim",
        auth=auth,
    ) as host:
        options = {"ca": certificate} | ({} if implicit else {"starttls": "required"})
        outcomes = send(host, letters(8, body=BODY * 9000), **options)
    assert kinds(outcomes) == dict.fromkeys(range(1, 9), "accepted")
    assert {(letter.tls, letter.user, letter.body) for letter in host.letters} == {
        (True, "desk", BODY * 9000)
    }


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_nobody_vouches_for_is_refused(certificate: Path, implicit: bool) -> None:
    """Unless told not to verify."""
    options = {} if implicit else {"starttls": "required"}
    with SmtpHost(implicit_tls=implicit, starttls=not implicit, certificate=certificate) as host:
        with pytest.raises(RelayUnavailable, match=r"certificate .* is not trusted .*\?ca=FILE"):
            send(host, letters(1), **options)
        assert not host.letters
        assert kinds(send(host, letters(1), tls_verify="no", **options)) == {1: "accepted"}


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_for_another_name_is_refused(tmp_path: Path, implicit: bool) -> None:
    """Trusted, but not this relay's: the name in the URL counts."""
    other = self_signed(tmp_path, host="other.test")
    options = {} if implicit else {"starttls": "required"}
    with SmtpHost(implicit_tls=implicit, starttls=not implicit, certificate=other) as host:
        with pytest.raises(RelayUnavailable, match="IP address mismatch"):
            send(host, letters(1), ca=other, **options)
        assert not host.letters


def test_required_tls_that_is_not_offered_stops_everything(host: SmtpHost) -> None:
    """No letter and no password goes in the clear."""
    with pytest.raises(RelayUnavailable, match="does not offer STARTTLS"):
        send(host, letters(1), starttls="required")
    assert not host.letters


def test_words_slipped_in_before_tls_are_not_believed(certificate: Path) -> None:
    """CVE-2011-0411: somebody in between answers ahead of the encryption."""
    with SmtpHost(starttls=True, certificate=certificate) as host:
        host.answers("STARTTLS", "220 Go ahead\n250 host.test")
        with pytest.raises(RelayUnavailable):
            send(host, letters(1), starttls="required", ca=certificate)


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_told_without_the_password(auth: str) -> None:
    """The relay's words and what to mend."""
    with (
        SmtpHost(user="desk", password="right", auth=auth) as host,
        Transport(Relay.from_url(host.url.replace("right", "wr0ng"))) as transport,
        pytest.raises(RelayUnavailable, match="does not accept our user and password") as caught,
    ):
        list(transport.send(letters(1)))
    assert "wr0ng" not in str(caught.value)
    assert caught.value.code == 535


def test_a_relay_without_a_way_to_sign_in_is_unavailable() -> None:
    """A password was given and cannot be used."""
    with (
        SmtpHost(user="desk", password="x", auth="GSSAPI") as host,
        pytest.raises(RelayUnavailable, match="neither AUTH PLAIN nor LOGIN"),
    ):
        send(host, letters(1))


def test_a_missing_file_of_certificates_is_named() -> None:
    """Before anything is sent."""
    with pytest.raises(BadRelay, match=r"/nowhere/ca\.pem .*No such file"):
        Transport(Relay.from_url("smtps://127.0.0.1?ca=/nowhere/ca.pem"))


# ---- halting, and the journal ----


def test_halt_is_asked_before_each_body(host: SmtpHost) -> None:
    """A pause: letters whose envelope was said come back unsent, and no body is cut."""
    with dial(host, connections=1) as transport:
        outcomes = list(transport.send(letters(10), halt=lambda: len(host.letters) >= 3))
        assert kinds(outcomes) == {1: "accepted", 2: "accepted", 3: "accepted", 4: "unsent"}
        assert len(host.letters) == 3
        assert kinds(transport.send(letters(2))) == {1: "accepted", 2: "accepted"}


@pytest.mark.parametrize("offers", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("asked", [0, 1, 4, 9, 17])
def test_a_halt_between_bodies_that_were_noted_together_is_obeyed(
    offers: tuple[str, ...], asked: int, tmp_path: Path
) -> None:
    """What had not left comes back unsent, and the journal knows that it did not leave."""
    journal = Journal(tmp_path, "w1")
    questions = itertools.count()
    with SmtpHost(offers=offers, delay=0.001) as host:
        with dial(host, connections=5) as transport:
            pen = journal.pen(campaign=7, batch=70, attempt=1)
            outcomes = list(transport.send(letters(30), notes=pen, halt=lambda: next(questions) >= asked))
        accepted = [outcome.key for outcome in outcomes if outcome.kind == Kind.ACCEPTED]
        assert set(kinds(outcomes).values()) <= {"accepted", "unsent"}
        assert sorted(f"reader{key}@example.org" for key in accepted) == sorted(
            letter.recipient for letter in host.letters
        )
    left = read(journal.path.read_bytes())
    assert not left.uncertain
    assert sorted(each.n for each, end in left.ended if end.kind == Kind.ACCEPTED) == sorted(accepted)
    journal.close()


def test_a_caller_who_cannot_say_whether_to_halt_has_said_yes(host: SmtpHost, tmp_path: Path) -> None:
    """Its database is gone: nothing more begins, what is known is told, then its error."""
    journal = Journal(tmp_path, "w1")
    questions = itertools.count()

    def halt() -> bool:
        if next(questions) == 6:
            raise ConnectionError("database")
        return False

    pen = journal.pen(campaign=7, batch=70, attempt=1)
    outcomes: list[Outcome] = []
    with dial(host, connections=4) as transport, pytest.raises(ConnectionError, match="database"):
        outcomes.extend(transport.send(letters(30), notes=pen, halt=halt))
    assert set(kinds(outcomes).values()) == {"accepted", "unsent"}
    assert [outcome.kind for outcome in outcomes].count(Kind.ACCEPTED) == len(host.letters)
    assert not journal.open
    journal.close()


def test_in_chunks_a_halt_keeps_the_connection() -> None:
    """Nothing has asked for a body yet, so RSET is enough."""
    with SmtpHost(offers=WAYS["in chunks"]) as host, dial(host, connections=1) as transport:
        assert kinds(transport.send(letters(3), halt=lambda: True)) == {1: "unsent"}
        assert kinds(transport.send(letters(2))) == {1: "accepted", 2: "accepted"}
    assert host.connections == 1


def test_after_the_deadline_no_letter_is_taken_and_those_taken_are_finished(host: SmtpHost) -> None:
    """A slice ends in time with its connections whole."""
    host.delay = 0.02
    taken: list[int] = []

    def endless() -> Iterator[Envelope]:
        for n in itertools.count():
            taken.append(n)
            yield Envelope(n, "b@lists.test", f"reader{n}@example.org", BODY, clean=True)

    with dial(host, connections=2) as transport:
        outcomes = list(transport.send(endless(), deadline=time.monotonic() + 0.4))
    assert kinds(outcomes) == dict.fromkeys(taken, "accepted")
    assert 1 <= len(taken) < 100
    assert host.commands.count("QUIT") == host.connections <= 2


def test_an_error_in_assembling_lets_what_is_in_flight_be_answered(host: SmtpHost) -> None:
    """The caller's own error comes out, after the outcomes."""

    def broken() -> Iterator[Envelope]:
        yield from letters(3)
        raise KeyError("slot")

    outcomes: list[Outcome] = []
    with dial(host) as transport, pytest.raises(KeyError, match="slot"):
        outcomes.extend(transport.send(broken()))
    accepted = {outcome.key for outcome in outcomes if outcome.kind == Kind.ACCEPTED}
    assert len(host.letters) == len(accepted)
    assert set(kinds(outcomes)) == {1, 2, 3}


def test_begin_is_on_disk_before_the_body_and_end_with_the_next_begin(host: SmtpHost, tmp_path: Path) -> None:
    """What the relay has seen of a body is never ahead of the journal."""
    journal = Journal(tmp_path, "w1")
    pen = journal.pen(campaign=7, batch=70, attempt=1)
    seen = []

    def watching() -> Iterator[Envelope]:
        for letter in letters(4):
            seen.append((len(host.letters), len(read(journal.path.read_bytes()).uncertain)))
            yield letter

    with dial(host, connections=1) as transport:
        list(transport.send(watching(), notes=pen))
    left = read(journal.path.read_bytes())
    assert [letter.n for letter, _ in left.ended] == [1, 2, 3, 4]
    assert not left.uncertain
    assert [uncertain for _, uncertain in seen] == [0, 1, 1, 1]
    journal.close()


def test_no_body_arrives_that_the_journal_does_not_hold(tmp_path: Path) -> None:
    """Several connections share a write of begins; each body still leaves after it."""
    journal = Journal(tmp_path, "w1")
    begun: list[bool] = []

    class Record(list[Received]):
        def append(self, letter: Received) -> None:
            n = int(letter.recipient.removeprefix("reader").partition("@")[0])
            uncertain = read(journal.path.read_bytes()).uncertain
            begun.append(n in {each.n for each in uncertain})
            super().append(letter)

    with SmtpHost(delay=0.001, letters=Record()) as host, dial(host, connections=6) as transport:
        pen = journal.pen(campaign=7, batch=70, attempt=1)
        assert len(list(transport.send(letters(60, body=BODY * 500), notes=pen))) == 60
    assert begun == [True] * 60
    journal.close()


_SEND_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from mailer.delivery.journal import Journal, JournalUnwritable
from mailer.delivery.relay import Relay
from mailer.delivery.smtp import Envelope
from mailer.delivery.transport import Transport
journal = Journal(Path(sys.argv[1]), "w1")
room = journal.path.stat().st_size + 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
pen = journal.pen(campaign=7, batch=70, attempt=1)
mail = [Envelope(n, "b@lists.test", f"reader{n}@example.org", b"x\\r\\n", clean=True) for n in range(1, 61)]
try:
    with Transport(Relay.from_url(sys.argv[2])) as transport:
        for outcome in transport.send(mail, notes=pen):
            print(outcome.key, outcome.kind)
except JournalUnwritable as error:
    print(error, len(journal.open), file=sys.stderr)
"""


@pytest.mark.parametrize("connections", [1, 5])
def test_a_full_disk_stops_before_the_body(host: SmtpHost, tmp_path: Path, connections: int) -> None:
    """The kernel takes no more: what was begun is told, nothing else leaves, and no letter is lost."""
    url = host.url_with(connections=connections)
    command = [sys.executable, "-c", _SEND_UNTIL_FULL, str(tmp_path), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = {int(key): kind for key, kind in map(str.split, done.stdout.splitlines())}
    assert set(told.values()) == {"accepted", "unsent"}
    assert re.search(r"cannot be written .* nothing more is sent\. 0$", done.stderr.strip())
    accepted = [f"reader{key}@example.org" for key, kind in told.items() if kind == "accepted"]
    assert sorted(accepted) == sorted(letter.recipient for letter in host.letters)
    left = read((tmp_path / "w1.journal").read_bytes())
    known = {letter.n for letter in left.uncertain} | {letter.n for letter, _ in left.ended}
    assert {key for key, kind in told.items() if kind == "accepted"} <= known


def test_a_caller_who_walks_away_leaves_the_answers_in_the_journal(host: SmtpHost, tmp_path: Path) -> None:
    """The database is gone in mid-slice: what the relay took is known afterwards."""
    journal = Journal(tmp_path, "w1")
    with dial(host, connections=2) as transport:
        sending = transport.send(letters(20), notes=journal.pen(campaign=7, batch=70, attempt=1))
        next(sending)
        sending.close()  # type: ignore[attr-defined]
        left = read(journal.path.read_bytes())
        assert not left.uncertain
        arrived = {letter.recipient for letter in host.letters}
        assert {
            f"reader{letter.n}@example.org" for letter, end in left.ended if end.kind == "accepted"
        } == arrived
    journal.close()
