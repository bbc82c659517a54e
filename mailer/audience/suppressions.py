"""Suppressions: addresses that must not be written to.

Kept as keyed hashes, so that one outlives the erasure of the person. Who decides that an address is
silenced is ``feedback.policy`` or a person; this module only keeps the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import store
from mailer.audience.store import Suppression
from mailer.errors import NotFound


class NoSuppression(NotFound):
    """There is no such suppression in force: reload the list."""


def suppress(
    session: Session,
    *,
    address_hash: str,
    reason: str,
    note: str,
    now: datetime,
    publication_id: int | None = None,
    until: datetime | None = None,
) -> int:
    """Silence an address and return the suppression's id; the same news again changes nothing.

    ``publication_id`` None: everywhere. ``until`` None: until released. ``reason``: a diagnosis category
    or ``manual``.
    """
    known = store.suppression_like(session, address_hash, reason, publication_id, now)
    if known is not None and (known.until is None or (until is not None and until <= known.until)):
        return known.id
    if known is not None:
        known.until = until
        return known.id
    made = Suppression(
        address_hash=address_hash, publication_id=publication_id, reason=reason, note=note, since=now,
        until=until,
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made.id


def release(session: Session, id: int, now: datetime, actor: Actor) -> None:
    """Let an address be written to again.

    :raises NoSuppression: unknown, or released before
    """
    found = session.get(Suppression, id)
    if found is None or found.released_at is not None:
        raise NoSuppression
    found.released_at, found.released_by = now, actor.name
    audit.record(session, now=now, actor=actor, action="suppression.release", subject=f"suppression {id}",
                 before={"reason": found.reason})  # fmt: skip


def in_force(
    now: datetime | ColumnElement[datetime], publication_id: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the SQL condition that a ``Subscriber`` of the query must not be written to, for WHERE or CASE.

    Both may be columns of the query or its parameters, such as ``Campaign.publication_id``.
    """
    return store.suppression_in_force(now, publication_id)


def of_address(session: Session, address_hash: str, now: datetime) -> list[Suppression]:
    """Return what is in force against an address, for any publication."""
    return store.suppressions_of(session, [address_hash], now)


def listing(
    session: Session, *, now: datetime, page: int = 1, size: int = 50
) -> tuple[list[Suppression], int]:
    """Return a page of those in force, newest first, and their total."""
    return store.suppressions(session, now, page, size)


def addresses(session: Session, found: Iterable[Suppression]) -> dict[str, str]:
    """Return the addresses of suppressions by their hash, but of those that were erased."""
    return store.addresses_by_hash(session, [each.address_hash for each in found])
