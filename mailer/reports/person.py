"""A person's letters: what became of each, told in the order it happened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.delivery.store import Campaign, Delivery, DeliveryState, EventKind
from mailer.reports import store

MOST = 50  # letters told of; older ones are in their campaigns' reports

_WITHOUT_WORDS = (EventKind.OPEN, EventKind.CLICK, EventKind.LEAVE)  # their detail is for the machine filter


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to a letter: a try of ours, or news that came back.

    ``what`` is the state the try ended in, or the kind of event; ``category`` a diagnosis (None: nothing was
    wrong); ``words`` what the relay or the report said.
    """

    at: datetime
    what: str
    category: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Fate:
    """A letter, or why there was none.

    ``state`` is the letter's, "bounce" when it was accepted and came back, or "excluded"; ``reason`` says why
    it was withdrawn or excluded ("": neither).
    """

    campaign: Campaign
    state: str
    reason: str
    happenings: tuple[Happening, ...] = ()


def fates(session: Session, subscriber_id: int) -> list[Fate]:
    """Return what became of a person's letters, the newest campaign first. Four queries."""
    letters = store.letters_of(session, subscriber_id, MOST)
    told: dict[tuple[int, int], list[Happening]] = defaultdict(list)
    keys = [(campaign.id, delivery.n) for campaign, delivery in letters]
    for each in store.attempts_of(session, keys):
        state = DeliveryState(each.state).name.lower()
        told[each.campaign_id, each.n].append(Happening(each.at, state, each.category, each.reply))
    for news in store.events_of(session, keys):
        words = "" if news.kind in _WITHOUT_WORDS else news.detail
        told[news.campaign_id, news.n].append(Happening(news.at, news.kind, news.category, words))
    found = [
        _fate(campaign, delivery, sorted(told[campaign.id, delivery.n], key=lambda each: each.at))
        for campaign, delivery in letters
    ]
    found += [
        Fate(campaign, "excluded", why) for campaign, why in store.exclusions_of(session, subscriber_id, MOST)
    ]
    return sorted(found, key=lambda fate: fate.campaign.id, reverse=True)[:MOST]


def _fate(campaign: Campaign, delivery: Delivery, happenings: list[Happening]) -> Fate:
    state = DeliveryState(delivery.state).name.lower()
    returned = delivery.state == DeliveryState.ACCEPTED and any(
        each.what == EventKind.BOUNCE for each in happenings
    )
    return Fate(campaign, "bounce" if returned else state, delivery.reason, tuple(happenings))
