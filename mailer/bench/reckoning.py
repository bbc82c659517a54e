"""The three counts that must agree: candidates, the ledger, and the relay's own record of every letter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from mailer.audience.store import Subscriber
from mailer.bench.faulty import Record
from mailer.delivery.store import Attempt, Campaign, Delivery, DeliveryState, Exclusion

_OPEN = (DeliveryState.WAITING, DeliveryState.DEFERRED)
_TOLD = (DeliveryState.ACCEPTED, DeliveryState.REJECTED, DeliveryState.UNCERTAIN)


@dataclass(frozen=True)
class Reckoning:
    """What became of a campaign. Letters are told apart by recipient: each is to get one.

    ``lost``: candidates in no state, and letters that the ledger calls accepted and the relay never took.
    ``twice``: letters beyond the first that somebody got. ``unknown``: the relay took it and the ledger
    neither knows nor doubts so. ``uncertain_taken``: of the uncertain ones, those the relay has.
    """

    candidates: int
    ledger: dict[str, int]
    taken: int
    distinct: int
    lost: int
    twice: int
    unknown: int
    uncertain_taken: int
    open: int
    adds_up: bool

    @property
    def uncertain(self) -> int:
        """How many letters a person has to decide about."""
        return self.ledger["uncertain"]


def reckon(session: Session, campaign_id: int, record: Record) -> Reckoning:
    """Count."""
    states = _states(session, campaign_id)
    got: Counter[str] = Counter()
    for letter, times in record.letters.items():
        got[letter.recipient] += times
    tally = Counter(states.values())
    ledger = {state.name.lower(): tally[state] for state in DeliveryState}
    excluded = _count(session, Exclusion, campaign_id)
    candidates = session.get_one(Campaign, campaign_id).candidates or 0
    accepted = {address for address, state in states.items() if state == DeliveryState.ACCEPTED}
    uncertain = {address for address, state in states.items() if state == DeliveryState.UNCERTAIN}
    deliveries = _count(session, Delivery, campaign_id)
    return Reckoning(
        candidates=candidates,
        ledger=ledger | {"excluded": excluded},
        taken=got.total(),
        distinct=len(got),
        lost=len(accepted - got.keys()) + max(0, candidates - deliveries - excluded),
        twice=got.total() - len(got),
        unknown=len(got.keys() - accepted - uncertain),
        uncertain_taken=len(uncertain & got.keys()),
        open=sum(tally[state] for state in _OPEN),
        adds_up=sum(ledger.values()) + excluded == candidates == deliveries + excluded
        and not _contradictions(session, campaign_id),
    )


def _states(session: Session, campaign_id: int) -> dict[str, int]:
    """Return where each recipient's letter stands, by address."""
    rows = session.execute(
        select(Subscriber.address, Delivery.state)
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(Delivery.campaign_id == campaign_id)
    )
    return {str(address): state for address, state in rows}


def _count(session: Session, table: type[Delivery] | type[Exclusion], campaign_id: int) -> int:
    return session.scalar(select(func.count()).where(table.campaign_id == campaign_id)) or 0


def _contradictions(session: Session, campaign_id: int) -> int:
    """Count deliveries whose state no attempt bears out, and letters that were accepted in two attempts."""
    borne_out = exists().where(
        Attempt.campaign_id == Delivery.campaign_id, Attempt.n == Delivery.n, Attempt.state == Delivery.state
    )
    unfounded = session.scalar(
        select(func.count()).where(Delivery.campaign_id == campaign_id, Delivery.state.in_(_TOLD), ~borne_out)
    )
    final = (
        select(Attempt.n)
        .where(Attempt.campaign_id == campaign_id, Attempt.state.in_(_TOLD))
        .group_by(Attempt.n)
        .having(func.count() > 1)
    )
    return (unfounded or 0) + len(session.scalars(final).all())
