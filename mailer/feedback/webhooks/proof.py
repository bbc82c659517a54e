"""How a provider proves that it is the one who tells: signatures, shared secrets, and how old news may be.

A signature says who speaks; an instant signed with it keeps an old post from being played again. Where none
is signed, nothing is lost: news told again changes nothing.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mailer.errors import MailerError
from mailer.feedback.webhooks.node import Node

UNPROVED = 1024 * 1024  # octets that are taken apart for a stranger; SNS sends 256 KB, written as JSON
USER = "mailer"  # in Basic credentials; only the password counts


class Refused(MailerError):
    """This webhook is not signed as it should be: compare its secret here and at the provider."""

    http_status = 403


class Stale(Refused):
    """This post was signed too long ago, or this machine's clock is wrong: send it again."""


class NoCredentials(Refused):
    """This webhook needs a name and a password: take its address from `mailer webhook add`."""

    http_status = 401


@dataclass(frozen=True, slots=True)
class Post:
    """What came: ``headers`` by name in lower case, and ``url`` as the provider knows it.

    ``secret`` is what stood in the path behind the provider's name.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    secret: str = ""

    def header(self, name: str) -> str:
        """Return a header's value, "" if it did not come."""
        return self.headers.get(name, "").strip()


Certificate = Callable[[str], RSAPublicKey]
"""Fetches the public key of the certificate at an address that is on the list of those who may be asked."""

Check = Callable[[Post, str, datetime, Certificate], None]
"""Raises ``Refused`` unless a post proves itself by a secret at an instant."""


def unproved(post: Post) -> Node:
    """Read a post whose proof lies in its body: one event, so a long one is not even looked into.

    :raises Refused: it is longer than any such post, or no JSON
    """
    document = Node.parse(post.body) if len(post.body) <= UNPROVED else None
    if document is None:
        raise Refused
    return document


def same(given: str, secret: str) -> bool:
    """Compare without telling by the time it takes how much was right."""
    return bool(secret) and hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def require(proved: bool) -> None:
    """:raises Refused: it is not"""
    if not proved:
        raise Refused


def require_recent(at: datetime | None, now: datetime, window: timedelta) -> None:
    """:raises Stale: ``at`` is further from now than ``window``, in either direction"""
    if at is None or abs(now - at) > window:
        raise Stale


def from_epoch(text: str, *, per_second: int = 1) -> datetime | None:
    """Return the instant that a count of seconds since 1970, or of parts of them, names."""
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        return None
    try:
        return datetime.fromtimestamp(int(text) / per_second, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def decoded(text: str) -> bytes:
    """Return base64's octets; none where it is not base64."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    """Return the keyed hash (RFC 2104)."""
    return hmac.new(key, text, hashlib.sha256).digest()


def rsa_signed(key: RSAPublicKey, signature: bytes, text: bytes, hash_: hashes.HashAlgorithm) -> bool:
    """Say whether a signature is right: RSASSA-PKCS1-v1_5 (RFC 8017 §8.2)."""
    try:
        key.verify(signature, text, padding.PKCS1v15(), hash_)
    except InvalidSignature:
        return False
    return True


# --- checks that several providers share ----------------------------------------------------------------


def basic(post: Post, secret: str, _now: datetime, _certificate: Certificate) -> None:
    """The secret is the password of Basic credentials (RFC 7617), which the address holds.

    :raises NoCredentials: none came
    """
    kind, _, rest = post.header("authorization").partition(" ")
    if not kind:
        raise NoCredentials
    _, _, password = decoded(rest.strip()).decode(errors="replace").partition(":")
    require(kind.lower() == "basic" and same(password, secret))


def bearer_or_basic(post: Post, secret: str, now: datetime, certificate: Certificate) -> None:
    """The secret is a bearer token (RFC 6750 §2.1), or else the password of Basic credentials."""
    kind, _, rest = post.header("authorization").partition(" ")
    if kind.lower() != "bearer":
        basic(post, secret, now, certificate)
    else:
        require(same(rest.strip(), secret))


def in_path(post: Post, secret: str, _now: datetime, _certificate: Certificate) -> None:
    """The secret is the end of the address."""
    require(same(post.secret, secret))
