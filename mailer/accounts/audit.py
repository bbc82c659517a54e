"""The audit log: who did what to what. Entries are added, never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailer.accounts import store
from mailer.accounts.store import AuditEntry
from mailer.errors import NotFound


class NoAccount(NotFound):
    """There is no account with that address: `mailer user list` shows those that exist."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``user_id`` None: nobody signed in, so ``name`` is ``system`` or ``shell``."""

    user_id: int | None
    name: str

    @classmethod
    def named(cls, session: Session, email: str) -> Actor:
        """Return the account of that address as an actor.

        :raises NoAccount: none, or it was disabled
        """
        user = store.user_by_email(session, email)
        if user is None or user.disabled_at is not None:
            raise NoAccount
        return cls(user.id, user.email)


SYSTEM = Actor(None, "system")
HUSHED = "*"
"""Stands for what the log does not keep: it says that it changed, not from what to what."""


def record(
    session: Session,
    *,
    now: datetime,
    actor: Actor,
    action: str,
    subject: str,
    before: Any = None,
    after: Any = None,
    partner_id: int | None = None,
) -> None:
    """Write one entry. ``action`` is noun and verb (``campaign.approve``), ``subject`` noun and id.

    ``before`` and ``after`` are JSON values; they carry no addresses of readers. ``partner_id``: the
    partner whose people it is about, so that the partner's desk can show it.
    """
    session.add(
        AuditEntry(
            at=now,
            user_id=actor.user_id,
            actor=actor.name,
            action=action,
            subject=subject,
            before=before,
            after=after,
            partner_id=partner_id,
        )
    )


def hushed(values: Mapping[str, Any], *, but: Collection[str]) -> dict[str, Any]:
    """Return facts about a person for the log: the values of the columns ``but`` names, of others no more
    than that they are there. Names and notes would outlive the person's erasure.
    """
    return {name: value if name in but else HUSHED for name, value in sorted(values.items())}


def entries(session: Session, *, limit: int = 50, partner_id: int | None = None) -> list[AuditEntry]:
    """Return the newest entries; with ``partner_id``, only those about that partner's people."""
    return store.audit_entries(session, limit, partner_id)


def about_partner(
    session: Session, partner_id: int, actions: Collection[str], page: int = 1, *, size: int = 50
) -> tuple[list[AuditEntry], int]:
    """Return a page of what a partner may read of its own people and team, newest first, and how many."""
    return store.audit_about_partner(session, partner_id, actions, page, size)


def actors(session: Session, *, subject: str, actions: Sequence[str]) -> set[str]:
    """Return the names of those who did one of ``actions`` to ``subject``."""
    return store.audit_actors(session, subject, actions)


def last(session: Session, *, subject: str, action: str) -> datetime | None:
    """Return when ``action`` was last done to ``subject``; None: never."""
    return store.audit_last(session, subject, action)
