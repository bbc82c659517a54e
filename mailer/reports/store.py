"""All SQL of reports. It has no tables: it reads those of delivery, tracking, feedback and audience."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from mailer.audience.store import Membership, Partner, Subscriber, Subscription
from mailer.database import UTCDateTime
from mailer.delivery.events import MACHINE
from mailer.delivery.store import (
    Attempt,
    Batch,
    BatchState,
    Campaign,
    CampaignState,
    Delivery,
    DeliveryState,
    Event,
    EventKind,
    Exclusion,
    Slowdown,
    Worker,
    about,
    visited_by_people,
)
from mailer.feedback.rules import Action
from mailer.feedback.store import Decision
from mailer.issues.store import Publication
from mailer.tracking.store import VisitSum

Behind = Select[*tuple[Any, ...]]
"""The rows behind a figure: n (NULL: excluded), subscriber_id, partner_id, what, event_id (NULL: none)."""


_VISITS = {EventKind.OPEN, EventKind.CLICK}


def by_people(its: type[Event]) -> ColumnElement[bool]:
    """The condition that an event is no machine's visit."""
    return or_(its.kind.not_in(_VISITS), ~its.detail.startswith(MACHINE))


_STATE_WORD = case({state.value: state.name.lower() for state in DeliveryState}, value=Delivery.state)


class Line(NamedTuple):
    """One row behind a figure. ``n`` None: excluded. Names are None where there is no partner."""

    n: int | None
    what: str
    address: str | None
    name_zh: str
    name_en: str
    partner_zh: str | None
    partner_en: str | None
    words: str | None
    at: datetime | None


# -- figures -----------------------------------------------------------------------------------------------


def by_state(session: Session, campaign_id: int) -> dict[tuple[DeliveryState, str], int]:
    """Count deliveries by state and reason of withdrawal."""
    rows = session.execute(
        select(Delivery.state, Delivery.reason, func.count())
        .where(Delivery.campaign_id == campaign_id)
        .group_by(Delivery.state, Delivery.reason)
    )
    return {(DeliveryState(state), reason): count for state, reason, count in rows}


def by_exclusion(session: Session, campaign_id: int) -> dict[str, int]:
    """Count exclusions by reason."""
    return _counts(
        session,
        select(Exclusion.reason, func.count())
        .where(Exclusion.campaign_id == campaign_id)
        .group_by(Exclusion.reason),
    )


def by_bounce(session: Session, campaign_id: int) -> dict[str, int]:
    """Count accepted deliveries that came back, by what was said first."""
    behind = bounced(campaign_id).subquery()
    return _counts(session, select(behind.c.what, func.count()).group_by(behind.c.what))


def by_kind(session: Session, campaign_id: int) -> dict[str, int]:
    """Count deliveries by the kinds of events about them, machines' visits left out.

    Of an old campaign whose single visits are forgotten, their sums count.
    """
    news, visits = (
        select(Event.kind, func.count(Event.n.distinct()), literal(0).label("summed"))
        .where(Event.campaign_id == campaign_id, which)
        .group_by(Event.kind)
        for which in (Event.kind.in_(set(EventKind) - _VISITS), visited_by_people())
    )
    whole = and_(VisitSum.campaign_id == campaign_id, VisitSum.link == -1, VisitSum.people > 0)
    sums = select(VisitSum.kind, VisitSum.people, literal(1)).where(whole)
    return _counts(session, union_all(news, visits, sums).order_by("summed"))  # the later of a kind counts


def suppressions(session: Session, campaign_id: int) -> int:
    """Count deliveries whose news silenced their address."""
    return count(session, suppressed(campaign_id))


def last_attempt(session: Session, campaign_id: int) -> datetime | None:
    """Return when a letter was last tried."""
    return session.scalar(select(func.max(Attempt.at)).where(Attempt.campaign_id == campaign_id))


