"""The rows of the suppression list: their SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.orm import Session

from mailer.audience.bulk import among
from mailer.audience.store import Subscriber, Suppression, SuppressionImport

_CHUNK = 500  # hashes in one statement; SQLite takes 32,766 values
# the issues' own: they stand above the audience
_publications = table("publications", column("id"), column("code"), column("sender_address"))


class State(StrEnum):
    """Which suppressions a list shows."""

    IN_FORCE = "in_force"
    OVER = "over"  # released, or their time has passed
    ALL = "all"


def standing(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """The condition that a suppression is in force at an instant."""
    its = Suppression.__table__.c
    return and_(its.released_at.is_(None), or_(its.until.is_(None), its.until > now))


def binds(publication_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """The condition that a suppression is about a publication: by itself, by its sender, or about all."""
    its, sending = Suppression.__table__.c, _publications.alias("sending")
    sender = (
        select(func.lower(sending.c.sender_address))
        .where(sending.c.id == publication_id)
        .correlate_except(sending)
        .scalar_subquery()
    )
    everywhere = and_(its.publication_id.is_(None), its.sender.is_(None))
    return or_(everywhere, its.publication_id == publication_id, its.sender == sender)


def in_force(
    now: datetime | ColumnElement[datetime], publication_id: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """The condition that a Subscriber of the query must not be written to."""
    its = Suppression.__table__.c  # of the table, not the class: the send path asks without the ORM
    return (
        select(its.id)
        .where(its.address_hash == Subscriber.__table__.c.address_hash, standing(now), binds(publication_id))
        .correlate_except(Suppression.__table__)
        .exists()
    )


def of_hashes(
    session: Session, hashes: Collection[str], now: datetime, publication_id: int | None = None
) -> list[Suppression]:
    """Return what is in force against addresses; ``publication_id``: only what counts for it."""
    query = select(Suppression).where(among(session, Suppression.address_hash, hashes), standing(now))
    if publication_id is not None:
        query = query.where(binds(publication_id))
    return list(session.scalars(query.order_by(Suppression.id)))


def add(session: Session, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Write suppressions, as columns, and return their ids in order."""
    if not rows:
        return []
    its = cast(Table, Suppression.__table__)  # of the table: rows differ in what is None
    statement = insert(its).returning(its.c.id, sort_by_parameter_order=True)
    return list(session.scalars(statement, rows))


def forgiven(session: Session, hashes: Collection[str]) -> dict[str, datetime]:
    """Return when a person last released a suppression of each of these addresses."""
    rows = session.execute(
        select(Suppression.address_hash, func.max(Suppression.released_at))
        .where(Suppression.address_hash.in_(hashes), Suppression.released_at.is_not(None))
        .where(Suppression.released_by != "system")
        .group_by(Suppression.address_hash)
    )
    return {address_hash: at for address_hash, at in rows if at is not None}


# The list


def listed(
    session: Session,
    now: datetime,
    *,
    state: State,
    reason: str,
    hash_or_start: tuple[str | None, str],
    page: int,
    size: int,
) -> tuple[list[Suppression], int]:
    """Return a page of suppressions, newest first, and how many there are.

    ``hash_or_start``: the hash of the address looked for, None when what was typed is no whole address, and
    what was typed, "" for everything.
    """
    query = _search(select(Suppression).where(_in_state(state, now)), *hash_or_start)
    if reason:
        query = query.where(Suppression.reason == reason)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    found = query.order_by(Suppression.id.desc()).limit(size).offset((max(page, 1) - 1) * size)
    return list(session.scalars(found)), total


def _in_state(state: State, now: datetime) -> ColumnElement[bool]:
    if state is State.ALL:
        return literal(True)
    return standing(now) if state is State.IN_FORCE else ~standing(now)


def _search(query: Select[Suppression], address_hash: str | None, start: str) -> Select[Suppression]:
    if not start:
        return query
    known = select(Subscriber.address_hash).where(Subscriber.address_key.startswith(start, autoescape=True))
    return query.where(
        or_(Suppression.address_hash == address_hash, Suppression.address_hash.in_(known))
        if address_hash
        else Suppression.address_hash.in_(known)
    )


def reasons(session: Session, now: datetime) -> dict[str, int]:
    """Return the reasons of suppressions in force, each with how many there are, most first."""
    rows = session.execute(
        select(Suppression.reason, func.count())
        .where(standing(now))
        .group_by(Suppression.reason)
        .order_by(func.count().desc(), Suppression.reason)
    )
    return dict(rows.all())


