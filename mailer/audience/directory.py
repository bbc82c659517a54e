"""The directory of partners: who they are, how many people and managers they have. Its SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from mailer.accounts.store import User
from mailer.audience.store import Membership, Partner, PartnerGroup, PartnerKind, Subscriber
from mailer.patience import for_a_page

SIZE = 50  # partners a page


class Order(StrEnum):
    """How the directory is sorted."""

    NAME = "name"
    COUNTRY = "country"
    PEOPLE = "people"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which partners to show; empty: any. ``closed``: those that have left, not those that are here."""

    search: str = ""
    kind: str = ""
    country: str = ""
    group: str = ""
    trusted: bool | None = None
    closed: bool = False
    order: Order = Order.NAME


@dataclass(frozen=True, slots=True)
class Entry:
    """A partner in the directory. ``managers``: accounts that can sign in."""

    partner: Partner
    people: int
    managers: int
    groups: tuple[str, ...]

    @property
    def full(self) -> bool:
        """Whether every seat is taken."""
        return self.partner.seats is not None and self.people >= self.partner.seats


_people = (
    select(func.count())
    .where(Membership.partner_id == Partner.id, Membership.ended_at.is_(None))
    .correlate(Partner)
    .scalar_subquery()
)
_managers = (
    select(func.count())
    .where(User.partner_id == Partner.id, User.disabled_at.is_(None))
    .correlate(Partner)
    .scalar_subquery()
)


def listing(
    session: Session, wanted: Wanted, *, language: str = "en", page: int = 1, size: int = SIZE
) -> tuple[list[Entry], int]:
    """Return a page of the directory and how many match. ``language``: whose names the order goes by."""
    query = select(Partner, _people.label("people"), _managers).where(*_conditions(wanted))
    total = session.scalar(select(func.count()).select_from(Partner).where(*_conditions(wanted))) or 0
    ordered = _ordered(query, wanted.order, language).limit(size).offset((max(page, 1) - 1) * size)
    found = session.execute(ordered).all()
    groups = groups_of(session, [partner.id for partner, _, _ in found])
    return [
        Entry(partner, people, managers, tuple(groups.get(partner.id, ())))
        for partner, people, managers in found
    ], total


def groups_of(session: Session, partner_ids: list[int]) -> dict[int, list[str]]:
    """Return the thematic groups of partners, by id."""
    query = select(PartnerGroup).where(PartnerGroup.partner_id.in_(partner_ids)).order_by(PartnerGroup.code)
    found: dict[int, list[str]] = {}
    for row in session.scalars(query):
        found.setdefault(row.partner_id, []).append(row.code)
    return found


def groups(partner_id: int) -> Select[PartnerGroup]:
    """Return the query of one partner's groups."""
    return select(PartnerGroup).where(PartnerGroup.partner_id == partner_id).order_by(PartnerGroup.code)


def offered(session: Session) -> dict[str, list[str]]:
    """Return the countries and groups that partners have: what the directory can be filtered by."""
    countries = select(Partner.country).distinct().order_by(Partner.country)
    groups = select(PartnerGroup.code).distinct().order_by(PartnerGroup.code)
    return {"countries": list(session.scalars(countries)), "groups": list(session.scalars(groups))}


def partners(session: Session) -> list[Partner]:
    """Return every partner by code, those that have left too."""
    return list(session.scalars(select(Partner).order_by(Partner.code)))


def open_partners(session: Session) -> list[Partner]:
    """Return the partners that have not left, by code."""
    return list(session.scalars(select(Partner).where(Partner.closed_at.is_(None)).order_by(Partner.code)))


def people(
    session: Session, partner_id: int, *, page: int = 1, size: int = SIZE
) -> tuple[list[tuple[Membership, Subscriber]], int]:
    """Return a page of a partner's people by address, and how many they are."""
    here = and_(
        Membership.partner_id == partner_id,
        Membership.ended_at.is_(None),
        Subscriber.address_key.is_not(None),
    )
    query = select(Membership, Subscriber).join(Subscriber, Subscriber.id == Membership.subscriber_id)
    for_a_page(session)
    total = session.scalar(select(_people).where(Partner.id == partner_id)) or 0  # who is erased has ended
    rows = session.execute(
        query.where(here).order_by(Subscriber.address_key).limit(size).offset((max(page, 1) - 1) * size)
    )
    return [(row[0], row[1]) for row in rows], total


def memberships(session: Session, partner_id: int) -> list[Membership]:
    """Return a partner's memberships that have not ended."""
    query = select(Membership).where(Membership.partner_id == partner_id, Membership.ended_at.is_(None))
    return list(session.scalars(query.order_by(Membership.id)))


def last_change(session: Session, partner_id: int) -> datetime | None:
    """Return when somebody last joined a partner; None: nobody ever did."""
    return session.scalar(select(func.max(Membership.joined_at)).where(Membership.partner_id == partner_id))


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        Partner.closed_at.is_not(None) if wanted.closed else Partner.closed_at.is_(None)
    ]
    if words := wanted.search.replace("\x00", "").strip().lower():
        looked_in = (Partner.code, Partner.name_zh, Partner.name_en)
        found.append(or_(*(func.lower(column).contains(words, autoescape=True) for column in looked_in)))
    if wanted.kind in set(PartnerKind):
        found.append(Partner.kind == wanted.kind)
    if wanted.country:
        found.append(Partner.country == wanted.country)
    if wanted.group:
        own = and_(PartnerGroup.partner_id == Partner.id, PartnerGroup.code == wanted.group)
        found.append(exists().where(own).correlate(Partner))
    if wanted.trusted is not None:
        found.append(Partner.trusted.is_(wanted.trusted))
    return found


def _ordered(query: Select[Any], order: Order, language: str) -> Select[Any]:
    first, second = (
        (Partner.name_zh, Partner.name_en) if language == "zh" else (Partner.name_en, Partner.name_zh)
    )
    name = func.lower(func.coalesce(func.nullif(first, ""), second))
    match order:
        case Order.COUNTRY:
            return query.order_by(Partner.country, name, Partner.id)
        case Order.PEOPLE:
            return query.order_by(_people.desc(), name, Partner.id)
        case Order.NEWEST:
            return query.order_by(Partner.created_at.desc(), Partner.id.desc())
    return query.order_by(name, Partner.id)