# -- what waits --------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """A campaign's letters in one lane that have no fate yet; each letter is in one of the four counts.

    ``ready`` may go as soon as lane, window and relay allow, ``later`` wait for their reader's hour,
    ``again`` were deferred, ``lost`` were begun by a worker that is gone. The instants:
    when the first is due.
    """

    campaign_id: int
    state: CampaignState
    window: str
    zone: str
    lane: str
    ready: int
    later: int
    later_at: datetime | None
    again: int
    again_at: datetime | None
    lost: int


_SOON = timedelta(minutes=1)  # what is put back for its pace or a relay's rest is due again within it


def waiting(session: Session, now: datetime) -> list[Waiting]:
    """Return what waits in campaigns that are being sent or paused, by campaign and lane."""
    soon = literal(now + _SOON, UTCDateTime)
    ready = Batch.due_at <= case((Slowdown.until > soon, Slowdown.until), else_=soon)
    held = Batch.state.in_((BatchState.WAITING, BatchState.LEASED))
    later = and_(held, ~ready, Batch.attempt == 1)
    again = and_(held, ~ready, Batch.attempt > 1)
    left, unknown = Batch.size - Batch.done_to, Batch.begun_to - Batch.done_to
    place = (Campaign.id, Campaign.state, Campaign.window, Publication.zone, Batch.lane)
    rows = session.execute(
        select(
            *place,
            _sum(left, and_(held, ready)),
            _sum(left, later),
            func.min(case((later, Batch.due_at))),
            _sum(left, again),
            func.min(case((again, Batch.due_at))),
            _sum(unknown, Batch.state == BatchState.ORPHANED),
        )
        .join(Campaign, Campaign.id == Batch.campaign_id)
        .join(Publication, Publication.id == Campaign.publication_id)
        .outerjoin(Slowdown, Slowdown.lane == Batch.lane)
        .where(Campaign.state.in_((CampaignState.SENDING, CampaignState.PAUSED)))
        .where(Batch.state != BatchState.DONE)
        .group_by(*place)
        .order_by(Campaign.id, Batch.lane)
    )
    return [Waiting(*row) for row in rows]


def _sum(letters: ColumnElement[int], where: ColumnElement[bool]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(case((where, letters))), 0), Integer)


def workers(session: Session, since: datetime) -> list[Worker]:
    """Return the workers seen since then, the last first."""
    found = select(Worker).where(Worker.seen_at >= since, Worker.machine != "")
    return list(session.scalars(found.order_by(Worker.seen_at.desc(), Worker.id)))


# -- the rows behind them ----------------------------------------------------------------------------------


def in_states(campaign_id: int, *states: DeliveryState) -> Behind:
    """Return deliveries in these states; no state given: all."""
    among = [Delivery.state.in_(states)] if states else []
    return _deliveries(campaign_id, _STATE_WORD).where(*among)


def withdrawn(campaign_id: int, reason: str | None = None) -> Behind:
    """Return deliveries taken out, for one reason or any."""
    behind = _deliveries(campaign_id, Delivery.reason).where(Delivery.state == DeliveryState.WITHDRAWN)
    return behind if reason is None else behind.where(Delivery.reason == reason)


def excluded(campaign_id: int, reason: str | None = None) -> Behind:
    """Return candidates who got no delivery, for one reason or any."""
    behind = select(
        null().cast(Integer).label("n"),
        Exclusion.subscriber_id,
        Exclusion.partner_id,
        Exclusion.reason.label("what"),
        null().cast(Integer).label("event_id"),
    ).where(Exclusion.campaign_id == campaign_id)
    return behind if reason is None else behind.where(Exclusion.reason == reason)


def candidates(campaign_id: int) -> Behind:
    """Return everybody the audience rule named."""
    return select(union_all(in_states(campaign_id), excluded(campaign_id)).subquery())


def bounced(campaign_id: int, category: str | None = None) -> Behind:
    """Return accepted deliveries that came back, each with what was said first."""
    said = func.coalesce(Event.category, "unknown")
    behind = _told(campaign_id, said, lambda its: its.kind == EventKind.BOUNCE)
    behind = behind.where(Delivery.state == DeliveryState.ACCEPTED)
    return behind if category is None else behind.where(said == category)


def with_event(campaign_id: int, kind: EventKind) -> Behind:
    """Return deliveries with an event of this kind, each with its first; no machine's visits."""
    return _told(campaign_id, Event.kind, lambda its: and_(its.kind == kind, by_people(its)))


def suppressed(campaign_id: int) -> Behind:
    """Return deliveries whose news silenced their address, each with the first such event."""
    silencing = select(Decision.event_id).where(
        Decision.action == Action.SUPPRESS, Decision.undone_at.is_(None)
    )
    said = func.coalesce(Event.category, "unknown")
    return _told(campaign_id, said, lambda its: its.id.in_(silencing))


def count(session: Session, behind: Behind, partner_id: int | None = None) -> int:
    """Count the rows behind a figure, one partner's or all."""
    rows = behind.subquery()
    statement = select(func.count()).select_from(rows)
    if partner_id is not None:
        statement = statement.where(rows.c.partner_id == partner_id)
    return session.scalar(statement) or 0


def lines(
    session: Session, behind: Behind, *, size: int, skip: int, partner_id: int | None = None
) -> list[Line]:
    """Return some rows behind a figure in a stable order, with names and the words of their events."""
    rows = behind.subquery()
    statement = (
        select(
            rows.c.n,
            rows.c.what,
            Subscriber.address,
            Subscriber.name_zh,
            Subscriber.name_en,
            Partner.name_zh,
            Partner.name_en,
            Event.detail,
            Event.at,
        )
        .select_from(rows)
        .join(Subscriber, Subscriber.id == rows.c.subscriber_id)
        .outerjoin(Partner, Partner.id == rows.c.partner_id)
        .outerjoin(Event, Event.id == rows.c.event_id)
        .order_by(rows.c.n.nulls_last(), rows.c.subscriber_id)
        .limit(size)
        .offset(skip)
    )
    if partner_id is not None:
        statement = statement.where(rows.c.partner_id == partner_id)
    return [Line(*row) for row in session.execute(statement)]


