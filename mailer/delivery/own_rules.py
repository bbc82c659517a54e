"""Own rules: what an admin knows of replies that the tables do not, as processes keep it at hand.

They are asked for every reply and every report, so they are read from their rows at most every few seconds.
Who writes them is ``feedback.rulebook``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Pool, select
from sqlalchemy.orm import Session

from mailer.delivery.store import OwnRule
from mailer.diagnosis import Category, RuleRefused
from mailer.diagnosis import OwnRule as Rule

LOOK_AGAIN = 20.0  # seconds between looks at the rows

_log = logging.getLogger(__name__)
_kept: WeakKeyDictionary[Pool, tuple[float, tuple[Rule, ...]]] = WeakKeyDictionary()


def in_force(session: Session) -> tuple[Rule, ...]:
    """Return the rules that are switched on, the newest first, as they were at most LOOK_AGAIN ago."""
    pool = _pool(session)
    looked_at, rules = _kept.get(pool, (float("-inf"), ()))
    if time.monotonic() - looked_at >= LOOK_AGAIN:
        rules = tuple(_usable(row for row in rows(session) if row.active))
        _kept[pool] = time.monotonic(), rules
    return rules


def forget(session: Session) -> None:
    """Have this process read the rows again: they have changed. Others do so within LOOK_AGAIN."""
    _kept.pop(_pool(session), None)


def rows(session: Session) -> list[OwnRule]:
    """Return all rules in the order in which they are asked, those switched off among them."""
    return list(session.scalars(select(OwnRule).order_by(OwnRule.id.desc())))


def as_rule(row: OwnRule) -> Rule:
    """Return a row as the diagnosis takes it."""
    return Rule(
        words=row.words, category=Category(row.category), dead=row.dead, provider=row.provider,
        code=row.code, status=row.status, name=str(row.id),
    )  # fmt: skip


def _usable(found: Iterable[OwnRule]) -> Iterator[Rule]:
    """A rule that was made when more was allowed is passed over: letters go on."""
    for row in found:
        try:
            yield as_rule(row)
        except RuleRefused as error:
            _log.warning("own rule %s is passed over: %s", row.id, error)


def _pool(session: Session) -> Pool:
    """What all sessions of a database share in this process."""
    bind = session.get_bind()
    return (bind.engine if isinstance(bind, Connection) else bind).pool
