"""What a relay says: replies cut out of its bytes, and what it offers. Pure. RFC 5321 §4.2, RFC 2034."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mailer.sentence import Sentence

_LONGEST_LINE = 8192  # RFC 5321 §4.5.3.1.5 says 512; some relays are chattier
_MOST_LINES = 256
_CODES = {b"%d" % code: code for code in range(200, 600)}
_WHOLE = {b"%d " % code: code for code in range(200, 600)}  # how a one-line reply begins
_LONGEST_TEXT = 2000  # characters of a reply worth keeping


class Garbled(Exception):
    """What the other side says is not SMTP; nothing it says from here on can be trusted."""

    def __init__(self, what: Sentence) -> None:
        super().__init__(what)
        self.sentence = what


_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)")
_ADDRESS = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+")


def _without_addresses(words: str) -> str:
    """What a relay says of a letter names its reader, what it says of our password its owner (law 9)."""
    return _ADDRESS.sub("…", words)


@dataclass(frozen=True)
class Reply:
    """One reply. ``lines`` are raw, without the code."""

    code: int
    lines: tuple[bytes, ...]

    @cached_property
    def text(self) -> str:
        """The words, lines joined by a line feed."""
        return b"\n".join(self.lines).decode(errors="replace")[:_LONGEST_TEXT]

    @cached_property
    def status(self) -> str | None:
        """The enhanced status code (RFC 2034 §4)."""
        found = _STATUS.match(self.lines[0].decode("ascii", "replace"))
        return found[0] if found else None

    @property
    def shown(self) -> str:
        """The reply in one line, without addresses: for a message to a person, which logs may hold."""
        return f"{self.code} {_without_addresses(' '.join(self.text.split()))}"[:300]


@lru_cache(maxsize=256)
def _whole(line: bytes) -> Reply | None:
    """Return the reply that this line is, or None when it is a part of one or none at all.

    A relay says the same few lines over and over: they are read once.
    """
    code = _WHOLE.get(line[:4])
    return Reply(code, (line[4:].rstrip(b"\r"),)) if code else None


class ReplyReader:
    """Cuts replies out of bytes that arrive in any portions (RFC 5321 §4.2.1)."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    @property
    def empty(self) -> bool:
        """Whether nothing is left over from what was fed."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that are complete now; those before a garbled line are good, and settle letters.

        :raises Garbled: a line is no reply, or there is no end to it
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = None if self._lines else _whole(line)
            reply = reply or self._line(line.rstrip(b"\r"))
            if reply:
                yield reply
        if len(self._rest) > _LONGEST_LINE:
            raise Garbled(Sentence("a reply line has no end"))

    def _line(self, line: bytes) -> Reply | None:
        code, mark = line[:3], line[3:4]
        if code not in _CODES or mark not in (b" ", b"-", b""):
            said = _without_addresses(line.decode(errors="replace"))
            raise Garbled(Sentence("“{line}” is not a reply", line=said[:80]))
        self._lines.append(line[4:])
        if mark == b"-":
            if len(self._lines) > _MOST_LINES:
                raise Garbled(Sentence("a reply has too many lines"))
            return None
        lines, self._lines = tuple(self._lines), []
        return Reply(_CODES[code], lines)


@dataclass(frozen=True, slots=True)
class Features:
    """What a relay offers in its answer to EHLO. ``size`` 0: it names no limit."""

    pipelining: bool = False
    chunking: bool = False
    starttls: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    sized: bool = False
    size: int = 0
    auth: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reply: Reply) -> Features:
        """Read the answer to EHLO; keywords nobody knows, empty lines and odd sizes are passed over."""
        words = [
            line.decode("ascii", "replace").upper().replace("AUTH=", "AUTH ").split() for line in reply.lines
        ]
        offers: dict[str, list[str]] = {}
        for first, *rest in filter(None, words[1:]):
            offers.setdefault(first, []).extend(rest)
        size = "".join(offers.get("SIZE", []))
        return cls(
            pipelining="PIPELINING" in offers,
            chunking="CHUNKING" in offers,
            starttls="STARTTLS" in offers,
            eight_bit="8BITMIME" in offers,
            smtputf8="SMTPUTF8" in offers,
            sized="SIZE" in offers,
            size=int(size) if size.isascii() and size.isdigit() else 0,
            auth=frozenset(offers.get("AUTH", [])),
        )
