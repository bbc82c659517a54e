"""The launch: whom a campaign means, its ledger, and the batches cut from it. The SQL of launching.

All of it is INSERT … SELECT: no row of a million passes through Python, and but for the campaign's own row
nothing is locked that another campaign, a worker or the sweep would wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Integer,
    Join,
    MetaData,
    Select,
    String,
    Subquery,
    Table,
    case,
    cast,
    false,
    func,
    insert,
    join,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable, DropTable

from mailer.audience import suppressions
from mailer.audience.store import Membership, Partner, Subscriber, Subscription, SubscriptionState
from mailer.database import BigId, UTCDateTime
from mailer.delivery import lanes, windows, wishes
from mailer.delivery.store import (
    Batch,
    Campaign,
    CampaignState,
    Delivery,
    DeliveryState,
    Exclusion,
)
from mailer.diagnosis import provider_of
from mailer.issues.store import Publication

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)


def due(session: Session, now: datetime) -> list[int]:
    """Return the scheduled campaigns whose time has come: where it comes first, if readers' clocks count.

    One whose launch failed is left out until it is to be tried again.
    """
    rows: Iterable[Any] = session.execute(
        select(Campaign.id, Campaign.scheduled_at, Campaign.local_time, Publication.zone)
        .join(Publication, Publication.id == Campaign.publication_id)
        .where(Campaign.state == CampaignState.SCHEDULED, Campaign.scheduled_at <= now + _FROM_EAST_TO_WEST)
        .where(or_(Campaign.launch_after.is_(None), Campaign.launch_after <= now))
        .order_by(Campaign.scheduled_at)
    )
    return [
        campaign_id
        for campaign_id, at, local_time, zone in rows
        if (windows.first_hour(at, of=zone) if local_time else at) <= now
    ]


_FROM_EAST_TO_WEST = timedelta(hours=26)  # UTC+14 to UTC-12


def pause(failures: int) -> timedelta:
    """Return how long a launch waits that failed so often in a row (>= 1): 1, 2, 4 … 60 minutes."""
    return min(_FIRST_PAUSE * (1 << min(failures - 1, 10)), _LONGEST_PAUSE)


def claim(session: Session, campaign_id: int) -> Campaign | None:
    """Return a campaign, read afresh, its row locked; None while somebody else holds it."""
    return session.scalar(
        select(Campaign)
        .where(Campaign.id == campaign_id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )


def candidates(
    *,
    publication_id: int,
    condition: ColumnElement[bool],
    languages: Sequence[str],
    fallback: bool,
    now: datetime,
    local_time: bool = False,
) -> Select[Any]:
    """Return everybody the audience means, with the language they would get, or why they get nothing.

    Columns: subscriber_id, partner_id, language, domain, salutation, zone, reason ("" for a delivery).
    ``zone`` is "" where the publication's hour counts: for all, unless ``local_time``; NULL: the partner's.
    """
    own = Subscriber.language.in_(languages)
    language = case((own, Subscriber.language), else_=languages[0])
    reason = case(
        (Subscriber.address.is_(None), "erased"),
        (Subscription.state == SubscriptionState.LEFT, "left"),
        (Subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication_id), "suppressed"),
        (wishes.paused(now), "paused"),
        (wishes.too_often(now + wishes.LENIENCE, publication_id), "too_often"),
        (~own if not fallback else false(), "no_edition"),
        else_="",
    )
    partner = (
        select(func.min(Membership.partner_id))
        .where(Membership.subscriber_id == Subscriber.id, Membership.ended_at.is_(None))
        .scalar_subquery()
    )
    return (
        select(
            Subscriber.id.label("subscriber_id"),
            partner.label("partner_id"),
            language.label("language"),
            Subscriber.domain.label("domain"),
            case((language == "zh", Subscriber.salutation_zh), else_=Subscriber.salutation_en).label(
                "salutation"
            ),
            (Subscriber.zone if local_time else literal("")).label("zone"),
            reason.label("reason"),
        )
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.publication_id == publication_id, condition)
    )


def audience_counts(session: Session, query: Select[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many of ``candidates`` get a letter in each language, and how many get none, by reason."""
    rows = query.subquery()
    letters: dict[str, int] = {}
    none: dict[str, int] = {}
    grouped = select(rows.c.reason, rows.c.language, func.count()).group_by(rows.c.reason, rows.c.language)
    for reason, language, count in session.execute(grouped):
        counts, key = (none, reason) if reason else (letters, language)
        counts[key] = counts.get(key, 0) + count
    return letters, none


