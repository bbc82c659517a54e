"""Relays: where letters are handed over, read from a URL. Pure.

    smtp://user:password@host:587?starttls=required     plain at first, then TLS (RFC 3207)
    smtps://user:password@host:465                      TLS from the first byte (RFC 8314)

User and password are percent-encoded. ``_OPTIONS`` lists what may follow the question mark.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mailer.errors import Invalid, MailerError
from mailer.sentence import Sentence


class BadRelay(Invalid):
    """The relay's URL cannot be read: write it like smtp://user:password@mail.example.org:587."""


class RelayUnavailable(MailerError):
    """The relay takes no letters now; none was lost. The message says why and what to do.

    ``code`` is the relay's reply, None when it gave none (unreachable, bad certificate, silence).
    """

    def __init__(self, template: str, /, *, code: int | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.code = code


class StartTls(StrEnum):
    """What to do about STARTTLS on an ``smtp`` relay."""

    OFF = "off"
    IF_OFFERED = "if-offered"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay. The password is never shown; ``name`` is what logs and rows may hold.

    Times are seconds. RFC 5321 §4.5.3.2 sets the two long ones: 5 minutes for a command, 10 for the
    answer to a body, because a letter given up on after its body may have been taken.
    """

    host: str
    port: int
    tls: bool = False  # from the first byte
    starttls: StartTls = StartTls.OFF
    user: str = ""
    password: str = field(default="", repr=False)
    connections: int = 4  # at once, from one process
    helo: str = ""  # empty: this machine's full name, else its address (RFC 5321 §4.1.3)
    tls_verify: bool = True
    ca: str = ""  # file of certificates to trust; empty: the system's
    chunking: bool = True  # use BDAT where offered (RFC 3030)
    connect_timeout: float = 30
    timeout: float = 300
    final_timeout: float = 600

    @property
    def name(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def from_url(cls, url: str) -> Relay:
        """Read a relay's URL.

        Unless told otherwise a relay on another machine must speak STARTTLS and one on this machine need
        not; the port is 465 for smtps, 587 with a user, else 25.

        :raises BadRelay: says what is wrong without repeating the password
        """
        try:
            parts = urlsplit(url)
            host, port, user = (parts.hostname or ""), parts.port, unquote(parts.username or "")
        except ValueError as error:
            raise BadRelay(
                "The relay's URL cannot be read ({why}): its port must be a number.", why=error
            ) from error
        if parts.scheme not in ("smtp", "smtps") or not _is_word(host) or parts.path not in ("", "/"):
            raise BadRelay()
        implicit = parts.scheme == "smtps"
        return cls(
            host=host,
            port=port or (465 if implicit else 587 if user else 25),
            tls=implicit,
            user=user,
            password=unquote(parts.password or ""),
            **({"starttls": _starttls_by_default(host, implicit)} | _options(parts, host)),
        )


def _starttls_by_default(host: str, implicit: bool) -> StartTls:
    return StartTls.OFF if implicit or is_loopback(host) else StartTls.REQUIRED


def is_loopback(host: str) -> bool:
    """Say whether ``host`` is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _flag(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _seconds(text: str) -> float:
    if not 0 < (value := float(text)) <= 3600:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if not 1 <= (value := int(text)) <= 100:
        raise ValueError(text)
    return value


def _is_word(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _word(text: str) -> str:
    if not _is_word(text):
        raise ValueError(text)
    return text


_OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "starttls": (StartTls, Sentence("off, if-offered or required")),
    "tls_verify": (_flag, Sentence("yes or no")),
    "ca": (str, Sentence("a file of certificates")),
    "connections": (_count, Sentence("1 to 100")),
    "helo": (_word, Sentence("a host name")),
    "chunking": (_flag, Sentence("yes or no")),
    "connect_timeout": (_seconds, Sentence("seconds, up to 3600")),
    "timeout": (_seconds, Sentence("seconds, up to 3600")),
    "final_timeout": (_seconds, Sentence("seconds, up to 3600")),
}


def _options(parts: SplitResult, host: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise BadRelay(
                "The URL of relay {host} has an option “{name}”: known are {known}.",
                host=host,
                name=name,
                known=", ".join(_OPTIONS),
            )
        read, expected = _OPTIONS[name]
        try:
            found[name] = read(text)
        except (ValueError, KeyError) as error:
            raise BadRelay(
                "The URL of relay {host} says {name}={text}: write {expected}.",
                host=host,
                name=name,
                text=text,
                expected=expected,
            ) from error
    return found
