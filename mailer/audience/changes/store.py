"""Tables of changes and of likely duplicates, and their SQL."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.sentence import Told


class Verdict(StrEnum):
    """What becomes of a person, or of another row, in a change."""

    CHANGES = "changes"
    ALREADY = "already"
    REFUSED = "refused"


class Change(Base):
    """A change to many rows. ``cursor`` and ``up_to`` are subscriber ids: whom it has come to, and its last.

    ``plan`` is what is to be done and to whom, as its kind reads it. ``finished_at`` None: workers go on.
    """

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(40))  # bulk | merge | close_partner | merge_partners
    subject: Mapped[str] = mapped_column(String(60), index=True)  # as in the audit log; "": many people
    plan: Mapped[Any] = mapped_column(Json)
    actor: Mapped[str] = mapped_column(String(320))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    cursor: Mapped[int] = mapped_column(BigId, default=0)
    up_to: Mapped[int] = mapped_column(BigId, default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    undone_by: Mapped[str] = mapped_column(String(320), default="")


class ChangeRow(Base):
    """What a change did to one person or partner. ``written``: rows with key, before and after, in order."""

    __tablename__ = "change_rows"
    __table_args__ = (Index("ix_change_rows_verdict", "change_id", "verdict", "n"),)

    change_id: Mapped[int] = mapped_column(ForeignKey("changes.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    verdict: Mapped[str] = mapped_column(String(20))
    message: Mapped[str] = mapped_column(Told, default="")
    subscriber_id: Mapped[int | None] = mapped_column(BigId, index=True)
    written: Mapped[Any | None] = mapped_column(Json)
    restored: Mapped[bool | None]  # None: not undone


class Duplicate(Base):
    """Two rows that may be one person, and why. ``decided``: "merged", or "different": never asked again.

    No foreign keys here and in ``ChangeRow``: what is only noted about people keeps none of them.
    """

    __tablename__ = "duplicates"

    first_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    second_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False, index=True)
    reasons: Mapped[Any] = mapped_column(Json)
    found_at: Mapped[datetime] = mapped_column(UTCDateTime)
    decided: Mapped[str | None] = mapped_column(String(20))
    decided_by: Mapped[str] = mapped_column(String(320), default="")
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
