"""Batches: cut, leased, split and closed, and the letters of their slices. The SQL of sending.

A batch belongs to whom its row says until it is closed: to anybody who leases it while it waits, to its
owner while the lease runs, and, once the owner is gone, its begun slice to the owner's journal alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.orm import Session

from mailer.audience import suppressions
from mailer.audience.store import Subscriber, Subscription, SubscriptionState
from mailer.delivery.store import Attempt, Batch, BatchState, Campaign, CampaignState, Delivery, DeliveryState

OPEN = (DeliveryState.WAITING, DeliveryState.DEFERRED)  # what still may be written


def add(
    session: Session, campaign_id: int, numbers: Sequence[int], *, attempt: int, due_at: datetime
) -> Batch:
    """Make a batch of just these deliveries (in order, at least one)."""
    batch = Batch(
        campaign_id=campaign_id,
        first=numbers[0],
        last=numbers[-1],
        numbers=list(numbers),
        size=len(numbers),
        attempt=attempt,
        due_at=due_at,
    )
    session.add(batch)
    session.flush()
    return batch


def numbers(batch: Batch) -> Sequence[int]:
    """Return the numbers of a batch's deliveries, in order."""
    return batch.numbers or range(batch.first, batch.last + 1)


# Leases


def lease(session: Session, *, owner: str, now: datetime, until: datetime) -> Batch | None:
    """Lease the next due batch for ``owner``, chosen fairly; None when nothing is due.

    Campaigns with fewer batches leased now come first, small campaigns before large ones. One look per
    campaign finds its batch in an index: a single query over all batches would walk every waiting one.
    """
    for campaign_id in _fairly(session):
        found = session.scalar(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, Batch.state == BatchState.WAITING, Batch.due_at <= now)
            .order_by(Batch.due_at, Batch.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if found is not None:
            found.state, found.owner, found.lease_until = BatchState.LEASED, owner, until
            session.flush()
            return found
    return None


def _fairly(session: Session) -> list[int]:
    leased = (
        select(func.count())
        .where(Batch.campaign_id == Campaign.id, Batch.state == BatchState.LEASED)
        .scalar_subquery()
    )
    return list(
        session.scalars(
            select(Campaign.id)
            .where(Campaign.state == CampaignState.SENDING)
            .order_by(leased, Campaign.candidates, Campaign.id)
        )
    )


def due(session: Session, now: datetime) -> bool:
    """Tell whether a worker would find a batch to lease."""
    waiting = select(Batch.id).where(
        Batch.campaign_id == Campaign.id, Batch.state == BatchState.WAITING, Batch.due_at <= now
    )
    found = session.scalar(
        select(Campaign.id).where(Campaign.state == CampaignState.SENDING, waiting.exists()).limit(1)
    )
    return found is not None


def owned(session: Session) -> bool:
    """Tell whether any batch is with a worker, who may be dead: then a sibling has a journal to settle."""
    states = (BatchState.LEASED, BatchState.ORPHANED)
    return session.scalar(select(Batch.id).where(Batch.state.in_(states)).limit(1)) is not None


def held(session: Session, batch_id: int, owner: str) -> Batch | None:
    """Return the batch, its row locked, if ``owner`` still holds its lease."""
    return _of(session, batch_id, owner, BatchState.LEASED)


def orphaned(session: Session, batch_id: int, owner: str) -> Batch | None:
    """Return the batch, its row locked, if it was taken from ``owner`` but for the slice it had begun."""
    return _of(session, batch_id, owner, BatchState.ORPHANED)


def _of(session: Session, batch_id: int, owner: str, state: BatchState) -> Batch | None:
    return session.scalar(
        select(Batch)
        .where(Batch.id == batch_id, Batch.owner == owner, Batch.state == state)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def may_go_on(session: Session, batch_id: int, owner: str) -> bool:
    """Tell whether ``owner`` still holds a batch's lease and its campaign is being sent."""
    found = session.scalar(
        select(Batch.id)
        .join(Campaign, Campaign.id == Batch.campaign_id)
        .where(
            Batch.id == batch_id,
            Batch.owner == owner,
            Batch.state == BatchState.LEASED,
            Campaign.state == CampaignState.SENDING,
        )
    )
    return found is not None


def expired(session: Session, now: datetime) -> list[Batch]:
    """Return leased batches whose lease has run out, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.state == BatchState.LEASED, Batch.lease_until < now)
            .with_for_update(skip_locked=True)
        )
    )


def begun_by(session: Session, owner: str) -> list[Batch]:
    """Return the batches whose begun slice only ``owner``'s journal can tell of, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.owner == owner, Batch.state.in_((BatchState.LEASED, BatchState.ORPHANED)))
            .order_by(Batch.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def orphans(session: Session, campaign_id: int) -> list[Batch]:
    """Return a campaign's begun slices whose worker is gone, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, Batch.state == BatchState.ORPHANED)
            .order_by(Batch.id)
            .with_for_update()
        )
    )


def orphaning_owners(session: Session) -> list[str]:
    """Return the journals that begun slices of workers who are gone wait for."""
    return list(
        session.scalars(
            select(Batch.owner)
            .where(Batch.state == BatchState.ORPHANED, Batch.owner.is_not(None))
            .distinct()
            .order_by(Batch.owner)
        )
    )


def waiting(session: Session, campaign_id: int) -> list[Batch]:
    """Return a campaign's batches that nobody has leased, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, Batch.state == BatchState.WAITING)
            .order_by(Batch.id)
            .with_for_update()
        )
    )


def cancelled(session: Session) -> list[int]:
    """Return the cancelled campaigns in which something still waits: a worker gave it back after the fact."""
    still = select(Batch.id).where(Batch.campaign_id == Campaign.id, Batch.state == BatchState.WAITING)
    return list(
        session.scalars(select(Campaign.id).where(Campaign.state == CampaignState.CANCELLED, still.exists()))
    )


def all_done(session: Session, campaign_id: int) -> bool:
    """Tell whether nothing of a campaign waits any more, is being sent, or lacks its journal."""
    open_ = (BatchState.WAITING, BatchState.LEASED, BatchState.ORPHANED)
    found = session.scalar(
        select(Batch.id).where(Batch.campaign_id == campaign_id, Batch.state.in_(open_)).limit(1)
    )
    return found is None


# What happens to a batch


def release(batch: Batch, *, unsent: Sequence[int], due_at: datetime) -> None:
    """Give back what is left of a batch by its holder: ``unsent`` of its begun slice, and all beyond."""
    rest = numbers(batch)[batch.begun_to :]
    if unsent:
        rest = [*unsent, *rest]
        batch.numbers, batch.size = rest, len(rest)
        batch.first, batch.last, batch.done_to, batch.begun_to = rest[0], rest[-1], 0, 0
    else:
        batch.done_to = batch.begun_to
    batch.owner, batch.lease_until, batch.due_at = None, None, due_at
    batch.state = BatchState.WAITING if rest else BatchState.DONE


def split(session: Session, batch: Batch, now: datetime) -> None:
    """Split a leased batch whose worker is gone.

    Its begun slice keeps its owner's name and waits for that journal (law 2); the rest waits for anybody.
    """
    rest = numbers(batch)[batch.begun_to :]
    if rest:
        add(session, batch.campaign_id, rest, attempt=batch.attempt, due_at=now)
    batch.lease_until = None
    if batch.done_to < batch.begun_to:
        batch.state = BatchState.ORPHANED
    else:
        close(batch)
    session.flush()


def close(batch: Batch) -> None:
    """Nothing more is to be done with a batch, or with what it had begun."""
    batch.state, batch.owner, batch.lease_until, batch.done_to = BatchState.DONE, None, None, batch.begun_to


def withdraw(session: Session, batch: Batch, reason: str) -> None:
    """Take every letter of a batch that nobody has begun out of the campaign."""
    rest = in_states(session, batch.campaign_id, numbers(batch)[batch.begun_to :], OPEN)
    set_state(session, batch.campaign_id, rest, DeliveryState.WITHDRAWN, reason)
    close(batch)


# Letters of a slice, and where they stand


class Addressee(NamedTuple):
    """What a letter needs, and what forbids it. ``barrier`` "" when it may be written."""

    n: int
    subscriber_id: int
    language: str
    salutation: str
    state: int
    address: str | None
    barrier: str


def addressees(
    session: Session, *, campaign_id: int, numbers: Sequence[int], publication_id: int, now: datetime
) -> list[Addressee]:
    """Return deliveries with their addresses, and whether each may still be written to, in order of ``n``."""
    barrier = case(
        (Subscriber.address.is_(None), "erased"),
        (Subscription.state.is_(None), "left"),
        (Subscription.state == SubscriptionState.LEFT, "left"),
        (Subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication_id), "suppressed"),
        else_="",
    )
    rows = session.execute(
        select(
            Delivery.n,
            Delivery.subscriber_id,
            Delivery.language,
            Delivery.salutation,
            Delivery.state,
            Subscriber.address,
            barrier,
        )
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .outerjoin(
            Subscription,
            (Subscription.subscriber_id == Delivery.subscriber_id)
            & (Subscription.publication_id == publication_id),
        )
        .where(Delivery.campaign_id == campaign_id, _among(numbers))
        .order_by(Delivery.n)
    )
    return [Addressee(*row) for row in rows]


