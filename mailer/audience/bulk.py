"""Bulk: the SQL by which many people are looked up and written at once, and of imports; see ``store.py``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Import,
    ImportRow,
    Membership,
    MembershipTopic,
    Partner,
    Subscriber,
    Subscription,
    SubscriptionState,
)

Columns = dict[str, Any]
Changes = Sequence[tuple[int, Columns]]
"""Ids of rows, and the columns that change in each."""

_LOCK = 7_041_776  # any number: PostgreSQL's advisory lock by which people come in one at a time

_SUBSCRIBERS = cast(Table, Subscriber.__table__)
_MEMBERSHIPS = cast(Table, Membership.__table__)
_SUBSCRIPTIONS = cast(Table, Subscription.__table__)

_NAMES = list(Names().columns())
_CONSENT = [f"consent_{part}" for part in ("kind", "at", "by", "wording", "origin")]
_SUBSCRIBER = [
    "id",
    "address_key",
    "language",
    "country",
    "zone",
    "chosen_at",
    *_NAMES,
    "salutation_zh",
    "salutation_en",
]
_MEMBERSHIP = [
    "id",
    "subscriber_id",
    "partner_id",
    "language",
    "notes",
    "joined_at",
    "confirmed_at",
    "ended_at",
    "paused_until",
    *_NAMES,
    *_CONSENT,
]
_SUBSCRIPTION = ["subscriber_id", "state", "changed_at", *_CONSENT]


def one_intake_at_a_time(session: Session) -> None:
    """Wait until no other transaction brings people in; SQLite's writers wait for one another anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def partners_by_id(session: Session, ids: Collection[int]) -> dict[int, Partner]:
    """Return partners by id."""
    return {found.id: found for found in session.scalars(select(Partner).where(Partner.id.in_(ids)))}


def subscribers(session: Session, keys: Collection[str]) -> dict[str, Columns]:
    """Return what is known of people, by address key."""
    found = select(*(_SUBSCRIBERS.c[name] for name in _SUBSCRIBER)).where(
        _SUBSCRIBERS.c.address_key.in_(keys)
    )
    return {row["address_key"]: dict(row) for row in session.execute(found).mappings()}


def memberships(session: Session, subscriber_ids: Collection[int]) -> list[Columns]:
    """Return the memberships of people, ended ones too."""
    table = _MEMBERSHIPS
    found = select(*(table.c[name] for name in _MEMBERSHIP)).where(table.c.subscriber_id.in_(subscriber_ids))
    return [dict(row) for row in session.execute(found).mappings()]


def subscriptions(
    session: Session, subscriber_ids: Collection[int], publication_id: int
) -> dict[int, Columns]:
    """Return how people stand with a publication, by subscriber id."""
    table = _SUBSCRIPTIONS
    found = select(*(table.c[name] for name in _SUBSCRIPTION)).where(
        table.c.subscriber_id.in_(subscriber_ids), table.c.publication_id == publication_id
    )
    return {row["subscriber_id"]: dict(row) for row in session.execute(found).mappings()}


def insert_subscribers(session: Session, rows: Sequence[Columns]) -> dict[str, int]:
    """Write new people; return their ids by address key."""
    if not rows:
        return {}
    session.execute(insert(_SUBSCRIBERS), rows)
    keys = [row["address_key"] for row in rows]
    found = session.execute(
        select(Subscriber.address_key, Subscriber.id).where(Subscriber.address_key.in_(keys))
    )
    return {cast(str, row[0]): row[1] for row in found}


def insert_memberships(session: Session, rows: Sequence[Columns]) -> None:
    """Write new memberships."""
    if rows:
        session.execute(insert(_MEMBERSHIPS), rows)


def insert_subscriptions(session: Session, rows: Sequence[Columns]) -> None:
    """Write new subscriptions; one that appeared meanwhile (a person leaving) stays as it is."""
    if not rows:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(dialect.insert(_SUBSCRIPTIONS).on_conflict_do_nothing(), rows)


def update_subscribers(session: Session, changes: Changes) -> None:
    """Write each person's changed columns."""
    _update(session, _SUBSCRIBERS, changes, _SUBSCRIBERS.c.id == bindparam("_id"))


def update_memberships(session: Session, changes: Changes) -> None:
    """Write each membership's changed columns."""
    _update(session, _MEMBERSHIPS, changes, _MEMBERSHIPS.c.id == bindparam("_id"))


def forget_topics(session: Session, membership_ids: Collection[int]) -> None:
    """Drop the topics that partners chose in these memberships."""
    if membership_ids:
        session.execute(delete(MembershipTopic).where(MembershipTopic.membership_id.in_(membership_ids)))


def confirm_subscriptions(session: Session, publication_id: int, changes: Changes) -> None:
    """Write changed columns of subscriptions by subscriber id, where they are pending still."""
    table = _SUBSCRIPTIONS
    where = and_(
        table.c.subscriber_id == bindparam("_id"),
        table.c.publication_id == publication_id,
        table.c.state == SubscriptionState.PENDING,
    )
    _update(session, table, changes, where)


