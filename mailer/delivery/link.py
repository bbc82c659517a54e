"""One connection to a relay: a non-blocking socket, TLS when asked for, and the conversation over it.

The only module that opens sockets to the outside. Many links share one selector; see ``transport``.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import time
from collections import deque
from enum import Enum, auto
from typing import Any

from mailer.delivery.relay import BadRelay, Relay, RelayUnavailable
from mailer.delivery.reply import Garbled
from mailer.delivery.smtp import Conversation
from mailer.sentence import Sentence

_GOODBYE = 1.0  # seconds for the answer to QUIT
_ROOM = 1 << 20  # octets a socket may hold: a letter leaves in one piece, not as the relay makes room

Address = tuple[int, tuple[Any, ...]]  # family, and what connect() takes


class Broken(Exception):
    """The connection is of no more use; the sentence says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Phase(Enum):
    """How far a connection has come."""

    DIALLING = auto()
    SECURING = auto()
    TALKING = auto()


class Link:
    """One connection: a non-blocking socket under a ``Conversation``."""

    def __init__(
        self,
        relay: Relay,
        addresses: list[Address],
        context: ssl.SSLContext,
        selector: selectors.BaseSelector,
    ):
        self.talk = Conversation(relay)
        self.begun = False  # a byte has left since the body was said
        self._relay = relay
        self._addresses = deque(addresses)
        self._context = context
        self._selector = selector
        self._pending: list[bytes | memoryview] = []
        self._until_end = 0  # bytes to leave until the body has left whole
        self._dial()

    # -- opening --

    def _dial(self) -> None:
        """Begin to connect to the next address."""
        self._phase = Phase.DIALLING
        family, address = self._addresses.popleft()
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else Nagle waits for their ACK
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._events = selectors.EVENT_WRITE
        self._selector.register(self._sock, self._events, self)
        self.touch()
        with contextlib.suppress(OSError):  # EINPROGRESS; what goes wrong shows in SO_ERROR
            self._sock.connect(address)

    def _dialled(self) -> None:
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            self._sock.getpeername()
        except OSError as broken:
            self.hang_up()
            if not self._addresses:
                why = os.strerror(error) if error else broken.strerror
                raise Broken(Sentence("cannot be reached ({why})", why=why)) from broken
            return self._dial()
        if not self._relay.helo:
            self.talk.introduce(_own_name(self._sock.getsockname()[0]))
        return self._wrap() if self._relay.tls else self._start_talking()

    def _start_talking(self) -> None:
        self._phase = Phase.TALKING
        self._watch(writing=bool(self._pending))

    def _wrap(self) -> None:
        self._phase = Phase.SECURING
        self._selector.unregister(self._sock)
        self._sock = self._context.wrap_socket(
            self._sock, server_hostname=self._relay.host, do_handshake_on_connect=False
        )
        self._events = selectors.EVENT_READ
        self._selector.register(self._sock, self._events, self)
        self._shake()

    def _shake(self) -> None:
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
            return self._watch(writing=isinstance(wanted, ssl.SSLWantWriteError))
        except ssl.SSLCertVerificationError as error:
            raise RelayUnavailable(
                "The certificate of relay {relay} is not trusted ({why}):"
                " name its authority's file with ?ca=FILE in the relay's URL.",
                relay=self._relay.name,
                why=error.verify_message,
            ) from error
        except OSError as error:
            raise Broken(Sentence("does not agree on TLS ({why})", why=_reason(error))) from error
        self._start_talking()
        if self.talk.secure_now:
            self.talk.secured()
            self.say()
        return None

    # -- talking --

    def handle(self, mask: int) -> None:
        """Do what the socket is ready for.

        :raises Broken, Garbled: the connection is lost
        :raises RelayUnavailable: the relay refused us in the opening
        """
        self.touch()
        if self._phase is Phase.TALKING:
            if mask & selectors.EVENT_READ:
                self._listen()
            if self._pending:
                self._flush()
        elif self._phase is Phase.SECURING:
            self._shake()
        else:
            self._dialled()

    def _listen(self) -> None:
        while data := self._receive():
            self.talk.receive(data, unfinished=self._until_end > 0)
            if self.talk.secure_now:
                return self._wrap()
            if not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                break  # select() sees what the kernel holds, not what OpenSSL has already taken out of it
        return None

    def _receive(self) -> bytes | None:
        """Return what has come, None when nothing has."""
        try:
            data = self._sock.recv(4096)
        except _NOT_NOW:
            return None
        except OSError as error:
            raise Broken(Sentence("broke the connection ({why})", why=_reason(error))) from error
        if not data:
            raise Broken(Sentence("closed the connection"))
        return data

    def say(self) -> None:
        """Send what the conversation has to say, or as much of it as the socket takes now."""
        self._take_up()
        if self._pending and self._phase is Phase.TALKING and not self._events & selectors.EVENT_WRITE:
            self._flush()

    def prepare_body(self) -> None:
        """Take up the body that the conversation has just said; it leaves with what is said next."""
        self._take_up()
        self._until_end = sum(map(len, self._pending))
        self.begun = False

    def _take_up(self) -> None:
        self._pending += self.talk.out
        self.talk.out.clear()

    def _flush(self) -> None:
        try:
            while self._pending:
                self._sent(self._send())
        except _NOT_NOW:
            pass
        except OSError as error:
            self._hear_last_words()
            raise Broken(Sentence("broke the connection ({why})", why=_reason(error))) from error
        self._watch(writing=bool(self._pending))

    def _send(self) -> int:
        if isinstance(self._sock, ssl.SSLSocket):
            return self._sock.send(self._pending[0])
        return self._sock.sendmsg(self._pending)

    def _sent(self, count: int) -> None:
        self.begun = True
        self._until_end -= count
        pending = self._pending
        while pending and count >= len(pending[0]):
            count -= len(pending.pop(0))
        if count:
            pending[0] = memoryview(pending[0])[count:]

    def _hear_last_words(self) -> None:
        """A relay that closes on us may have said why; the kernel still holds it."""
        with contextlib.suppress(Broken, Garbled):
            while data := self._receive():
                self.talk.receive(data, unfinished=self._until_end > 0)

    def _watch(self, *, writing: bool) -> None:
        events = selectors.EVENT_READ | selectors.EVENT_WRITE if writing else selectors.EVENT_READ
        if events != self._events:
            self._events = events
            self._selector.modify(self._sock, events, self)

    # -- time and end --

    def touch(self) -> None:
        """Begin to wait anew: something has moved."""
        self._since = time.monotonic()

    def check(self, now: float) -> None:
        """Raise ``Broken`` when the relay has been silent for too long."""
        if self._phase is not Phase.TALKING:
            limit = self._relay.connect_timeout
        elif self.talk.leaving:
            limit = _GOODBYE
        elif self.talk.flying:
            limit = self._relay.final_timeout
        elif self.talk.awaiting or self._pending:
            limit = self._relay.timeout
        else:
            return
        if now - self._since <= limit:
            return
        if self._phase is Phase.DIALLING and self._addresses:
            self.hang_up()
            self._dial()
        else:
            raise Broken(Sentence("did not answer for {seconds} seconds", seconds=f"{limit:g}"))

    def hang_up(self) -> None:
        """Close the socket."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._sock)
        self._sock.close()

    def quit(self) -> None:
        """Say goodbye; the answer comes like any other."""
        self.talk.quit()
        with contextlib.suppress(Broken):
            self.say()

    def part(self) -> None:
        """Close the socket; after a goodbye, wait a moment for its answer (RFC 5321 §4.1.1.10)."""
        if self.talk.leaving:
            with contextlib.suppress(OSError):
                self._sock.settimeout(_GOODBYE)
                while self._sock.recv(4096):
                    pass
        self.hang_up()


def _reason(error: OSError) -> str:
    return (isinstance(error, ssl.SSLError) and error.reason) or error.strerror or type(error).__name__


def _own_name(address: str) -> str:
    """Return what to say in EHLO: a full name, else an address literal (RFC 5321 §4.1.3, §4.1.4)."""
    name = socket.gethostname()
    if "." in name:
        return name
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def resolve(relay: Relay) -> list[Address]:
    """Look the relay's name up; IPv6 and IPv4 in the system's order. Blocks for as long as DNS does.

    :raises RelayUnavailable: the name is not known
    """
    try:
        found = socket.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RelayUnavailable(
            "The relay {relay} cannot be found ({why}): check its name in the URL.",
            relay=relay.name,
            why=error.strerror,
        ) from error
    return [(family, address) for family, _, _, _, address in found]


def trust(relay: Relay) -> ssl.SSLContext:
    """Return what decides whose certificates are believed.

    :raises BadRelay: the file of certificates cannot be read
    """
    try:
        context = ssl.create_default_context(cafile=relay.ca or None)
    except OSError as error:
        raise BadRelay(
            "The certificates in {file} for relay {relay} cannot be read ({why}): give a PEM file in ?ca=.",
            file=relay.ca,
            relay=relay.name,
            why=_reason(error),
        ) from error
    if not relay.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
