"""Sessions: signed-in browsers, and links that sign in once.

Both are random secrets of 256 bits of which the database keeps only a hash.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.accounts import audit, store
from mailer.accounts.audit import Actor
from mailer.accounts.store import SignInLink, User, UserSession
from mailer.errors import MailerError

SESSION_LASTS = timedelta(days=7)  # a working week; signing in again is one link away
LINK_LASTS = timedelta(hours=1)


class BadLink(MailerError):
    """This sign-in link has been used or has expired: ask for a new one."""

    http_status = 401


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a cookie belongs to, and the token that every form of this session must carry."""

    user: User
    csrf: str


def open_session(session: Session, *, user_id: int, now: datetime) -> tuple[str, str]:
    """Return a new session's cookie and CSRF token; the cookie cannot be had again."""
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(
        UserSession(
            id_hash=_hash(cookie), user_id=user_id, csrf=csrf, created_at=now, expires_at=now + SESSION_LASTS
        )
    )
    session.flush()
    return cookie, csrf


def find(session: Session, cookie: str, now: datetime) -> SignedIn | None:
    """Return who is signed in, or None: unknown, closed, expired, or the account was disabled."""
    found = store.open_session(session, _hash(cookie), now)
    return SignedIn(*found) if found else None


def close(session: Session, cookie: str) -> None:
    """Sign out. Closing what is not open changes nothing."""
    store.close_session(session, _hash(cookie))


def make_link(session: Session, *, user_id: int, now: datetime, lasts: timedelta = LINK_LASTS) -> str:
    """Return the token of a link that signs in once before it has lasted so long."""
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_hash=_hash(token), user_id=user_id, expires_at=now + lasts))
    session.flush()
    return token


def use_link(session: Session, token: str, now: datetime) -> User:
    """Use a link up and return its account.

    :raises BadLink: unknown, used, expired, or the account was disabled
    """
    user_id = store.use_link(session, _hash(token), now)
    user = session.get(User, user_id) if user_id is not None else None
    if user is None or user.disabled_at is not None:
        raise BadLink
    audit.record(session, now=now, actor=Actor(user.id, user.email), action="user.sign_in_by_link",
                 subject=f"user {user.id}")  # fmt: skip
    return user


def forget_expired(session: Session, now: datetime) -> None:
    """Drop sessions and links that nobody can use any more."""
    store.forget_expired(session, now)


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
