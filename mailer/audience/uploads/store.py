"""The table of uploads, and all its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, defer, mapped_column

from mailer.audience import parts
from mailer.audience.intake import Consent, Verdict
from mailer.audience.store import ConsentKind, Import, ImportPart, ImportRow, Partner
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
    origin: Mapped[str] = mapped_column(String(200), default="", server_default="")  # how it is known
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

    invitation: Mapped[Any | None] = mapped_column(Json)  # {language: {"subject", "text"}}; None: all asked
    invited_to: Mapped[int] = mapped_column(default=0)  # the line up to which people were asked
    invite_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)  # when the next are

    @property
    def consent(self) -> Consent:
        """How the consent of these people came about."""
        return Consent(ConsentKind(self.consent_kind), self.wording, self.origin)


class Invitation(Base):
    """When a person who came with a file was last asked by mail, whoever brought them."""

    __tablename__ = "invitations"

    subscriber_id: Mapped[int] = mapped_column(
        ForeignKey("subscribers.id", ondelete="CASCADE"), primary_key=True
    )
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


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


def lease_invitations(session: Session, now: datetime, until: datetime) -> Upload | None:
    """Return the upload whose people are longest due to be asked; nobody else gets it before ``until``."""
    due = select(Upload.id).where(Upload.invite_at <= now).order_by(Upload.invite_at).limit(1)
    upload_id = session.scalar(due.with_for_update(skip_locked=True))
    if upload_id is None:
        return None
    upload = session.get_one(Upload, upload_id, options=[defer(Upload.content), defer(Upload.verdicts)])
    upload.invite_at = until
    return upload


def asked_since(session: Session, subscriber_id: int, publication_id: int, since: datetime) -> bool:
    """Tell whether somebody was asked after an instant."""
    found = session.get(Invitation, (subscriber_id, publication_id))
    return found is not None and found.at > since


def note_asked(session: Session, subscriber_id: int, publication_id: int, at: datetime) -> None:
    """Note that somebody is being asked."""
    session.merge(Invitation(subscriber_id=subscriber_id, publication_id=publication_id, at=at))
    session.flush()


def forget_asked(session: Session, subscriber_id: int, publication_id: int) -> None:
    """Note that somebody was not asked after all."""
    session.execute(
        delete(Invitation).where(
            Invitation.subscriber_id == subscriber_id, Invitation.publication_id == publication_id
        )
    )


def added_after(session: Session, import_id: int, line: int, most: int) -> list[tuple[int, int]]:
    """Return line and subscriber of the next people whom an import brought, further down than ``line``."""
    rows = session.execute(
        select(ImportRow.line, ImportRow.subscriber_id)
        .where(
            ImportRow.import_id == import_id, ImportRow.line > line, ImportRow.verdict == Verdict.ADDED,
            ImportRow.subscriber_id.is_not(None),
        )
        .order_by(ImportRow.line)
        .limit(most)
    )  # fmt: skip
    found = [(row[0], row[1]) for row in rows if row[1] is not None]
    stretches = session.scalars(
        select(ImportPart.people)
        .where(ImportPart.import_id == import_id, ImportPart.last_line > line, ImportPart.undone.is_(False))
        .order_by(ImportPart.last_line)
    )
    whole = (each for people in stretches for each in parts.unpacked(people) if each.line > line)
    found += [(each.line, each.subscriber_id) for each in islice(whole, most)]
    return sorted(found)[:most]


def of_import(session: Session, import_id: int) -> Upload | None:
    """Return the upload that an import came with, while it is known."""
    found = select(Upload).where(Upload.import_id == import_id).options(defer(Upload.content))
    return session.scalar(found.order_by(Upload.id.desc()).limit(1))


def forget(session: Session, content_before: datetime, rows_before: datetime) -> None:
    """Erase files that came before one instant, and all that is known of those before another."""
    session.execute(delete(Upload).where(Upload.uploaded_at < rows_before, Upload.invite_at.is_(None)))
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
