"""SMTP without sockets: one conversation with one relay, bytes in and bytes out. Pure.

RFC 5321 with PIPELINING (RFC 2920), CHUNKING (RFC 3030),
SMTPUTF8 (RFC 6531), 8BITMIME (RFC 6152), SIZE (RFC 1870) and enhanced status codes (RFC 2034).

With PIPELINING a letter costs one round trip: its body and the next letter's envelope leave together, and
the relay's answers to both come back together. One body is in flight at a time. A letter's body is sent
only when the relay has agreed to sender and recipient; a relay that says 354 after it refused the
recipient gets a lone dot (RFC 2920 §3.1), any other an RSET. Without PIPELINING each command waits.

``Conversation`` never decides to send a body: it says ``cleared``, and its driver, once the journal holds
the ``begin``, calls ``transmit``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator
from enum import StrEnum
from typing import Literal, NamedTuple

import idna

from mailer.content.encoding import Pieces
from mailer.delivery.opening import Opening
from mailer.delivery.relay import Relay
from mailer.delivery.reply import Features, Garbled, Reply, ReplyReader
from mailer.sentence import Sentence


class Kind(StrEnum):
    """What became of a letter."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # 4xx: try again later
    REJECTED = "rejected"  # 5xx, or no SMTP can carry it there
    UNCERTAIN = "uncertain"  # body begun, reply never seen: never send again by itself
    UNSENT = "unsent"  # body never begun: send again at will


_KIND_OF = {2: Kind.ACCEPTED, 4: Kind.DEFERRED, 5: Kind.REJECTED}


class Envelope(NamedTuple):
    """A letter with its envelope. ``sender`` "" is the null return path.

    ``clean``: the caller vouches that ``body`` is 7-bit, in CRLF lines none of which begins with a dot,
    and that the last one is ended, as all letters of our assembler are. Others are looked through.
    A body in pieces is joined as it leaves: so one letter after another lies where the processor still has
    the last one, and is copied faster. ``seal`` returns fields to put before it, such as a
    signature; ``sealed`` has them there.
    """

    key: int
    sender: str
    recipient: str
    body: bytes | Pieces
    clean: bool = False
    seal: Callable[[bytes], bytes] | None = None

    @property
    def octets(self) -> int:
        """How long the body is."""
        return self.body.octets if isinstance(self.body, Pieces) else len(self.body)

    def sealed(self) -> Envelope:
        """Return the letter as it goes on the wire."""
        if self.seal is None:
            return self
        body = bytes(self.body)
        return self._replace(body=self.seal(body) + body, seal=None)


class Outcome(NamedTuple):
    """What became of a letter, in the relay's words.

    ``command``: MAIL, RCPT, DATA or BODY, whichever the reply answered; "" when the words are our own and
    no relay was asked. ``code`` is None when no reply was seen; ``status`` is the RFC 3463 code, None when
    the reply has none.
    """

    key: int
    kind: Kind
    code: int | None
    status: str | None
    text: str
    command: str
    relay: str


# ---- the envelope and the body ----

_PLAIN = re.compile(r"[A-Za-z0-9.=_+-]+@[A-Za-z0-9.-]+")  # nearly every address, and safe to say as it is
_ATEXT = r"(?:[^\s\"(),:;<>@\[\\\]\x00-\x1f\x7f]+"
_MAILBOX = re.compile(
    _ATEXT + r"|\"(?:[^\"\\\x00-\x1f\x7f]|\\[ -~])*\")@[^\s@<>\x00-\x1f\x7f]+"  # RFC 5321 §4.1.2
)


