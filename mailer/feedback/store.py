"""Tables of what came back and what it changed, and all their SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from mailer.database import Base, BigId, UTCDateTime


class ReturnedMail(Base):
    """A message that came back, as it came. Has its own retention; events outlive it."""

    __tablename__ = "returned_mail"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256: stored once
    envelope_to: Mapped[str] = mapped_column(String(320))
    kind: Mapped[str] = mapped_column(String(20))  # feedback.message.Kind
    campaign_id: Mapped[int | None]  # None: no valid token, backscatter, it changed nothing
    n: Mapped[int | None]
    content: Mapped[bytes] = mapped_column(LargeBinary)  # zlib


class Decision(Base):
    """What policy made of an event, and why; undoing names the person."""

    __tablename__ = "decisions"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(20))  # suppress | count | none
    reason: Mapped[str] = mapped_column(Text)
    suppression_id: Mapped[int | None] = mapped_column(ForeignKey("suppressions.id"))
