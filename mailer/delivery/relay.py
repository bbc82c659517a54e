"""Relays: where letters are handed over, read from a URL. Pure.

    smtp://user:password@host:587?starttls=required     plain at first, then TLS (RFC 3207)
    smtps://user:password@host:465                      TLS from the first byte (RFC 8314)

User and password are percent-encoded, and so are the values of options (a ``+`` is written ``%2B``).
``_OPTIONS`` lists what may follow the question mark. With ``auth=xoauth2`` the password is an access token;
with a ``token_url`` it is what access tokens are asked for with: a refresh token, or the client's secret
where ``grant=client_credentials``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import partial
from urllib.parse import unquote, urlsplit

from mailer.delivery import options
from mailer.delivery.options import Options
from mailer.delivery.pace import Limit, warm_up
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


class Auth(StrEnum):
    """How to sign in."""

    BEST = "best"  # PLAIN where offered, else LOGIN
    PLAIN = "plain"  # RFC 4616
    LOGIN = "login"
    XOAUTH2 = "xoauth2"  # Google's and Microsoft's: an access token for a password


class TokenGrant(StrEnum):
    """What an access token is asked for with (RFC 6749)."""

    REFRESH_TOKEN = "refresh_token"  # §6  # noqa: S105  a word of the protocol
    CLIENT_CREDENTIALS = "client_credentials"  # §4.4


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay. Its secrets are never shown; ``name`` is what logs and rows may hold.

    A limit that is None is not set; ``per_second``, ``per_hour``, ``total`` and ``warmup`` hold for all
    workers together. Times are seconds. RFC 5321 §4.5.3.2 sets the two long ones: 5 minutes for a command,
    10 for the answer to a body, because a letter given up on after its body may have been taken.
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
    auth: Auth = Auth.BEST
    token_url: str = ""  # where access tokens are had; empty: the password is one
    client_id: str = ""
    client_secret: str = field(default="", repr=False)  # some ask for it beside the refresh token
    scope: str = ""
    grant: TokenGrant = TokenGrant.REFRESH_TOKEN
    letters: int | None = None  # per connection
    per_second: float | None = None  # letters
    per_hour: int | None = None
    total: int | None = None  # connections at once
    warmup: date | None = None  # the first day of a ramp, see ``pace.warm_up``
    through: str = ""  # the host it hands letters to, where that is a provider's: see ``echo``
    connect_timeout: float = 30
    timeout: float = 300
    final_timeout: float = 600

    @property
    def name(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def limit(self) -> Limit:
        """What all workers together may give it."""
        return Limit(self.per_second, self.per_hour, self.total, self.letters)

    def limit_on(self, day: date | None) -> Limit:
        """Return ``limit`` on a day of its warm-up, if it has one; None stands for the first day."""
        ramp = None if self.warmup is None else warm_up(self.warmup, day or self.warmup)
        return self.limit if ramp is None else self.limit.stricter(Limit.of_day(ramp))

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
        if parts.scheme not in ("smtp", "smtps") or not options.is_word(host) or parts.path not in ("", "/"):
            raise BadRelay()
        implicit = parts.scheme == "smtps"
        told = options.read(parts, _OPTIONS, partial(_refusal, host))
        relay = cls(
            host=host,
            port=port or (465 if implicit else 587 if user else 25),
            tls=implicit,
            user=user,
            password=unquote(parts.password or ""),
            **({"starttls": _starttls_by_default(host, implicit)} | told),
        )
        _check_signing_in(relay)
        return relay


def _starttls_by_default(host: str, implicit: bool) -> StartTls:
    return StartTls.OFF if implicit or is_loopback(host) else StartTls.REQUIRED


def is_loopback(host: str) -> bool:
    """Say whether ``host`` is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_signing_in(relay: Relay) -> None:
    """Raise ``BadRelay`` when what is said about signing in does not go together."""
    oauth = relay.token_url or relay.client_id or relay.client_secret or relay.scope
    if relay.auth is not Auth.BEST and not (relay.user and relay.password):
        what = Sentence("says how to sign in, but not as whom: write USER:PASSWORD@ before the host")
    elif oauth and relay.auth is not Auth.XOAUTH2:
        what = Sentence("says where tokens are had, but does not use them: add auth=xoauth2")
    elif oauth and not (relay.token_url and relay.client_id):
        what = Sentence("does not say where tokens are had, and for whom: add token_url and client_id")
    elif relay.grant is TokenGrant.CLIENT_CREDENTIALS and not relay.token_url:
        what = Sentence("has a grant, but no place to use it: add token_url and client_id")
    else:
        return
    raise _refusal(relay.host, what)


def _seconds(text: str) -> float:
    if not 0 < (value := float(text)) <= 3600:
        raise ValueError(text)
    return value


def _rate(text: str) -> float:
    if not 0 < (value := float(text)) <= 100_000:
        raise ValueError(text)
    return value


_OPTIONS: Options = {
    "starttls": (StartTls, Sentence("off, if-offered or required")),
    "tls_verify": (options.flag, Sentence("yes or no")),
    "ca": (str, Sentence("a file of certificates")),
    "connections": (options.number(1, 100), Sentence("1 to 100")),
    "helo": (options.word, Sentence("a host name")),
    "chunking": (options.flag, Sentence("yes or no")),
    "auth": (Auth, Sentence("best, plain, login or xoauth2")),
    "token_url": (options.https, Sentence("an address that begins with https://")),
    "client_id": (options.word, Sentence("the client's id, without spaces")),
    "client_secret": (str, Sentence("the client's secret")),
    "scope": (str, Sentence("the scopes, separated by %20")),
    "grant": (TokenGrant, Sentence("refresh_token or client_credentials")),
    "letters": (options.number(1, 1_000_000), Sentence("letters per connection, 1 to 1000000")),
    "per_second": (_rate, Sentence("letters per second, up to 100000")),
    "per_hour": (options.number(1, 1_000_000_000), Sentence("letters per hour, 1 to 1000000000")),
    "total": (options.number(1, 10_000), Sentence("connections of all workers together, 1 to 10000")),
    "warmup": (date.fromisoformat, Sentence("the first day, like 2026-12-01")),
    "through": (options.word, Sentence("the name of the provider's host that it hands letters to")),
    "connect_timeout": (_seconds, Sentence("seconds, up to 3600")),
    "timeout": (_seconds, Sentence("seconds, up to 3600")),
    "final_timeout": (_seconds, Sentence("seconds, up to 3600")),
}


def _refusal(host: str, what: Sentence) -> BadRelay:
    return BadRelay("The URL of relay {host} {what}.", host=host, what=what)
