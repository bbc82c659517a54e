"""Sessions: signed-in browsers, and links that sign in once.

Both are random secrets of 256 bits of which the database keeps only a hash. Signing in always opens a new
session, so that a cookie set beforehand is worth nothing (session fixation).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.accounts import audit, store
from mailer.accounts.audit import Actor
from mailer.accounts.store import SignInLink, User, UserSession
from mailer.errors import MailerError, NotFound

SESSION_LASTS = timedelta(days=7)  # a working week; signing in again is one link away
IDLE_LASTS = timedelta(days=1)  # a browser nobody used since yesterday asks again
HALF_LASTS = timedelta(minutes=10)  # between the password and the code
LINK_LASTS = timedelta(hours=1)
FRESH = timedelta(minutes=10)  # after signing in, what guards the account may be changed without asking again
SEEN_EVERY = timedelta(minutes=5)  # how exactly "last seen" is known: pages are many, writes should be few


class How(StrEnum):
    """By which door a session was opened."""

    PASSWORD = "password"  # noqa: S105  the name of a door
    LINK = "link"
    PROVIDER = "provider"  # OpenID Connect


class BadLink(MailerError):
    """This sign-in link has been used or has expired: ask for a new one."""

    http_status = 401


class NoSession(NotFound):
    """This session is closed already: reload the page to see those that are open."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a cookie belongs to, and the token that every form of this session must carry.

    ``id`` is the hash of the cookie: it names the session and opens nothing. ``has_codes``: the account
    signs in with a code as well. ``seen_at`` is when a page was last asked for, within ``SEEN_EVERY``.
    """

    user: User
    csrf: str
    id: str
    how: str
    opened_at: datetime
    seen_at: datetime
    has_codes: bool

    def fresh(self, now: datetime) -> bool:
        """Say whether who is asking has just shown who they are."""
        return now - self.opened_at < FRESH


@dataclass(frozen=True, slots=True)
class Browser:
    """What is noted of a browser that signs in: the name it gives itself, and the address it comes from."""

    agent: str = ""
    origin: str = ""


def open_session(
    session: Session,
    *,
    user_id: int,
    now: datetime,
    how: str = "",
    browser: Browser | None = None,
    half: bool = False,
) -> tuple[str, str]:
    """Return a new session's cookie and CSRF token; the cookie cannot be had again.

    ``half``: it only remembers that the first step is done, see ``find_half``.
    """
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    browser = browser or Browser()
    session.add(
        UserSession(
            id_hash=_hash(cookie),
            user_id=user_id,
            csrf=csrf,
            created_at=now,
            expires_at=now + (HALF_LASTS if half else SESSION_LASTS),
            how=how,
            agent=browser.agent[:300],
            origin=browser.origin[:45],
            half=half,
        )
    )
    if not half:
        session.get_one(User, user_id).signed_in_at = now
    session.flush()
    return cookie, csrf


def find(session: Session, cookie: str, now: datetime) -> SignedIn | None:
    """Return who is signed in, or None: unknown, closed, expired, half, or the account was disabled."""
    return _find(session, cookie, now, half=False)


def find_half(session: Session, cookie: str, now: datetime) -> SignedIn | None:
    """Return whose first step is done while the code is still to come, or None."""
    return _find(session, cookie, now, half=True)


def _find(session: Session, cookie: str, now: datetime, *, half: bool) -> SignedIn | None:
    found = store.open_session(session, _hash(cookie), now, now - IDLE_LASTS)
    if found is None or found[1].half is not half:
        return None
    user, row, has_codes = found
    return SignedIn(
        user, row.csrf, row.id_hash, row.how, row.created_at, row.seen_at or row.created_at, has_codes
    )


def listing(session: Session, user_id: int, now: datetime) -> list[UserSession]:
    """Return an account's open sessions, the one seen last first."""
    return store.sessions_of(session, user_id, now, now - IDLE_LASTS)


def counts(session: Session, now: datetime) -> dict[int, int]:
    """Return how many sessions each account has open; accounts without any are left out."""
    return store.session_counts(session, now, now - IDLE_LASTS)


def see(session: Session, id: str, now: datetime) -> None:
    """Note that a session was just used."""
    store.see_session(session, id, now)


def close(session: Session, cookie: str) -> None:
    """Sign out. Closing what is not open changes nothing."""
    store.close_session(session, _hash(cookie))


def revoke(session: Session, *, user_id: int, id: str, now: datetime, actor: Actor) -> None:
    """Close one of an account's sessions.

    :raises NoSession: the account has none of that id
    """
    if not store.close_session(session, id, user_id):
        raise NoSession
    _note(session, "user.close_session", user_id, now, actor, before={"sessions": 1}, after={"sessions": 0})


def revoke_all(session: Session, *, user_id: int, now: datetime, actor: Actor, keep: str = "") -> int:
    """Close an account's sessions, but for the one of id ``keep``, and return how many were closed.

    Links that were not used yet sign in no more.
    """
    before = len(listing(session, user_id, now))
    store.close_sessions(session, user_id, keep)
    left = len(listing(session, user_id, now))
    facts = {"before": {"sessions": before}, "after": {"sessions": left}}
    _note(session, "user.close_sessions", user_id, now, actor, **facts)
    return before - left


def make_link(
    session: Session,
    *,
    user_id: int,
    now: datetime,
    actor: Actor | None = None,
    lasts: timedelta = LINK_LASTS,
) -> str:
    """Return the token of a link that signs in once before it has lasted so long.

    ``actor``: who asked for it on another's behalf, for the audit log.
    """
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_hash=_hash(token), user_id=user_id, expires_at=now + lasts))
    session.flush()
    if actor is not None:
        until = (now + lasts).isoformat(timespec="minutes")
        _note(session, "user.link", user_id, now, actor, after={"until": until})
    return token


def use_link(session: Session, token: str, now: datetime) -> User:
    """Use a link up and return its account.

    :raises BadLink: unknown, used, expired, or the account was disabled
    """
    user_id = store.use_link(session, _hash(token), now)
    user = session.get(User, user_id) if user_id is not None else None
    if user is None or user.disabled_at is not None:
        raise BadLink
    _note(session, "user.sign_in_by_link", user.id, now, Actor(user.id, user.email))
    return user


def forget_expired(session: Session, now: datetime) -> None:
    """Drop sessions and links that nobody can use any more."""
    store.forget_expired(session, now, now - IDLE_LASTS)


def _note(
    session: Session,
    action: str,
    user_id: int,
    now: datetime,
    actor: Actor,
    before: object = None,
    after: object = None,
) -> None:
    audit.record(session, now=now, actor=actor, action=action, subject=f"user {user_id}", before=before,
                 after=after)  # fmt: skip


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
