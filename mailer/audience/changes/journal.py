"""The journal of a change: every row it writes with what it was before, and taking all of it back.

What one ``ChangeRow`` wrote is taken back whole or not at all: only where each of its rows still is as the
change left it. Imports, of a million rows, have a journal of their own (``parts``, ``undoing``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, Uuid, inspect, null
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine
from uuid_utils.compat import uuid7

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.accounts.store import User
from mailer.audience.changes import rows
from mailer.audience.changes.store import Change, ChangeRow, Verdict
from mailer.audience.evidence import history
from mailer.audience.store import (
    Membership,
    MembershipTopic,
    Partner,
    PartnerGroup,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Suppression,
)
from mailer.database import Base, UTCDateTime
from mailer.errors import Conflict, NotFound

UNDO_FOR = timedelta(days=30)
CHUNK = 500  # rows of a change in one transaction

_MODELS: Mapping[str, type[Base]] = {
    cast(Table, model.__table__).name: model
    for model in (
        Subscriber, Subscription, Membership, SubscriberTopic, MembershipTopic, Partner, PartnerGroup, User,
        Suppression,
    )
}  # fmt: skip
Columns = dict[str, Any]


class NoChange(NotFound):
    """There is no such change: look it up among the last ones."""


class UndoneAlready(Conflict):
    """This change has been taken back already."""


class TooLate(Conflict):
    """This change is older than 30 days and can no longer be taken back: make another one."""


class NotFinished(Conflict):
    """This change is still being made: wait until it is finished, then take it back."""


@dataclass(frozen=True, slots=True)
class Undone:
    """How many people or partners were put back, and how many had changed since and stay."""

    restored: int
    kept: int


@dataclass
class Pen:
    """Writes rows, and keeps of each what it was before and after. ``written`` is what a ChangeRow holds."""

    session: Session
    written: list[Columns] = field(default_factory=list)

    def change(self, row: Base, **columns: Any) -> None:
        """Change columns of a row; those that have the value already are left alone."""
        old = {name: getattr(row, name) for name in columns}
        new = {name: value for name, value in columns.items() if old[name] != value}
        if new:
            for name, value in new.items():
                setattr(row, name, value)
            self._keep(row, {name: old[name] for name in new}, new)

    def add(self, row: Base) -> None:
        """Add a row."""
        self.session.add(row)
        self.session.flush()
        self._keep(row, None, _columns(row))

    def remove(self, row: Base) -> None:
        """Delete a row."""
        self._keep(row, _columns(row), None)
        self.session.delete(row)
        self.session.flush()

    def _keep(self, row: Base, before: Columns | None, after: Columns | None) -> None:
        table = cast(Table, row.__table__).name
        self.written.append(
            {"table": table, "key": plain(_key(row)), "before": before and plain(before),
             "after": after and plain(after)}
        )  # fmt: skip


def begin(
    session: Session,
    kind: str,
    *,
    plan: Mapping[str, Any],
    now: datetime,
    actor: Actor,
    subject: str = "",
    up_to: int = 0,
) -> Change:
    """Open a change; it is finished when somebody says so."""
    change = Change(
        public_id=uuid7(), kind=kind, subject=subject, plan=dict(plan), actor=actor.name, at=now, up_to=up_to
    )
    session.add(change)
    session.flush()
    return change


def note(
    session: Session,
    change: Change,
    n: int,
    *,
    verdict: Verdict = Verdict.CHANGES,
    message: str = "",
    subscriber_id: int | None = None,
    pen: Pen | None = None,
) -> None:
    """Keep what became of one person or partner."""
    session.add(
        ChangeRow(
            change_id=change.id, n=n, verdict=verdict, message=message, subscriber_id=subscriber_id,
            written=pen.written if pen and pen.written else null(),
        )
    )  # fmt: skip


def get(session: Session, public_id: UUID) -> Change:
    """:raises NoChange: none of that id"""
    found = rows.change_by_public_id(session, public_id)
    if found is None:
        raise NoChange
    return found


def may_undo(change: Change, now: datetime) -> bool:
    """Say whether a change can be taken back now."""
    return change.undone_at is None and change.finished_at is not None and now - change.at <= UNDO_FOR


def undo(session: Session, public_id: UUID, *, now: datetime, actor: Actor) -> Undone:
    """Take a change back, person by person, where nobody has changed anything of it since.

    :raises NoChange: none of that id
    :raises UndoneAlready, NotFinished, TooLate: it cannot be taken back
    """
    change = get(session, public_id)
    if change.undone_at is not None:
        raise UndoneAlready
    if change.finished_at is None:
        raise NotFinished
    if not may_undo(change, now):
        raise TooLate
    change.undone_at, change.undone_by = now, actor.name
    counted: Counter[bool] = Counter()
    for row in rows.written(session, change.id):
        row.restored = _take_back(session, row.written or (), now, actor)
        counted[row.restored] += 1
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="change.undo", subject=change.subject or f"change {change.id}",
        after={"change": str(public_id), "restored": counted[True], "kept": counted[False]},
    )  # fmt: skip
    return Undone(counted[True], counted[False])


def forget(session: Session, subscriber_ids: Collection[int]) -> None:
    """Drop what changes keep of people whose data are erased: it cannot be taken back any more."""
    rows.forget(session, subscriber_ids)


def _take_back(session: Session, written: Sequence[Columns], now: datetime, actor: Actor) -> bool:
    found = [_find(session, each) for each in written]
    if not all(_stands(row, each["after"]) for row, each in zip(found, written, strict=True)):
        return False
    savepoint = session.begin_nested()
    try:
        for row, each in reversed(list(zip(found, written, strict=True))):
            _put_back(session, row, each, now, actor)
        session.flush()
    except IntegrityError:  # others lean on a row by now: a letter was sent, somebody joined
        savepoint.rollback()
        session.expire_all()
        return False
    savepoint.commit()
    return True


def _find(session: Session, each: Columns) -> Base | None:
    model = _MODELS[each["table"]]
    return session.get(model, typed(model, each["key"]), populate_existing=True)


def _stands(row: Base | None, after: Columns | None) -> bool:
    """Say whether a row still is as the change left it."""
    if row is None or after is None:
        return row is None and after is None
    return all(getattr(row, name) == value for name, value in typed(type(row), after).items())


def _put_back(session: Session, row: Base | None, each: Columns, now: datetime, actor: Actor) -> None:
    before = each["before"]
    if row is None:
        model = _MODELS[each["table"]]
        session.add(model(**typed(model, before)))
    elif isinstance(row, Suppression) and before is None:  # the list forgets nothing: it says that it is over
        row.released_at, row.released_by = now, actor.name
    elif before is None:
        session.delete(row)
    else:
        if isinstance(row, Subscription):
            history.keep_subscription(session, row, now=now, by=actor.name)
        elif isinstance(row, Membership):
            history.keep_membership(session, row, now=now, by=actor.name)
        for name, value in typed(type(row), before).items():
            setattr(row, name, value)
    session.flush()


def _columns(row: Base) -> Columns:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def _key(row: Base) -> Columns:
    return {column.name: getattr(row, column.name) for column in inspect(type(row)).primary_key}


def plain(columns: Mapping[str, Any]) -> Columns:
    """Return columns as JSON keeps them; ``typed`` reads them back."""
    return {name: _json(value) for name, value in columns.items()}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def typed(model: type[Base], columns: Mapping[str, Any]) -> Columns:
    """Return columns of a table as Python has them."""
    types = model.__table__.c
    return {name: _value(types[name].type, value) for name, value in columns.items()}


def _value(kind: TypeEngine[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, UTCDateTime):
        return datetime.fromisoformat(value)
    return UUID(value) if isinstance(kind, Uuid) else value


def counts(found: Iterable[tuple[str, int]]) -> dict[Verdict, int]:
    """Return how many there are of each verdict, none left out."""
    known = dict(found)
    return {verdict: known.get(verdict, 0) for verdict in Verdict}