class Ledger(NamedTuple):
    """What a launch wrote. ``candidates`` is the sum of ``deliveries`` and ``exclusions``."""

    candidates: int
    deliveries: int
    exclusions: int


def write_ledger(
    session: Session,
    campaign_id: int,
    query: Select[Any],
    *,
    due_at: Callable[[str], datetime],
    batch: int,
) -> Ledger:
    """Write one delivery or one exclusion per candidate, and cut batches of ``batch`` deliveries at most.

    ``due_at`` tells for a zone when its letters are due; "" is the publication's. Deliveries are numbered by
    the time they are due, then lane by lane: so a batch has one time and one lane.
    The candidates are looked up once, into tables of this transaction's own, so that what others commit
    meanwhile cannot put a person into both or neither.
    """
    connection = session.connection()
    for own in _own.sorted_tables:
        connection.execute(CreateTable(own))
    if _on_postgres(session):
        session.execute(text("SET LOCAL work_mem = '64MB'"))  # sorts a million numbers without the disk
    session.execute(insert(_candidates).from_select([each.name for each in _candidates.c], query))
    candidates = session.scalar(select(func.count()).select_from(_candidates)) or 0
    many = _on_postgres(session) and candidates >= _MANY
    if many:
        session.execute(text("ANALYZE launch_candidates"))
    _write_hours(session, due_at)
    _write_lanes(session)
    exclusions = _write_exclusions(session, campaign_id)
    deliveries = _write_deliveries(session, campaign_id)
    _cut(session, campaign_id, _size(deliveries, batch))
    for own in _own.sorted_tables:
        connection.execute(DropTable(own))
    if many:  # a planner that knows of no rows walks them all
        session.execute(text("ANALYZE (SKIP_LOCKED) deliveries"))
    return Ledger(candidates, deliveries, exclusions)


_MANY = 10_000  # candidates; below, autovacuum is soon enough
_COUNTED = {"preserve_rowcount": True}  # else psycopg's count of an INSERT is dropped and reads -1

_own = MetaData()  # tables that live as long as the launch
_candidates = Table(
    "launch_candidates",
    _own,
    Column("subscriber_id", BigId, primary_key=True, autoincrement=False),
    Column("partner_id", BigId),
    Column("language", String(2)),
    Column("domain", String(255)),
    Column("salutation", String(200)),
    Column("zone", String(60)),
    Column("reason", String(40)),
    prefixes=["TEMPORARY"],
)
_hours = Table(
    "launch_hours",
    _own,
    Column("zone", String(60), primary_key=True),
    Column("due_at", UTCDateTime),
    prefixes=["TEMPORARY"],
)
_lanes = Table(
    "launch_lanes",
    _own,
    Column("domain", String(255), primary_key=True),
    Column("provider", String(40)),
    Column("lane", String(255)),
    prefixes=["TEMPORARY"],
)


def _on_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _write_hours(session: Session, due_at: Callable[[str], datetime]) -> None:
    """Say for every zone when its letters are due: zones are few, and their clocks are Python's to read."""
    zone = func.coalesce(_candidates.c.zone, Partner.zone, "")
    found = select(zone).select_from(_of_partners()).distinct()
    rows = [{"zone": each, "due_at": due_at(each)} for each in session.scalars(found)]
    if rows:
        session.execute(insert(_hours), rows)


