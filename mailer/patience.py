"""Patience: how long the database may think before somebody who waits is told something else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session


class TooSlow(Exception):
    """The database has not answered within the time it was given."""


@contextmanager
def hurried(session: Session, seconds: float, *, few: bool = False) -> Iterator[None]:
    """Ask questions that must be answered within ``seconds``, all together on SQLite, each on PostgreSQL.

    For reading only; the transaction goes on, whatever comes of them. ``few``: they are about few rows found
    by key, for which no whole table is to be read.

    :raises TooSlow: there is no answer yet
    """
    try:
        if session.get_bind().dialect.name == "sqlite":
            with _stopped_after(session, seconds):
                yield
        else:
            with session.begin_nested() as inner:
                session.execute(_HURRY, {"milliseconds": str(int(seconds * 1000))})
                if few:
                    session.execute(_FOR_A_FEW)
                yield
                inner.rollback()  # and what was set is as before
    except OperationalError as error:
        if _is_stopped(error.orig):
            raise TooSlow from error
        raise


def for_a_page(session: Session) -> None:
    """Have what the transaction still asks planned for who waits for a page: a few rows, by indexes.

    On PostgreSQL, until its end: to compile a plan, or start processes for it, takes longer than the answer.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_FOR_A_PAGE)


_FOR_A_PAGE = text(
    "SELECT set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true),"
    " set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '64MB', true)"
)  # what is asked often would be planned once: for a partner of thousands as for one of three

# counts hash a million numbers in memory; compiling a plan takes longer than most answers
_HURRY = text(
    "SELECT set_config('statement_timeout', :milliseconds, true), set_config('work_mem', '64MB', true),"
    " set_config('jit', 'off', true)"
)


_FOR_A_FEW = text(
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '64kB', true),"
    " set_config('hash_mem_multiplier', '1', true)"
)  # in so little memory nobody hashes a hundred thousand rows to find a few of them


@contextmanager
def _stopped_after(session: Session, seconds: float) -> Iterator[None]:
    driver: Any = session.connection().connection.driver_connection
    end = monotonic() + seconds
    driver.set_progress_handler(lambda: monotonic() > end, 10_000)  # steps of its machine: well under 1 ms
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _is_stopped(error: object) -> bool:
    return getattr(error, "sqlstate", "") == "57014" or str(error) == "interrupted"
