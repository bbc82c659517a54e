"""What a campaign's sending took, as the ledger and the workers' rows tell it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from mailer.delivery.store import Attempt, Batch, BatchState, Campaign, Delivery, DeliveryState, Worker


class Sent(NamedTuple):
    """What the ledger says of a campaign's sending."""

    letters: int
    accepted: int
    seconds: float  # from the first recorded reply to the last
    after_first: int  # letters recorded after the first reply's own slice, in those seconds


def sent(session: Session, campaign_id: int) -> Sent:
    """Read a campaign's attempts: those of one slice share a moment, so the first slice counts for none."""
    of = Attempt.campaign_id == campaign_id
    first, last = session.execute(select(func.min(Attempt.at), func.max(Attempt.at)).where(of)).one()
    after = session.scalar(select(func.count()).where(of, Attempt.at > first)) or 0
    accepted = Delivery.state == DeliveryState.ACCEPTED
    counted = select(func.count(), func.sum(case((accepted, 1), else_=0)))
    letters, taken = session.execute(counted.where(Delivery.campaign_id == campaign_id)).one()
    return Sent(letters, taken, (last - first).total_seconds() if after else 0.0, after)


class Spans(NamedTuple):
    """Seconds that workers have spent so far, all together, as they say themselves."""

    assembling: float
    wire: float
    ledger: float

    def since(self, before: Spans) -> Spans:
        """Return what was spent since ``before``."""
        return Spans(*(late - early for late, early in zip(self, before, strict=True)))


def spans(session: Session) -> Spans:
    """Read where the workers' time went."""
    sums = select(func.sum(Worker.composing), func.sum(Worker.wire), func.sum(Worker.recording))
    return Spans(*(float(value or 0) for value in session.execute(sums).one()))


def batches_left(session: Session, campaign_id: int) -> int:
    """Count the batches of a campaign that are not done."""
    left = select(func.count()).where(Batch.campaign_id == campaign_id, Batch.state != BatchState.DONE)
    return session.scalar(left) or 0


def trouble(session: Session, campaign_id: int) -> str:
    """Return why a campaign waits; "": nothing is known to be wrong."""
    return session.scalar(select(Campaign.trouble).where(Campaign.id == campaign_id)) or ""
