"""The sweep: every second, in rows, what no bell can be trusted to do."""

from __future__ import annotations

import logging
import traceback
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer import queue
from mailer.database import Database, Unreachable, clock
from mailer.delivery import batches, campaigns, launch, store
from mailer.settings import Settings

WORKER_FORGOTTEN = timedelta(days=7)
SWEEPER = "sweep"  # the row that tells that some server sweeps this database

_log = logging.getLogger(__name__)


def sweep(session: Session, *, now: datetime) -> None:
    """Free what dead workers held, finish what is done, ring while work waits. Short: all of it in rows."""
    free_expired(session)
    campaigns.withdraw_cancelled(session)
    campaigns.finish(session, now=now)
    store.forget_workers(session, now - WORKER_FORGOTTEN)
    announce(session)
    if batches.due(session, clock(session)) or batches.owned(session):  # leased by that clock, not by ours
        queue.ring(session, queue.WORK)


def launch_due(database: Database, *, settings: Settings, now: datetime) -> int:
    """Launch the scheduled campaigns whose time has come, and return how many.

    Each in a transaction of its own, for a million letters take a while: other sweeps go on meanwhile and
    pass over a campaign that is being launched. One that fails holds up no other: it is tried again later.

    :raises Unreachable: the database does not answer, so that none can be launched
    """
    with database.read() as session:
        due = launch.due(session, now)
    return sum(_launch(database, campaign_id, settings, now) for campaign_id in due)


def _launch(database: Database, campaign_id: int, settings: Settings, now: datetime) -> bool:
    try:
        with database.write() as session:
            return campaigns.launch_scheduled(session, campaign_id=campaign_id, settings=settings, now=now)
    except Unreachable:
        raise
    except Exception as error:
        where = "".join(traceback.format_tb(error.__traceback__))  # its words may quote rows (law 9)
        _log.error("campaign %d was not launched: %s\n%s", campaign_id, type(error).__name__, where)
        failed = error
    with database.write() as session:
        campaigns.put_off_launch(session, campaign_id=campaign_id, error=failed, now=now)
    return False


def free_expired(session: Session) -> int:
    """Free batches whose lease ran out: what was never begun is leased anew, a begun slice is set apart.

    Judged by the database's clock. Returns how many batches were touched.
    """
    now = clock(session)
    expired = batches.expired(session, now)
    for batch in expired:
        batches.split(session, batch, now)
    return len(expired)


def announce(session: Session) -> None:
    """Say that a server sweeps this database."""
    store.beat(session, worker=SWEEPER, machine="", now=clock(session))


def retire(session: Session) -> None:
    """Say that a server has stopped in order; another that still sweeps says otherwise within a second."""
    store.forget_worker(session, SWEEPER)


def running(session: Session) -> bool:
    """Tell whether a server has swept this database within the last 15 seconds."""
    return store.alive(session, SWEEPER, clock(session) - timedelta(seconds=15))
