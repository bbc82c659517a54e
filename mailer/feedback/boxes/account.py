"""Accounts: how a mailbox is reached, read from a URL. Pure.

    imaps://user:password@host:993/Folder     TLS from the first byte (RFC 8314)
    imap://user:password@host:143/Folder      plain at first, then TLS
    pop3s://user:password@host:995            and pop3://, port 110, likewise

User, password, folder and the values of options are percent-encoded where they hold other signs than
letters and digits. ``_OPTIONS`` lists what may follow the question mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from mailer.delivery import options
from mailer.delivery.options import Options
from mailer.delivery.relay import Auth, Relay, TokenGrant, is_loopback
from mailer.errors import Invalid
from mailer.sentence import Sentence


class BadMailbox(Invalid):
    """The mailbox's URL cannot be read: write it like imaps://user:password@imap.example.org/INBOX."""


class Protocol(StrEnum):
    """What is spoken."""

    IMAP = "imap"
    POP3 = "pop3"


class Then(StrEnum):
    """What is done to a mail of ours once it is stored."""

    MOVE = "move"  # to another folder (IMAP)
    MARK = "mark"  # as read (IMAP)
    KEEP = "keep"  # nothing
    DELETE = "delete"


_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
_THENS = {
    Protocol.IMAP: (Then.MOVE, Then.MARK, Then.KEEP, Then.DELETE),
    Protocol.POP3: (Then.KEEP, Then.DELETE),
}
_POLLS = {Protocol.IMAP: 60, Protocol.POP3: 300}  # seconds; many providers mind POP3 more often than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One mailbox. Its secrets are never shown; ``url`` has none and is what rows and logs may hold."""

    protocol: Protocol
    host: str
    port: int
    tls: bool  # from the first byte
    starttls: bool = False  # else, and then required
    user: str
    password: str = field(default="", repr=False)
    folder: str = "INBOX"
    then: Then
    to: str = "Heard"  # the folder that heard mail is moved to
    alone: bool = False  # nobody else uses the mailbox: mail that is not ours is moved as well
    poll: int  # seconds between looks where the server does not say by itself that mail has come
    tls_verify: bool = True
    ca: str = ""  # file of certificates to trust; empty: the system's
    auth: Auth = Auth.BEST  # BEST: by password; XOAUTH2
    token_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    grant: TokenGrant = TokenGrant.REFRESH_TOKEN

    @property
    def name(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def place(self) -> tuple[str, str, int, str, str]:
        """What makes it one mailbox and no other, however it is reached and whatever is done in it."""
        return self.protocol, self.host.lower(), self.port, self.user, self.folder

    @property
    def url(self) -> str:
        """How to reach it, without a secret. Reading it again gives this account without its secrets."""
        scheme = self.protocol + ("s" if self.tls else "")
        usual = _account(scheme, self.host, self.port, self.user)
        told = {
            name: "yes" if value is True else "no" if value is False else str(value)
            for name in _OPTIONS
            if name != "client_secret" and (value := getattr(self, name)) != getattr(usual, name)
        }
        folder = f"/{quote(self.folder)}" if self.protocol is Protocol.IMAP else ""
        options = f"?{urlencode(told, quote_via=quote)}" if told else ""
        return f"{scheme}://{quote(self.user, safe='')}@{self.name}{folder}{options}"

    @property
    def as_relay(self) -> Relay:
        """What access tokens are asked for with, in the form ``delivery.oauth`` takes."""
        return Relay(
            host=self.host,
            port=self.port,
            tls=True,
            user=self.user,
            password=self.password,
            ca=self.ca,
            auth=self.auth,
            token_url=self.token_url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
            grant=self.grant,
        )

    def with_secrets(self, password: str, client_secret: str = "") -> Account:
        """Return the same account with its secrets."""
        return replace(self, password=password, client_secret=client_secret)

    @classmethod
    def from_url(cls, url: str) -> Account:
        """Read a mailbox's URL.

        :raises BadMailbox: says what is wrong without repeating a secret
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise BadMailbox from error
        if parts.scheme not in _PORTS or not host or not parts.username or not host.isprintable():
            raise BadMailbox
        account = _account(parts.scheme, host, port or _PORTS[parts.scheme], unquote(parts.username))
        folder = unquote(parts.path.removeprefix("/"))
        if folder and account.protocol is Protocol.POP3:
            raise BadMailbox("A POP3 mailbox has no folders: leave out what follows {host}.", host=host)
        told: dict[str, Any] = {"folder": folder or "INBOX", "password": unquote(parts.password or "")}
        return _checked(replace(account, **told, **options.read(parts, _OPTIONS, partial(_refusal, host))))


def from_parts(*, protocol: str, host: str, user: str, password: str, folder: str, then: str) -> Account:
    """Return the account that a form describes; ``protocol`` is a URL's scheme.

    :raises BadMailbox: says what is wrong
    """
    place = f"/{quote(folder or 'INBOX', safe='')}" if protocol.startswith("imap") else ""
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return Account.from_url(f"{protocol}://{who}@{host.strip()}{place}?then={then}")


def _account(scheme: str, host: str, port: int, user: str) -> Account:
    """Return what an URL without options says."""
    protocol = Protocol(scheme.removesuffix("s"))
    tls = scheme.endswith("s")
    return Account(
        protocol=protocol,
        host=host,
        port=port,
        tls=tls,
        starttls=not tls and not is_loopback(host),
        user=user,
        then=_THENS[protocol][0],
        poll=_POLLS[protocol],
    )


def _checked(account: Account) -> Account:
    words = [account.user, account.password, account.folder, account.to]
    if any(ord(sign) < 32 or sign == "\x7f" for word in words for sign in word):
        raise BadMailbox
    if account.then not in _THENS[account.protocol]:
        what = Sentence("says then={then}, which POP3 cannot do: write keep or delete", then=account.then)
    elif account.then is Then.MOVE and account.to in ("", account.folder):
        what = Sentence("moves mail to the folder it is in: name another with to=")
    elif account.token_url and not (account.auth is Auth.XOAUTH2 and account.client_id):
        what = Sentence("says where tokens are had: add auth=xoauth2 and client_id")
    else:
        return account
    raise _refusal(account.host, what)


def _auth(text: str) -> Auth:
    return {"password": Auth.BEST, "best": Auth.BEST, "xoauth2": Auth.XOAUTH2}[text]


_OPTIONS: Options = {
    "then": (Then, Sentence("move, mark, keep or delete")),
    "to": (str, Sentence("a folder")),
    "alone": (options.flag, Sentence("yes or no")),
    "poll": (options.number(10, 86_400), Sentence("seconds, 10 to 86400")),
    "starttls": (options.flag, Sentence("yes or no")),
    "tls_verify": (options.flag, Sentence("yes or no")),
    "ca": (str, Sentence("a file of certificates")),
    "auth": (_auth, Sentence("password or xoauth2")),
    "token_url": (options.https, Sentence("an address that begins with https://")),
    "client_id": (str, Sentence("the client's id, without spaces")),
    "client_secret": (str, Sentence("the client's secret")),
    "scope": (str, Sentence("the scopes, separated by %20")),
    "grant": (TokenGrant, Sentence("refresh_token or client_credentials")),
}


def _refusal(host: str, what: Sentence) -> BadMailbox:
    return BadMailbox("The URL of mailbox {host} {what}.", host=host, what=what)
