"""Batches: cut, leased, split and closed; the letters of their slices are in ``slices``.

A batch belongs to whom its row says until it is closed: to anybody who leases it while it waits, to its
owner while the lease runs, and, once the owner is gone, its begun slice to the owner's journal alone.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.orm import Session

from mailer.database import Prepared
from mailer.delivery import slices, windows
from mailer.delivery.store import Batch, BatchState, Campaign, CampaignState, DeliveryState
from mailer.dialects import db_time
from mailer.issues.store import Publication

SIZE = 1000  # deliveries: taking a batch costs as much as a slice does, so its share of a letter is a tenth
# What is asked for every slice is asked of the tables and built once: the ORM and the building of a statement
# each cost more than the statement.
_batches, _campaigns, _publications = (cast(Table, each.__table__) for each in (Batch, Campaign, Publication))


def add(
    session: Session,
    campaign_id: int,
    numbers: Sequence[int],
    *,
    attempt: int,
    lane: str,
    due_at: datetime,
) -> None:
    """Have these deliveries (in order) wait: in batches that wait just so, or new ones.

    So the deferrals of many slices, due at one time, make few batches.
    """
    for start in range(0, len(numbers), SIZE):
        _add(session, campaign_id, numbers[start : start + SIZE], attempt, lane, due_at)


def _add(
    session: Session, campaign_id: int, added: Sequence[int], attempt: int, lane: str, due_at: datetime
) -> None:
    batch = session.scalar(
        select(Batch)
        .where(
            Batch.campaign_id == campaign_id,
            Batch.state == BatchState.WAITING,
            Batch.due_at == due_at,
            Batch.attempt == attempt,
            Batch.lane == lane,
            Batch.begun_to == 0,
            Batch.size + len(added) <= SIZE,
        )
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if batch is None:
        batch = Batch(campaign_id=campaign_id, attempt=attempt, lane=lane, due_at=due_at)
        session.add(batch)
        _hold(batch, added)
    else:
        _hold(batch, sorted({*numbers(batch), *added}))
    session.flush()


def _hold(batch: Batch, numbers: Sequence[int]) -> None:
    batch.first, batch.last = numbers[0], numbers[-1]
    batch.numbers, batch.size = list(numbers), len(numbers)


def numbers(batch: Batch) -> Sequence[int]:
    """Return the numbers of a batch's deliveries, in order."""
    return batch.numbers or range(batch.first, batch.last + 1)


# Leases


class Shut(NamedTuple):
    """What a worker may not begin now: lanes that are closed, campaigns whose letters cannot be made."""

    lanes: Set[str] = frozenset()
    campaigns: Set[int] = frozenset()


NOTHING_SHUT = Shut()


