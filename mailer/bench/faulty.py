"""A relay that breaks its word as planned, and writes down every letter it takes.

``python -m mailer.bench.faulty`` speaks SMTP (RFC 5321), PIPELINING (RFC 2920) and CHUNKING (RFC 3030). A
letter's line stands in the record, by one write(2), before the 250 is said, so its own death is no excuse:

    T <Message-ID> <recipient>     taken, and 250 said
    S <Message-ID> <recipient>     taken, but the answer was kept back or spoilt
    F <step> <act>                 a planned fault happened, and the connection goes on
    B <step> <act>                 likewise, and the connection is of no more use
"""

from __future__ import annotations

import json
import os
import random
import re
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

_CHUNK = 1 << 18  # octets read at once
_HEAD = 8192  # octets of a letter in which its Message-ID stands
_LONGEST_LINE = 1 << 16  # a client that ends no line by then speaks no SMTP
_MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*<?([^\s>]+)")
_PATH = re.compile(rb"(?i)^(?:MAIL FROM|RCPT TO):\s*<([^>]*)>")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close(2) sends RST
_PLAN = "FAULTY_PLAN"  # in the environment, so that no command line shows it at length
_GARBAGE = (b"\x16\x03\x01\xff\xfe\r\n", b"25O 0K\r\n", b"250", b"999 what\r\n", b"\r\n")

OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000", "ENHANCEDSTATUSCODES")


class Step(StrEnum):
    """Where in a conversation a fault happens."""

    GREETING = "greeting"
    EHLO = "ehlo"  # and HELO
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # and BDAT
    BODY = "body"  # before the body's end
    DOT = "dot"  # after the body's end, in place of the answer


class Act(StrEnum):
    """What is done in place of the right answer."""

    CLOSE = "close"
    RESET = "reset"  # as a crashed machine or a firewall does
    SAY = "say"
    GARBAGE = "garbage"
    SILENCE = "silence"  # never a word again


_BREAKING = frozenset({Act.CLOSE, Act.RESET, Act.GARBAGE, Act.SILENCE})


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at a step, one time in ``one_in`` at random, at most ``most`` times in all."""

    step: Step
    act: Act
    says: str = ""  # with SAY, the whole reply; after 421 the connection is closed (RFC 5321 §3.8)
    one_in: int = 50
    most: int = 20

    @property
    def breaks(self) -> bool:
        """Whether the connection is of no use after it."""
        return self.act in _BREAKING or self.step is Step.BODY or self.says.startswith("421")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a relay behaves. ``pause``: seconds it takes over each letter, so that one can break in on it."""

    faults: tuple[Fault, ...] = ()
    offers: tuple[str, ...] = OFFERS
    pause: float = 0.0
    seed: int = 1

    @classmethod
    def from_json(cls, told: str) -> Self:
        """Read what ``to_json`` wrote."""
        given = json.loads(told)
        faults = (
            Fault(**(each | {"step": Step(each["step"]), "act": Act(each["act"])}))
            for each in given["faults"]
        )
        return cls(**(given | {"faults": tuple(faults), "offers": tuple(given["offers"])}))

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))


# ---- the record ----


class Taken(NamedTuple):
    """A letter as the relay knows it: by its Message-ID and whom it is for."""

    message_id: str
    recipient: str