def _update(session: Session, table: Table, changes: Changes, where: ColumnElement[bool]) -> None:
    groups: dict[tuple[str, ...], list[Columns]] = {}  # rows that change the same columns: one statement
    for row_id, columns in changes:
        groups.setdefault(tuple(sorted(columns)), []).append({**columns, "_id": row_id})
    for names, rows in groups.items():
        session.execute(update(table).where(where).values({name: bindparam(name) for name in names}), rows)


def insert_import_rows(session: Session, rows: Sequence[Columns]) -> None:
    """Write the verdicts of an import's rows."""
    if rows:
        session.execute(insert(cast(Table, ImportRow.__table__)), rows)


def export_rows(
    session: Session, condition: ColumnElement[bool], publication_id: int
) -> Iterator[tuple[Any, ...]]:
    """Yield a row for every person of a condition, in the order of an export's header, by address."""
    codes = func.aggregate_strings(Partner.code, " ")
    partners = (
        select(codes)
        .join(Membership, Membership.partner_id == Partner.id)
        .where(Membership.subscriber_id == Subscriber.id, Membership.ended_at.is_(None))
        .scalar_subquery()
    )
    names = [getattr(Subscriber, name) for name in _NAMES]
    query = (
        select(
            Subscriber.address, *names, Subscriber.language, Subscriber.country, Subscriber.zone, partners,
            Subscription.state, Subscriber.created_at,
        )
        .join(
            Subscription,
            and_(
                Subscription.subscriber_id == Subscriber.id, Subscription.publication_id == publication_id
            ),
            isouter=True,
        )
        .where(condition, Subscriber.address.is_not(None))
        .order_by(Subscriber.address_key)
        .execution_options(yield_per=1_000)
    )  # fmt: skip
    for *cells, joined in session.execute(query):
        yield (*cells, joined.date())


def people_of(session: Session, partner_ids: Collection[int]) -> dict[int, int]:
    """Return how many people each partner has now."""
    rows = session.execute(
        select(Membership.partner_id, func.count())
        .where(Membership.partner_id.in_(partner_ids), Membership.ended_at.is_(None))
        .group_by(Membership.partner_id)
    )
    return dict.fromkeys(partner_ids, 0) | {row[0]: row[1] for row in rows}


def insert_missing_subscription(
    session: Session, subscriber_id: int, publication_id: int, now: datetime
) -> None:
    """Make sure that a person and a publication have a row, without consent where there was none."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(
        dialect.insert(Subscription)
        .values(
            publication_id=publication_id, subscriber_id=subscriber_id, state=SubscriptionState.PENDING,
            changed_at=now, left_reason="", consent_kind=ConsentKind.NONE, consent_at=now, consent_by="",
            consent_wording="", consent_origin="",
        )
        .on_conflict_do_nothing()
    )  # fmt: skip


def publications_of(session: Session, subscriber_id: int) -> list[int]:
    """Return the publications that a person has met."""
    found = select(Subscription.publication_id).where(Subscription.subscriber_id == subscriber_id)
    return list(session.scalars(found.order_by(Subscription.publication_id)))


def unfinished_import(
    session: Session, digest: str, publication_id: int, partner_id: int | None
) -> Import | None:
    """Return the import of that file that was begun and neither finished nor undone."""
    return session.scalar(
        select(Import)
        .where(
            Import.file_hash == digest,
            Import.publication_id == publication_id,
            Import.partner_id.is_not_distinct_from(partner_id),
            Import.finished_at.is_(None),
            Import.undone_at.is_(None),
        )
        .order_by(Import.id.desc())
        .limit(1)
    )


def import_by_public_id(session: Session, public_id: UUID) -> Import | None:
    """Return the import the outside knows by ``public_id``."""
    return session.scalar(select(Import).where(Import.public_id == public_id))


def imports(session: Session, partner_id: int | None) -> list[Import]:
    """Return imports, newest first, of one partner or all."""
    query = select(Import).order_by(Import.id.desc())
    return list(
        session.scalars(query if partner_id is None else query.where(Import.partner_id == partner_id))
    )


def imported_lines(session: Session, import_id: int) -> set[int]:
    """Return the lines of a file that have their verdict."""
    return set(session.scalars(select(ImportRow.line).where(ImportRow.import_id == import_id)))


def import_verdicts(session: Session, import_id: int) -> list[tuple[int, str, str]]:
    """Return line, verdict and message of every row, in order."""
    rows = session.execute(
        select(ImportRow.line, ImportRow.verdict, ImportRow.message)
        .where(ImportRow.import_id == import_id)
        .order_by(ImportRow.line)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def written_rows(session: Session, import_id: int) -> list[ImportRow]:
    """Return the rows of an import that wrote something, last first."""
    rows = select(ImportRow).where(ImportRow.import_id == import_id, ImportRow.subscriber_id.is_not(None))
    return [row for row in session.scalars(rows.order_by(ImportRow.line.desc())) if row.after]


def find_membership(session: Session, partner_id: int, subscriber_id: int) -> Membership | None:
    """Return a partner's tie to a person, ended or not."""
    return session.scalar(
        select(Membership).where(
            Membership.partner_id == partner_id, Membership.subscriber_id == subscriber_id
        )
    )
