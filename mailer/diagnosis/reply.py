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


_COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # how Postfix, Exim, Sendmail, qmail, DragonFly and X6 tell which command was refused
    (
        "DATA",
        (
            "end of data",
            "(in reply to data",
            "command data",
            "command: data",
            "final data",
            ">>> data",
            "after i sent the message",
            "(state 17)",  # Gmail numbers the steps of the dialogue
            "(state 18)",
        ),
    ),
    (
        "MAIL",
        (
            "to mail from",
            "after mail from",
            ">>> mail from",
            "sender was rejected",
            "our mail from",
            "(state 13)",
        ),
    ),
    (
        "EHLO",
        (
            "to ehlo",
            "to helo",
            "after ehlo",
            "after helo",
            "after initial connection",
            ">>> ehlo",
            ">>> helo",
            "my name was rejected",
        ),
    ),
    (
        "RCPT",
        (
            "to rcpt to",
            "after rcpt to",
            ">>> rcpt to",
            "following rcpt",
            "does not like recipient",
            "our rcpt to",
            "[rcpt_to]",
            "smtp:rcpt",
            "smtp error, rcpt to",  # NetEase
            "rcpt to 返回",  # Alimail
            "(state 14)",
        ),
    ),
)


def command_within(words: str) -> str | None:
    """Return the command a report says was refused ("RCPT", "DATA", …), or None if it does not say."""
    words = " ".join(words[:TEXT_LIMIT].lower().split())
    for command, signs in _COMMANDS:
        if any(sign in words for sign in signs):
            return command
    return None
