"""The words a diagnosis is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """What the words are about. The vocabulary is closed: scripts depend on it."""

    BAD_MAILBOX = "bad_mailbox"  # no such person there
    BAD_DOMAIN = "bad_domain"  # no such place, or it takes no mail
    INACTIVE = "inactive"  # the person exists, the account is switched off
    MAILBOX_FULL = "mailbox_full"
    REPUTATION = "reputation"  # our host, address block or domain is thought ill of
    CONTENT = "content"  # this letter: its words, size, attachments, form
    POLICY = "policy"  # who may write, and how he must prove himself
    RATE = "rate"  # too much, too fast
    TECHNICAL = "technical"  # networks, name servers, disks, loops, queues
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    UNKNOWN = "unknown"


ABOUT_THE_ADDRESS = frozenset({Category.BAD_MAILBOX, Category.BAD_DOMAIN})
"""The only categories that may say an address is dead (law 4)."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A judgement with its grounds.

    ``status`` is the RFC 3463 code given or found in the text, "" when there was none.
    ``permanent``: the same attempt would fail tomorrow; ``dead``: no attempt can ever succeed.
    ``provider`` is None when the words came from nobody we know. ``reason`` names the rule that decided.
    """

    category: Category
    status: str
    permanent: bool
    dead: bool
    provider: str | None
    reason: str
