"""The sweep: every kind of thing whose period is over is forgotten, in small transactions, for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.errors import Invalid, NotFound
from mailer.retention import rules, store
from mailer.retention.rules import Key, Rule
from mailer.retention.steps import steps
from mailer.retention.store import RetentionPeriod, RetentionRun
from mailer.settings import Settings

AT_ONCE = 500  # rows in one transaction: nobody who writes waits for long
_SECONDS = 20.0  # of one kind in one run; the timetable calls again
_COUNTED = 10_000  # rows a dry run counts of one kind


class NoRule(NotFound):
    """Nothing of that kind is kept for a while: choose one of the list."""


class TooShort(Invalid):
    """This period is too short: something else still needs what would go."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a run forgot of one kind. ``more``: there is more than it had time for, or counted."""

    key: Key
    before: datetime
    forgotten: int
    more: bool


def in_force(session: Session, settings: Settings) -> tuple[Rule, ...]:
    """Return the rules with the periods that somebody set."""
    own = store.periods(session)
    return tuple(
        replace(rule, days=own[rule.key].days) if rule.key in own else rule
        for rule in rules.defaults(settings)
    )


def set_period(
    session: Session, *, key: str, days: int | None, settings: Settings, now: datetime, actor: Actor
) -> None:
    """Set how long a kind of thing is kept; None: without end.

    :raises NoRule: no such kind
    :raises TooShort: below the least that is allowed
    """
    rule = next((rule for rule in in_force(session, settings) if rule.key == key), None)
    if rule is None:
        raise NoRule
    if days is not None and days < rule.least:
        raise TooShort(
            "Keep this for {least} days at least: something else still needs it.", least=rule.least
        )
    row = session.get(RetentionPeriod, key) or RetentionPeriod(key=key)
    row.days, row.set_by, row.set_at = days, actor.name, now
    session.add(row)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="retention.set", subject=f"retention {key}",
        before={"days": rule.days}, after={"days": days},
    )  # fmt: skip


def run(
    database: Database, *, settings: Settings, now: datetime, seconds: float = _SECONDS, dry: bool = False
) -> list[Done]:
    """Forget what is due, each kind for about so many seconds; ``dry``: only say what would go."""
    with database.read() as session:
        every = in_force(session, settings)
    return [
        _count(database, rule, before, now)
        if dry
        else forget(database, rule, before, now=now, seconds=seconds)
        for rule, before in _due(every, now)
    ]


def forget(
    database: Database, rule: Rule, before: datetime, *, now: datetime, seconds: float = _SECONDS
) -> Done:
    """Forget one kind of thing older than ``before``, step by step, and note what went."""
    until, forgotten, step = time.monotonic() + seconds, 0, steps(now)[rule.key]
    while True:
        with database.write() as session:
            went = step(session, before, AT_ONCE)
        forgotten += went
        if went < AT_ONCE or time.monotonic() >= until:
            break
    done = Done(rule.key, before, forgotten, went >= AT_ONCE)
    with database.write() as session:
        _note(session, done, now)
    return done


def _count(database: Database, rule: Rule, before: datetime, now: datetime) -> Done:
    step = steps(now)[rule.key]
    with database.write() as session:
        savepoint = session.begin_nested()
        would_go = step(session, before, _COUNTED)
        savepoint.rollback()
        session.expire_all()
    return Done(rule.key, before, would_go, would_go >= _COUNTED)


def _due(every: tuple[Rule, ...], now: datetime) -> Iterator[tuple[Rule, datetime]]:
    for rule in every:
        before = rules.before(rule, now)
        if before is not None:
            yield rule, before


def _note(session: Session, done: Done, now: datetime) -> None:
    """Keep a run. Of runs that found nothing, one after the other, only the newest stays."""
    last: Mapping[str, RetentionRun] = store.last_runs(session)
    row = last.get(done.key)
    if row is None or done.forgotten or row.forgotten:
        row = RetentionRun(key=done.key)
        session.add(row)
    row.at, row.before, row.forgotten, row.more = now, done.before, done.forgotten, done.more
    session.flush()
