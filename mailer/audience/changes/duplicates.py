"""Likely duplicates: two rows that may be one person, found by their names and addresses; the SQL.

Looked for in sets and kept, so that the page reads a short list. A pair somebody judged is never asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.changes.store import Duplicate
from mailer.audience.store import Membership, Subscriber
from mailer.errors import NotFound

MERGED, DIFFERENT = "merged", "different"  # what somebody decided
_MOST = 5  # people who share a name and a domain: more is a name of many, or of an office
_KEPT = 2_000  # pairs that wait at once
_GMAIL = ("gmail.com", "googlemail.com")


class Reason(StrEnum):
    """Why two rows may be one person."""

    NAME_AND_DOMAIN = "name_and_domain"
    NAME_AND_PARTNER = "name_and_partner"
    SIBLING_DOMAIN = "sibling_domain"  # the same name before @, one domain within the other
    SAME_GMAIL = "same_gmail"  # dots and +words do not matter there


class Pair(NamedTuple):
    """Two people who may be one, and why."""

    duplicate: Duplicate
    first: Subscriber
    second: Subscriber


class NoPair(NotFound):
    """These two are not on the list of likely duplicates: reload it."""


def find(session: Session, *, now: datetime) -> int:
    """Look for likely duplicates among everybody and list those that are new; return how many."""
    found: dict[tuple[int, int], set[Reason]] = {}
    for reason, pairs in (
        (Reason.SAME_GMAIL, _same_gmail(session)),
        (Reason.SIBLING_DOMAIN, _sibling_domains(session)),
        (Reason.NAME_AND_DOMAIN, _same_names(session, Subscriber.domain)),
        (Reason.NAME_AND_PARTNER, _same_names_of_partners(session)),
    ):
        for one, other in pairs:
            found.setdefault((min(one, other), max(one, other)), set()).add(reason)
    known = {(row.first_id, row.second_id): row for row in session.scalars(select(Duplicate))}
    new = sorted(found.keys() - known.keys())[
        : max(0, _KEPT - sum(not row.decided for row in known.values()))
    ]
    for key in new:
        session.add(Duplicate(first_id=key[0], second_id=key[1], reasons=sorted(found[key]), found_at=now))
    _forget_stale(session, [row for key, row in known.items() if key not in found and not row.decided])
    session.flush()
    return len(new)


def listing(session: Session, *, page: int = 1, size: int = 20) -> tuple[list[Pair], int]:
    """Return a page of the pairs that wait for somebody to judge, and how many there are."""
    first, second = aliased(Subscriber), aliased(Subscriber)
    query = (
        select(Duplicate, first, second)
        .join(first, first.id == Duplicate.first_id)
        .join(second, second.id == Duplicate.second_id)
        .where(Duplicate.decided.is_(None), *(_stands(each) for each in (first, second)))
    )
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.execute(
        query.order_by(Duplicate.first_id, Duplicate.second_id).limit(size).offset((max(page, 1) - 1) * size)
    )
    return [Pair(*row) for row in rows], total


def get(session: Session, first_id: int, second_id: int) -> Duplicate:
    """:raises NoPair: the two are not listed"""
    found = session.get(Duplicate, (min(first_id, second_id), max(first_id, second_id)))
    if found is None:
        raise NoPair
    return found


def keep_apart(session: Session, *, first_id: int, second_id: int, now: datetime, actor: Actor) -> None:
    """Note that two rows are two people: nobody is asked about them again.

    :raises NoPair: the two are not listed
    """
    decide(get(session, first_id, second_id), DIFFERENT, now, actor)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="duplicate.different", subject=f"subscriber {first_id}",
        after={"other": second_id},
    )  # fmt: skip


def decide(pair: Duplicate, what: str, now: datetime, actor: Actor) -> None:
    """Write what somebody decided about a pair."""
    pair.decided, pair.decided_by, pair.decided_at = what, actor.name, now


def _stands(of: Any = Subscriber) -> ColumnElement[bool]:
    return and_(of.address_key.is_not(None), of.merged_into.is_(None))


def _forget_stale(session: Session, rows: Iterable[Duplicate]) -> None:
    for row in rows:
        session.delete(row)


def _local(of: Any) -> ColumnElement[str]:
    """What stands before the @."""
    return func.substr(of.address_key, 1, func.length(of.address_key) - func.length(of.domain) - 1)


def _place(session: Session, sign: str, text: ColumnElement[str]) -> ColumnElement[int]:
    """Where a sign stands in a text, from 1; 0: nowhere."""
    if session.get_bind().dialect.name == "postgresql":
        return func.strpos(text, sign)
    return func.instr(text, sign)


def _same_gmail(session: Session) -> list[tuple[int, int]]:
    local = _local(Subscriber)
    plus = _place(session, "+", local)
    plain = func.replace(case((plus > 1, func.substr(local, 1, plus - 1)), else_=local), ".", "")
    return _alike(session, plain, where=Subscriber.domain.in_(_GMAIL))


def _sibling_domains(session: Session) -> list[tuple[int, int]]:
    """ann@mail.example.org and ann@example.org."""
    one, other = aliased(Subscriber), aliased(Subscriber)
    parent = func.substr(one.domain, _place(session, ".", one.domain) + 1)  # type: ignore[arg-type]
    query = select(one.id, other.id).join(other, other.address_key == _local(one).concat("@").concat(parent))
    rows = session.execute(query.where(_stands(one), _stands(other)).limit(_KEPT))
    return [(row[0], row[1]) for row in rows]


def _same_names(session: Session, beside: ColumnElement[Any] | Any) -> list[tuple[int, int]]:
    return [
        pair
        for name in (Subscriber.name_zh, Subscriber.name_en)
        for pair in _alike(session, func.lower(name), beside, where=name != "")
    ]


def _alike(
    session: Session, *keys: ColumnElement[Any] | Any, where: ColumnElement[bool]
) -> list[tuple[int, int]]:
    """Return pairs of people who have the same keys, where not too many have."""
    ids = func.aggregate_strings(Subscriber.id.cast(String), ",")
    query = (
        select(ids)
        .where(_stands(), where)
        .group_by(*keys)
        .having(func.count().between(2, _MOST))
        .limit(_KEPT)
    )
    return _pairs(session.scalars(query).all())


def _same_names_of_partners(session: Session) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for name in (Membership.name_zh, Membership.name_en):
        ids = func.aggregate_strings(Membership.subscriber_id.cast(String), ",")
        query = (
            select(ids)
            .join(Subscriber, Subscriber.id == Membership.subscriber_id)
            .where(_stands(), Membership.ended_at.is_(None), name != "")
            .group_by(Membership.partner_id, func.lower(name))
            .having(func.count().between(2, _MOST))
            .limit(_KEPT)
        )
        found += _pairs(session.scalars(query).all())
    return found


def _pairs(groups: Collection[str]) -> list[tuple[int, int]]:
    """Pair each of a group with its first: the others follow once those are judged."""
    found = []
    for group in groups:
        first, *others = sorted(int(each) for each in group.split(","))
        found += [(first, other) for other in others]
    return found


def of_person(session: Session, subscriber_id: int) -> Sequence[Duplicate]:
    """Return the pairs that a person is part of and nobody has judged."""
    either = or_(Duplicate.first_id == subscriber_id, Duplicate.second_id == subscriber_id)
    return session.scalars(select(Duplicate).where(either, Duplicate.decided.is_(None))).all()
