"""Bulk: the SQL by which many people are looked up, written and taken out at once; see ``store.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    delete,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import QueryableAttribute, Session
from sqlalchemy.types import NullType

from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Partner,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from mailer.database import Base
from mailer.loading import Rows, load, loading

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
_NEW_SUBSCRIBER = [
    "id", "public_id", "address", "address_key", "address_hash", "domain", *_NAMES, "salutation_zh",
    "salutation_en", "language", "country", "zone", "created_at",
]  # fmt: skip
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


def among(
    session: Session, column: ColumnElement[Any] | QueryableAttribute[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """The condition that a column is one of many values, which travel as one parameter."""
    if session.get_bind().dialect.name == "postgresql":
        untyped = literal(_array(values), NullType())  # the server reads it, once
        return column == any_(cast_to(untyped, ARRAY(column.type)))
    each = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(each.c.value))


def _array(values: Collection[Any]) -> str:
    """Return values as PostgreSQL writes an array: its driver takes longer to do so than to find them."""
    if not values:
        return "{}"
    told = '","'.join([str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values])
    return f'{{"{told}"}}'


def partners_by_id(session: Session, ids: Collection[int]) -> dict[int, Partner]:
    """Return partners by id."""
    return {found.id: found for found in session.scalars(select(Partner).where(Partner.id.in_(ids)))}


def _rows(session: Session, query: Select[Any]) -> list[Columns]:
    """Return rows by column; SQLAlchemy's own mappings take three times as long."""
    found = session.execute(query)
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def subscribers(session: Session, keys: Collection[str]) -> dict[str, Columns]:
    """Return what is known of people, by address key."""
    found = select(*(_SUBSCRIBERS.c[name] for name in _SUBSCRIBER)).where(
        among(session, _SUBSCRIBERS.c.address_key, keys)
    )
    return {row["address_key"]: row for row in _rows(session, found)}


def subscribers_by_id(session: Session, ids: Collection[int]) -> dict[int, Columns]:
    """Return all columns of people, by id."""
    found = select(_SUBSCRIBERS).where(among(session, _SUBSCRIBERS.c.id, ids))
    return {row["id"]: row for row in _rows(session, found)}


def memberships(session: Session, subscriber_ids: Collection[int]) -> list[Columns]:
    """Return the memberships of people, ended ones too."""
    table = _MEMBERSHIPS
    if not subscriber_ids:
        return []
    found = select(*(table.c[name] for name in _MEMBERSHIP)).where(
        among(session, table.c.subscriber_id, subscriber_ids)
    )
    return _rows(session, found)


def subscriptions(
    session: Session, subscriber_ids: Collection[int], publication_id: int
) -> dict[int, Columns]:
    """Return how people stand with a publication, by subscriber id."""
    table = _SUBSCRIPTIONS
    if not subscriber_ids:
        return {}
    found = select(*(table.c[name] for name in _SUBSCRIPTION)).where(
        among(session, table.c.subscriber_id, subscriber_ids), table.c.publication_id == publication_id
    )
    return {row["subscriber_id"]: row for row in _rows(session, found)}


def new_ids(session: Session, count: int) -> Sequence[int]:
    """Return ids for so many people who are about to be written."""
    if session.get_bind().dialect.name == "sqlite":  # which lets nobody else write meanwhile
        last = session.scalar(select(func.max(_SUBSCRIBERS.c.id))) or 0
        return range(last + 1, last + 1 + count)
    drawn = text(  # one array: five thousand rows of a number each take longer to read than to draw
        "SELECT ARRAY(SELECT nextval(pg_get_serial_sequence('subscribers', 'id'))"
        " FROM generate_series(1, :count))"
    )
    ids: Sequence[int] = session.execute(drawn, {"count": count}).scalar_one()
    return ids


def inserting_subscribers(session: Session) -> AbstractContextManager[Callable[[Rows], None]]:
    """Give what writes new people, under ids of ``new_ids``; the session can do nothing else meanwhile."""
    return loading(session, _SUBSCRIBERS, _NEW_SUBSCRIBER)


