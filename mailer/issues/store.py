"""Tables of publications and issues, and all their SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint, false, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime


class Publication(Base):
    """A newsletter. What differs by language is in its voices."""

    __tablename__ = "publications"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    zone: Mapped[str] = mapped_column(String(60), default="Asia/Shanghai")  # IANA
    list_id: Mapped[str] = mapped_column(String(200))  # RFC 2919, without angle brackets
    sender_address: Mapped[str] = mapped_column(String(320))
    desk_address: Mapped[str] = mapped_column(String(320))  # where a reader's own answer is passed on
    accent: Mapped[str] = mapped_column(String(7), default="#0b6b4f")  # the theme's colour
    window: Mapped[str] = mapped_column(String(200), default="", server_default="")  # hours to send in
    welcomes: Mapped[bool] = mapped_column(default=False, server_default=false())  # mails a welcome
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Voice(Base):
    """A publication in one language: its name, who it comes from, where answers go."""

    __tablename__ = "voices"

    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    sender_name: Mapped[str] = mapped_column(String(200))
    reply_to: Mapped[str] = mapped_column(String(320), default="")  # empty: the sender's address
    organisation: Mapped[str] = mapped_column(String(200))
    postal_address: Mapped[str] = mapped_column(String(400))


class Issue(Base):
    """One number of a publication. Number and date may still be unknown while it is a draft."""

    __tablename__ = "issues"
    __table_args__ = (UniqueConstraint("publication_id", "number"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), index=True)
    number: Mapped[str | None] = mapped_column(String(40))
    date: Mapped[dt.date | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(320))


class Edition(Base):
    """An issue in one language: the document as it is being written."""

    __tablename__ = "editions"
    __table_args__ = (UniqueConstraint("issue_id", "language"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"))
    language: Mapped[str] = mapped_column(String(2))
    document: Mapped[Any] = mapped_column(Json)  # content.document.Document
    version: Mapped[int] = mapped_column(default=1)  # counts edits: two editors do not overwrite each other
    doubts: Mapped[Any | None] = mapped_column(Json)  # what the reader guessed: [readers.Doubt.stored]
    dropped: Mapped[Any | None] = mapped_column(Json)  # what it left out: [readers.Dropped.stored]
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_by: Mapped[str] = mapped_column(String(320))


class FrozenEdition(Base):
    """An edition's compiled bytes. Never changed: a template upgrade does not touch what was approved."""

    __tablename__ = "frozen_editions"
    __table_args__ = (UniqueConstraint("edition_id", "version", "hash"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    edition_id: Mapped[int] = mapped_column(ForeignKey("editions.id"))
    version: Mapped[int]  # of the edition when it was frozen: a later edit voids an approval
    language: Mapped[str] = mapped_column(String(2))
    hash: Mapped[str] = mapped_column(String(64))  # SHA-256 over blueprint and web version
    subject: Mapped[str] = mapped_column(String(400))
    blueprint: Mapped[bytes] = mapped_column(LargeBinary)  # content.letter.Blueprint, serialised
    web_html: Mapped[str] = mapped_column(Text)  # the public web version, without slots
    html_bytes: Mapped[int]  # of the HTML part as a reader gets it
    text_bytes: Mapped[int]
    links: Mapped[Any] = mapped_column(Json)  # list of URLs; a click carries the index
    frozen_at: Mapped[datetime] = mapped_column(UTCDateTime)


class StoredFigure(Base):
    """A picture, by content: ``name`` is the start of its SHA-256 and its suffix."""

    __tablename__ = "figures"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(40))
    width: Mapped[int]
    height: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Attachment(Base):
    """A file that travels with every letter of an issue; ``language`` None: with every edition."""

    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"), index=True)
    language: Mapped[str | None] = mapped_column(String(2))
    file_name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(100))
    content: Mapped[bytes] = mapped_column(LargeBinary)


def publication_by_code(session: Session, code: str) -> Publication | None:
    """Return the publication of that code."""
    return session.scalar(select(Publication).where(Publication.code == code))


def publications(session: Session) -> list[Publication]:
    """Return every publication, oldest first."""
    return list(session.scalars(select(Publication).order_by(Publication.id)))


def voices(session: Session, publication_id: int) -> dict[str, Voice]:
    """Return a publication's voices by language."""
    rows = session.scalars(select(Voice).where(Voice.publication_id == publication_id))
    return {voice.language: voice for voice in rows}


def issues_of(session: Session, publication_id: int | None = None) -> list[Issue]:
    """Return issues, newest first, of one publication or of all."""
    query = select(Issue).order_by(Issue.id.desc())
    if publication_id is not None:
        query = query.where(Issue.publication_id == publication_id)
    return list(session.scalars(query))


def issue_by_public_id(session: Session, public_id: UUID) -> Issue | None:
    """Return the issue the outside knows by ``public_id``."""
    return session.scalar(select(Issue).where(Issue.public_id == public_id))


def issue_by_number(session: Session, publication_id: int, number: str) -> Issue | None:
    """Return the issue of that number."""
    return session.scalar(select(Issue).where(Issue.publication_id == publication_id, Issue.number == number))


def editions(session: Session, issue_id: int) -> dict[str, Edition]:
    """Return an issue's editions by language, Chinese first."""
    rows = session.scalars(
        select(Edition).where(Edition.issue_id == issue_id).order_by(Edition.language.desc())
    )
    return {edition.language: edition for edition in rows}


def languages_of(session: Session, issue_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the languages each issue has an edition in, Chinese first, without loading the documents."""
    query = select(Edition.issue_id, Edition.language).where(Edition.issue_id.in_(issue_ids))
    found: dict[int, list[str]] = {}
    for issue_id, language in session.execute(query.order_by(Edition.language.desc())):
        found.setdefault(issue_id, []).append(language)
    return found


def attachments(session: Session, issue_id: int, language: str | None = None) -> list[Attachment]:
    """Return an issue's attachments; with ``language``, those that edition carries."""
    query = select(Attachment).where(Attachment.issue_id == issue_id).order_by(Attachment.id)
    if language is not None:
        query = query.where((Attachment.language == language) | Attachment.language.is_(None))
    return list(session.scalars(query))


def frozen(session: Session, edition_id: int, version: int, digest: str) -> FrozenEdition | None:
    """Return the edition frozen at that version under that hash."""
    return session.scalar(
        select(FrozenEdition).where(
            FrozenEdition.edition_id == edition_id,
            FrozenEdition.version == version,
            FrozenEdition.hash == digest,
        )
    )
