"""TOTP: the six figures an authenticator app shows (RFC 6238 on RFC 4226). Pure.

SHA-1, six digits, thirty seconds: what every app does, whatever the address of the secret asks for.
"""

from __future__ import annotations

import hmac
import struct
import unicodedata
from base64 import b32encode
from datetime import datetime
from urllib.parse import quote, urlencode

STEP = 30  # seconds, RFC 6238 §5.2
DRIFT = 1  # steps to either side, same section: a phone's clock may be half a minute off
DIGITS = 6
SECRET_OCTETS = 20  # RFC 4226 §4, R6: 160 bits


def step_of(now: datetime) -> int:
    """Return the number of the time step ``now`` lies in."""
    return int(now.timestamp()) // STEP


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a time step (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    start = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_matching(secret: bytes, code: str, now: datetime) -> int | None:
    """Return the step whose code this is, of those within ``DRIFT``; None: it is none of theirs.

    Every candidate is compared, in the same time whether it fits or not.
    """
    typed = figures(code).encode()
    steps = range(step_of(now) - DRIFT, step_of(now) + DRIFT + 1)
    fitting = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), typed)]
    return fitting[-1] if fitting else None


def figures(code: str) -> str:
    """Return a code as typed without what apps show between its figures; full-width ones count as well."""
    return "".join(unicodedata.normalize("NFKC", code).split()).replace("-", "")


def readable(secret: bytes) -> str:
    """Return a secret as people type it into an app: base32 in groups of four."""
    text = b32encode(secret).decode().rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def address(secret: bytes, *, account: str, issuer: str) -> str:
    """Return the ``otpauth:`` address that a QR code holds; apps show issuer and account beside the code."""
    query = urlencode({"secret": b32encode(secret).decode().rstrip("="), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{query}"
