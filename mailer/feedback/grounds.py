"""Grounds: what a diagnosis was made on, read back from the reason that it names. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailer.diagnosis.rules import RULES, SELF_EVIDENT


class Ground(StrEnum):
    """What decided."""

    OWN = "own"  # a rule of the house; ``words`` is its number
    PROVIDER = "provider"  # what a provider documents of its own replies
    PHRASE = "phrase"  # what the world's mail systems say
    STATUS = "status"  # RFC 3463
    CODE = "code"  # RFC 5321
    NOTHING = "nothing"
    OTHER = "other"  # ``words`` says it, in English


@dataclass(frozen=True, slots=True)
class Grounds:
    """``words``: phrase, code or number that decided. ``provider`` and ``source`` are "" but for PROVIDER:
    whose table it is, and where it is documented."""

    ground: Ground
    words: str = ""
    provider: str = ""
    source: str = ""


_SHAPES = (
    (re.compile(r"own rule (\d+)"), Ground.OWN),
    (re.compile(r'("[^"]+".*)'), Ground.PHRASE),
    (re.compile(r"status (\S+)"), Ground.STATUS),
    (re.compile(r"code (\d+)"), Ground.CODE),
)
_ROWS = {f"{rule.provider}: {rule.words or rule.status}": rule for rule in reversed((*RULES, *SELF_EVIDENT))}


def read(reason: str) -> Grounds:
    """Return the grounds that a ``Diagnosis.reason`` names; "" (of older events) names none."""
    if reason in ("", "nothing known is said"):
        return Grounds(Ground.NOTHING)
    if rule := _ROWS.get(reason):
        return Grounds(Ground.PROVIDER, rule.words or rule.status, rule.provider, rule.source)
    for shape, ground in _SHAPES:
        if found := shape.fullmatch(reason):
            return Grounds(ground, found[1])
    return Grounds(Ground.OTHER, reason)
