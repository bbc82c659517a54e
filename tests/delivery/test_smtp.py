"""The SMTP conversation without sockets."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.reply import Features, Garbled, Reply, ReplyReader
from mailer.delivery.smtp import Conversation, Envelope, Kind, Outcome

RELAY = Relay("relay.test", 25)
EHLO = b"250-relay.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


def letter(key: int, recipient: str = "ann@example.org") -> Envelope:
    return Envelope(key, "b@lists.test", recipient, b"Subject: x\r\n\r\nx\r\n", clean=True)


def said(talk: Conversation) -> bytes:
    data = b"".join(talk.out)
    talk.out.clear()
    return data


def opened(ehlo: bytes = EHLO) -> Conversation:
    talk = Conversation(RELAY)
    talk.introduce("desk.test")
    talk.receive(b"220 relay.test ESMTP\r\n")
    talk.receive(ehlo)
    said(talk)
    assert talk.idle
    return talk


# ---- replies ----


def test_replies_are_read_with_their_lines_and_status() -> None:
    """RFC 5321 §4.2.1: the code on every line, a hyphen on all but the last."""
    (reply,) = ReplyReader().feed(b"550-5.1.1 No such user\r\n550 5.1.1 at all\r\n")
    assert (reply.code, reply.text, reply.status) == (550, "5.1.1 No such user\n5.1.1 at all", "5.1.1")
    assert reply.shown == "550 5.1.1 No such user 5.1.1 at all"


def test_what_is_shown_of_a_relays_words_names_nobody() -> None:
    """Such sentences stand on a campaign and in logs; addresses do not (law 9)."""
    (reply,) = ReplyReader().feed(b"421 4.7.0 Too many for <ann@example.org>, ann@example.org\r\n")
    assert reply.shown == "421 4.7.0 Too many for <…>, …"
    assert "ann@example.org" in reply.text
    with pytest.raises(Garbled, match="“to=<…> queued” is not a reply"):
        list(ReplyReader().feed(b"to=<ann@example.org> queued\r\n"))


@pytest.mark.parametrize("line", [b"250", b"250 ", b"250 Ok"])
def test_a_reply_may_have_no_words(line: bytes) -> None:
    """And its status is then unknown."""
    (reply,) = ReplyReader().feed(line + b"\n")
    assert (reply.code, reply.status) == (250, None)


@given(
    st.lists(st.integers(0, 60)), st.lists(st.sampled_from([b"250 Ok\r\n", b"354-a\r\n354 b\r\n", b"421\n"]))
)
def test_replies_come_out_alike_in_whatever_portions_they_arrive(
    cuts: list[int], replies: list[bytes]
) -> None:
    """A reply may come byte by byte."""
    data = b"".join(replies)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = ReplyReader()
    found = [reply for a, b in pairwise(edges) for reply in reader.feed(data[a:b])]
    assert found == list(ReplyReader().feed(data))
    assert len(found) == len(replies)
    assert reader.empty


@pytest.mark.parametrize(
    "junk", [b"hello\r\n", b"199 a\r\n", b"600 a\r\n", b"250_a\r\n", b"2 0 a\r\n", b"\r\n", b"x" * 9000]
)
def test_what_is_no_reply_is_refused(junk: bytes) -> None:
    """Nothing after it can be trusted."""
    with pytest.raises(Garbled):
        list(ReplyReader().feed(junk))


def test_a_reply_without_end_is_refused() -> None:
    """Memory is bounded."""
    with pytest.raises(Garbled, match="too many lines"):
        list(ReplyReader().feed(b"250-and\r\n" * 1000))


def test_what_was_said_before_garbage_counts() -> None:
    """Both arrive in one packet: the letter was accepted, only the connection is lost."""
    replies = ReplyReader().feed(b"250 2.0.0 taken\r\n\x16\x03\x01\r\n")
    assert next(replies).code == 250
    with pytest.raises(Garbled):
        next(replies)


def test_features_are_read_whatever_else_is_offered() -> None:
    """Case, an empty keyword, the old AUTH= form and a size that is no number."""
    lines = (
        b"relay.test",
        b"pipelining",
        b"",
        b"AUTH PLAIN",
        b"AUTH=LOGIN",
        b"SIZE 5x",
        b"XCLIENT NAME",
        b"chunking",
    )
    features = Features.of(Reply(250, lines))
    assert features == Features(
        pipelining=True, chunking=True, sized=True, size=0, auth=frozenset({"PLAIN", "LOGIN"})
    )
    assert Features.of(Reply(250, (b"relay.test", b"SIZE 1000"))).size == 1000


def test_the_greeting_by_name_offers_nothing() -> None:
    """A relay called PIPELINING does not pipeline."""
    assert Features.of(Reply(250, (b"PIPELINING",))) == Features()


# ---- conversation ----


def test_body_and_next_envelope_are_said_together() -> None:
    """RFC 2920: the end of the text and the commands behind it."""
    talk = opened()
    assert talk.offer(letter(1))
    assert said(talk) == b"MAIL FROM:<b@lists.test>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
    talk.receive(b"250 Ok\r\n250 Ok\r\n")
    assert not talk.cleared
    talk.receive(b"354 Go\r\n")
    assert talk.cleared
    talk.transmit()
    talk.offer(letter(2, "bob@example.org"))
    assert said(talk).endswith(
        b"\r\nx\r\n.\r\nMAIL FROM:<b@lists.test>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
    )
    talk.receive(b"250 2.0.0 Queued\r\n")
    assert talk.settled == [Outcome(1, Kind.ACCEPTED, 250, "2.0.0", "2.0.0 Queued", "BODY", "relay.test:25")]


def test_the_first_refusal_is_the_answer() -> None:
    """What follows from it, the 503 to DATA, is not."""
    talk = opened()
    talk.offer(letter(1))
    said(talk)
    talk.receive(b"250 Ok\r\n450 4.2.1 Greylisted\r\n503 5.5.1 No recipient\r\n")
    assert [(outcome.kind, outcome.code, outcome.command) for outcome in talk.settled] == [
        (Kind.DEFERRED, 450, "RCPT")
    ]
    assert said(talk) == b"RSET\r\n"
    assert talk.idle


def test_a_refusal_seen_before_the_connection_broke_counts() -> None:
    """550 to RCPT, then silence: the letter was refused, not lost."""
    talk = opened()
    talk.offer(letter(1))
    talk.receive(b"250 Ok\r\n550 5.1.1 No\r\n")
    assert talk.lost("The relay closed the connection.", begun=False) == []
    assert [(outcome.kind, outcome.code) for outcome in talk.settled] == [(Kind.REJECTED, 550)]


@pytest.mark.parametrize("begun", [True, False])
def test_a_body_is_uncertain_only_once_a_byte_of_it_has_left(begun: bool) -> None:
    """The envelope agreed behind it is simply unsent."""
    talk = opened()
    talk.offer(letter(1))
    talk.receive(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    talk.transmit()
    talk.offer(letter(2))
    unsent = talk.lost("The relay closed the connection.", begun=begun)
    assert [envelope.key for envelope in unsent] == ([2] if begun else [1, 2])
    assert [outcome.kind for outcome in talk.settled] == ([Kind.UNCERTAIN] if begun else [])


@pytest.mark.parametrize("reply", [b"250 Ok\r\n", b"354 Go\r\n"])
def test_a_yes_before_the_body_has_left_whole_is_not_believed(reply: bytes) -> None:
    """No relay can have accepted what it has not got."""
    talk = opened()
    talk.offer(letter(1))
    talk.receive(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    talk.transmit()
    with pytest.raises(Garbled):
        talk.receive(reply, unfinished=True)


def test_a_no_before_the_body_has_left_whole_ends_the_connection() -> None:
    """The rest of the body would be read as commands."""
    talk = opened()
    talk.offer(letter(1))
    talk.receive(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    talk.transmit()
    talk.receive(b"552 5.3.4 Too big\r\n", unfinished=True)
    assert talk.closed
    assert talk.settled[0].kind == Kind.REJECTED


@pytest.mark.parametrize("reply", [b"221 Bye\r\n", b"250 What?\r\n", b"421 Bye\r\n"])
def test_a_goodbye_is_over_with_its_answer_whatever_it_is(reply: bytes) -> None:
    """RFC 5321 §4.1.1.10; nothing is offered to a connection that takes leave."""
    talk = opened()
    talk.quit()
    assert said(talk) == b"QUIT\r\n"
    assert not talk.idle
    assert not talk.closed
    talk.receive(reply)
    assert talk.closed
    assert talk.lost("gone", begun=False) == []


@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b"250 Ok\r\n", b"354 Go\r\n", b"550 No\r\n", b"421 Bye\r\n"])
    )
)
def test_whatever_a_relay_says_ends_in_outcomes_or_a_known_error(words: list[bytes]) -> None:
    """Any bytes, at any moment: each letter is settled once or still held, never both or neither."""
    talk = opened()
    held = {1}
    talk.offer(letter(1))
    try:
        for word in words:
            talk.receive(word)
            if talk.cleared:
                talk.transmit()
            if talk.idle:
                held.add(max(held) + 1)
                talk.offer(letter(max(held)))
    except (Garbled, RelayUnavailable):
        pass
    unsent = [envelope.key for envelope in talk.lost("gone", begun=True)]
    assert sorted(unsent + [outcome.key for outcome in talk.settled]) == sorted(held)
    assert len(unsent) <= 1


@given(
    st.text('abAZ09.+-_=@<> "\\\r\n例', max_size=14).map(lambda text: f"{text}@example.org")
    | st.text(max_size=12)
)
def test_an_address_never_breaks_out_of_its_command(address: str) -> None:
    """Whatever it holds, the relay hears two commands, or none."""
    talk = opened()
    talk.features = replace(talk.features, smtputf8=True)
    if talk.offer(letter(1, address)):
        mail, rcpt, data = said(talk).decode().removesuffix("\r\n").split("\r\n")
        assert mail.startswith("MAIL FROM:<b@lists.test>")
        assert re.fullmatch(r"RCPT TO:<[^\r\n]+@[^\s<>@]+>", rcpt)
        assert data == "DATA"
    else:
        assert said(talk) == b""
        assert [outcome.kind for outcome in talk.settled] == [Kind.REJECTED]


@given(st.binary(max_size=200))
def test_an_opening_of_any_bytes_ends_in_a_known_error_or_waits(data: bytes) -> None:
    """Never another exception."""
    talk = Conversation(Relay("relay.test", 25, user="ann", password="x"))
    try:
        talk.receive(data)
        talk.receive(b"220 hello\r\n" + data)
    except (Garbled, RelayUnavailable) as error:
        assert str(error)  # noqa: PT017 - either way is right
    assert not talk.idle
