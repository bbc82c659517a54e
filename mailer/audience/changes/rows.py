"""The rows of changes: their SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, null, select, update
from sqlalchemy.orm import Session

from mailer.audience.changes.store import Change, ChangeRow

HIDDEN = "•••"  # in place of an address that somebody searched for
_AT_ONCE = 500


def change_by_public_id(session: Session, public_id: UUID) -> Change | None:
    """Return the change the outside knows by ``public_id``."""
    return session.scalar(select(Change).where(Change.public_id == public_id))


def changes(session: Session, kind: str, limit: int, subject: str = "") -> list[Change]:
    """Return changes of a kind, newest first; with ``subject`` those of it alone."""
    query = select(Change).where(Change.kind == kind).order_by(Change.id.desc()).limit(limit)
    return list(session.scalars(query.where(Change.subject == subject) if subject else query))


def unfinished(session: Session, kind: str) -> Change | None:
    """Return the oldest change that is still being made, and hold it; None too while another works on it."""
    query = select(Change).where(Change.kind == kind, Change.finished_at.is_(None)).order_by(Change.id)
    return session.scalar(query.limit(1).with_for_update(skip_locked=True))


def written(session: Session, change_id: int) -> Iterator[ChangeRow]:
    """Yield the rows that wrote something, last first, some at a time."""
    beyond: int | None = None
    while True:
        query = select(ChangeRow).where(ChangeRow.change_id == change_id, ChangeRow.verdict == "changes")
        if beyond is not None:
            query = query.where(ChangeRow.n < beyond)
        found = list(session.scalars(query.order_by(ChangeRow.n.desc()).limit(_AT_ONCE)))
        yield from (row for row in found if row.written)
        if len(found) < _AT_ONCE:
            return
        beyond = found[-1].n


def verdicts(session: Session, change_id: int) -> list[tuple[str, int]]:
    """Return how many rows there are of each verdict."""
    query = select(ChangeRow.verdict, func.count()).where(ChangeRow.change_id == change_id)
    return [(row[0], row[1]) for row in session.execute(query.group_by(ChangeRow.verdict))]


def restored(session: Session, change_id: int) -> dict[bool, int]:
    """Return how many rows an undo put back, and how many it left."""
    query = select(ChangeRow.restored, func.count()).where(
        ChangeRow.change_id == change_id, ChangeRow.restored.is_not(None)
    )
    return {bool(row[0]): row[1] for row in session.execute(query.group_by(ChangeRow.restored))}


def first_rows(session: Session, change_id: int, verdict: str, limit: int) -> list[ChangeRow]:
    """Return the first rows of a verdict."""
    query = select(ChangeRow).where(ChangeRow.change_id == change_id, ChangeRow.verdict == verdict)
    return list(session.scalars(query.order_by(ChangeRow.n).limit(limit)))


def forget(session: Session, subscriber_ids: Collection[int]) -> None:
    """Drop what rows hold about people."""
    theirs = ChangeRow.subscriber_id.in_(subscriber_ids)
    session.execute(
        update(ChangeRow).where(theirs).values(written=null()).execution_options(synchronize_session=False)
    )


def forget_searches(session: Session, addresses: Collection[str]) -> None:
    """Take addresses out of the searches that bulk changes were chosen by."""
    for change in session.scalars(select(Change)):
        chosen = change.plan.get("selection", {})
        texts = {name: chosen[name] for name in ("search", "rule") if name in chosen}
        hit = {name for name, text in texts.items() if any(each in text.casefold() for each in addresses)}
        if hit:
            change.plan = {**change.plan, "selection": {**chosen, **dict.fromkeys(hit, HIDDEN)}}


def forget_before(session: Session, before: datetime, limit: int) -> int:
    """Delete what changes of long ago did, row by row, and then those changes; so many rows at most."""
    old = (
        select(ChangeRow.change_id, ChangeRow.n)
        .join(Change, Change.id == ChangeRow.change_id)
        .where(_old(before))
        .limit(limit)
    )
    keys = session.execute(old).all()
    for change_id in {row.change_id for row in keys}:
        numbers = [row.n for row in keys if row.change_id == change_id]
        session.execute(delete(ChangeRow).where(ChangeRow.change_id == change_id, ChangeRow.n.in_(numbers)))
    if len(keys) < limit:
        session.execute(delete(Change).where(_old(before)))
    return len(keys)


def _old(before: datetime) -> ColumnElement[bool]:
    return and_(Change.at < before, Change.finished_at.is_not(None))
