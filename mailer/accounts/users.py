"""Users: accounts, what their roles may do, and signing in with a password."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy.orm import Session

from mailer import address
from mailer.accounts import audit, sessions, store
from mailer.accounts.audit import Actor, NoAccount
from mailer.accounts.store import Role, User
from mailer.errors import Conflict, Invalid, MailerError, NotFound

SHORTEST_PASSWORD = 12  # characters; long enough that guessing at the sign-in's rate limit is hopeless
LONGEST_PASSWORD = 1024  # characters; hashing more would only cost time

_SECRETARIAT = frozenset({Role.ADMIN, Role.EDITOR, Role.APPROVER, Role.SENDER, Role.VIEWER})
ACTIONS: dict[str, frozenset[Role]] = {
    "issue.write": frozenset({Role.ADMIN, Role.EDITOR}),
    "campaign.create": frozenset({Role.ADMIN, Role.EDITOR}),
    "campaign.approve": frozenset({Role.ADMIN, Role.APPROVER}),
    "campaign.launch": frozenset({Role.ADMIN, Role.SENDER}),  # also pause, resume, cancel
    "report.read": _SECRETARIAT,
    "event.read": frozenset({Role.ADMIN}),
    "people.manage": frozenset({Role.ADMIN, Role.EDITOR}),  # every partner's people
    "partner.manage": frozenset({Role.PARTNER}),  # only one's own partner's people
    "user.manage": frozenset({Role.ADMIN}),
    "rule.manage": frozenset({Role.ADMIN}),  # own rules of what mail systems mean
    "sending.manage": frozenset({Role.ADMIN}),  # limits of destinations, DKIM keys
}

_hasher = PasswordHasher()  # argon2id, RFC 9106 §4, second recommended option: 64 MiB a check
_checks = BoundedSemaphore(4)  # hence at most 256 MiB at once, however many sign in


class BadSignIn(MailerError):
    """The address or the password is not right: try again, or ask for a sign-in link."""

    http_status = 401


class NoAccountThere(MailerError):
    """There is no account with your organisation's address: ask an administrator to add one."""

    http_status = 401


class AddressTaken(Conflict):
    """There is an account with that address already: `mailer user list` shows it."""


class BadPassword(Invalid):
    """The password must have 12 to 1024 characters: choose another."""


class PartnerMismatch(Invalid):
    """A partner manager needs a partner, and no other role may have one: give both or neither."""


class LastAdministrator(Conflict):
    """This is the last administrator: make another account an administrator first."""


class NoSuchPartner(NotFound):
    """There is no partner with that code: `mailer partner list` shows those that exist."""


def may(role: str, action: str) -> bool:
    """Say whether an account of ``role`` may do ``action``. An unknown action is a bug, not a refusal."""
    return role in ACTIONS[action]


def add(
    session: Session,
    *,
    email: str,
    role: str,
    now: datetime,
    actor: Actor,
    partner_code: str | None = None,
    name: str = "",
    language: str = "en",
    password: str | None = None,
) -> User:
    """Make an account. ``password`` None: it signs in by links only.

    :raises BadAddress: not an address
    :raises AddressTaken: it has an account already
    :raises PartnerMismatch: a partner manager without partner, or a partner for another role
    """
    key = address.parse(email).key
    if store.user_by_email(session, key):
        raise AddressTaken
    _must_match(role, partner_code)
    user = User(
        email=key,
        name=_one_line(name),
        role=Role(role),
        partner_id=_partner_id(session, partner_code),
        language=language,
        password_hash=_hash(password) if password is not None else None,
        created_at=now,
    )
    session.add(user)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="user.add", subject=f"user {user.id}",
        after=_facts(user), partner_id=user.partner_id,
    )  # fmt: skip
    return user


def change(
    session: Session,
    *,
    user_id: int,
    role: str,
    partner_code: str | None,
    name: str,
    now: datetime,
    actor: Actor,
) -> User:
    """Give an account another role, partner or name. Another role or partner signs it out everywhere.

    :raises PartnerMismatch: a partner manager without partner, or a partner for another role
    :raises LastAdministrator: nobody would be left to look after accounts
    """
    user = session.get_one(User, user_id)
    before = _facts(user)
    _must_match(role, partner_code)
    partner_id = _partner_id(session, partner_code)
    moved = (user.role, user.partner_id) != (role, partner_id)
    if role != Role.ADMIN:
        _leave_an_administrator(session, user)
    user.role, user.partner_id, user.name = Role(role), partner_id, _one_line(name)
    _changed(session, user, before, now, actor)
    if moved:
        sessions.revoke_all(session, user_id=user_id, now=now, actor=actor)
    return user


def rename(session: Session, *, user_id: int, name: str, language: str, now: datetime, actor: Actor) -> User:
    """Write what somebody says of themselves: their name, and the language pages speak to them."""
    user = session.get_one(User, user_id)
    before = _facts(user)
    user.name, user.language = _one_line(name), language
    _changed(session, user, before, now, actor)
    return user


