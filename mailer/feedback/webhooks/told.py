"""What a provider tells, in one closed vocabulary, whichever provider it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node


class What(StrEnum):
    """What became of a letter. All but the last two are kinds of events."""

    BOUNCE = "bounce"
    DELAY = "delay"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    OPEN = "open"
    CLICK = "click"
    LEAVE = "leave"
    PASSED = "passed"  # known, and nothing to us: taken, sent on, delivered, subscribed
    UNKNOWN = "unknown"  # a word that its table does not have


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one of a provider's words means.

    ``category`` is the provider's own judgement; None: the words of the receiving system decide alone.
    ``withheld``: the provider did not even try, the address is on a list of its own. That says nothing about
    the mailbox, even where it is dressed up as a 5.1.1.
    """

    what: What
    category: Category | None = None
    withheld: bool = False


PASSED = Meaning(What.PASSED)
UNKNOWN = Meaning(What.UNKNOWN)
BOUNCE = Meaning(What.BOUNCE)
DELAY = Meaning(What.DELAY)
COMPLAINT = Meaning(What.COMPLAINT)
AUTO_REPLY = Meaning(What.AUTO_REPLY)
OPEN = Meaning(What.OPEN)
CLICK = Meaning(What.CLICK)
LEAVE = Meaning(What.LEAVE)
WITHHELD = Meaning(What.BOUNCE, withheld=True)


def bounced(category: Category) -> Meaning:
    """Return a bounce that the provider has judged."""
    return Meaning(What.BOUNCE, category)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One piece of news. ``item`` is the JSON it was read from, which is kept.

    ``id`` is the provider's own name for it, the same when it tells it again; "": it has none, and the item
    itself tells. ``letter`` are the texts in which our signed identifier may stand. ``permanent`` None: the
    provider does not say. ``machine`` names what opened or clicked in a person's stead, where it says so.
    """

    meaning: Meaning
    item: object
    id: str = ""
    letter: tuple[str, ...] = ()
    address: str = ""
    at: datetime | None = None
    words: str = ""
    code: int | None = None
    status: str = ""
    permanent: bool | None = None
    agent: str = ""
    machine: str = ""
    link: str = ""


Read = Callable[[Node], Iterator[Told]]
Table = Mapping[str, Meaning]
