"""A sink: an SMTP server that takes every letter, counts it and forgets it; ``python -m mailer.bench.sink``.

It offers PIPELINING (RFC 2920) and CHUNKING (RFC 3030), keeps connections, and may answer late, as a server
far away does. A process of its own, so that its cost is not ours. It ends with its standard input; asked
there for anything, it says how many letters it has taken.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import subprocess
import sys
import time
from typing import Self

_READ = 262_144  # octets at a time
_BACKLOG = 128  # connections that may wait to be taken
_END = b"\r\n.\r\n"
_BYE = b"221 2.0.0 bye\r\n"


class Sink:
    """The process, from ``with`` to its end. ``delay`` is in seconds, before every answer."""

    def __init__(self, *, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", __name__, str(self._delay)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True,
        )  # fmt: skip
        self.port = int(self._line())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def count(self) -> int:
        """Return how many letters it has taken."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Conversation:
    """One connection: octets in, answers out. Every letter is taken."""

    def __init__(self) -> None:
        self.letters = 0
        self.over = False
        self._line = b""  # the beginning of a command that is not whole yet
        self._left = 0  # octets of a BDAT chunk still to come
        self._last = False  # whether that chunk ends its letter
        self._tail: bytes | None = None  # the last octets of a body sent by DATA; None: no such body

    def feed(self, octets: bytes) -> bytes:
        """Take what came; return what is answered, "" when nothing is."""
        answers: list[bytes] = []
        at = 0
        while at < len(octets) and not self.over:
            if self._left:
                at = self._chunk(octets, at, answers)
            elif self._tail is not None:
                at = self._body(octets, at, answers)
            else:
                at = self._command(octets, at, answers)
        return b"".join(answers)

    def _chunk(self, octets: bytes, at: int, answers: list[bytes]) -> int:
        """Take a chunk's octets (RFC 3030 §2)."""
        taken = min(self._left, len(octets) - at)
        self._left -= taken
        if not self._left:
            self._end_chunk(answers)
        return at + taken

    def _end_chunk(self, answers: list[bytes]) -> None:
        self.letters += self._last
        answers.append(b"250 2.0.0 taken\r\n")

    def _body(self, octets: bytes, at: int, answers: list[bytes]) -> int:
        """Take a body up to its lone dot (RFC 5321 §4.1.1.4), which may come in two pieces."""
        assert self._tail is not None
        seen = self._tail + octets[at:]
        found = seen.find(_END)
        if found < 0:
            self._tail = seen[1 - len(_END) :]
            return len(octets)
        end = at - len(self._tail) + found + len(_END)
        self._tail = None
        self.letters += 1
        answers.append(b"250 2.0.0 taken\r\n")
        return end

    def _command(self, octets: bytes, at: int, answers: list[bytes]) -> int:
        end = octets.find(b"\n", at)
        if end < 0:
            self._line += octets[at:]
            return len(octets)
        line, self._line = self._line + octets[at:end], b""
        answers.append(self._answer(line.strip()))
        if line[:4].upper() == b"BDAT" and not self._left:
            self._end_chunk(answers)
        return end + 1

    def _answer(self, line: bytes) -> bytes:
        match line.split():
            case [word, *_] if word.upper() == b"EHLO":
                return (
                    b"250-sink.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
                )
            case [word, size, *last] if word.upper() == b"BDAT":
                self._left, self._last = int(size), bool(last)
                return b""
            case [word, *_] if word.upper() == b"DATA":
                self._tail = b"\r\n"
                return b"354 go on\r\n"
            case [word, *_] if word.upper() == b"QUIT":
                self.over = True
                return _BYE
            case _:
                return b"250 2.0.0 ok\r\n"


class _Server:
    """The sink's own loop."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self._peers: dict[int, tuple[socket.socket, Conversation]] = {}
        self._late: list[tuple[float, int, int, Conversation, bytes]] = []  # when, in order, to whom, what
        self._order = itertools.count()  # answers of one moment keep theirs
        self._gone = 0  # letters of connections that have ended

    def run(self) -> None:
        """Serve until standard input ends."""
        print(self._listener.getsockname()[1], flush=True)
        while True:
            for descriptor, _ in self._epoll.poll(self._patience()):
                if descriptor == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    letters = sum(talk.letters for _, talk in self._peers.values())
                    print(self._gone + letters, flush=True)
                elif descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(descriptor)
            while self._late and self._late[0][0] <= time.monotonic():
                self._send(*heapq.heappop(self._late)[2:])

    def _patience(self) -> float | None:
        return max(0.0, self._late[0][0] - time.monotonic()) if self._late else None

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = Conversation()
        self._peers[peer.fileno()] = (peer, talk)
        self._epoll.register(peer, select.EPOLLIN)
        self._say(peer.fileno(), talk, b"220 sink.example ESMTP\r\n")

    def _read(self, descriptor: int) -> None:
        peer, talk = self._peers[descriptor]
        try:
            octets = peer.recv(_READ)
        except ConnectionError:
            octets = b""
        if answer := talk.feed(octets):
            self._say(descriptor, talk, answer)
        if not octets:
            self._leave(descriptor)

    def _say(self, descriptor: int, talk: Conversation, answer: bytes) -> None:
        if self._delay:
            due = time.monotonic() + self._delay
            heapq.heappush(self._late, (due, next(self._order), descriptor, talk, answer))
        else:
            self._send(descriptor, talk, answer)

    def _send(self, descriptor: int, talk: Conversation, answer: bytes) -> None:
        peer, now_there = self._peers.get(descriptor, (None, None))
        if peer is None or now_there is not talk:
            return  # it hung up before it was answered
        try:
            peer.sendall(answer)
        except ConnectionError:
            return  # reading from it will say so, too
        if talk.over and answer.endswith(_BYE):
            self._leave(descriptor)

    def _leave(self, descriptor: int) -> None:
        peer, talk = self._peers.pop(descriptor)
        self._gone += talk.letters
        self._epoll.unregister(peer)
        peer.close()


if __name__ == "__main__":
    _Server(float(sys.argv[1])).run()
