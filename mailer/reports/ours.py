"""The letters of a partner's people: their SQL, bound by the memberships in force when each letter left.

The partner that a delivery names is one of perhaps several: it is not asked. Letters taken out before they
were tried are left out; so are exclusions: both would tell what a person chose.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, and_, case, cast, func, select
from sqlalchemy.orm import Session

from mailer.audience import desk
from mailer.audience.store import Membership, Subscriber
from mailer.delivery.store import Campaign, Delivery, DeliveryState, Event, EventKind
from mailer.issues.store import Issue
from mailer.reports import store


class Fate(StrEnum):
    """What became of a letter, in a partner's words."""

    ARRIVED = "arrived"  # taken by the other mail system, and not returned
    RETURNED = "returned"  # refused, or taken and returned
    UNDERWAY = "underway"
    UNCERTAIN = "uncertain"


class Counts(NamedTuple):
    """A campaign's letters to a partner's people."""

    campaign_id: int
    arrived: int
    returned: int
    underway: int
    uncertain: int
    opened: int
    clicked: int


class Line(NamedTuple):
    """One letter. ``ended_at`` None: the person is on the partner's list still."""

    campaign_id: int
    n: int
    state: DeliveryState
    fate: Fate
    launched_at: datetime
    public_id: UUID
    ended_at: datetime | None
    name_zh: str
    name_en: str
    address: str | None


def _with(*which: ColumnElement[bool]) -> ColumnElement[bool]:
    mine = (Event.campaign_id == Delivery.campaign_id, Event.n == Delivery.n)
    return select(Event.id).where(*mine, *which).correlate(Delivery).exists()


_FATE = case(
    (Delivery.state == DeliveryState.REJECTED, Fate.RETURNED.value),
    (
        and_(Delivery.state == DeliveryState.ACCEPTED, _with(Event.kind == EventKind.BOUNCE)),
        Fate.RETURNED.value,
    ),
    (Delivery.state == DeliveryState.ACCEPTED, Fate.ARRIVED.value),
    (Delivery.state == DeliveryState.UNCERTAIN, Fate.UNCERTAIN.value),
    else_=Fate.UNDERWAY.value,
)


def _letters(partner_id: int, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Membership)
        .join(Delivery, Delivery.subscriber_id == Membership.subscriber_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(
            desk.in_force(partner_id, Campaign.__table__.c.launched_at),
            Delivery.state != DeliveryState.WITHDRAWN,
        )
    )


def campaigns(session: Session, partner_id: int, page: int, size: int) -> tuple[list[Campaign], int]:
    """Return a page of the campaigns that brought letters to a partner's people, newest first."""
    theirs = _with_letters(partner_id)
    total = session.scalar(select(func.count()).select_from(theirs.subquery())) or 0
    rows = (
        theirs.order_by(Campaign.launched_at.desc(), Campaign.id.desc())
        .limit(size)
        .offset((max(page, 1) - 1) * size)
    )
    return list(session.scalars(rows)), total


def newest(session: Session, partner_id: int) -> Campaign | None:
    """Return the last campaign that brought a letter to a partner's people."""
    found = _with_letters(partner_id).order_by(Campaign.launched_at.desc(), Campaign.id.desc())
    return session.scalar(found.limit(1))


def _with_letters(partner_id: int) -> Select[Campaign]:
    """Campaigns with a letter of the partner's: the first one found is enough."""
    first = (
        select(Delivery.n)
        .select_from(Membership)
        .join(Delivery, Delivery.subscriber_id == Membership.subscriber_id)
        .where(
            Delivery.campaign_id == Campaign.id,
            Delivery.state != DeliveryState.WITHDRAWN,
            desk.in_force(partner_id, Campaign.__table__.c.launched_at),
        )
        .correlate(Campaign)
    )
    return select(Campaign).where(Campaign.launched_at.is_not(None), first.exists())


def counts(session: Session, partner_id: int, campaign_ids: Collection[int]) -> dict[int, Counts]:
    """Count campaigns' letters to a partner's people, by campaign; one without letters is left out."""
    each = _letters(
        partner_id,
        Delivery.campaign_id,
        _FATE.label("fate"),
        _number(_with(Event.kind == EventKind.OPEN, store.by_people(Event))).label("opened"),
        _number(_with(Event.kind == EventKind.CLICK, store.by_people(Event))).label("clicked"),
    )
    row = each.where(Delivery.campaign_id.in_(campaign_ids)).subquery().c
    fates = [_sum(_number(row.fate == fate)) for fate in Fate]
    rows = session.execute(
        select(row.campaign_id, *fates, _sum(row.opened), _sum(row.clicked)).group_by(row.campaign_id)
    )
    return {found[0]: Counts(*found) for found in rows}


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(column), Integer)


def lines(
    session: Session,
    partner_id: int,
    *,
    campaign_id: int | None = None,
    membership: UUID | None = None,
    fate: Fate | None = None,
    page: int,
    size: int,
) -> tuple[list[Line], int]:
    """Return a page of letters, of a campaign by address or of a person newest first, and how many."""
    query = _letters(
        partner_id, Delivery.campaign_id, Delivery.n, Delivery.state, _FATE.label("fate"),
        Campaign.launched_at, Membership.public_id, Membership.ended_at, Membership.name_zh,
        Membership.name_en, Subscriber.address_key,
    ).join(Subscriber, Subscriber.id == Membership.subscriber_id)  # fmt: skip
    if campaign_id is not None:
        query = query.where(Delivery.campaign_id == campaign_id)
    if membership is not None:
        query = query.where(Membership.public_id == membership)
    if fate is not None:
        query = query.where(_FATE.in_([fate.value]))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.execute(
        query.order_by(Campaign.launched_at.desc(), Campaign.id.desc(), Subscriber.address_key, Delivery.n)
        .limit(size)
        .offset((max(page, 1) - 1) * size)
    )
    return [Line(*row)._replace(state=DeliveryState(row[2]), fate=Fate(row[3])) for row in rows], total


def returns(session: Session, campaign_id: int, numbers: Collection[int]) -> dict[int, store.Reply]:
    """Return what was said first of letters that were taken and came back."""
    rows = session.execute(
        select(Event.n, Event.category, Event.detail, Event.at)
        .where(Event.campaign_id == campaign_id, Event.kind == EventKind.BOUNCE, Event.n.in_(numbers))
        .order_by(Event.n, Event.id.desc())
    )
    return {n: store.Reply(category or "unknown", detail, at) for n, category, detail, at in rows}


def issues(session: Session, campaign_ids: Collection[int]) -> dict[int, Issue]:
    """Return the issues that campaigns bring, by campaign."""
    rows = session.execute(
        select(Campaign.id, Issue)
        .join(Issue, Issue.id == Campaign.issue_id)
        .where(Campaign.id.in_(campaign_ids))
        .order_by(Campaign.id)
    )
    return {row[0]: row[1] for row in rows}