def in_states(
    session: Session, campaign_id: int, numbers: Sequence[int], states: Iterable[DeliveryState]
) -> list[int]:
    """Return those of ``numbers`` (in order) that are in one of ``states``."""
    if not numbers:
        return []
    return list(
        session.scalars(
            select(Delivery.n)
            .where(Delivery.campaign_id == campaign_id, _among(numbers), Delivery.state.in_(list(states)))
            .order_by(Delivery.n)
        )
    )


def in_state(session: Session, campaign_id: int, state: DeliveryState) -> list[int]:
    """Return the numbers of a campaign's letters in ``state``, in order."""
    return list(
        session.scalars(
            select(Delivery.n)
            .where(Delivery.campaign_id == campaign_id, Delivery.state == state)
            .order_by(Delivery.n)
        )
    )


def set_state(
    session: Session, campaign_id: int, numbers: Sequence[int], state: DeliveryState, reason: str = ""
) -> None:
    """Say where letters (in order) stand."""
    if numbers:
        session.execute(
            update(Delivery)
            .where(Delivery.campaign_id == campaign_id, _among(numbers))
            .values(state=state, reason=reason)
            .execution_options(synchronize_session=False)
        )


def domains(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """Return the domain each letter (in order) goes to."""
    if not numbers:
        return {}
    rows = session.execute(
        select(Delivery.n, Delivery.domain).where(Delivery.campaign_id == campaign_id, _among(numbers))
    )
    return {row.n: row.domain for row in rows}


def _among(numbers: Sequence[int]) -> ColumnElement[bool]:
    """A range where it is one: the planner and the wire like it better than a list."""
    if len(numbers) == numbers[-1] - numbers[0] + 1:
        return Delivery.n.between(numbers[0], numbers[-1])
    return Delivery.n.in_(numbers)


# Attempts


def not_recorded(session: Session, campaign_id: int, attempt: int, numbers: Sequence[int]) -> list[int]:
    """Return those of ``numbers`` (in order) whose attempt of that number is not in the ledger yet."""
    if not numbers:
        return []
    there = set(
        session.scalars(
            select(Attempt.n).where(
                Attempt.campaign_id == campaign_id,
                Attempt.attempt == attempt,
                Attempt.n.between(numbers[0], numbers[-1]),
            )
        )
    )
    return [n for n in numbers if n not in there]


def first_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, datetime]:
    """Return when each letter was first tried."""
    rows = session.execute(
        select(Attempt.n, func.min(Attempt.at))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


def last_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, int]:
    """Return each letter's last attempt's number."""
    rows = session.execute(
        select(Attempt.n, func.max(Attempt.attempt))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


def add_attempts(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Append attempts, in bulk; every row has the same columns."""
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(insert(Attempt), list(rows))
        return
    names = list(rows[0])
    driver: Any = session.connection().connection.driver_connection  # psycopg's own: COPY is its word
    statement = f"COPY attempts ({', '.join(names)}) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])