def get(session: Session, email: str) -> User:
    """:raises NoAccount: none of that address"""
    user = store.user_by_email(session, address.key_of(email))
    if user is None:
        raise NoAccount
    return user


def listing(session: Session, *, partner_id: int | None = None) -> list[User]:
    """Return every account by address; with ``partner_id``, only that partner's managers."""
    return store.users(session, partner_id)


def set_password(
    session: Session, *, user_id: int, password: str, now: datetime, actor: Actor, keep: str = ""
) -> None:
    """Give an account a new password and sign it out everywhere, but for the session of id ``keep``.

    :raises BadPassword: too short or too long
    """
    user = session.get_one(User, user_id)
    before = {"password": user.password_hash is not None}
    user.password_hash = _hash(password)
    store.close_sessions(session, user_id, keep)
    audit.record(session, now=now, actor=actor, action="user.password", subject=f"user {user_id}",
                 before=before, after={"password": True})  # fmt: skip


def disable(session: Session, *, user_id: int, now: datetime, actor: Actor) -> None:
    """Close an account and sign it out everywhere. It stays, so that the audit log keeps its names.

    :raises LastAdministrator: nobody would be left to look after accounts
    """
    user = session.get_one(User, user_id)
    if user.disabled_at is None:
        _leave_an_administrator(session, user)
        user.disabled_at = now
        store.close_sessions(session, user_id)
        audit.record(session, now=now, actor=actor, action="user.disable", subject=f"user {user_id}",
                     before={"open": True}, after={"open": False}, partner_id=user.partner_id)  # fmt: skip


def enable(session: Session, *, user_id: int, now: datetime, actor: Actor) -> None:
    """Open a closed account again; it signs in anew."""
    user = session.get_one(User, user_id)
    if user.disabled_at is not None:
        user.disabled_at = None
        audit.record(session, now=now, actor=actor, action="user.enable", subject=f"user {user_id}",
                     before={"open": False}, after={"open": True}, partner_id=user.partner_id)  # fmt: skip


def check(session: Session, *, email: str, password: str) -> int:
    """Return the account's id; reads only, so that the slow hash keeps no writer waiting.

    An unknown address takes as long and says the same as a wrong password.

    :raises BadSignIn: unknown, disabled, without a password, or the wrong one
    """
    user = store.user_by_email(session, address.key_of(email))
    stored = user.password_hash if user and user.password_hash else _nobodys_hash()
    right = _verify(stored, password)
    if not right or user is None or user.password_hash is None or user.disabled_at is not None:
        raise BadSignIn
    return user.id


def sign_in(session: Session, *, user_id: int, password: str, now: datetime) -> User:
    """Return the account that ``check`` found, and record its signing in.

    :raises BadSignIn: it was closed meanwhile, or lost its password
    """
    user = session.get_one(User, user_id)
    if user.disabled_at is not None or user.password_hash is None:
        raise BadSignIn
    if _hasher.check_needs_rehash(user.password_hash):
        user.password_hash = _hash(password)
    audit.record(session, now=now, actor=Actor(user.id, user.email), action="user.sign_in",
                 subject=f"user {user.id}")  # fmt: skip
    return user


def sign_in_by_provider(session: Session, *, email: str, now: datetime) -> User:
    """Return the account of an address that an organisation's own sign-in vouches for, and record it.

    :raises NoAccountThere: no account has it, or it was closed
    """
    user = store.user_by_email(session, address.key_of(email))
    if user is None or user.disabled_at is not None:
        raise NoAccountThere
    audit.record(session, now=now, actor=Actor(user.id, user.email), action="user.sign_in_by_provider",
                 subject=f"user {user.id}")  # fmt: skip
    return user


def _facts(user: User) -> dict[str, object]:
    """Return what the audit log keeps of an account."""
    return {
        "email": user.email, "name": user.name, "role": str(user.role), "partner": user.partner_id,
        "language": user.language,
    }  # fmt: skip


def _changed(session: Session, user: User, before: dict[str, object], now: datetime, actor: Actor) -> None:
    after = _facts(user)
    if after != before:
        audit.record(session, now=now, actor=actor, action="user.change", subject=f"user {user.id}",
                     before=before, after=after, partner_id=user.partner_id)  # fmt: skip


def _leave_an_administrator(session: Session, user: User) -> None:
    if user.role == Role.ADMIN and not set(store.administrators(session)) - {user.id}:
        raise LastAdministrator


def _must_match(role: str, partner_code: str | None) -> None:
    if (role == Role.PARTNER) != (partner_code is not None):
        raise PartnerMismatch


def _one_line(name: str) -> str:
    return " ".join(name.split())[:200]


def _partner_id(session: Session, code: str | None) -> int | None:
    if code is None:
        return None
    found = store.partner_id(session, code)
    if found is None:
        raise NoSuchPartner
    return found


def _hash(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadPassword
    with _checks:
        return _hasher.hash(password)


def _verify(stored: str, password: str) -> bool:
    try:
        with _checks:
            return _hasher.verify(stored, password[: LONGEST_PASSWORD + 1])
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")