def insert_memberships(session: Session, rows: Sequence[Columns]) -> None:
    """Write new memberships."""
    load(session, _MEMBERSHIPS, rows)


def insert_new_subscriptions(session: Session, rows: Sequence[Columns]) -> None:
    """Write subscriptions of people who are written in the same transaction."""
    load(session, _SUBSCRIPTIONS, rows)


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


def update_subscriptions(session: Session, publication_id: int, changes: Changes) -> None:
    """Write changed columns of subscriptions by subscriber id."""
    table = _SUBSCRIPTIONS
    where = and_(table.c.subscriber_id == bindparam("_id"), table.c.publication_id == publication_id)
    _update(session, table, changes, where)


def delete_memberships(session: Session, ids: Collection[int]) -> None:
    """Delete memberships, with the topics chosen for them."""
    if ids:
        session.execute(delete(_MEMBERSHIPS).where(among(session, _MEMBERSHIPS.c.id, ids)))


def delete_subscriptions(session: Session, publication_id: int, subscriber_ids: Collection[int]) -> None:
    """Delete how people stand with a publication."""
    table = _SUBSCRIPTIONS
    if subscriber_ids:
        session.execute(
            delete(table).where(
                table.c.publication_id == publication_id,
                among(session, table.c.subscriber_id, subscriber_ids),
            )
        )


def delete_subscribers(session: Session, ids: Collection[int]) -> set[int]:
    """Delete people on whom nothing leans; return whom.

    A letter that was sent, another partner's hold, a choice of theirs: who has any of it stays.
    """
    free = set(ids) - _leant_on(session, ids) if ids else set()
    return _deleted(session, sorted(free))


def _leant_on(session: Session, ids: Collection[int]) -> set[int]:
    leaning = [
        column
        for table in Base.metadata.tables.values()
        for column in table.columns
        if any(key.references(_SUBSCRIBERS) for key in column.foreign_keys)
    ]
    found: set[int] = set()
    for column in leaning:
        found.update(session.scalars(select(column).where(among(session, column, ids)).distinct()))
    return found


def _deleted(session: Session, ids: Sequence[int]) -> set[int]:
    """Delete them all, or the halves in which nobody is leant on: the database has the last word."""
    if not ids:
        return set()
    savepoint = session.begin_nested()
    try:
        session.execute(delete(_SUBSCRIBERS).where(among(session, _SUBSCRIBERS.c.id, ids)))
    except IntegrityError:
        savepoint.rollback()
        half = len(ids) // 2
        return _deleted(session, ids[:half]) | _deleted(session, ids[half:]) if half else set()
    savepoint.commit()
    return set(ids)


def _update(session: Session, table: Table, changes: Changes, where: ColumnElement[bool]) -> None:
    groups: dict[tuple[str, ...], list[Columns]] = {}  # rows that change the same columns: one statement
    for row_id, columns in changes:
        groups.setdefault(tuple(sorted(columns)), []).append({**columns, "_id": row_id})
    for names, rows in groups.items():
        session.execute(update(table).where(where).values({name: bindparam(name) for name in names}), rows)


def export_rows(
    session: Session, where: Sequence[ColumnElement[bool]], publication_id: int
) -> Iterator[tuple[Any, ...]]:
    """Yield a row for everybody of whom all of it is true, in the order of an export's header, by address."""
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
        .where(*where, Subscriber.address.is_not(None))
        .order_by(Subscriber.address_key)
        .execution_options(yield_per=1_000)
    )  # fmt: skip
    for *cells, joined in session.execute(query):
        yield (*cells, joined.date())


def export_own_rows(session: Session, partner_id: int) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each of a partner's people, in the order of its export's header, by address."""
    names = [getattr(Membership, name) for name in _NAMES]
    query = (
        select(Subscriber.address_key, *names, Membership.language, Membership.notes, Membership.joined_at)
        .join(Subscriber, Subscriber.id == Membership.subscriber_id)
        .where(
            Membership.partner_id == partner_id,
            Membership.ended_at.is_(None),
            Subscriber.address_key.is_not(None),
        )
        .order_by(Subscriber.address_key)
        .execution_options(yield_per=1_000)
    )
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
