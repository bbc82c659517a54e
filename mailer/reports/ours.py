"""The letters of a partner's people: their SQL, bound by the memberships in force when each letter left.

The partner that a delivery names is one of perhaps several: it is not asked. Letters taken out before they
were tried are left out; so are exclusions: both would tell what a person chose.

A partner may have a hundred thousand people, and a ledger hundreds of campaigns: letters are found once for
all that is counted, and news of them is asked of the few letters that had any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from mailer.audience import desk
from mailer.audience.store import Membership
from mailer.database import UTCDateTime
from mailer.delivery.store import Campaign, Delivery, DeliveryState, Event, EventKind, visited_by_people
from mailer.issues.store import Issue
from mailer.patience import for_a_page
from mailer.reports import store

_ADDRESS = Membership.__table__.c.address_key  # kept by the database: nobody has to look up the person
_NEWEST = (Campaign.launched_at.desc(), Campaign.id.desc())


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


def _letters(partner_id: int, *columns: Any) -> Select[Any]:
    return (
        _to_people(*columns)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(desk.in_force(partner_id, Campaign.__table__.c.launched_at))
    )


def _letters_of(campaign: Campaign, partner_id: int, *columns: Any) -> Select[Any]:
    """Return one campaign's: for a time that it knows, the database foresees how many were people then."""
    at = literal(campaign.launched_at, UTCDateTime)
    return _to_people(*columns).where(desk.in_force(partner_id, at), Delivery.campaign_id == campaign.id)


def _to_people(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Membership)
        .join(Delivery, Delivery.subscriber_id == Membership.subscriber_id)
        .where(Delivery.state != DeliveryState.WITHDRAWN)
    )


# Sums

_COUNTED = (Delivery.campaign_id, Delivery.n, Delivery.state)


def newest(session: Session, partner_id: int) -> Campaign | None:
    """Return the last campaign that brought a letter to a partner's people."""
    launched = select(Campaign).where(Campaign.launched_at.is_not(None)).order_by(*_NEWEST)
    found = (each for each in session.scalars(launched) if any_letter(session, partner_id, each))
    return next(found, None)


def any_letter(session: Session, partner_id: int, campaign: Campaign) -> bool:
    """Say whether a campaign brought a letter to a partner's people: the first one found is enough."""
    for_a_page(session)
    found = _letters_of(campaign, partner_id, Delivery.n).limit(1)
    return session.scalar(found) is not None


def counts(session: Session, partner_id: int, campaign: Campaign) -> Counts | None:
    """Count a campaign's letters to a partner's people; None: there are none."""
    for_a_page(session)
    letters = _letters_of(campaign, partner_id, *_COUNTED).cte("letters")
    return _counted(session, letters, [campaign.id]).get(campaign.id)


def campaigns(
    session: Session, partner_id: int, page: int, size: int
) -> tuple[list[tuple[Campaign, Counts]], int]:
    """Return a page of the campaigns with letters to a partner's people, newest first, and how many."""
    for_a_page(session)
    letters = _letters(partner_id, *_COUNTED).cte("letters")
    theirs = select(Campaign.id).where(Campaign.id.in_(select(letters.c.campaign_id)))
    shown = theirs.order_by(*_NEWEST).limit(size).offset((max(page, 1) - 1) * size)
    counted = _counted(session, letters, shown)
    rows = select(Campaign).where(Campaign.id.in_(counted)).order_by(*_NEWEST)
    found = session.scalars(rows.limit(size).offset((max(page, 1) - 1) * size))
    return [(campaign, counted[campaign.id]) for campaign in found], len(counted)