def _write_lanes(session: Session) -> None:
    """Say for every domain who answers for it and down which lane its letters go.

    A domain that was never learnt goes by its name; it is not learnt here, for another launch would wait
    until this one is through.
    """
    found = select(_candidates.c.domain).where(_candidates.c.reason == "").distinct().subquery()
    session.execute(
        insert(_lanes).from_select(
            ["domain", "provider", "lane"], select(found.c.domain, *lanes.columns(found.c.domain))
        )
    )
    limits = lanes.limits(session)
    for domain in lanes.unknown(session, select(_lanes.c.domain)):
        if provider := provider_of(domain):
            lane = lanes.lane_of(domain, provider, limits)
            session.execute(
                update(_lanes).where(_lanes.c.domain == domain).values(provider=provider, lane=lane)
            )


def _write_exclusions(session: Session, campaign_id: int) -> int:
    row = _candidates.c
    statement = insert(Exclusion).from_select(
        ["campaign_id", "subscriber_id", "partner_id", "reason"],
        select(literal(campaign_id), row.subscriber_id, row.partner_id, row.reason).where(row.reason != ""),
    )
    return session.execute(statement, execution_options=_COUNTED).rowcount  # type: ignore[attr-defined,no-any-return]


def _write_deliveries(session: Session, campaign_id: int) -> int:
    row = _placed().c
    copied = ["subscriber_id", "partner_id", "language", "domain", "salutation", "provider"]
    statement = insert(Delivery).from_select(
        ["campaign_id", "n", *copied, "state", "reason"],
        select(
            literal(campaign_id),
            func.row_number().over(order_by=(row.due_at, row.lane, row.subscriber_id)),
            *(row[name] for name in copied),
            literal(int(DeliveryState.WAITING)),
            literal(""),
        ),
        include_defaults=False,
    )
    return session.execute(statement, execution_options=_COUNTED).rowcount  # type: ignore[attr-defined,no-any-return]


def _of_partners() -> Join:
    return join(_candidates, Partner, Partner.id == _candidates.c.partner_id, isouter=True)


def _placed() -> Subquery:
    """Who gets a letter, with when it is due and its lane."""
    return (
        select(_candidates, _lanes.c.provider, _lanes.c.lane, _hours.c.due_at)
        .select_from(
            _of_partners()
            .join(_hours, _hours.c.zone == func.coalesce(_candidates.c.zone, Partner.zone, ""))
            .join(_lanes, _lanes.c.domain == _candidates.c.domain)
        )
        .where(_candidates.c.reason == "")
        .subquery()
    )


def _size(deliveries: int, most: int) -> int:
    """Return how large batches are: small enough that several workers end together, a slice at least."""
    slices = max(1, deliveries // _SHARES // _SLICE)
    return min(most, slices * _SLICE)


_SLICE = 100  # deliveries, as ``send`` takes them
_SHARES = 16  # batches, at least


def _cut(session: Session, campaign_id: int, size: int) -> None:
    """Cut the deliveries of each time and lane into batches of ``size``.

    Their ids go round the lanes, each in proportion: who takes them in that order gives every destination
    its letters evenly.
    """
    row = _placed().c
    due_and_lane = (row.due_at, row.lane)
    groups = select(*due_and_lane, func.count().label("letters")).group_by(*due_and_lane).subquery().c
    end = cast(func.sum(groups.letters).over(order_by=(groups.due_at, groups.lane)), Integer)
    begin = end - cast(groups.letters, Integer)
    one = select(
        groups.due_at, groups.lane, begin.label("begin"), end.label("end"), (begin + 1).label("first")
    ).cte("cuts", recursive=True)
    following = one.c.first + size
    cut = one.union_all(
        select(one.c.due_at, one.c.lane, one.c.begin, one.c.end, following).where(following <= one.c.end)
    ).c
    last = case((cut.first + size - 1 < cut.end, cut.first + size - 1), else_=cut.end)
    done = cast(cut.first - 1 - cut.begin, Float) / (cut.end - cut.begin)
    statement = insert(Batch).from_select(
        ["campaign_id", "first", "last", "size", "lane", "due_at"],
        select(literal(campaign_id), cut.first, last, last - cut.first + 1, cut.lane, cut.due_at).order_by(
            cut.due_at, done, cut.lane
        ),
    )
    session.execute(statement)
