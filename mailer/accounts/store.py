"""Tables of accounts, and all their SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Row,
    String,
    Text,
    and_,
    column,
    delete,
    false,
    func,
    not_,
    select,
    table,
    update,
)
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
    signed_in_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # last; None: never


class UserSession(Base):
    """A signed-in browser. Only the hash of its id is kept: a stolen database opens no session.

    ``half``: the first step is done and the code is still to come; such a session opens no page.
    """

    __tablename__ = "user_sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: not since ``created_at``
    how: Mapped[str] = mapped_column(String(20), default="", server_default="")  # ``sessions.How``
    agent: Mapped[str] = mapped_column(String(300), default="", server_default="")  # User-Agent
    origin: Mapped[str] = mapped_column(String(45), default="", server_default="")  # IP, at signing in
    half: Mapped[bool] = mapped_column(default=False, server_default=false())


class Totp(Base):
    """The secret that an account's authenticator app shares with us (RFC 6238).

    ``confirmed_at`` None: it was shown and no code of it has come yet, so it guards nothing.
    """

    __tablename__ = "totp_secrets"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(Text)  # sealed for "totp" and the account
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # newest used


class RecoveryCode(Base):
    """A code that stands in for the app once; used ones stay, so that the page can say how many are left."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


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


# the audience's, which stands above accounts
_partners = table("partners", column("id"), column("code"), column("name_zh"), column("name_en"))


def user_by_email(session: Session, email: str) -> User | None:
    """Return the account of that address; ``email`` in comparing form, or as typed."""
    return session.scalar(select(User).where(User.email == email.strip().casefold()))


def emails(session: Session, ids: Sequence[int]) -> dict[int, str]:
    """Return the addresses of accounts by id."""
    return {row[0]: row[1] for row in session.execute(select(User.id, User.email).where(User.id.in_(ids)))}


def users(session: Session, partner_id: int | None = None) -> list[User]:
    """Return accounts by address, of one partner or all."""
    query = select(User).order_by(User.email)
    return list(session.scalars(query if partner_id is None else query.where(User.partner_id == partner_id)))


def partner_id(session: Session, code: str) -> int | None:
    """Return the id of the partner of that code."""
    found: int | None = session.scalar(select(_partners.c.id).where(_partners.c.code == code))
    return found


def partner_code(session: Session, id: int | None) -> str | None:
    """Return the code of the partner of that id; None for None."""
    found: str | None = session.scalar(select(_partners.c.code).where(_partners.c.id == id)) if id else None
    return found


def partners(session: Session) -> list[Row[Any]]:
    """Return id, code and names of every partner, by code."""
    return list(session.execute(select(_partners).order_by(_partners.c.code)))


def administrators(session: Session) -> list[int]:
    """Return the ids of administrators who may sign in, locked until the transaction ends."""
    return _held(session, User.role == Role.ADMIN)


def managers(session: Session, partner_id: int) -> list[int]:
    """Return the ids of a partner's managers who may sign in, locked until the transaction ends."""
    return _held(session, User.partner_id == partner_id)


def _held(session: Session, which: ColumnElement[bool]) -> list[int]:
    query = select(User.id).where(which, User.disabled_at.is_(None)).order_by(User.id).with_for_update()
    return list(session.scalars(query))


def open_session(
    session: Session, id_hash: str, now: datetime, seen_since: datetime
) -> Row[User, UserSession, bool] | None:
    """Return account, session, and whether the account's codes are on, of a session that still counts.

    It was seen after ``seen_since`` and has not run out at ``now``; half ones count, too.
    """
    return session.execute(
        select(User, UserSession, Totp.confirmed_at.is_not(None))
        .join(UserSession, UserSession.user_id == User.id)
        .outerjoin(Totp, Totp.user_id == User.id)
        .where(UserSession.id_hash == id_hash, User.disabled_at.is_(None), _lives(now, seen_since))
    ).first()


