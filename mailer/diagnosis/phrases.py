"""What mail systems say, and what they mean by it.

The tables are asked in the order of ``PHRASES``, each from its top: what is said about us is heard before
what is said about the address, so that "mail from 192.0.2.1 refused, no such user list" never silences a
reader (law 4).
"""

from __future__ import annotations

from mailer.diagnosis import about_the_letter, about_them, about_us, first_heard, machines
from mailer.diagnosis.matching import Gram, Index, pieces, says
from mailer.diagnosis.verdict import Category

PHRASES: tuple[tuple[Category, str], ...] = tuple(
    (category, line.strip())
    for part in (first_heard, about_us, about_the_letter, about_them, machines)
    for category, block in part.BLOCKS
    for line in block.strip().splitlines()
)

_INDEX = Index((phrase, (category, phrase)) for category, phrase in PHRASES)


def category_said(words: str, known: set[Gram]) -> tuple[Category, str] | None:
    """Return the first category whose phrase ``words`` (normal, with their grams) hold, and that phrase."""
    return next(_INDEX.heard(words, known), None)


_LASTED = tuple(
    pieces(line)
    for line in (
        "message expired",
        "retry time",
        "queue too long",
        "in the queue … too long",
        "delivery time expired",
        "maximum-time-expired",
        "not delivered within",
        "been undeliverable for",
        "unable to deliver in",
        "could not be delivered for",
        "delivery attempts … exceeded",
        "message timed out",
        "could not deliver for the last",
        "try again",
        "try later",
    )
)


def only_lasted(words: str) -> bool:
    """Tell whether ``words`` (normal) say that a passing trouble lasted too long."""
    return any(says(words, phrase) for phrase in _LASTED)
