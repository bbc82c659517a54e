"""Signing: tokens that name a delivery or a subscriber and that nobody else can make.

One derived key per purpose, so that a click token never leaves and a return path never clicks. A token
carries the key id, so keys can be rotated: the newest signs, all verify. Tokens of deliveries are short
and fixed in length; the text form is base32 in lower case, because return paths come back lower-cased
and links get typed by hand. MAC: BLAKE2b keyed (RFC 7693), 80 bits.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b

from mailer.errors import MailerError

_MAC = 10  # octets; 2**80 tries for one forged token
_BODY = struct.Struct(">BIIH")  # key id, first number, second number, expiry as days since 1970 (0: never)
_DAY = 86_400
_KEY_ID = re.compile(r"[0-9]{1,3}")
_SHORTEST_KEY = 16  # characters


class Purpose(bytes, Enum):
    """What a token may do. At most 16 octets: BLAKE2b's ``person``."""

    LINK = b"link"  # click, open, view in browser: of a delivery, never expires
    LEAVE = b"leave"  # one-click leave: of a delivery, never expires
    RETURN_PATH = b"return-path"  # envelope sender: of a delivery, expires
    MESSAGE_ID = b"message-id"  # of a delivery, never expires
    PREFERENCES = b"preferences"  # of a subscriber, sent by mail on request, expires
    CONFIRM = b"confirm"  # of a subscription, expires
    ADDRESS = b"address"  # keyed hash of an erased address: suppression outlives erasure


class BadToken(MailerError):
    """This link is not valid or has expired: ask for a new one."""

    http_status = 404


class BadSecret(MailerError):
    """MAILER_SECRET cannot be read: give `id:key`, keys of 16 signs or more."""


@dataclass(frozen=True)
class Keyring:
    """Keys by id; the first given signs, all verify."""

    keys: Mapping[int, bytes] = field(repr=False)
    current: int

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read ``id:key,id:key``, newest first.

        :raises BadSecret: not of that form
        """
        keys: dict[int, bytes] = {}
        for pair in text.split(","):
            number, _, key = pair.strip().partition(":")
            if not _KEY_ID.fullmatch(number) or not 0 < int(number) < 256 or len(key) < _SHORTEST_KEY:
                raise BadSecret
            if int(number) in keys:
                raise BadSecret  # the first of the two would silently sign nothing
            keys[int(number)] = key.encode()
        return cls(keys, next(iter(keys)))

    def sign(self, purpose: Purpose, first: int, second: int = 0, *, expires: datetime | None = None) -> str:
        """Return a 34-sign token (a-z, 2-7) for two numbers below 2**32; ``expires`` None: never."""
        day = -(-int(expires.timestamp()) // _DAY) if expires else 0
        body = _BODY.pack(self.current, first, second, day)
        return _text(body + self._mac(purpose, self.current, body))

    def read(self, purpose: Purpose, token: str, *, now: datetime | None = None) -> tuple[int, int]:
        """Return the two numbers. ``now`` None: expiry is not looked at.

        :raises BadToken: forged, of another purpose, of a forgotten key, or expired
        """
        raw = _octets(token)
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(raw) != _BODY.size + _MAC or body[0] not in self.keys:
            raise BadToken
        if not hmac.compare_digest(mac, self._mac(purpose, body[0], body)):
            raise BadToken
        _, first, second, day = _BODY.unpack(body)
        if now is not None and day and now.astimezone(UTC).timestamp() > day * _DAY:
            raise BadToken
        return first, second

    def address_hash(self, address_key: str) -> str:
        """Return a keyed hash of an address: tells whether one is known without keeping it."""
        oldest = min(self.keys)  # the one key that must never be retired: hashes cannot be re-made
        return blake2b(
            address_key.encode(), key=self._key(Purpose.ADDRESS, oldest), digest_size=16
        ).hexdigest()

    def _mac(self, purpose: Purpose, key_id: int, body: bytes) -> bytes:
        return blake2b(body, key=self._key(purpose, key_id), digest_size=_MAC).digest()

    def _key(self, purpose: Purpose, key_id: int) -> bytes:
        cached = _DERIVED.get((self.keys[key_id], purpose))
        if cached is None:
            cached = blake2b(self.keys[key_id], person=purpose.value, digest_size=32).digest()
            _DERIVED[self.keys[key_id], purpose] = cached
        return cached


_DERIVED: dict[tuple[bytes, Purpose], bytes] = {}  # deriving costs as much as signing


def _text(octets: bytes) -> str:
    return base64.b32encode(octets).decode("ascii").rstrip("=").lower()


def _octets(token: str) -> bytes:
    try:
        raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    except (binascii.Error, ValueError):
        return b""
    # the last sign carries spare bits: only the spelling that sign() makes is a token
    return raw if _text(raw) == token.lower() else b""
