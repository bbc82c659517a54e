"""The sink: however the octets come in, every letter is counted and every command answered."""

from __future__ import annotations

import smtplib
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.bench.sink import Conversation, Sink

_LETTER = b"Subject: x\r\n\r\n..a dot\r\n.\rnot the end\r\n"
_SAID = b"".join(
    (
        b"EHLO me\r\n",
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n" + _LETTER + b".\r\n",
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n.\r\n",
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nBDAT 6\r\n\r\n.\r\n!BDAT 3 LAST\r\n\r\n.",
        b"BDAT 0 LAST\r\nRSET\r\nQUIT\r\nNOOP\r\n",
    )
)


@given(st.sets(st.integers(1, len(_SAID) - 1)))
@settings(max_examples=100)
def test_letters_are_counted_however_the_octets_are_cut(cuts: set[int]) -> None:
    """A lone dot, a chunk or a command may come in pieces; after QUIT nothing is heard."""
    talk = Conversation()
    answers = b"".join(talk.feed(_SAID[a:b]) for a, b in pairwise((0, *sorted(cuts), len(_SAID))))
    assert (talk.letters, talk.over) == (4, True)
    codes = [line[:3] for line in answers.splitlines() if line[3:4] == b" "]
    assert b" ".join(codes) == b"250 250 250 354 250 250 250 354 250 250 250 250 250 250 250 221"


def test_a_client_is_served_and_counted() -> None:
    """The standard library's client gets its letters taken, on several connections."""
    with Sink(delay=0.001) as sink:
        for _ in range(2):
            with smtplib.SMTP("127.0.0.1", sink.port) as client:
                client.sendmail("a@x.example", ["b@x.example"], "Subject: x\r\n\r\nHello\r\n")
                client.sendmail("a@x.example", ["b@x.example"], "Subject: x\r\n\r\n.\r\n")
        assert sink.count() == 4
