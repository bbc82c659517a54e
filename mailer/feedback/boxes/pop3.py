"""A POP3 client (RFC 1939) of what reading a mailbox needs.

The stdlib's refuses lines beyond 2,048 octets; bounces that quote HTML have them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from datetime import date

from mailer.delivery.relay import Auth, RelayUnavailable, is_loopback
from mailer.feedback.boxes.account import Account, Then
from mailer.feedback.boxes.box import Waiting, access_token
from mailer.feedback.boxes.trouble import (
    in_the_clear,
    no_starttls,
    no_token,
    not_let_in,
    refused,
    said,
)
from mailer.feedback.boxes.wire import Wire

_MOST = 1_000_000  # mails in one mailbox


class Pop3:
    """A mailbox, locked while it is open, so it is opened for one look. Its mails have UIDs, and no order."""

    def __init__(self, account: Account) -> None:
        """Connect and sign in.

        :raises MailboxTrouble:
        """
        self._account = account
        self._there: dict[str, Waiting] = {}
        self._wire = Wire(account)
        try:
            self._hear("CONNECT")
            if account.starttls:
                self._ask("STLS")
                self._wire.start_tls()
            self._sign_in()
        except BaseException:
            self._wire.close()
            raise

    def fresh(self, cursor: str, since: date) -> list[Waiting]:
        """Return all that is there; the caller knows which of them it has seen.

        :raises MailboxTrouble:
        """
        sizes = dict(self._listing("LIST"))
        self._there = {
            uid: Waiting(number, int(size) if (size := sizes.get(number, "")).isdecimal() else 0, "", uid)
            for number, uid in self._listing("UIDL")
        }
        return list(self._there.values())

    def find(self, uids: Collection[str]) -> list[Waiting]:
        """Return those of these mails that are still there, by what ``fresh`` has found."""
        return [self._there[uid] for uid in uids if uid in self._there]

    def fetch(self, waiting: Waiting, limit: int) -> bytes | None:
        """Return a mail, no more than its first ``limit`` octets.

        :raises MailboxTrouble:
        """
        self._ask(f"RETR {waiting.key}")
        mail = bytearray()
        while (line := self._wire.line()) != b".":
            if len(mail) < limit:
                mail += line.removeprefix(b".") + b"\r\n"
        return bytes(mail[:limit])

    def settle(self, waiting: Collection[Waiting]) -> None:
        """Delete mails that are stored, if the account says so; done when the connection ends in order.

        :raises MailboxTrouble:
        """
        if self._account.then is Then.DELETE:
            for one in waiting:
                self._ask(f"DELE {one.key}")

    def wait(self, going_on: Callable[[], bool]) -> bool:
        """POP3 has nothing to wait for: a new mail is seen by who connects anew."""
        return False

    def close(self) -> None:
        """Take leave, which is what deletes.

        :raises MailboxTrouble: the server could not delete
        """
        try:
            self._ask("QUIT")
        finally:
            self._wire.close()

    def _sign_in(self) -> None:
        account = self._account
        if not self._wire.secure and not is_loopback(account.host):
            raise in_the_clear(account)
        try:
            if account.auth is Auth.XOAUTH2:
                self._authenticate(access_token(account))
            else:
                self._ask(f"USER {account.user}", "USER")
                self._ask(f"PASS {account.password}", "PASS")
        except RelayUnavailable as error:
            raise no_token(account, error) from error

    def _authenticate(self, words: bytes) -> None:
        self._wire.send(b"AUTH XOAUTH2\r\n")
        line = self._wire.line()
        if line.startswith(b"+ ") or line == b"+":
            self._wire.send(base64.b64encode(words) + b"\r\n")
            line = self._wire.line()
            if line.startswith(b"+ "):  # why not, in JSON; the refusal itself follows an empty line
                self._wire.send(b"\r\n")
                line = self._wire.line()
        self._check(line, "AUTH")

    def _listing(self, verb: str) -> list[tuple[str, str]]:
        self._ask(verb)
        found: list[tuple[str, str]] = []
        while (line := self._wire.line()) != b".":
            number, _, rest = said(line).partition(" ")
            if len(found) < _MOST and number.isdecimal():
                found.append((number, rest))
        return found

    def _ask(self, command: str, verb: str = "") -> None:
        self._wire.send(command.encode() + b"\r\n")
        self._hear(verb or command.partition(" ")[0])

    def _hear(self, verb: str) -> None:
        self._check(self._wire.line(), verb)

    def _check(self, line: bytes, verb: str) -> None:
        if line.startswith(b"+OK"):
            return
        reply = said(line)
        if verb in ("USER", "PASS", "AUTH"):
            # RFC 3206: [SYS/TEMP] and [IN-USE] speak of the moment, all else of the password
            passing = any(word in reply.upper() for word in ("[SYS/TEMP", "[IN-USE", "[LOGIN-DELAY"))
            raise not_let_in(self._account, reply, lasting=not passing)
        raise no_starttls(self._account) if verb == "STLS" else refused(self._account, verb, reply)
