"""Refusals: a provider refuses letters because of us, and the campaign slows down, or waits for a person.

Nobody is silenced for it. What is said of this letter (content) pauses the campaign at once; what is said
of us (policy, reputation, rate) has the provider's lane rest first, and pauses the campaign when it is
still said afterwards. A handful is nothing: it takes a number and a share of the letters of the last hour,
and only letters count that were tried since somebody last looked. Its SQL.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM
from mailer.delivery import campaigns, lanes
from mailer.delivery import store as delivery
from mailer.delivery.store import Attempt, CampaignState, Case, Delivery, DeliveryState, Event, EventKind
from mailer.diagnosis import Category
from mailer.feedback import alerts, store
from mailer.feedback.alerts import About
from mailer.feedback.rules import ABOUT_US, Rules
from mailer.sentence import Sentence

WINDOW = timedelta(hours=1)
REST = timedelta(minutes=30)  # of a lane, before its letters are tried again

_ANSWERED = (DeliveryState.ACCEPTED, DeliveryState.REJECTED)
_SAID_LIMIT = 300  # characters of a provider's words in an alert
_WORDS = {
    Category.POLICY: Sentence("a rule of theirs"),
    Category.REPUTATION: Sentence("our reputation"),
    Category.CONTENT: Sentence("the letter's content"),
    Category.RATE: Sentence("too many letters at once"),
}


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a destination has refused of a campaign's letters because of us, by category; never empty."""

    campaign_id: int
    destination: str
    counts: dict[Category, int]

    @property
    def total(self) -> int:
        """All refusals."""
        return sum(self.counts.values())

    @property
    def chiefly(self) -> Category:
        """The category that most of them have."""
        return max(sorted(self.counts), key=lambda category: self.counts[category])


def is_too_much(*, refused: int, letters: int, rules: Rules) -> bool:
    """Tell whether so many refusals, of so many letters answered, are more than a handful."""
    return refused >= rules.refused_least and refused * 100 >= rules.refused_percent * max(letters, refused)


def watch(session: Session, rules: Rules, *, now: datetime) -> None:
    """Slow or pause the campaigns being sent of which a provider refuses too much because of us."""
    for campaign in delivery.campaigns(session, CampaignState.SENDING):
        for found in _refused(session, campaign.id, now - WINDOW):
            if found.total >= rules.refused_least:
                _look_closer(session, found, rules, now)


def _look_closer(session: Session, found: Refusals, rules: Rules, now: datetime) -> None:
    """Count only letters that were tried since the last alert, or since a person resumed the campaign."""
    last = alerts.last(session, About.REFUSED, found.destination, found.campaign_id)
    resumed = audit.last(session, subject=f"campaign {found.campaign_id}", action="campaign.resume")
    known = (last.at if last else None, resumed, now - WINDOW)
    since = max(at for at in known if at is not None)
    again = [
        each
        for each in _refused(session, found.campaign_id, since, tried=True)
        if each.destination == found.destination
    ]
    if not again:
        return
    [fresh] = again
    letters = _answered(session, fresh, since)
    if is_too_much(refused=fresh.total, letters=letters, rules=rules):
        _act(session, fresh, letters, warned=last is not None and last.at > now - 2 * WINDOW, now=now)


def _act(session: Session, found: Refusals, letters: int, *, warned: bool, now: datetime) -> None:
    lane = _lane(session, found)
    words = _last_words(session, found)
    facts = {
        "destination": found.destination, "refused": found.total, "letters": letters,
        "why": _WORDS[found.chiefly], "words": words,
    }  # fmt: skip
    if lane == lanes.REST or warned or found.chiefly is Category.CONTENT:
        said = Sentence(
            "{destination} refused {refused} of {letters} letters because of {why}: the campaign was paused."
            " Mend that and resume it. The last answer: {words}",
            **facts,
        )
        campaign = campaigns.pause(session, campaign_id=found.campaign_id, now=now, actor=SYSTEM)
        campaign.trouble = said
    else:
        lanes.slow_down(session, lane, said=words, now=now, rest=REST)
        said = Sentence(
            "{destination} refused {refused} of {letters} letters because of {why}: none go there for"
            " {minutes} minutes, and if it goes on the campaign is paused. The last answer: {words}",
            **facts, minutes=int(REST.total_seconds() // 60),
        )  # fmt: skip
    alerts.tell(
        session, About.REFUSED, said, subject=found.destination, campaign_id=found.campaign_id, now=now
    )


# --- rows -----------------------------------------------------------------------------------------------


def _refused(session: Session, campaign_id: int, since: datetime, *, tried: bool = False) -> list[Refusals]:
    """Return what was refused by each destination since then; ``tried``: only letters also tried since."""
    destination = store.destination().label("destination")
    query = (  # of cases: ix_cases_campaign leads to those of an hour among all that a campaign has
        select(destination, Case.category, func.count(Case.n.distinct()))
        .join(Delivery, and_(Delivery.campaign_id == Case.campaign_id, Delivery.n == Case.n))
        .where(Case.campaign_id == campaign_id, Case.category.in_(ABOUT_US), Case.at > since)
        .where(Case.kind == EventKind.BOUNCE)
        .group_by("destination", Case.category)
    )
    if tried:
        query = query.where(_tried_since(since))
    counts: dict[str, dict[Category, int]] = defaultdict(dict)
    for name, category, count in session.execute(query):
        counts[name][Category(category)] = count
    return [Refusals(campaign_id, name, by_category) for name, by_category in sorted(counts.items())]


def _tried_since(since: datetime) -> ColumnElement[bool]:
    return (
        select(Attempt.n)
        .where(Attempt.campaign_id == Delivery.campaign_id, Attempt.n == Delivery.n, Attempt.at > since)
        .exists()
    )


def _answered(session: Session, found: Refusals, since: datetime) -> int:
    """Count the campaign's letters to the destination that a relay has answered since then."""
    query = (
        select(func.count(Attempt.n.distinct()))
        .join(Delivery, and_(Delivery.campaign_id == Attempt.campaign_id, Delivery.n == Attempt.n))
        .where(Attempt.campaign_id == found.campaign_id, Attempt.at > since, Attempt.state.in_(_ANSWERED))
        .where(store.destination() == found.destination)
    )
    return session.scalar(query) or 0


def _lane(session: Session, found: Refusals) -> str:
    """Return the lane that the campaign's letters to the destination go down."""
    row = session.execute(
        select(Delivery.domain, Delivery.provider)
        .where(Delivery.campaign_id == found.campaign_id, store.destination() == found.destination)
        .limit(1)
    ).one()
    return lanes.lane_of(row.domain, row.provider, lanes.limits(session))


def _last_words(session: Session, found: Refusals) -> str:
    """Return what was said last, without addresses."""
    said = session.scalar(
        select(Event.detail)
        .join(Case, Case.event_id == Event.id)
        .join(Delivery, and_(Delivery.campaign_id == Case.campaign_id, Delivery.n == Case.n))
        .where(Case.campaign_id == found.campaign_id, Case.kind == EventKind.BOUNCE)
        .where(Case.category == found.chiefly, store.destination() == found.destination)
        .order_by(Case.at.desc(), Case.event_id.desc())
        .limit(1)
    )
    return lanes.without_addresses(said or "")[:_SAID_LIMIT]
