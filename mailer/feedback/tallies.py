"""Tallies: how much is heard from each destination, in slots of ten minutes. Their SQL.

News is counted in the transaction that decides about it, so never twice, in the slot of that moment: what a
provider tells hours late comes as one wave. Letters are counted anew from the attempts of the last hour, so
that counting twice changes nothing; that reads all attempts of the campaigns at work, so it is done seldom.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, case, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mailer.delivery.store import Attempt, Campaign, CampaignState, Delivery, DeliveryState
from mailer.feedback import store
from mailer.feedback.store import Tally

SLOT = timedelta(minutes=10)
HOUR = timedelta(hours=1)
MONTH = timedelta(days=30)
LETTERS = ""  # the category under which letters are counted

_MOVING = (CampaignState.SENDING, CampaignState.PAUSED)
_ANSWERED = (DeliveryState.ACCEPTED, DeliveryState.REJECTED)


def slot(at: datetime) -> datetime:
    """Return when the ten minutes began that an instant lies in."""
    return datetime.fromtimestamp(at.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def add(session: Session, counts: Mapping[tuple[datetime, str, str], int]) -> None:
    """Add to the tallies; keys are slot, destination and category."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Tally)
    statement = statement.on_conflict_do_update(
        index_elements=["slot", "destination", "category"],
        set_={"count": Tally.count + statement.excluded.count},
    )
    session.execute(statement, _rows(counts))


def _rows(counts: Mapping[tuple[datetime, str, str], int]) -> list[dict[str, object]]:
    return [
        {"slot": slot, "destination": destination, "category": category, "count": count}
        for (slot, destination, category), count in sorted(counts.items())
    ]


def heard(session: Session, category: str, since: datetime) -> dict[str, int]:
    """Return how much was heard from each destination since an instant, those that said nothing left out."""
    rows = session.execute(
        select(Tally.destination, func.sum(Tally.count))
        .where(Tally.slot >= slot(since), Tally.category == category)
        .group_by(Tally.destination)
    )
    return {destination: int(count) for destination, count in rows}


def share(session: Session, destination: str, category: str, since: datetime, until: datetime) -> float:
    """Return news by letters of a destination, of the slots from ``since`` to before ``until``; 0: none."""
    rows = session.execute(
        select(Tally.category, func.sum(Tally.count))
        .where(Tally.destination == destination, Tally.category.in_((category, LETTERS)))
        .where(Tally.slot >= slot(since), Tally.slot < slot(until))
        .group_by(Tally.category)
    )
    counts = {category: int(count) for category, count in rows}
    return min(1.0, counts.get(category, 0) / counts[LETTERS]) if counts.get(LETTERS) else 0.0


def is_due(now: datetime) -> bool:
    """Tell whether letters are to be counted for the record: a slot has just begun.

    Each lies in the hour before six such instants, so that one may be missed.
    """
    return now - slot(now) < timedelta(minutes=1)


def count_letters(session: Session, category: str, now: datetime) -> None:
    """Count anew the letters of the last hour, to destinations that have said ``category`` within a month.

    Also those of hours in which nothing was heard: they are part of what is usual.
    """
    destinations = select(Tally.destination).where(
        Tally.slot >= slot(now - MONTH), Tally.category == category
    )
    since = slot(now - HOUR)
    begins = [since + SLOT * number for number in range(7)]
    number = case(*((Attempt.at < begin + SLOT, index) for index, begin in enumerate(begins)), else_=6)
    at_work = or_(Campaign.state.in_(_MOVING), Campaign.finished_at >= since)
    rows = session.execute(
        select(number.label("number"), store.destination().label("destination"), func.count())
        .join_from(
            Attempt, Delivery, and_(Delivery.campaign_id == Attempt.campaign_id, Delivery.n == Attempt.n)
        )
        .where(Attempt.campaign_id.in_(select(Campaign.id).where(at_work)))
        .where(Attempt.at >= since, Attempt.state.in_(_ANSWERED), store.destination().in_(destinations))
        .group_by("number", "destination")
    )
    counts = {(begins[number], destination, LETTERS): count for number, destination, count in rows}
    session.execute(
        delete(Tally)
        .where(Tally.category == LETTERS, Tally.slot >= since)
        .execution_options(synchronize_session=False)
    )
    if counts:
        add(session, counts)


def forget(session: Session, before: datetime) -> None:
    """Drop tallies older than that."""
    session.execute(delete(Tally).where(Tally.slot < before).execution_options(synchronize_session=False))
