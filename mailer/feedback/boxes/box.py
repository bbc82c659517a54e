"""What IMAP and POP3 have in common for who reads a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from mailer.delivery.oauth import tokens_of
from mailer.feedback.boxes.account import Account


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail in a mailbox; ``size`` in octets.

    ``key`` names it to the server now, ``uid`` in this mailbox for good. ``cursor``: the place to go on
    behind once it was looked at, "" where there is no order or this was passed before.
    """

    key: str
    size: int
    cursor: str
    uid: str


class Box(Protocol):
    """An open mailbox. Every method may raise ``MailboxTrouble``, after which it is of no more use."""

    def fresh(self, cursor: str, since: date) -> list[Waiting]: ...
    def find(self, uids: Collection[str]) -> list[Waiting]: ...
    def fetch(self, waiting: Waiting, limit: int) -> bytes | None: ...
    def settle(self, waiting: Collection[Waiting]) -> None: ...
    def wait(self, going_on: Callable[[], bool]) -> bool: ...
    def close(self) -> None: ...


def access_token(account: Account) -> bytes:
    """Return what XOAUTH2 wants to hear.

    :raises RelayUnavailable: no token can be had
    """
    token = tokens_of(account.as_relay).get() if account.token_url else account.password
    return f"user={account.user}\1auth=Bearer {token}\1\1".encode()
