"""Tickets: what an empty form carries, so that machines which fill in thousands are slowed down.

Signed, good for one form of one publication from two seconds to a day after it was shown. Where many forms
come at once, a browser must also work for a second, or its person do a sum. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from mailer.errors import Invalid
from mailer.signing import BadToken, Keyring, Purpose

QUICKEST = timedelta(seconds=2)  # no person reads a form and fills it in sooner
LASTS = timedelta(days=1)
BITS = 16  # a puzzle takes 2**16 digests: a second of a phone, an hour for five thousand forms
_LONGEST_WORK = 20  # signs


class Stale(Invalid):
    """This form was open for too long or was sent before: look it over and send it once more."""


class TooQuick(Invalid):
    """That was very quick: please press the button once more."""


def issue(keys: Keyring, publication_id: int, now: datetime, nonce: int) -> str:
    """Return a ticket; ``nonce``: any number below 2**16, to tell forms of one second apart."""
    return keys.sign(Purpose.FORM, int(now.timestamp()), publication_id % 2**16 << 16 | nonce)


def check(keys: Keyring, ticket: str, publication_id: int, now: datetime) -> None:
    """:raises Stale: none of ours, another publication's, or too old
    :raises TooQuick: too young
    """
    try:
        shown, rest = keys.read(Purpose.FORM, ticket)
    except BadToken as error:
        raise Stale from error
    age = now - datetime.fromtimestamp(shown, UTC)
    if rest >> 16 != publication_id % 2**16 or age > LASTS:
        raise Stale
    if age < QUICKEST:
        raise TooQuick


def is_solved(ticket: str, work: str) -> bool:
    """Tell whether a browser has worked: the digest of ticket and work begins with ``BITS`` zero bits."""
    if not 0 < len(work) <= _LONGEST_WORK:
        return False
    digest = sha256(f"{ticket}:{work}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - BITS) == 0


def summands(keys: Keyring, ticket: str) -> tuple[int, int]:
    """Return the two numbers that a person adds where the browser cannot work.

    :raises BadToken: no ticket of ours
    """
    _, rest = keys.read(Purpose.FORM, ticket)
    return 2 + rest % 8, 3 + rest // 8 % 7
