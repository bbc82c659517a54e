"""Suppressions: addresses that must not be written to.

Kept as keyed hashes, so that one outlives the erasure of the person. Who decides that an address is
silenced is feedback's policy or a person; this module only keeps the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from mailer import address as addresses_
from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM, Actor
from mailer.audience import silenced
from mailer.audience.silenced import State
from mailer.audience.store import LEFT_ELSEWHERE, Suppression
from mailer.errors import Invalid, NotFound
from mailer.signing import Keyring

MANUAL = "manual"  # the reason of those that a person added
ERASED = "erased"  # the reason of those that keep an erased person from being brought back
REASONS = (
    "bad_mailbox", "bad_domain", "inactive", "mailbox_full", "complaint", "dormant", LEFT_ELSEWHERE, MANUAL,
)  # fmt: skip
"""What a suppression may be for."""


class NoSuppression(NotFound):
    """There is no such suppression in force: reload the list."""


class NoReason(Invalid):
    """Say why, so that whoever looks later understands it."""


class BadUntil(Invalid):
    """The end lies in the past: give a later one, or none."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How far a suppression reaches: a publication, and all that have this sender; neither: everywhere."""

    publication_id: int | None = None
    sender: str | None = None  # in comparing form


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """An address to be silenced. ``added_by`` "": the policy; ``until`` None: until released.

    ``import_id``: the file of suppressions it stood in; ``people_import_id``: the file of people.
    """

    address_hash: str
    reason: str
    note: str
    scope: Scope = EVERYWHERE
    until: datetime | None = None
    added_by: str = ""
    import_id: int | None = None
    people_import_id: int | None = None

    @property
    def key(self) -> tuple[str, str, Scope]:
        """What makes two of them the same."""
        return self.address_hash, self.reason, self.scope


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

    ``publication_id`` None: everywhere. ``until`` None: until released. ``reason``: one of ``REASONS``.
    """
    wanted = Silence(
        address_hash=address_hash, reason=reason, note=note, scope=Scope(publication_id), until=until
    )
    [made] = suppress_many(session, [wanted], now=now)
    return made


def suppress_many(session: Session, wanted: Sequence[Silence], *, now: datetime) -> list[int]:
    """Silence addresses and return a suppression's id for each, in order.

    What is said already is not said again; of two ends the later one counts.
    """
    hashes = list({each.address_hash for each in wanted})
    standing = {
        (row.address_hash, row.reason, Scope(row.publication_id, row.sender)): row
        for row in reversed(silenced.said(session, hashes, now))
    }
    fresh: dict[tuple[str, str, Scope], Silence] = {}
    for each in wanted:
        known = standing.get(each.key)
        if known is None:
            fresh.setdefault(each.key, each)
        elif known.until is not None:
            known.until = max(known.until, each.until) if each.until else None
    rows = [{**asdict(each), **asdict(each.scope), "since": now} for each in fresh.values()]
    for row in rows:
        del row["scope"]
    made = dict(zip(fresh, silenced.add(session, rows), strict=True))
    return [made[each.key] if each.key in made else standing[each.key].id for each in wanted]


def add(
    session: Session,
    *,
    address: str,
    keys: Keyring,
    scope: Scope = EVERYWHERE,
    reason: str = MANUAL,
    note: str,
    until: datetime | None = None,
    now: datetime,
    actor: Actor,
) -> int:
    """Silence an address by hand and return the suppression's id; ``note`` is why.

    :raises BadAddress: not an address
    :raises NoReason: without a note, or a reason that is none
    :raises BadUntil: an end in the past
    """
    key = addresses_.parse(address).key
    if not note.strip() or reason not in REASONS:
        raise NoReason
    if until is not None and until <= now:
        raise BadUntil
    wanted = Silence(
        address_hash=keys.address_hash(key), reason=reason, note=note.strip(), scope=scope, until=until,
        added_by=actor.name,
    )  # fmt: skip
    [made] = suppress_many(session, [wanted], now=now)
    audit.record(session, now=now, actor=actor, action="suppression.add", subject=f"suppression {made}",
                 after={"reason": reason, **asdict(scope)})  # fmt: skip
    return made


def release(session: Session, id: int, now: datetime, actor: Actor, why: str = "") -> None:
    """Let an address be written to again; what came back before does not count against it any more.

    What says the same of it (reason and scope) is released too: it may have been said twice at once.

    :raises NoSuppression: unknown, or released before
    """
    found = session.get(Suppression, id, with_for_update=True)
    if found is None or found.released_at is not None:
        raise NoSuppression
    for each in silenced.release_alike(session, found, now, actor.name, why):
        audit.record(
            session, now=now, actor=actor, action="suppression.release", subject=f"suppression {each}",
            before={"reason": found.reason}, after={"why": why} if why else None,
        )  # fmt: skip


def take_back(session: Session, ids: Iterable[int], *, why: str, now: datetime) -> None:
    """Release suppressions that the policy itself no longer stands by; what it counted still counts."""
    silenced.take_back(session, sorted(ids), why, now, SYSTEM.name)


def get(session: Session, id: int) -> Suppression:
    """:raises NoSuppression: none of that id"""
    found = session.get(Suppression, id)
    if found is None:
        raise NoSuppression
    return found


def in_force(
    now: datetime | ColumnElement[datetime], publication_id: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the SQL condition that a ``Subscriber`` of the query must not be written to, for WHERE or CASE.

    Both may be columns of the query or its parameters, such as ``Campaign.publication_id``.
    """
    return silenced.in_force(now, publication_id)


def of_address(session: Session, address_hash: str, now: datetime) -> list[Suppression]:
    """Return what is in force against an address, for any publication."""
    return silenced.of_hashes(session, [address_hash], now)


def listing(
    session: Session,
    *,
    now: datetime,
    search: str = "",
    keys: Keyring | None = None,
    reason: str = "",
    state: State = State.IN_FORCE,
    page: int = 1,
    size: int = 50,
) -> tuple[list[Suppression], int]:
    """Return a page of suppressions, newest first, and their total.

    ``search`` is a whole address, found by its hash whoever it belongs to (with ``keys``), or the beginning
    of one that is still known.
    """
    typed = addresses_.key_of(search)
    hashed = keys.address_hash(typed) if keys is not None and "@" in typed else None
    return silenced.listed(
        session, now, state=state, reason=reason, hash_or_start=(hashed, typed), page=page, size=size
    )


def reasons(session: Session, now: datetime) -> dict[str, int]:
    """Return the reasons of those in force, each with how many there are, most first."""
    return silenced.reasons(session, now)


def addresses(session: Session, found: Iterable[Suppression]) -> dict[str, str]:
    """Return the addresses of suppressions by their hash, but of those that were erased."""
    return silenced.addresses(session, [each.address_hash for each in found])


def forgiven(session: Session, hashes: Sequence[str]) -> dict[str, datetime]:
    """Return when a person last released each of these addresses, by its hash."""
    return silenced.forgiven(session, hashes)
