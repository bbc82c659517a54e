"""The table of uploads, and all its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, defer, mapped_column

from mailer.audience.intake import Consent
from mailer.audience.store import ConsentKind, Import, Partner
from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.sentence import Told


class Step(StrEnum):
    """What happens to an upload next, or what has become of it."""

    KEPT = "kept"  # a person says how it is to be read
    CHECKING = "checking"  # a worker tries it, and writes nothing
    CHECKED = "checked"  # a person looks at the verdicts
    RUNNING = "running"  # a worker takes it in
    DONE = "done"
    FAILED = "failed"  # ``trouble`` says why, and nothing was changed


AT_WORK = (Step.CHECKING, Step.RUNNING)


class Upload(Base):
    """A file of people that came over the web. ``content`` is erased within a day, the row a day later."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"), index=True)  # None: secretariat
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor: Mapped[str] = mapped_column(String(320))
    file_name: Mapped[str] = mapped_column(String(200))
    content: Mapped[bytes | None]
    layout: Mapped[Any] = mapped_column(Json)  # ``Layout.stored``: how a person said it is to be read
    consent_kind: Mapped[ConsentKind] = mapped_column(String(20))
    wording: Mapped[str] = mapped_column(default="")
    uploaded_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    step: Mapped[Step] = mapped_column(String(20))
    trouble: Mapped[str] = mapped_column(Told, default="")
    rows: Mapped[int] = mapped_column(default=0)  # of the file, once it was read
    done: Mapped[int] = mapped_column(default=0)  # of them, while it is taken in
    told: Mapped[Any] = mapped_column(Json)  # {"remarks": [a stored sentence, …], "unread": [a column, …]}
    verdicts: Mapped[bytes | None]  # what a check found, ``uploads.packing``
    import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"), index=True)
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # a worker is at it
    lease: Mapped[str] = mapped_column(String(32), default="")  # whose

    @property
    def consent(self) -> Consent:
        """How the consent of these people came about."""
        return Consent(ConsentKind(self.consent_kind), self.wording)


Index("ix_uploads_step", Upload.step)


def find(session: Session, public_id: UUID, partner_id: int | None) -> Upload | None:
    """Return an upload of one partner, or of the secretariat; its content is fetched when it is asked for."""
    return session.scalar(
        select(Upload)
        .where(Upload.public_id == public_id, Upload.partner_id.is_not_distinct_from(partner_id))
        .options(defer(Upload.content), defer(Upload.verdicts))
    )


def lease(session: Session, name: str, now: datetime, until: datetime) -> int | None:
    """Take the oldest upload that a worker is to go on with; return its id, None when nothing waits."""
    free = or_(Upload.leased_until.is_(None), Upload.leased_until < now)
    wanted = select(Upload.id).where(Upload.step.in_(AT_WORK), Upload.content.is_not(None), free)
    upload_id = session.scalar(wanted.order_by(Upload.id).limit(1).with_for_update(skip_locked=True))
    if upload_id is not None:
        session.execute(update(Upload).where(Upload.id == upload_id).values(lease=name, leased_until=until))
    return upload_id


def advance(session: Session, upload_id: int, name: str, until: datetime, done: int) -> bool:
    """Note how far the work is, and hold the lease longer; False: another has it now."""
    mine = update(Upload).where(Upload.id == upload_id, Upload.lease == name).returning(Upload.id)
    return session.scalar(mine.values(done=Upload.done + done, leased_until=until)) is not None


def waits(session: Session) -> bool:
    """Tell whether any upload waits for a worker, or is with one."""
    return session.scalar(select(Upload.id).where(Upload.step.in_(AT_WORK)).limit(1)) is not None


def of_import(session: Session, import_id: int) -> Upload | None:
    """Return the upload that an import came with, while it is known."""
    found = select(Upload).where(Upload.import_id == import_id).options(defer(Upload.content))
    return session.scalar(found.order_by(Upload.id.desc()).limit(1))


def forget(session: Session, content_before: datetime, rows_before: datetime) -> None:
    """Erase files that came before one instant, and all that is known of those before another."""
    session.execute(delete(Upload).where(Upload.uploaded_at < rows_before))
    session.execute(
        update(Upload)
        .where(Upload.uploaded_at < content_before, Upload.content.is_not(None))
        .values(content=None, verdicts=None)
    )


def imports(session: Session, partner_id: int | None) -> Sequence[tuple[Import, Partner | None]]:
    """Return the newest imports of one partner; None: all, with whose they are."""
    query = select(Import, Partner).join(Partner, Partner.id == Import.partner_id, isouter=True)
    if partner_id is not None:
        query = query.where(Import.partner_id == partner_id)
    return [(row[0], row[1]) for row in session.execute(query.order_by(Import.id.desc()).limit(50))]


def find_import(session: Session, public_id: UUID, partner_id: int | None) -> Import | None:
    """Return an import; with ``partner_id``, only that partner's."""
    query = select(Import).where(Import.public_id == public_id)
    return session.scalar(query if partner_id is None else query.where(Import.partner_id == partner_id))
