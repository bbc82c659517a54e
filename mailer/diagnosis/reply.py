"""An SMTP reply, taken apart (RFC 5321 §4.2, RFC 2034)."""

from __future__ import annotations

import re
from dataclasses import dataclass

TEXT_LIMIT = 4_000  # characters of a reply that are read; RFC 5321 §4.5.3.1.5 allows 512 a line

_START = re.compile(r"\s*([2345]\d\d)(?![\d.])(?:[- ]|[:,] ?)?")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_HASHED_CODE = re.compile(r"(?<![\d.\w-])([45][0-5]\d)(?=[ -][\w\"'<(\[#]|: )")


@dataclass(frozen=True, slots=True)
class Reply:
    """``code`` is None and ``status`` "" when the words carry none; ``text`` is one line."""

    code: int | None
    status: str
    text: str


def read_reply(reply: str) -> Reply:
    """Take apart "550-5.1.1 no such\\n550 5.1.1 user" or the free words of a report.

    Every line's repeated code and status go; the first of each is kept.
    """
    code: int | None = None
    status = ""
    words = []
    for line in reply[:TEXT_LIMIT].splitlines():
        if start := _START.match(line):
            code = code or int(start[1])
            line = line[start.end() :]
        if (found := _STATUS.match(line)) and (not status or found[1] == status):
            status = found[1]
            line = line[found.end() :]
        words.append(line.strip())
    text = " ".join(filter(None, words))
    return Reply(code or _code_within(text), status or status_within(text, code), text)


def status_within(text: str, code: int | None = None) -> str:
    """Return the first enhanced status among the words that agrees with ``code``, or ""."""
    for found in _STATUS.finditer(text):
        if code is None or found[1][0] == str(code)[0]:
            return found[1]
    return ""


def _code_within(text: str) -> int | None:
    found = _HASHED_CODE.search(text)
    return int(found[1]) if found else None


_COMMANDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (command, re.compile(pattern, re.IGNORECASE))
    for command, pattern in (
        # how Postfix, Exim, Sendmail, qmail, DragonFly and X6 tell which command was refused
        (
            "DATA",
            r"end of data|\(in reply to DATA|command:?\s+DATA|final DATA|>>> DATA|after i sent the message",
        ),
        ("MAIL", r"to MAIL FROM|after MAIL FROM|>>> MAIL FROM|sender was rejected|our MAIL FROM"),
        (
            "EHLO",
            r"to (?:EHLO|HELO)|after (?:EHLO|HELO|initial connection)|>>> (?:EHLO|HELO)|my name was rejected",
        ),
        (
            "RCPT",
            r"to RCPT TO|after RCPT TO|>>> RCPT TO|following RCPT|does not like recipient|our RCPT TO"
            r"|\[RCPT_TO\]|SMTP:RCPT",
        ),
    )
)


def command_within(words: str) -> str | None:
    """Return the command a report says was refused ("RCPT", "DATA", …), or None if it does not say."""
    words = words[:TEXT_LIMIT]
    for command, pattern in _COMMANDS:
        if pattern.search(words):
            return command
    return None