class Unmailable(Exception):
    """This letter cannot go through this relay; ``code`` and ``status`` are what a relay would have said."""

    def __init__(self, code: int, status: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.status = status


def _mailbox(address: str) -> str:
    """Return the address as SMTP carries it, its domain in A-labels (RFC 6531 §3.2 allows both).

    :raises Unmailable: it is not a mailbox; line ends in it would be commands
    """
    if _PLAIN.fullmatch(address):
        return address
    if not _MAILBOX.fullmatch(address):
        raise Unmailable(553, "5.1.3", "The address is not a mailbox SMTP can name.")
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError as error:
        raise Unmailable(553, "5.1.2", f"The address's domain is not a domain name: {error}") from error


def _envelope_commands(letter: Envelope, features: Features) -> bytes:
    """Return MAIL and RCPT.

    :raises Unmailable: the letter needs what the relay does not offer
    """
    sender = _mailbox(letter.sender) if letter.sender else ""
    recipient = _mailbox(letter.recipient)
    parameters = f" SIZE={letter.octets}" if features.sized else ""
    if features.size and letter.octets > features.size:
        raise Unmailable(552, "5.3.4", f"The letter is larger than the relay takes ({features.size} bytes).")
    eight_bit = not (letter.clean or bytes(letter.body).isascii())
    utf8 = eight_bit and _has_utf8_header(bytes(letter.body))
    if utf8 or not (sender.isascii() and recipient.isascii()):
        if not features.smtputf8:
            raise Unmailable(
                553, "5.6.7", "The address or a header is not ASCII and the relay lacks SMTPUTF8."
            )
        parameters += " SMTPUTF8"
    if eight_bit:
        if not features.eight_bit:
            raise Unmailable(554, "5.6.3", "The letter has 8-bit text and the relay does not offer 8BITMIME.")
        parameters += " BODY=8BITMIME"
    return f"MAIL FROM:<{sender}>{parameters}\r\nRCPT TO:<{recipient}>\r\n".encode()


def _has_utf8_header(body: bytes) -> bool:
    return not body.partition(b"\r\n\r\n")[0].isascii()


_LINE_END = re.compile(rb"\r\n|\r|\n")


def _in_lines(body: bytes) -> bytes:
    """Return the body in CRLF lines, the last one ended.

    RFC 5321 §2.3.8 forbids bare CR and LF; a bare LF before a dot would let a letter smuggle in another.
    """
    body = _LINE_END.sub(b"\r\n", body)
    return body if body.endswith(b"\r\n") or not body else body + b"\r\n"


def _stuffed(body: bytes) -> bytes:
    """Double the dots that begin a line (RFC 5321 §4.5.2)."""
    body = body.replace(b"\r\n.", b"\r\n..")
    return b"." + body if body.startswith(b".") else body


# ---- the conversation ----


# What a reply that is awaited will answer. RESET is RSET or a lone dot: whatever the answer, the
# transaction is over.
Step = Literal["OPENING", "MAIL", "RCPT", "DATA", "BODY", "RESET", "QUIT"]


class Conversation:
    """One connection's side of SMTP. The driver feeds ``receive`` and sends what ``out`` holds.

    ``settled`` collects outcomes for the driver to take. ``secure_now``: wrap the socket in TLS, then call
    ``secured``. ``closed``: one of the two has said goodbye; hang up and call ``lost``.
    """

    def __init__(self, relay: Relay) -> None:
        self.out: list[bytes] = []
        self.settled: list[Outcome] = []
        self.flying: Envelope | None = None  # its body is on its way
        self.ahead: Envelope | None = None  # its envelope is being agreed
        self.cleared = False  # ``ahead`` may send its body
        self.ready = False
        self.secure_now = False
        self.leaving = False  # QUIT was said
        self.closed = False
        self.carried = 0  # letters whose envelope was said over this connection
        self.features = Features()
        self.farewell: Reply | None = None  # the 421 that closed it
        self.parted_at: Step | None = None  # what that 421 answered
        self._relay = relay
        self._name = relay.name
        self._opening = Opening(relay)
        self._generator: Generator[bytes, Reply, Features | None] = self._opening.greet()
        self._reader = ReplyReader()
        self._awaited: deque[Step] = deque(["OPENING"])
        self._script: deque[tuple[Step, bytes]] = deque()  # commands that wait for an answer before them
        self._refusal: tuple[Step, Reply] | None = None
        self._chunked = False
        self._steps: tuple[Step, ...] = ()  # of an envelope
        next(self._generator)

    @property
    def idle(self) -> bool:
        """Whether a letter may be offered and none is on its way."""
        if self.flying or self.ahead or self.leaving or self.closed or not self.ready:
            return False
        return self.features.pipelining or not self._awaited

    @property
    def engaged(self) -> bool:
        """Whether a letter is on its way or being agreed."""
        return self.flying is not None or self.ahead is not None

    @property
    def awaiting(self) -> bool:
        """Whether a reply is due."""
        return bool(self._awaited)

    @property
    def turned_away(self) -> bool:
        """Whether the relay ended it over a letter, from RCPT on: it may speak for the destination."""
        return self.parted_at in ("RCPT", "DATA", "BODY")

    @property
    def candidate(self) -> Envelope:
        """The letter that is ``cleared``."""
        assert self.cleared
        assert self.ahead is not None
        return self.ahead

    def introduce(self, helo: str) -> None:
        """Set the name to say in EHLO, before the first ``receive``."""
        self._opening.helo = helo

    # -- hearing --

    def receive(self, data: bytes, *, unfinished: bool = False) -> None:
        """Take in what the relay said. ``unfinished``: our body has not left whole yet.

        :raises Garbled: it is not SMTP; hang up and call ``lost``
        :raises RelayUnavailable: the opening failed
        """
        for reply in self._reader.feed(data):
            step = self._awaited.popleft() if self._awaited else None
            if step == "OPENING":
                self._hear_opening(reply)
            elif reply.code == 421:
                return self._hear_goodbye(step, reply)
            elif step == "BODY":
                self._hear_body(reply, unfinished)
            elif step == "QUIT":
                self.closed = True
            elif step is None:
                raise Garbled(Sentence("a reply to nothing"))
            elif step != "RESET":
                self._hear_envelope(step, reply)
            if self._script and not self._awaited:
                self._say_next()
        return None

    def _hear_opening(self, reply: Reply) -> None:
        try:
            self.out.append(self._generator.send(reply))
            self._awaited.append("OPENING")
        except StopIteration as done:
            self._opened(done.value)

    def _opened(self, features: Features | None) -> None:
        if features is None:
            if not self._reader.empty:
                # somebody in between put them there: CVE-2011-0411
                raise Garbled(Sentence("words before TLS began"))
            self.secure_now = True
        else:
            self.features, self.ready = features, True
            self._chunked = features.chunking and self._relay.chunking
            self._steps = ("MAIL", "RCPT") if self._chunked else ("MAIL", "RCPT", "DATA")

    def secured(self) -> None:
        """Go on inside TLS."""
        self.secure_now = False
        self._generator = self._opening.go_on()
        self.out.append(next(self._generator))
        self._awaited.append("OPENING")

    def _hear_envelope(self, step: Step, reply: Reply) -> None:
        kind = reply.code // 100
        if kind == (2 if step == "DATA" else 3):
            raise Garbled(Sentence("{code} in answer to {step}", code=reply.code, step=step))
        if kind > 3 and self._refusal is None:
            self._refusal = (step, reply)
        if step == self._steps[-1] or (self._refusal and not self.features.pipelining):
            self._conclude(asked_for_body=kind == 3)

    def _hear_body(self, reply: Reply, unfinished: bool) -> None:
        kind = reply.code // 100
        if kind == 3 or (kind == 2 and unfinished):
            raise Garbled(Sentence("{code} in answer to a body", code=reply.code))
        letter, self.flying = self.flying, None
        assert letter is not None
        self._settle(letter, _KIND_OF[kind], "BODY", reply)
        self.closed = unfinished  # refused before its end: the rest of the body would be read as commands

    def _conclude(self, *, asked_for_body: bool) -> None:
        """All of the envelope has been answered."""
        if self._refusal is None:
            self.cleared = True
            return
        letter, self.ahead = self.ahead, None
        assert letter is not None
        (step, reply), self._refusal = self._refusal, None
        self._script.clear()
        self._settle(letter, _KIND_OF[reply.code // 100], step, reply)
        self.out.append(b".\r\n" if asked_for_body else b"RSET\r\n")
        self._awaited.append("RESET")

    def _hear_goodbye(self, step: Step | None, reply: Reply) -> None:
        """421: the relay closes the connection. It is an answer to the body, and to nothing else of ours."""
        self.closed = True
        self.farewell, self.parted_at = reply, step
        if step == "BODY" and self.flying:
            self._settle(self.flying, Kind.DEFERRED, step, reply)
            self.flying = None

    def _settle(self, letter: Envelope, kind: Kind, step: Step, reply: Reply) -> None:
        outcome = Outcome(letter.key, kind, reply.code, reply.status, reply.text, step, self._name)
        self.settled.append(outcome)

    # -- saying --

    def offer(self, letter: Envelope) -> bool:
        """Say a letter's envelope, or, when no SMTP could carry it, settle it and return False."""
        try:
            commands = _envelope_commands(letter, self.features)
        except Unmailable as error:
            own_words = (error.code, error.status, str(error), "", self._name)
            self.settled.append(Outcome(letter.key, Kind.REJECTED, *own_words))
            return False
        self.ahead = letter
        self.carried += 1
        if not self._chunked:
            commands += b"DATA\r\n"
        if self.features.pipelining:
            self.out.append(commands)
            self._awaited.extend(self._steps)
        else:
            self._script.extend(zip(self._steps, commands.splitlines(keepends=True), strict=True))
            if not self._awaited:
                self._say_next()
        return True

    def _say_next(self) -> None:
        step, command = self._script.popleft()
        self.out.append(command)
        self._awaited.append(step)

    def transmit(self) -> None:
        """Say the body of the letter that is ``cleared``. Its ``begin`` must be in the journal by now."""
        letter = self.candidate
        self.flying, self.ahead, self.cleared = letter, None, False
        body = bytes(letter.body) if letter.clean else _in_lines(bytes(letter.body))
        if self._chunked:
            self.out += (b"BDAT %d LAST\r\n" % len(body), body)
        else:
            self.out += (body if letter.clean else _stuffed(body), b".\r\n")
        self._awaited.append("BODY")

    def withdraw(self) -> Envelope:
        """Give back the letter that is ``cleared``. After a 354 only hanging up undoes it."""
        letter = self.candidate
        self.ahead, self.cleared = None, False
        if self._chunked:
            self.out.append(b"RSET\r\n")
            self._awaited.append("RESET")
        else:
            self.closed = True
        return letter

    def quit(self) -> None:
        """Say goodbye (RFC 5321 §4.1.1.10); once that is answered the conversation is ``closed``."""
        self.out.append(b"QUIT\r\n")
        self._awaited.append("QUIT")
        self.leaving = True

    def lost(self, why: str, *, begun: bool) -> list[Envelope]:
        """The connection is gone: settle what can be settled, return the letters that may be sent again.

        ``begun``: a byte of the body in flight had left; only then can the relay have taken the letter.
        """
        self.closed = True
        unsent = [] if begun or not self.flying else [self.flying]
        if begun and self.flying:
            words = (None, None, why, "BODY", self._name)
            self.settled.append(Outcome(self.flying.key, Kind.UNCERTAIN, *words))
        if self.ahead and self._refusal:
            step, reply = self._refusal
            self._settle(self.ahead, _KIND_OF[reply.code // 100], step, reply)
        elif self.ahead:
            unsent.append(self.ahead)
        self.flying = self.ahead = None
        return unsent