@dataclass
class Record:
    """What a relay wrote down: how often each letter was taken, and which faults happened how often."""

    letters: Counter[Taken] = field(default_factory=Counter)
    faults: Counter[tuple[Step, Act]] = field(default_factory=Counter)
    broken: int = 0  # connections the relay made useless

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record; a last line that is torn was never answered with 250."""
        record = cls()
        whole, _, _torn = path.read_bytes().rpartition(b"\n")
        for line in whole.decode(errors="replace").split("\n"):
            kind, _, rest = line.partition(" ")
            first, _, second = rest.partition(" ")
            if kind in ("F", "B"):
                record.faults[Step(first), Act(second)] += 1
                record.broken += kind == "B"
            elif kind:
                record.letters[Taken(first, second)] += 1
        return record

    @property
    def accepted(self) -> int:
        """How many letters were taken, repeated ones counted again."""
        return self.letters.total()


class Faulty:
    """The relay as a process, from ``with`` to its end; it may be killed and started again on its port."""

    def __init__(self, plan: Plan, record: Path) -> None:
        self._plan, self.record = plan, record
        self.port = 0
        self._read_to = self._taken = 0

    def __enter__(self) -> Self:
        self.record.touch()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return once it listens."""
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", __name__, str(self.record), str(self.port)],
            env={**os.environ, _PLAN: self._plan.to_json()}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill it (SIGKILL); its record stays."""
        self._process.kill()
        self._process.communicate()

    def taken(self) -> int:
        """Return how many letters it has taken so far."""
        with self.record.open("rb") as record:
            record.seek(self._read_to)
            whole, end, _torn = record.read().rpartition(b"\n")
        self._read_to += len(whole + end)
        self._taken += sum(line[:1] in (b"T", b"S") for line in whole.split(b"\n"))
        return self._taken


# ---- the relay ----


class Relay:
    """Listens on loopback and plays the plan. One thread, one epoll loop."""

    def __init__(self, plan: Plan, record: Path, port: int) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 - faults are to be repeatable, not secret
        self._by_step: dict[Step, list[Fault]] = {
            step: [each for each in plan.faults if each.step is step] for step in Step
        }
        self._left = {id(fault): fault.most for fault in plan.faults}
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._selector = selectors.DefaultSelector()
        self._door = socket.create_server(("127.0.0.1", port), backlog=256, reuse_port=False)
        self._door.setblocking(False)
        self._selector.register(self._door, selectors.EVENT_READ, None)
        self.ear = memoryview(bytearray(_CHUNK))  # what was heard last; one for all, for they take turns
        self.hello = b"\r\n".join(
            [b"250-faulty.example", *(b"250-" + word.encode() for word in plan.offers), b"250 HELP\r\n"]
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._door.getsockname()[1])

    def serve(self) -> None:
        """Serve until the process ends."""
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._welcome()
                else:
                    key.data.hear()

    def note(self, kind: bytes, first: bytes, second: bytes) -> None:
        """Append one line to the record, whole."""
        os.write(self._record, b"%b %b %b\n" % (kind, first, second))

    def fault(self, step: Step) -> Fault | None:
        """Return the fault that happens now at a step, and write it down."""
        for fault in self._by_step[step]:
            if self._left[id(fault)] and self._random.randrange(fault.one_in) == 0:
                self._left[id(fault)] -= 1
                self.note(b"B" if fault.breaks else b"F", fault.step.encode(), fault.act.encode())
                return fault
        return None

    def toss(self) -> bool:
        """Heads or tails."""
        return self._random.random() < 0.5

    def garbage(self) -> bytes:
        """Something that is not SMTP."""
        return self._random.choice(_GARBAGE)

    def pause(self) -> None:
        """Take as long over a letter as planned; whoever else is connected waits, too."""
        if self._plan.pause:
            time.sleep(self._plan.pause)

    def forget(self, peer: Peer) -> None:
        """Hear no more of a peer."""
        self._selector.unregister(peer.sock)

    def _welcome(self) -> None:
        try:
            sock, _ = self._door.accept()
        except OSError:
            return  # it hung up before we looked
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(self, sock)
        self._selector.register(sock, selectors.EVENT_READ, peer)
        peer.greet()


class Peer:
    """One client's connection."""

    def __init__(self, relay: Relay, sock: socket.socket) -> None:
        self.sock = sock
        self._relay = relay
        self._heard = bytearray()
        self._answers: list[bytes] = []
        self._searched = 0  # octets of ``_heard`` that hold no end of the body
        self._mute = False
        self._gone = False
        self._new_letter()

    def _new_letter(self) -> None:
        self._sender: bytes | None = None
        self._recipient: bytes | None = None
        self._in_body = False
        self._chunks = b""
        self._chunk = -1  # octets of a BDAT chunk to come; -1: none is due
        self._last_chunk = False
        self._refusal: Fault | None = None  # of a chunk whose octets are to come

    def greet(self) -> None:
        """Say the first word."""
        self._answer(Step.GREETING, b"220 faulty.example ESMTP\r\n")
        self._flush()

    def hear(self) -> None:
        """Take in what has come and answer it."""
        try:
            count = self.sock.recv_into(self._relay.ear)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._hang_up()
        elif not self._mute:
            self._heard += self._relay.ear[:count]
            while not (self._gone or self._mute) and self._advance():
                pass
            self._flush()

    def _advance(self) -> bool:
        """Deal with one command or body; False: more has to come first."""
        if self._in_body:
            return self._hear_body()
        if self._chunk >= 0:
            return self._hear_chunk()
        end = self._heard.find(b"\r\n")
        if end < 0:
            if len(self._heard) > _LONGEST_LINE:
                self._hang_up()
            return False
        line = bytes(self._heard[:end])
        del self._heard[: end + 2]
        self._obey(line)
        return True

    def _obey(self, line: bytes) -> None:
        match line[:4].upper():
            case b"EHLO":
                self._answer(Step.EHLO, self._relay.hello)
            case b"HELO":
                self._answer(Step.EHLO, b"250 faulty.example\r\n")
            case b"MAIL":
                self._new_letter()
                if self._answer(Step.MAIL, b"250 2.1.0 sender ok\r\n"):
                    self._sender = _path(line)
            case b"RCPT" if self._sender is not None:
                if self._answer(Step.RCPT, b"250 2.1.5 recipient ok\r\n"):
                    self._recipient = _path(line)
            case b"DATA" if self._recipient is not None:
                self._in_body = self._answer(Step.DATA, b"354 go on\r\n")
                self._searched = 0
            case b"BDAT":
                self._expect_chunk(line)
            case b"RSET":
                self._new_letter()
                self._say(b"250 2.0.0 ok\r\n")
            case b"NOOP":
                self._say(b"250 2.0.0 ok\r\n")
            case b"QUIT":
                self._say(b"221 2.0.0 bye\r\n")
                self._hang_up()
            case _:
                self._say(b"503 5.5.1 not now\r\n")

    # -- bodies --

    def _hear_body(self) -> bool:
        if self._broken_in_body():
            return False
        if self._heard.startswith(b".\r\n"):
            size, end = 0, 3
        else:
            found = self._heard.find(b"\r\n.\r\n", self._searched)
            if found < 0:
                self._searched = max(0, len(self._heard) - 4)
                return False
            size, end = found + 2, found + 5
        head = bytes(self._heard[: min(size, _HEAD)])
        del self._heard[:end]
        self._take(head)
        return True

    def _expect_chunk(self, line: bytes) -> None:
        """BDAT: its octets follow in any case, and are answered after the last (RFC 3030 §2)."""
        words = line.split()
        self._chunk = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        self._last_chunk = len(words) > 2 and words[2].upper() == b"LAST"
        fault = self._relay.fault(Step.DATA) if self._recipient is not None else None
        if fault is not None and fault.act is Act.SAY:
            self._refusal = fault
        elif fault is not None:
            self._misbehave(fault)

    def _hear_chunk(self) -> bool:
        if self._recipient is not None and self._refusal is None and self._broken_in_body():
            return False
        if len(self._heard) < self._chunk:
            return False
        self._chunks += bytes(self._heard[: min(self._chunk, _HEAD)])
        del self._heard[: self._chunk]
        self._chunk = -1
        if self._recipient is None:
            self._say(b"503 5.5.1 no recipient\r\n")
        elif self._refusal is not None:
            refusal = self._refusal
            self._new_letter()
            self._misbehave(refusal)
        elif self._last_chunk:
            self._take(self._chunks[:_HEAD])
        else:
            self._say(b"250 2.0.0 chunk ok\r\n")
        return True

    def _broken_in_body(self) -> bool:
        """Break off before the body's end, though all of it may have come: its sender cannot tell."""
        fault = self._relay.fault(Step.BODY) if self._heard else None
        if fault is not None:
            self._misbehave(fault)
            self._hang_up()  # after a word in the middle of a body, too: the rest would be read as commands
        return fault is not None

    def _take(self, head: bytes) -> None:
        """The whole letter is here: write it down and answer, or do as planned."""
        self._relay.pause()
        found = _MESSAGE_ID.search(head)
        letter = (found[1] if found else b"-", self._recipient or b"-")
        self._new_letter()
        fault = self._relay.fault(Step.DOT)
        if fault is None:
            self._relay.note(b"T", *letter)
            self._say(b"250 2.0.0 taken\r\n")
            return
        if fault.act in _BREAKING and self._relay.toss():
            self._relay.note(b"S", *letter)  # a real relay may have taken it by then, or not
        self._misbehave(fault)

    # -- answers --

    def _answer(self, step: Step, right: bytes) -> bool:
        """Say what is right, or do as planned; return whether the command counts."""
        fault = self._relay.fault(step)
        if fault is None:
            self._say(right)
        else:
            self._misbehave(fault)
        return fault is None

    def _misbehave(self, fault: Fault) -> None:
        match fault.act:
            case Act.SAY:
                self._say(f"{fault.says}\r\n".encode())
                if fault.says.startswith("421"):
                    self._hang_up()
            case Act.GARBAGE:
                self._say(self._relay.garbage())
                self._flush()
                self._mute = True
            case Act.SILENCE:
                self._flush()
                self._mute = True
            case Act.RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._answers.clear()
                self._hang_up()
            case Act.CLOSE:
                self._hang_up()

    def _say(self, answer: bytes) -> None:
        self._answers.append(answer)

    def _flush(self) -> None:
        """Send all answers at once. A client that leaves no room for a few words is not worth waiting for."""
        if self._gone or not self._answers:
            return
        said, self._answers = b"".join(self._answers), []
        try:
            self.sock.sendall(said)
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._gone:
            return
        self._flush()
        if not self._gone:  # the last words may have found nobody
            self._gone = True
            self._relay.forget(self)
            self.sock.close()


def _path(line: bytes) -> bytes:
    found = _PATH.match(line)
    return found[1] if found else b""


def main(arguments: Sequence[str] = sys.argv[1:], environment: Mapping[str, Any] = os.environ) -> None:
    """``faulty RECORD PORT``, the plan as JSON in the environment; says its port. Port 0: any free one."""
    record, port = arguments
    relay = Relay(Plan.from_json(environment[_PLAN]), Path(record), int(port))
    print(relay.port, flush=True)
    relay.serve()


if __name__ == "__main__":
    main()