def lease(
    session: Session, *, owner: str, now: datetime, until: datetime, shut: Shut = NOTHING_SHUT
) -> Batch | None:
    """Lease the next due batch for ``owner``, chosen fairly; None when nothing is due.

    Campaigns with fewer batches leased now come first, small campaigns before large ones. One look per
    campaign finds its batch in an index: a single query over all batches would walk every waiting one.
    """
    for campaign_id in _fairly(session, now, shut):
        found = session.scalar(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, _due(now, shut))
            .order_by(Batch.due_at, Batch.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if found is not None:
            found.state, found.owner, found.lease_until = BatchState.LEASED, owner, until
            session.flush()
            return found
    return None


def due(session: Session, now: datetime, shut: Shut = NOTHING_SHUT) -> bool:
    """Tell whether a worker would find a batch to lease."""
    waiting = select(Batch.id).where(_due(now, shut))
    return any(
        session.scalar(waiting.where(Batch.campaign_id == campaign_id).limit(1)) is not None
        for campaign_id in _fairly(session, now, shut)
    )


def _due(now: datetime, shut: Shut) -> ColumnElement[bool]:
    found = and_(Batch.state == BatchState.WAITING, Batch.due_at <= now)
    return and_(found, Batch.lane.not_in(sorted(shut.lanes))) if shut.lanes else found


def _fairly(session: Session, now: datetime, shut: Shut) -> list[int]:
    """Return the campaigns that may be sent now, in the order in which they may take the next batch."""
    found = session.execute(_FAIRLY)
    return [
        id_
        for id_, window, zone in found
        if id_ not in shut.campaigns and (not window or windows.read(window).is_open(now, zone))
    ]


_LEASED = (
    select(func.count())
    .where(_batches.c.campaign_id == _campaigns.c.id, _batches.c.state == BatchState.LEASED)
    .scalar_subquery()
)
_FAIRLY = (
    select(_campaigns.c.id, _campaigns.c.window, _publications.c.zone)
    .join_from(_campaigns, _publications, _publications.c.id == _campaigns.c.publication_id)
    .where(_campaigns.c.state == CampaignState.SENDING)
    .order_by(_LEASED, _campaigns.c.candidates, _campaigns.c.id)
)


def owned(session: Session) -> bool:
    """Tell whether any batch is with a worker, who may be dead: then a sibling has a journal to settle."""
    states = (BatchState.LEASED, BatchState.ORPHANED)
    return session.scalar(select(Batch.id).where(Batch.state.in_(states)).limit(1)) is not None


class Standing(NamedTuple):
    """What a worker must know of the campaign whose batch it holds. ``now`` is the database's."""

    now: datetime
    campaign: CampaignState
    publication_id: int
    trouble: str


def standing(session: Session, batch_id: int, owner: str) -> Standing | None:
    """Return where a batch's campaign stands, the batch's row locked; None: ``owner`` has no lease on it."""
    found = _STANDING.rows(session, batch=batch_id, owner=owner)
    return Standing(*found[0]) if found else None


_STANDING = Prepared(
    select(db_time(), _campaigns.c.state, _campaigns.c.publication_id, _campaigns.c.trouble)
    .join_from(_batches, _campaigns, _batches.c.campaign_id == _campaigns.c.id)
    .where(
        _batches.c.id == bindparam("batch"),
        _batches.c.owner == bindparam("owner"),
        _batches.c.state == BatchState.LEASED,
    )
    .with_for_update(of=_batches)
)


def move(session: Session, batch_id: int, *, done_to: int, begun_to: int, lease_until: datetime) -> None:
    """Set the cursor of a batch whose row is locked, and renew its lease."""
    _MOVE.run(session, batch=batch_id, done=done_to, begun=begun_to, until=lease_until)


_MOVE = Prepared(
    update(_batches)
    .where(_batches.c.id == bindparam("batch"))
    .values(done_to=bindparam("done"), begun_to=bindparam("begun"), lease_until=bindparam("until"))
)


def orphaned(session: Session, batch_id: int, owner: str) -> Batch | None:
    """Return the batch, its row locked, if it was taken from ``owner`` but for the slice it had begun."""
    return session.scalar(
        select(Batch)
        .where(Batch.id == batch_id, Batch.owner == owner, Batch.state == BatchState.ORPHANED)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def renew(session: Session, batch_id: int, owner: str, until: datetime) -> bool:
    """Lengthen the lease ``owner`` has on a batch; return whether it still has it."""
    held = (_batches.c.id == batch_id, _batches.c.owner == owner, _batches.c.state == BatchState.LEASED)
    statement = update(_batches).where(*held).values(lease_until=until).returning(_batches.c.id)
    return session.execute(statement).one_or_none() is not None


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


def waiting(session: Session, campaign_id: int, *, limit: int) -> list[Batch]:
    """Return some of a campaign's batches that nobody has leased, their rows locked.

    One that somebody holds just now, to add letters to it, is passed over: who waited for it while holding
    the campaign's row could make a circle with a worker that tells its trouble there.
    """
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, Batch.state == BatchState.WAITING)
            .order_by(Batch.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
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
        _hold(batch, rest)
        batch.done_to = batch.begun_to = 0
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
        add(session, batch.campaign_id, rest, attempt=batch.attempt, lane=batch.lane, due_at=now)
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
    rest = slices.still_open(session, batch.campaign_id, numbers(batch)[batch.begun_to :])
    slices.set_state(session, batch.campaign_id, rest, DeliveryState.WITHDRAWN, reason)
    close(batch)
