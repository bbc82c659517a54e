"""Teams: the managers of one partner, who invite one another and close one another's accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from mailer import address
from mailer.accounts import audit, store, users
from mailer.accounts.audit import Actor
from mailer.accounts.store import Role, User
from mailer.accounts.users import AddressTaken
from mailer.errors import Conflict, NotFound


class NotInTeam(NotFound):
    """Nobody in your team has that address: reload the page."""


class Unusable(Conflict):
    """This address cannot be used for an account here: choose another, or ask the secretariat."""


class OnTheTeam(Conflict):
    """This colleague is on your team already: if they cannot sign in, send them a new link."""


class Oneself(Conflict):
    """You cannot remove yourself: ask a colleague to do it, or the secretariat."""


class LastOne(Conflict):
    """Somebody has to look after your people: invite another manager first."""


def members(session: Session, partner_id: int) -> list[User]:
    """Return the partner's managers who can sign in, by address."""
    return [user for user in store.users(session, partner_id) if user.disabled_at is None]


def invite(
    session: Session,
    *,
    partner_id: int,
    partner_code: str,
    email: str,
    name: str = "",
    language: str = "en",
    now: datetime,
    actor: Actor,
) -> User:
    """Make a colleague a manager of the partner too; one who was removed is let in again.

    :raises BadAddress: not an address
    :raises Unusable: it has an account that is not of this team
    :raises OnTheTeam: its account is open
    """
    known = store.user_by_email(session, address.parse(email).key)
    if known is None or known.partner_id != partner_id:
        return _added(session, partner_code, email, name, language, now, actor)
    if known.disabled_at is None:
        raise OnTheTeam
    known.disabled_at = None
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="team.readmit", subject=f"user {known.id}",
        before={"email": known.email, "open": False}, after={"email": known.email, "open": True},
        partner_id=partner_id,
    )  # fmt: skip
    return known


def _added(
    session: Session, partner_code: str, email: str, name: str, language: str, now: datetime, actor: Actor
) -> User:
    try:
        return users.add(
            session, email=email, role=Role.PARTNER, partner_code=partner_code, name=name, language=language,
            now=now, actor=actor,
        )  # fmt: skip
    except AddressTaken as error:
        raise Unusable from error


def get(session: Session, partner_id: int, email: str) -> User:
    """:raises NotInTeam: nobody of that address manages the partner"""
    found = {user.email: user for user in members(session, partner_id)}
    key = address.key_of(email)
    if key not in found:
        raise NotInTeam
    return found[key]


def remove(session: Session, *, partner_id: int, email: str, now: datetime, actor: Actor) -> User:
    """Close a colleague's account and sign it out everywhere.

    :raises NotInTeam: nobody of that address manages the partner
    :raises Oneself: it is one's own
    :raises LastOne: nobody would be left
    """
    open_ones = store.managers(session, partner_id)
    user = get(session, partner_id, email)
    if user.id == actor.user_id:
        raise Oneself
    if len(open_ones) < 2:
        raise LastOne
    users.disable(session, user_id=user.id, now=now, actor=actor)
    audit.record(
        session, now=now, actor=actor, action="team.remove", subject=f"user {user.id}",
        before={"email": user.email, "open": True}, after={"email": user.email, "open": False},
        partner_id=partner_id,
    )  # fmt: skip
    return user


def ever(session: Session, partner_id: int) -> list[User]:
    """Return everybody who manages the partner or did."""
    return store.users(session, partner_id)