def sessions_of(session: Session, user_id: int, now: datetime, seen_since: datetime) -> list[UserSession]:
    """Return an account's sessions that still count, the one seen last first; half ones are none."""
    seen = func.coalesce(UserSession.seen_at, UserSession.created_at)
    return list(
        session.scalars(
            select(UserSession)
            .where(UserSession.user_id == user_id, ~UserSession.half, _lives(now, seen_since))
            .order_by(seen.desc(), UserSession.id_hash)
        )
    )


def session_counts(session: Session, now: datetime, seen_since: datetime) -> dict[int, int]:
    """Return how many sessions each account has open; accounts without any are left out."""
    rows = session.execute(
        select(UserSession.user_id, func.count())
        .where(~UserSession.half, _lives(now, seen_since))
        .group_by(UserSession.user_id)
    )
    return {row[0]: row[1] for row in rows}


def _lives(now: datetime, seen_since: datetime) -> ColumnElement[bool]:
    seen = func.coalesce(UserSession.seen_at, UserSession.created_at)
    return and_(UserSession.expires_at > now, seen > seen_since)


def see_session(session: Session, id_hash: str, now: datetime) -> None:
    """Note when a session was seen last."""
    session.execute(update(UserSession).where(UserSession.id_hash == id_hash).values(seen_at=now))


def close_session(session: Session, id_hash: str, user_id: int | None = None) -> int:
    """Drop one session, ``user_id`` given: if it is that account's. Return how many were dropped."""
    query = delete(UserSession).where(UserSession.id_hash == id_hash)
    if user_id is not None:
        query = query.where(UserSession.user_id == user_id)
    return len(session.scalars(query.returning(UserSession.id_hash)).all())


def close_sessions(session: Session, user_id: int, keep: str = "") -> int:
    """Drop every session of an account but that of the hash ``keep``, and its unused links.

    Return how many sessions were dropped.
    """
    session.execute(delete(SignInLink).where(SignInLink.user_id == user_id, SignInLink.used_at.is_(None)))
    gone = delete(UserSession).where(UserSession.user_id == user_id, UserSession.id_hash != keep)
    return len(session.scalars(gone.returning(UserSession.id_hash)).all())


def use_link(session: Session, token_hash: str, now: datetime) -> int | None:
    """Mark a link used and return its account's id; of two who come at once, one gets None."""
    return session.scalar(
        update(SignInLink)
        .where(SignInLink.token_hash == token_hash, SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
        .returning(SignInLink.user_id)
    )


def forget_expired(session: Session, now: datetime, seen_since: datetime) -> None:
    """Delete sessions and links past their time."""
    session.execute(delete(UserSession).where(not_(_lives(now, seen_since))))
    session.execute(delete(SignInLink).where(SignInLink.expires_at <= now))


def take_step(session: Session, user_id: int, step: int) -> bool:
    """Note a code's time step as used; False: this one or a later one was used before (RFC 6238 §5.2)."""
    taken = session.scalar(
        update(Totp)
        .where(Totp.user_id == user_id, Totp.last_step < step)
        .values(last_step=step)
        .returning(Totp.user_id)
    )
    return taken is not None


def take_recovery_code(session: Session, user_id: int, code_hash: str, now: datetime) -> bool:
    """Use a recovery code up; of two who come at once, one gets False."""
    taken = session.scalar(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == code_hash,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.user_id)
    )
    return taken is not None


def recovery_codes_left(session: Session, user_id: int) -> int:
    """Return how many recovery codes an account still has."""
    query = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return session.scalar(query) or 0


def forget_second_step(session: Session, user_id: int) -> None:
    """Delete an account's secret and recovery codes."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.execute(delete(Totp).where(Totp.user_id == user_id))
    session.expire_all()


def forget_recovery_codes(session: Session, user_id: int) -> None:
    """Delete an account's recovery codes."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def with_codes(session: Session) -> set[int]:
    """Return the ids of accounts that sign in with a code."""
    return set(session.scalars(select(Totp.user_id).where(Totp.confirmed_at.is_not(None))))


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
