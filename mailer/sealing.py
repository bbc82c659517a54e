"""Sealing: secrets that are kept in the database, and that its copies do not tell.

AES-256-GCM (NIST SP 800-38D) under a key derived from the keyring's. A sealed text carries the id of the
key that sealed it, so that MAILER_SECRET can be rotated: the newest seals, all open. What a secret is for
is sealed in with it: put in another's place, it does not open.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailer.errors import MailerError
from mailer.signing import Keyring

_NONCE = 12  # octets, SP 800-38D §8.2; drawn afresh: few secrets are ever sealed
_PERSON = b"seal"  # no token's purpose: BLAKE2b derives another key than any that signs


class Unsealable(MailerError):
    """A stored secret does not open: put the key that MAILER_SECRET held before back, behind the newest."""


def seal(keys: Keyring, secret: bytes, *, purpose: str) -> str:
    """Return ``secret`` as text that only ``unseal`` with the same purpose opens."""
    nonce = os.urandom(_NONCE)
    sealed = nonce + _cipher(keys, keys.current).encrypt(nonce, secret, purpose.encode())
    return f"{keys.current}:{b64encode(sealed).decode()}"


def unseal(keys: Keyring, sealed: str, *, purpose: str) -> bytes:
    """Return what was sealed.

    :raises Unsealable: no key of the ring sealed it, or it was sealed for another purpose, or changed
    """
    number, _, text = sealed.partition(":")
    if not number.isdecimal() or int(number) not in keys.keys:
        raise Unsealable
    try:
        octets = b64decode(text, validate=True)
        return _cipher(keys, int(number)).decrypt(octets[:_NONCE], octets[_NONCE:], purpose.encode())
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise Unsealable from error


def _cipher(keys: Keyring, key_id: int) -> AESGCM:
    return AESGCM(blake2b(keys.keys[key_id], person=_PERSON, digest_size=32).digest())
