"""Tables of retention: periods that somebody set, and what runs did."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, UTCDateTime


class RetentionPeriod(Base):
    """A period somebody set in place of its default. ``days`` None: kept without end."""

    __tablename__ = "retention_periods"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    days: Mapped[int | None]
    set_by: Mapped[str] = mapped_column(String(320))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime)


class RetentionRun(Base):
    """What one run forgot of one kind. ``more``: it stopped for time, and the next run goes on."""

    __tablename__ = "retention_runs"
    __table_args__ = (Index("ix_retention_runs_key", "key", "at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    before: Mapped[datetime] = mapped_column(UTCDateTime)
    forgotten: Mapped[int]
    more: Mapped[bool]


def periods(session: Session) -> dict[str, RetentionPeriod]:
    """Return the periods that somebody set, by kind."""
    return {row.key: row for row in session.scalars(select(RetentionPeriod))}


def runs(session: Session, limit: int) -> list[RetentionRun]:
    """Return the newest runs that forgot something."""
    query = select(RetentionRun).where(RetentionRun.forgotten > 0).order_by(RetentionRun.id.desc())
    return list(session.scalars(query.limit(limit)))


def last_runs(session: Session) -> dict[str, RetentionRun]:
    """Return the newest run of each kind."""
    newest = select(func.max(RetentionRun.id)).group_by(RetentionRun.key)
    return {row.key: row for row in session.scalars(select(RetentionRun).where(RetentionRun.id.in_(newest)))}


def forgotten(session: Session) -> dict[str, int]:
    """Return how much was ever forgotten of each kind."""
    rows = session.execute(
        select(RetentionRun.key, func.sum(RetentionRun.forgotten)).group_by(RetentionRun.key)
    )
    return {key: int(total) for key, total in rows}
