"""The sweep: every second, in rows, what no bell can be trusted to do."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer import queue
from mailer.database import clock
from mailer.delivery import campaigns, store
from mailer.delivery.store import Batch, BatchState, CampaignState
from mailer.settings import Settings

WORKER_FORGOTTEN = timedelta(days=7)
SWEEPER = "sweep"  # the row that tells that some server sweeps this database


def sweep(session: Session, *, settings: Settings, now: datetime) -> None:
    """Launch what is scheduled, free what dead workers held, finish what is done, ring while work is due."""
    campaigns.launch_due(session, settings=settings, now=now)
    free_expired(session)
    campaigns.finish(session, now=now)
    store.forget_workers(session, now - WORKER_FORGOTTEN)
    store.beat(session, worker=SWEEPER, machine="", now=clock(session))
    if store.anything_due(session, now):
        queue.ring(session, queue.WORK)


def free_expired(session: Session) -> int:
    """Free batches whose lease ran out: what was never begun is leased anew, a begun slice is set apart.

    Judged by the database's clock. Returns how many batches were touched.
    """
    now = clock(session)
    expired = store.expired(session, now)
    for batch in expired:
        set_apart(session, batch, now)
    return len(expired)


def set_apart(session: Session, batch: Batch, now: datetime) -> None:
    """Split a batch whose worker is gone.

    Its begun slice keeps its owner's name and waits for that journal (law 2); the rest waits for anybody.
    """
    numbers = campaigns.numbers_of(batch)
    begun, rest = numbers[batch.done_to : batch.begun_to], numbers[batch.begun_to :]
    campaign = store.campaign(session, batch.campaign_id)
    if rest:
        again = store.add_batch(session, batch.campaign_id, rest, attempt=batch.attempt, due_at=now)
        if campaign is not None and campaign.state == CampaignState.CANCELLED:
            campaigns.withdraw_batch(session, again, "cancelled")
    batch.lease_until = None
    if begun:
        batch.state = BatchState.ORPHANED
    else:
        batch.state, batch.owner = BatchState.DONE, None
    session.flush()


def running(session: Session) -> bool:
    """Tell whether a server has swept this database within the last 15 seconds."""
    return store.alive(session, SWEEPER, clock(session) - timedelta(seconds=15))
