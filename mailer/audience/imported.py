"""The rows of imports: their SQL; see ``store.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, func, select, text, update
from sqlalchemy.orm import Session

from mailer.audience.parts import SIZE
from mailer.audience.store import Import, ImportPart, ImportRow
from mailer.loading import load

_CHUNK = 2_000  # rows held at once


def unfinished_import(
    session: Session, digest: str, publication_id: int, partner_id: int | None
) -> Import | None:
    """Return the import of that file that was begun and neither finished nor undone."""
    return session.scalar(
        select(Import)
        .where(
            Import.file_hash == digest,
            Import.publication_id == publication_id,
            Import.partner_id.is_not_distinct_from(partner_id),
            Import.finished_at.is_(None),
            Import.undo_asked_at.is_(None),
        )
        .order_by(Import.id.desc())
        .limit(1)
    )


def import_by_public_id(session: Session, public_id: UUID) -> Import | None:
    """Return the import the outside knows by ``public_id``."""
    return session.scalar(select(Import).where(Import.public_id == public_id))


def hold(session: Session, public_id: UUID) -> Import | None:
    """Return an import, which nobody else changes meanwhile."""
    return session.scalar(select(Import).where(Import.public_id == public_id).with_for_update())


def hold_next_to_undo(session: Session) -> Import | None:
    """Return the oldest import that is being undone, and hold it; what another works on is passed over."""
    waiting = select(Import).where(Import.undo_asked_at.is_not(None), Import.undone_at.is_(None))
    return session.scalar(waiting.order_by(Import.id).limit(1).with_for_update(skip_locked=True))


def count_to_undo(session: Session, import_id: int) -> int:
    """Return how many rows of an import wrote something that is not undone."""
    rows = select(func.count()).where(ImportRow.import_id == import_id, ImportRow.subscriber_id.is_not(None))
    octets = select(func.coalesce(func.sum(func.length(ImportPart.people)), 0)).where(
        ImportPart.import_id == import_id, ImportPart.undone.is_(False)
    )
    return (session.scalar(rows) or 0) + int(session.scalar(octets) or 0) // SIZE


def imports(session: Session, partner_id: int | None) -> list[Import]:
    """Return imports, newest first, of one partner or all."""
    query = select(Import).order_by(Import.id.desc())
    return list(
        session.scalars(query if partner_id is None else query.where(Import.partner_id == partner_id))
    )


def insert_rows(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Write the verdicts of an import's rows."""
    load(session, cast(Table, ImportRow.__table__), rows)


def insert_part(session: Session, import_id: int, last_line: int, people: bytes, at: datetime) -> None:
    """Write that the file is done up to a line, and who came with it that has no row."""
    session.add(ImportPart(import_id=import_id, last_line=last_line, at=at, people=people, undone=False))
    session.flush()


def last_line(session: Session, import_id: int) -> int:
    """Return the line up to which the file is done; 0 before the first."""
    found = select(func.max(ImportPart.last_line)).where(ImportPart.import_id == import_id)
    return session.scalar(found) or 0


def lines_after(session: Session, import_id: int, last_line: int) -> set[int]:
    """Return the lines further down that have their verdict: of an import begun before there were parts."""
    rows = select(ImportRow.line).where(ImportRow.import_id == import_id, ImportRow.line > last_line)
    return set(session.scalars(rows))


def parts(session: Session, import_id: int) -> Iterator[bytes]:
    """Yield who has no row, packed, in the order of the file."""
    found = select(ImportPart.people).where(ImportPart.import_id == import_id)
    yield from session.scalars(found.order_by(ImportPart.last_line).execution_options(yield_per=10))


def next_part_to_undo(session: Session, import_id: int) -> ImportPart | None:
    """Return the last part of an import that is not undone."""
    found = select(ImportPart).where(ImportPart.import_id == import_id, ImportPart.undone.is_(False))
    return session.scalar(found.order_by(ImportPart.last_line.desc()).limit(1))


def verdicts(session: Session, import_id: int) -> Iterator[tuple[int, str, str]]:
    """Yield line, verdict and message of every row that was written, in order."""
    rows = session.execute(
        select(ImportRow.line, ImportRow.verdict, ImportRow.message)
        .where(ImportRow.import_id == import_id)
        .order_by(ImportRow.line)
        .execution_options(yield_per=_CHUNK)
    )
    yield from rows


def rows_to_undo(session: Session, import_id: int) -> list[ImportRow]:
    """Return the last rows of an import that wrote something and lean on somebody still."""
    rows = select(ImportRow).where(ImportRow.import_id == import_id, ImportRow.subscriber_id.is_not(None))
    return list(session.scalars(rows.order_by(ImportRow.line.desc()).limit(_CHUNK)))


def let_go(session: Session, import_id: int, lines: Sequence[int]) -> None:
    """Have rows lean on nobody any more."""
    session.execute(
        update(ImportRow)
        .where(ImportRow.import_id == import_id, ImportRow.line.in_(lines))
        .values(subscriber_id=None)
    )


def analyze(session: Session) -> None:
    """Have PostgreSQL look at tables that may have grown much: plans made for empty ones would last hours."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("ANALYZE subscribers, subscriptions, memberships, import_rows"))