def addresses(session: Session, hashes: Collection[str]) -> dict[str, str]:
    """Return the addresses behind keyed hashes, as far as they are still kept."""
    query = select(Subscriber.address_hash, Subscriber.address).where(
        Subscriber.address_hash.in_(hashes), Subscriber.address.is_not(None)
    )
    return {row.address_hash: row.address for row in session.execute(query)}


# Files


class Exported(NamedTuple):
    """A suppression as it goes into a file; ``address`` None: erased, or never a reader's."""

    address: str | None
    reason: str
    note: str
    publication: str | None
    sender: str | None
    since: datetime
    until: datetime | None


def export(session: Session, now: datetime) -> Iterator[Exported]:
    """Yield the suppressions in force, oldest first, read as they are asked for."""
    rows = session.execute(
        select(
            Subscriber.address,
            Suppression.reason,
            Suppression.note,
            _publications.c.code,
            Suppression.sender,
            Suppression.since,
            Suppression.until,
        )
        .join(
            Subscriber,
            and_(Subscriber.address_hash == Suppression.address_hash, Subscriber.address.is_not(None)),
            isouter=True,
        )
        .join(_publications, _publications.c.id == Suppression.publication_id, isouter=True)
        .where(standing(now))
        .order_by(Suppression.id)
        .execution_options(yield_per=1_000)
    )
    return (Exported(*row) for row in rows)


def publication_ids(session: Session) -> dict[str, int]:
    """Return the publications by their codes."""
    rows = session.execute(select(_publications.c.code, _publications.c.id))
    return dict(rows.all())


def said(session: Session, hashes: Sequence[str], now: datetime) -> list[Suppression]:
    """Return what is in force against any number of addresses."""
    return [
        found
        for start in range(0, len(hashes), _CHUNK)
        for found in of_hashes(session, hashes[start : start + _CHUNK], now)
    ]


def imports(session: Session) -> list[SuppressionImport]:
    """Return the files that were taken in, newest first."""
    return list(session.scalars(select(SuppressionImport).order_by(SuppressionImport.id.desc())))


def import_by_public_id(session: Session, public_id: UUID) -> SuppressionImport | None:
    """Return the import pages know by ``public_id``, its row held until the transaction ends."""
    return session.scalar(
        select(SuppressionImport).where(SuppressionImport.public_id == public_id).with_for_update()
    )


def release_alike(session: Session, one: Suppression, now: datetime, by: str, why: str) -> list[int]:
    """Release a suppression and all that say the same of its address; return their ids.

    Two who write at once may both find that it is not said yet.
    """
    alike = (
        update(Suppression)
        .where(Suppression.address_hash == one.address_hash, Suppression.reason == one.reason)
        .where(Suppression.publication_id.is_not_distinct_from(one.publication_id))
        .where(Suppression.sender.is_not_distinct_from(one.sender), Suppression.released_at.is_(None))
        .values(released_at=now, released_by=by, released_why=why)
        .returning(Suppression.id)
    )
    return sorted(session.scalars(alike))


def take_back(session: Session, ids: Sequence[int], why: str, now: datetime, by: str) -> None:
    """Release those of these suppressions that nobody has released."""
    for start in range(0, len(ids), _CHUNK):
        session.execute(
            update(Suppression)
            .where(Suppression.id.in_(ids[start : start + _CHUNK]), Suppression.released_at.is_(None))
            .values(released_at=now, released_by=by, released_why=why)
            .execution_options(synchronize_session=False)
        )


def release_imported(session: Session, import_id: int, now: datetime, by: str) -> int:
    """Release what a file of suppressions added and nobody has released since; return how many."""
    return _release(session, Suppression.import_id == import_id, now, by)


def count_with_people(session: Session, people_import_id: int) -> int:
    """Return how many suppressions came with an import of people."""
    found = select(func.count()).where(Suppression.people_import_id == people_import_id)
    return session.scalar(found) or 0


def release_with_people(session: Session, people_import_id: int, now: datetime, by: str) -> int:
    """Release what came with an import of people and nobody has released since; return how many."""
    return _release(session, Suppression.people_import_id == people_import_id, now, by)


def _release(session: Session, which: ColumnElement[bool], now: datetime, by: str) -> int:
    result: Any = session.execute(
        update(Suppression)
        .where(which, Suppression.released_at.is_(None))
        .values(released_at=now, released_by=by)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)
