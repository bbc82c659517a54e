"""Tables of accounts, and all their SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, column, delete, func, select, table, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime


class Role(StrEnum):
    """What an account may do; ``accounts.users.may`` has the table."""

    ADMIN = "admin"
    EDITOR = "editor"  # writes issues, makes campaigns, asks for approval
    APPROVER = "approver"  # approves what another has frozen
    SENDER = "sender"  # launches, pauses, resumes, cancels
    VIEWER = "viewer"  # reads reports
    PARTNER = "partner"  # manages one partner's people, sees nothing else


class User(Base):
    """An account. ``partner_id`` is set exactly for partner managers."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("(role = 'partner') = (partner_id IS NOT NULL)", name="partner_manager_has_partner"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)  # address.key_of
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[Role] = mapped_column(String(20))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"), index=True)
    language: Mapped[str] = mapped_column(String(2), default="en")
    password_hash: Mapped[str | None] = mapped_column(String(200))  # argon2id; None: sign-in links only
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class UserSession(Base):
    """A signed-in browser. Only the hash of its id is kept: a stolen database opens no session."""

    __tablename__ = "user_sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class SignInLink(Base):
    """A link that signs in once. Used links stay until they expire, so that a second use can be told."""

    __tablename__ = "sign_in_links"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class AuditEntry(Base):
    """Who did what to what. Append-only; ``actor`` is an account's address, ``system`` or ``shell``."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    actor: Mapped[str] = mapped_column(String(320))
    action: Mapped[str] = mapped_column(String(60))  # e.g. "campaign.approve"
    subject: Mapped[str] = mapped_column(String(60), index=True)  # e.g. "campaign 7"
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"), index=True)
    before: Mapped[Any | None] = mapped_column(Json)
    after: Mapped[Any | None] = mapped_column(Json)


_partners = table("partners", column("id"), column("code"))  # the audience's: it stands above accounts


def user_by_email(session: Session, email: str) -> User | None:
    """Return the account of that address; ``email`` in comparing form, or as typed."""
    return session.scalar(select(User).where(User.email == email.strip().casefold()))


def users(session: Session, partner_id: int | None = None) -> list[User]:
    """Return accounts by address, of one partner or all."""
    query = select(User).order_by(User.email)
    return list(session.scalars(query if partner_id is None else query.where(User.partner_id == partner_id)))


def partner_id(session: Session, code: str) -> int | None:
    """Return the id of the partner of that code."""
    found: int | None = session.scalar(select(_partners.c.id).where(_partners.c.code == code))
    return found


def open_session(session: Session, id_hash: str, now: datetime) -> tuple[User, str] | None:
    """Return the account and CSRF token of a session that still counts."""
    row = session.execute(
        select(User, UserSession.csrf)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.id_hash == id_hash, UserSession.expires_at > now, User.disabled_at.is_(None))
    ).first()
    return (row[0], row[1]) if row else None


def close_session(session: Session, id_hash: str) -> None:
    """Drop one session."""
    session.execute(delete(UserSession).where(UserSession.id_hash == id_hash))


def close_sessions(session: Session, user_id: int) -> None:
    """Drop every session and unused link of an account."""
    session.execute(delete(UserSession).where(UserSession.user_id == user_id))
    session.execute(delete(SignInLink).where(SignInLink.user_id == user_id, SignInLink.used_at.is_(None)))


def use_link(session: Session, token_hash: str, now: datetime) -> int | None:
    """Mark a link used and return its account's id; of two who come at once, one gets None."""
    return session.scalar(
        update(SignInLink)
        .where(SignInLink.token_hash == token_hash, SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
        .returning(SignInLink.user_id)
    )


def forget_expired(session: Session, now: datetime) -> None:
    """Delete sessions and links past their time."""
    session.execute(delete(UserSession).where(UserSession.expires_at <= now))
    session.execute(delete(SignInLink).where(SignInLink.expires_at <= now))


def audit_entries(session: Session, limit: int, partner_id: int | None) -> list[AuditEntry]:
    """Return the newest entries, of one partner or all."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if partner_id is not None:
        query = query.where(AuditEntry.partner_id == partner_id)
    return list(session.scalars(query))


def audit_about_partner(
    session: Session, partner_id: int, actions: Collection[str], page: int, size: int
) -> tuple[list[AuditEntry], int]:
    """Return a page of the entries of these actions about a partner's people, newest first, and how many."""
    query = select(AuditEntry).where(AuditEntry.partner_id == partner_id, AuditEntry.action.in_(actions))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = query.order_by(AuditEntry.id.desc()).limit(size).offset((max(page, 1) - 1) * size)
    return list(session.scalars(rows)), total


def audit_last(session: Session, subject: str, action: str) -> datetime | None:
    """Return when ``action`` was last done to ``subject``."""
    query = select(func.max(AuditEntry.at)).where(AuditEntry.subject == subject, AuditEntry.action == action)
    return session.scalar(query)


def audit_actors(session: Session, subject: str, actions: Sequence[str]) -> set[str]:
    """Return the names of those who did one of ``actions`` to ``subject``."""
    query = select(AuditEntry.actor).where(AuditEntry.subject == subject, AuditEntry.action.in_(actions))
    return set(session.scalars(query.distinct()))
