"""DKIM: signatures that tell receivers which domain answers for a letter (RFC 6376, RFC 8463).

Canonicalisation is relaxed/simple: relays may fold and space header fields, nobody rewrites our bodies,
and "simple" hashes a body where it lies. A letter is hashed once, however many keys sign it. There is no
``l=`` (RFC 6376 §8.2: text could be added behind it) and no ``x=``. Domains are A-labels, which both plain
and internationalised letters may carry (RFC 8616 §4); header fields may be UTF-8 (RFC 6532).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parseaddr
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

SIGNED = (  # RFC 6376 §5.4.1, and what RFC 8058 §4 demands; a field that a letter has not is not named
    "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references",
    "list-id", "list-help", "list-archive", "list-unsubscribe", "list-unsubscribe-post", "feedback-id",
    "auto-submitted", "mime-version", "content-type", "content-transfer-encoding", "content-language",
)  # fmt: skip
SEALED = ("from", "to", "subject", "date")  # named once more than they stand: nobody adds a second, §8.15

_RSA_BITS = 2048  # RFC 8301 §3.2; with 4096 the DNS answer no longer fits in one small packet
_LINE = 72  # octets of a folded signature or field list


class Algorithm(StrEnum):
    """How a key signs: the ``a=`` of its signatures."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"  # RFC 8463; many receivers know only the other, so sign with both

    @property
    def key_type(self) -> str:
        """The ``k=`` of its DNS record."""
        return self.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Key:
    """A private key and where its public half stands: ``selector._domainkey.domain``, all A-labels."""

    domain: str
    selector: str
    private: PrivateKey = field(repr=False)


def generate(algorithm: Algorithm) -> PrivateKey:
    """Return a new private key."""
    if algorithm is Algorithm.ED25519:
        return Ed25519PrivateKey.generate()
    return generate_private_key(65537, _RSA_BITS)


def algorithm_of(private: PrivateKey) -> Algorithm:
    """Return how a key signs."""
    return Algorithm.RSA if isinstance(private, RSAPrivateKey) else Algorithm.ED25519


def public_text(private: PrivateKey) -> str:
    """Return the ``p=`` of a key's DNS record: RFC 6376 §3.6.1, RFC 8463 §4.2."""
    public = private.public_key()
    if isinstance(private, RSAPrivateKey):
        octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b64encode(octets).decode()


def sender_domain(head: bytes) -> str:
    """Return the domain of a letter's From, in lower case; "" if there is none. ``head`` may go on."""
    _, lines = _canonical(head.partition(b"\r\n\r\n")[0])
    writer = next((line for line in lines if line.startswith(b"from:")), b"")
    _, address = parseaddr(writer.decode("utf-8", "replace").removeprefix("from:"))
    return address.rpartition("@")[2].lower()


class Signer:
    """Signs letters with one or more keys. Holds no state: threads may share it."""

    def __init__(self, keys: Sequence[Key]) -> None:
        """Prepare what every signature of a key has in common; signatures come in the order of ``keys``."""
        self._keys = [(_opening(key), key.private) for key in keys]

    def sign(self, message: bytes, now: datetime | None = None) -> bytes:
        """Return the DKIM-Signature fields to put before ``message``, each ended by CRLF.

        ``message`` has CRLF line ends throughout. ``now`` is told in ``t=``, with None there is none.
        """
        end = message.find(b"\r\n\r\n")
        head = message if end < 0 else message[:end]
        names, lines = _canonical(head)
        digest = b64encode(_body_hash(message, len(message) if end < 0 else end + 4))
        stamp = b"" if now is None else b" t=%d;" % now.timestamp()
        common = b"%b\r\n h=%b;\r\n bh=%b;\r\n b=" % (stamp, _field_list(names), digest)
        fields = b"".join(lines)
        return b"".join([_signature(opening + common, fields, private) for opening, private in self._keys])


def _opening(key: Key) -> bytes:
    algorithm = algorithm_of(key.private)
    return f"v=1; a={algorithm}; c=relaxed/simple;\r\n d={key.domain}; s={key.selector};".encode("ascii")


def _signature(tags: bytes, fields: bytes, private: PrivateKey) -> bytes:
    """Return a field: its own tags are signed last, unfolded, with ``b=`` empty (RFC 6376 §3.7)."""
    data = b"%bdkim-signature:%b" % (fields, tags.replace(b"\r\n ", b" "))
    if isinstance(private, RSAPrivateKey):
        signed = b64encode(private.sign(data, _PADDING, _HASH))
    else:
        signed = b64encode(private.sign(sha256(data).digest()))  # RFC 8463 §3: it signs the hash
    folded = b"\r\n ".join([signed[at : at + _LINE] for at in range(0, len(signed), _LINE)])
    return b"DKIM-Signature: %b%b\r\n" % (tags, folded)


_PADDING, _HASH = PKCS1v15(), SHA256()


# Canonical forms


def _canonical(head: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Return the names and the relaxed lines (RFC 6376 §3.4.2) of the fields to sign.

    The lowest comes first: so fields that stand several times must be signed (§5.4.2).
    """
    flat = head.replace(b"\t", b" ").replace(b"\r\n ", b" ")
    while b"  " in flat:
        flat = flat.replace(b"  ", b" ")
    fields = [found for line in reversed(flat.split(b"\r\n")) if (found := _field(line))]
    return tuple([name for name, _ in fields]), [line for _, line in fields]


@lru_cache(maxsize=1024)
def _field(line: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the relaxed line of a field to sign: most are the same in a campaign's letters."""
    name, _, value = line.partition(b":")
    name = name.lower().rstrip(b" ")
    return (name, b"%b:%b\r\n" % (name, value.strip(b" "))) if name in _NAMES else None


_NAMES = frozenset(name.encode() for name in SIGNED)


@lru_cache(maxsize=256)
def _field_list(names: tuple[bytes, ...]) -> bytes:
    """Return the ``h=`` of fields signed by these names, folded: the same for a campaign's every letter."""
    lines = [""]
    for name in (*(name.decode() for name in names), *SEALED):
        if len(lines[-1]) + len(name) > _LINE:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n ".join(lines).removesuffix(":").encode()


def _body_hash(message: bytes, start: int) -> bytes:
    """Hash the body where it lies: empty lines at its end count as none (simple, RFC 6376 §3.4.3)."""
    end = len(message)
    while message.endswith(b"\r\n", start, end):
        end -= 2
    body = memoryview(message)
    if end + 2 <= len(message):
        return sha256(body[start : end + 2]).digest()
    digest = sha256(body[start:end])
    digest.update(b"\r\n")
    return digest.digest()