def _counted(session: Session, letters: CTE, shown: Select[int] | list[int]) -> dict[int, Counts]:
    """Count ``letters`` by campaign; what came back and was read only of the campaigns that are ``shown``."""
    letter = letters.c
    told = and_(Event.campaign_id == letter.campaign_id, Event.n == letter.n, Event.campaign_id.in_(shown))
    states = select(letter.campaign_id, cast(letter.state, String).label("what"), func.count())
    several = func.count(letter.n.distinct())
    returned = (
        select(letter.campaign_id, Event.kind, several)
        .join(Event, told)
        .where(Event.kind == EventKind.BOUNCE, letter.state == DeliveryState.ACCEPTED)
    )
    visits = select(letter.campaign_id, Event.kind, several).join(Event, told).where(visited_by_people())
    arms = (
        states.group_by(letter.campaign_id, letter.state),
        *(each.group_by(letter.campaign_id, Event.kind) for each in (returned, visits)),
    )
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for campaign_id, what, count in session.execute(union_all(*arms)):
        found[campaign_id][what] = count
    return {campaign_id: _fates(campaign_id, its) for campaign_id, its in found.items()}


def _fates(campaign_id: int, counted: dict[str, int]) -> Counts:
    state = {each: counted[str(each.value)] for each in DeliveryState}
    back = counted[EventKind.BOUNCE]
    return Counts(
        campaign_id,
        arrived=state[DeliveryState.ACCEPTED] - back,
        returned=state[DeliveryState.REJECTED] + back,
        underway=state[DeliveryState.WAITING] + state[DeliveryState.DEFERRED],
        uncertain=state[DeliveryState.UNCERTAIN],
        opened=counted[EventKind.OPEN],
        clicked=counted[EventKind.CLICK],
    )


# The letters themselves

_RETURNED = (
    select(Event.id)
    .where(Event.campaign_id == Delivery.campaign_id, Event.n == Delivery.n, Event.kind == EventKind.BOUNCE)
    .correlate(Delivery)
    .exists()
)
_FATE = case(
    (Delivery.state == DeliveryState.REJECTED, Fate.RETURNED.value),
    (and_(Delivery.state == DeliveryState.ACCEPTED, _RETURNED), Fate.RETURNED.value),
    (Delivery.state == DeliveryState.ACCEPTED, Fate.ARRIVED.value),
    (Delivery.state == DeliveryState.UNCERTAIN, Fate.UNCERTAIN.value),
    else_=Fate.UNDERWAY.value,
)
_SHOWN = (
    Delivery.campaign_id, Delivery.n, Delivery.state, _FATE.label("fate"), Campaign.launched_at,
    Membership.public_id, Membership.ended_at, Membership.name_zh, Membership.name_en, _ADDRESS,
)  # fmt: skip


def numbers(
    session: Session,
    partner_id: int,
    campaign: Campaign,
    fate: Fate | None = None,
    *,
    page: int = 1,
    size: int | None = None,
) -> list[int]:
    """Return the numbers of a campaign's letters to a partner's people, by address; ``size`` None: of all."""
    for_a_page(session)
    query = _letters_of(campaign, partner_id, Delivery.n, _ADDRESS)
    if fate is not None:
        query = query.where(_FATE.in_([fate.value]))
    skipped = 0 if size is None else (max(page, 1) - 1) * size
    most = None if size is None else skipped + size
    arms = [
        select(query.where(each).order_by(_ADDRESS, Delivery.n).limit(most).subquery())
        for each in (Membership.ended_at.is_(None), Membership.ended_at.is_not(None))  # each has an index
    ]
    both = union_all(*arms).subquery().c
    return list(
        session.scalars(select(both.n).order_by(both.address_key, both.n).limit(size).offset(skipped))
    )


def lines(session: Session, partner_id: int, campaign: Campaign, numbers: Sequence[int]) -> list[Line]:
    """Return these of a campaign's letters to a partner's people, in this order."""
    query = _letters(partner_id, *_SHOWN)
    some = query.where(Delivery.campaign_id == campaign.id, Delivery.n.in_(numbers))
    found = {line.n: line for line in _lines(session, some)}
    return [found[n] for n in numbers if n in found]


def lines_to(session: Session, partner_id: int, membership: UUID, size: int) -> list[Line]:
    """Return the last letters to one of a partner's people, newest first."""
    query = _letters(partner_id, *_SHOWN)
    return _lines(session, query.where(Membership.public_id == membership).order_by(*_NEWEST).limit(size))


def _lines(session: Session, query: Select[Any]) -> list[Line]:
    rows = session.execute(query)
    return [Line(*row)._replace(state=DeliveryState(row[2]), fate=Fate(row[3])) for row in rows]


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
