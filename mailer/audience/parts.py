"""Parts: the people of an import of whom there is nothing to say but that they were added, packed. Pure.

A million of them take 28 MB. What a colleague's file said of them is not kept a second time: a digest tells,
when the import is undone, whether anybody has changed them since.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple

from mailer.audience.names import Names

_PERSON = struct.Struct("<IQ8s8s")
SIZE = _PERSON.size  # octets of one
_NAMES = tuple(Names().columns())
_OF_SUBSCRIBER = itemgetter("address_hash", "language", "country", "zone", *_NAMES)
_OF_MEMBERSHIP = itemgetter("partner_id", "language", "notes", *_NAMES)
NO_MEMBERSHIP = bytes(8)


class Added(NamedTuple):
    """Somebody new, on a line of the file; digests of what was written of them."""

    line: int
    subscriber_id: int
    subscriber: bytes
    membership: bytes = NO_MEMBERSHIP  # the secretariat's people have none


def packed(people: Iterable[Added]) -> bytes:
    """Return them as ``ImportPart.people`` keeps them."""
    return b"".join([_PERSON.pack(*person) for person in people])


def unpacked(octets: bytes) -> Iterator[Added]:
    """Yield who was ``packed``."""
    return map(Added._make, _PERSON.iter_unpack(octets))


def subscriber_digest(columns: Mapping[str, Any]) -> bytes:
    """Return eight octets that change with anything that somebody may change of a person."""
    return _digest(_OF_SUBSCRIBER(columns))


def membership_digest(columns: Mapping[str, Any]) -> bytes:
    """Return eight octets that change with anything that a partner may change of a person."""
    return _digest(_OF_MEMBERSHIP(columns))


def _digest(values: tuple[Any, ...]) -> bytes:
    return blake2b(ascii(values).encode(), digest_size=8).digest()