def told_of(session: Session, campaign_id: int, kind: EventKind) -> int:
    """Count the deliveries that ``with_event`` returns."""
    which = (Event.kind == kind, visited_by_people() if kind in _VISITS else true())
    count = select(func.count(Event.n.distinct())).where(Event.campaign_id == campaign_id, *which)
    return session.scalar(count) or 0


class Reply(NamedTuple):
    """What a relay last said of a letter. ``category`` None: it took the letter, or was never heard."""

    category: str | None
    words: str
    at: datetime


def last_replies(session: Session, campaign_id: int, numbers: Collection[int]) -> dict[int, Reply]:
    """Return what the relay last said of these deliveries."""
    tries = session.execute(
        select(Attempt.n, Attempt.category, Attempt.reply, Attempt.at)
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .order_by(Attempt.n, Attempt.attempt)
    )
    return {n: Reply(category, words, at) for n, category, words, at in tries}


# -- one person --------------------------------------------------------------------------------------------


def letters_of(session: Session, subscriber_id: int, limit: int) -> list[tuple[Campaign, Delivery]]:
    """Return a person's last letters with their campaigns, newest first."""
    statement = (
        select(Campaign, Delivery)
        .join(Delivery, Delivery.campaign_id == Campaign.id)
        .where(Delivery.subscriber_id == subscriber_id)
        .order_by(Campaign.id.desc())
        .limit(limit)
    )
    return [(campaign, delivery) for campaign, delivery in session.execute(statement)]


def exclusions_of(session: Session, subscriber_id: int, limit: int) -> list[tuple[Campaign, str]]:
    """Return the campaigns that had no letter for a person and why; found by key, campaign by campaign."""
    statement = (
        select(Campaign, Exclusion.reason)
        .join(
            Exclusion,
            and_(Exclusion.campaign_id == Campaign.id, Exclusion.subscriber_id == subscriber_id),
        )
        .order_by(Campaign.id.desc())
        .limit(limit)
    )
    return [(campaign, reason) for campaign, reason in session.execute(statement)]


def attempts_of(session: Session, letters: Collection[tuple[int, int]]) -> list[Attempt]:
    """Return the tries of some letters, by (campaign_id, n)."""
    mine = about(Attempt, letters)
    return list(session.scalars(select(Attempt).where(mine).order_by(Attempt.attempt)))


def events_of(session: Session, letters: Collection[tuple[int, int]]) -> list[Event]:
    """Return what came back about some letters, by (campaign_id, n); machines' visits are left out."""
    mine = about(Event, letters)
    return list(session.scalars(select(Event).where(mine, by_people(Event)).order_by(Event.id)))


def subscriptions_of(session: Session, subscriber_id: int) -> list[Subscription]:
    """Return a person's subscriptions, by publication."""
    mine = Subscription.subscriber_id == subscriber_id
    return list(session.scalars(select(Subscription).where(mine).order_by(Subscription.publication_id)))


def partners_of(session: Session, subscriber_id: int) -> list[Partner]:
    """Return the partners on whose lists a person stands."""
    statement = (
        select(Partner)
        .join(Membership, Membership.partner_id == Partner.id)
        .where(Membership.subscriber_id == subscriber_id, Membership.ended_at.is_(None))
        .order_by(Partner.code)
    )
    return list(session.scalars(statement))


def _deliveries(campaign_id: int, what: ColumnElement[str] | Any) -> Behind:
    return select(
        Delivery.n,
        Delivery.subscriber_id,
        Delivery.partner_id,
        what.label("what"),
        null().cast(Integer).label("event_id"),
    ).where(Delivery.campaign_id == campaign_id)


def _told(
    campaign_id: int, what: ColumnElement[str] | Any, counts: Callable[[type[Event]], ColumnElement[bool]]
) -> Behind:
    """Return deliveries with an event that ``counts``, each with its first: there is none before it."""
    before = aliased(Event)
    earlier = select(before.id).where(
        before.campaign_id == campaign_id, before.n == Event.n, before.id < Event.id, counts(before)
    )
    return (
        select(
            Delivery.n,
            Delivery.subscriber_id,
            Delivery.partner_id,
            what.label("what"),
            Event.id.label("event_id"),
        )
        .join(Event, and_(Event.campaign_id == Delivery.campaign_id, Event.n == Delivery.n))
        .where(Delivery.campaign_id == campaign_id, counts(Event), ~earlier.correlate(Event).exists())
    )


def _counts(session: Session, statement: Executable) -> dict[str, int]:
    return {row[0]: row[1] for row in session.execute(statement)}
