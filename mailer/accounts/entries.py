"""The audit log as it is looked through: a filter, a page, all of it. SQL of the log.

Pages go by the entries' own numbers, so that the thousandth costs what the first does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC as ZONE
from datetime import date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from mailer.accounts.store import AuditEntry

PAGE = 50
_AT_ONCE = 1000  # rows of an export that are fetched together


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What to look for; "" and None: anything.

    ``actor``: part of a name. ``action``: one, or all of a noun, written ``campaign.``. ``subject``: its
    beginning. ``since`` and ``until``: days in UTC, both included.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    partner_id: int | None = None
    since: date | None = None
    until: date | None = None


def page(
    session: Session, wanted: Filter, *, before: int | None = None
) -> tuple[list[AuditEntry], int | None]:
    """Return entries, newest first, and the number to ask the next page ``before``; None: that is all."""
    query = _found(wanted)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    rows = list(session.scalars(query.limit(PAGE + 1)))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def every(session: Session, wanted: Filter) -> Iterator[AuditEntry]:
    """Yield all entries that fit, newest first, read as they are asked for."""
    yield from session.scalars(_found(wanted).execution_options(yield_per=_AT_ONCE))


def _found(wanted: Filter) -> Select[AuditEntry]:
    return select(AuditEntry).where(*_conditions(wanted)).order_by(AuditEntry.id.desc())


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.actor.strip():
        yield AuditEntry.actor.icontains(wanted.actor.strip(), autoescape=True)
    if wanted.action.endswith("."):
        yield AuditEntry.action.startswith(wanted.action, autoescape=True)
    elif wanted.action:
        yield AuditEntry.action == wanted.action
    if wanted.subject.strip():
        yield AuditEntry.subject.istartswith(wanted.subject.strip(), autoescape=True)
    if wanted.partner_id is not None:
        yield AuditEntry.partner_id == wanted.partner_id
    if wanted.since is not None:
        yield AuditEntry.at >= _midnight(wanted.since)
    if wanted.until is not None:
        yield AuditEntry.at < _midnight(wanted.until + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE)
