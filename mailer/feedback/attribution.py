"""Attribution: which delivery a mail speaks of, by what only we could have signed.

The token is in the address the mail came to. A complaint may come to another address and have the reader's
redacted: then the letter it encloses tells, by its own return path or Message-ID. A person's answer may come
to a mailbox of ours: then it says what it answers. The address a report names decides nothing here: after
forwarding it is not the one we wrote to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mailer.address import key_of
from mailer.feedback.kind import Kind
from mailer.feedback.message import Addresses
from mailer.signing import BadToken, Keyring, Purpose

_SIGNED = re.compile(r"(b|leave|m)-([a-z2-7]{34})@", re.IGNORECASE)
_PURPOSES = {"b": Purpose.RETURN_PATH, "leave": Purpose.LEAVE, "m": Purpose.MESSAGE_ID}
_MAILBOXES = frozenset({Purpose.RETURN_PATH, Purpose.LEAVE})
_IDENTIFIERS = frozenset({Purpose.RETURN_PATH, Purpose.MESSAGE_ID})


@dataclass(frozen=True, slots=True)
class Sealed:
    """A token that was read: what it is for, and the delivery it names."""

    purpose: Purpose
    campaign_id: int
    n: int

    @property
    def delivery(self) -> tuple[int, int]:
        """The key of the ledger."""
        return self.campaign_id, self.n


def mailbox(address: str, keys: Keyring, now: datetime) -> Sealed | None:
    """Return whose return path or leave address this is; None: not one of ours, forged, or expired."""
    return _read(address, keys, now, _MAILBOXES)


def delivery_of(
    kind: Kind, envelope_to: str, found: Addresses, keys: Keyring, now: datetime
) -> Sealed | None:
    """Return the delivery a mail of this kind speaks of; None: backscatter, which changes nothing."""
    for address in (envelope_to, *found.delivered_to):
        if sealed := mailbox(address, keys, now):
            return sealed
    inside = [(found.original_message_id, Purpose.MESSAGE_ID)]
    if kind is Kind.COMPLAINT:
        inside.insert(0, (found.original_return_path, Purpose.RETURN_PATH))
    elif kind is not Kind.ORDINARY:  # which changes nothing: it is passed on
        return None
    for text, purpose in inside:
        if sealed := _read(text or "", keys, now, frozenset({purpose})):
            return sealed
    return None


def letter_named(texts: Iterable[str], keys: Keyring, now: datetime) -> Sealed | None:
    """Return the letter that one of these identifiers names, by Message-ID or by return path."""
    for text in texts:
        if sealed := _read(text, keys, now, _IDENTIFIERS):
            return sealed
    return None


def same_mailbox(named: str, written: str) -> bool:
    """Tell whether a report speaks of the mailbox we wrote to, rather than of one it forwards to.

    A domain's own hosts may stand in the report (ann@mx.example.org for ann@example.org). A report that names
    nobody speaks of the only one we wrote to.
    """
    local, _, domain = key_of(named).rpartition("@")
    own_local, _, own_domain = key_of(written).rpartition("@")
    related = domain == own_domain or domain.endswith(f".{own_domain}") or own_domain.endswith(f".{domain}")
    return not named or (local == own_local and related)


def token_in(found: Addresses) -> str | None:
    """Return the first thing in these addresses that is written like a token of ours, signed or not."""
    for text in (*found.delivered_to, found.original_return_path, found.original_message_id):
        if match := _SIGNED.search(text or ""):
            return match[2].lower()
    return None


def _read(text: str, keys: Keyring, now: datetime, purposes: frozenset[Purpose]) -> Sealed | None:
    match = _SIGNED.match(text.strip().lstrip("<"))
    if match is None or (purpose := _PURPOSES[match[1].lower()]) not in purposes:
        return None
    try:
        return Sealed(purpose, *keys.read(purpose, match[2], now=now))
    except BadToken:
        return None
