"""Signing: tokens that name a delivery or a subscriber and that nobody else can make.

One derived key per purpose, so that a click token never leaves and a return path never clicks. A token
carries the key id, so keys can be rotated: the newest signs, all verify. Tokens of deliveries are short
and fixed in length; the text form is base32 in lower case, because return paths come back lower-cased
and links get typed by hand. MAC: BLAKE2b keyed (RFC 7693), 80 bits.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from hashlib import blake2b

from mailer.errors import MailerError
from mailer.sentence import Sentence

_MAC = 10  # octets; 2**80 tries for one forged token
_BODY = struct.Struct(">BIIH")  # key id, first number, second number, expiry as days since 1970 (0: never)
_OCTETS = _BODY.size + _MAC
_TOKEN = re.compile(r"[a-zA-Z2-7]{34}")
_LENGTH, _PADDED_LENGTH = 34, 40  # signs of base32, which come in groups of eight for five octets
_PADDING = bytes(4)
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
    SIGN_UP = b"sign-up"  # of a filled-in form, mailed to the address it names, expires
    FORM = b"form"  # of an empty form: when it was shown, and a number that makes it the only one
    NEW_ADDRESS = b"new-address"  # of a change of address, mailed to the new one, expires
    DATA = b"data"  # of a subscriber, mailed on request, for minutes: shows all we hold
    ERASE = b"erase"  # of a subscriber, mailed on request, for minutes: erases all we hold
    ADDRESS = b"address"  # keyed hash of an erased address: suppression outlives erasure


class BadToken(MailerError):
    """This link is not whole, or not valid any more: open it from the mail itself, or ask for a new one."""

    http_status = 404
    heading = Sentence("This link does not work")


class Expired(BadToken):
    """This link has expired: ask for a new one."""

    http_status = 410
    heading = Sentence("This link has expired")


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
        [token] = self.sign_all(purpose, first, (second,), expires=expires)
        return token

    def sign_all(
        self, purpose: Purpose, first: int, seconds: Iterable[int], *, expires: datetime | None = None
    ) -> list[str]:
        """Return, for ``first`` with each of ``seconds``, what ``sign`` returns, at a quarter of its cost."""
        day = -(-int(expires.timestamp()) // _DAY) if expires else 0
        keyed = _keyed(self.keys[self.current], purpose)
        octets = bytearray()
        for second in seconds:
            body = _BODY.pack(self.current, first, second, day)
            mac = keyed.copy()
            mac.update(body)
            octets += body + mac.digest() + _PADDING
        signs = _base32(octets)
        return [signs[at : at + _LENGTH] for at in range(0, len(signs), _PADDED_LENGTH)]

    def read(self, purpose: Purpose, token: str, *, now: datetime | None = None) -> tuple[int, int]:
        """Return the two numbers. ``now`` None: expiry is not looked at.

        :raises BadToken: forged, of another purpose, of a forgotten key
        :raises Expired: it was good once
        """
        raw = _octets(token)
        body = raw[:-_MAC]
        if not raw or raw[0] not in self.keys:
            raise BadToken
        mac = _keyed(self.keys[raw[0]], purpose).copy()
        mac.update(body)
        if not hmac.compare_digest(raw[-_MAC:], mac.digest()):
            raise BadToken
        _, first, second, day = _BODY.unpack(body)
        if now is not None and day and now.astimezone(UTC).timestamp() > day * _DAY:
            raise Expired
        return first, second

    def sign_briefly(self, purpose: Purpose, number: int, *, expires: datetime) -> str:
        """Return a token for one number that expires at a second, not at midnight."""
        return self.sign(purpose, number, int(expires.timestamp()))

    def read_brief(self, purpose: Purpose, token: str, *, now: datetime) -> int:
        """Return the number of ``sign_briefly``.

        :raises BadToken: forged, of another purpose, of a forgotten key
        :raises Expired: it was good once
        """
        number, until = self.read(purpose, token)
        if now.timestamp() > until:
            raise Expired
        return number

    def address_hash(self, address_key: str) -> str:
        """Return a keyed hash of an address: tells whether one is known without keeping it."""
        oldest = self.keys[min(self.keys)]  # the one key that must never be retired: hashes cannot be re-made
        key = _derived(oldest, Purpose.ADDRESS)
        return blake2b(address_key.encode(), key=key, digest_size=16).hexdigest()


@lru_cache(maxsize=64)  # deriving costs more than signing
def _derived(key: bytes, purpose: Purpose) -> bytes:
    return blake2b(key, person=purpose.value, digest_size=32).digest()


@lru_cache(maxsize=64)
def _keyed(key: bytes, purpose: Purpose) -> blake2b:
    """Return a hash that has taken in the purpose's key and nothing else: for copying, never for updating."""
    return blake2b(key=_derived(key, purpose), digest_size=_MAC)


# --- base32, of many tokens at once: RFC 4648 §6, in lower case -----------------------------------------

_SIGNS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")  # for int()
_ALPHABET = bytes.maketrans(bytes(range(32)), b"abcdefghijklmnopqrstuvwxyz234567")
# Eight octets that hold 40 bits come to hold 5 each in three halvings: what the mask shows moves left.
_HALVINGS = tuple(
    (bytes.fromhex(mask), shift)
    for mask, shift in (("000000fffff00000", 12), ("000ffc00000ffc00", 6), ("03e003e003e003e0", 3))
)


def _base32(octets: bytes | bytearray) -> str:
    """Return eight signs for every five octets; their number must be a multiple of five.

    All groups are worked on as one long integer, which for a hundred tokens is ten times faster than
    looking up sign after sign.
    """
    groups = len(octets) // 5
    wide = bytearray(8 * groups)
    for place in range(5):
        wide[3 + place :: 8] = octets[place::5]
    bits = int.from_bytes(wide, "big")
    for mask, shift in _masks(groups):
        bits += (bits & mask) * ((1 << shift) - 1)  # adding x·(2^n - 1) to x moves it n bits to the left
    return bits.to_bytes(8 * groups, "big").translate(_ALPHABET).decode()


@lru_cache(maxsize=16)
def _masks(groups: int) -> list[tuple[int, int]]:
    return [(int.from_bytes(mask * groups, "big"), shift) for mask, shift in _HALVINGS]


def _octets(token: str) -> bytes:
    """Return what a token says; nothing if it is none.

    The last sign carries two spare bits: only the spelling that ``sign`` makes is a token.
    """
    if not _TOKEN.fullmatch(token):
        return b""
    bits = int(token.lower().translate(_SIGNS), 32)
    return b"" if bits & 3 else (bits >> 2).to_bytes(_OCTETS, "big")
