"""The launch: whom a campaign means, its ledger, and the batches cut from it. The SQL of launching."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, column, false, func, insert, literal, select, table, text
from sqlalchemy.orm import Session

from mailer.audience import suppressions
from mailer.audience.store import Membership, Subscriber, Subscription, SubscriptionState
from mailer.delivery.store import Batch, Campaign, CampaignState, Delivery, DeliveryState, Exclusion


def due(session: Session, now: datetime) -> list[int]:
    """Return the scheduled campaigns whose time has come."""
    return list(
        session.scalars(
            select(Campaign.id)
            .where(Campaign.state == CampaignState.SCHEDULED, Campaign.scheduled_at <= now)
            .order_by(Campaign.scheduled_at)
        )
    )


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
) -> Select[Any]:
    """Return everybody the audience means, with the language they would get, or why they get nothing.

    Columns: subscriber_id, partner_id, language, domain, salutation, reason ("" for a delivery).
    """
    own = Subscriber.language.in_(languages)
    language = case((own, Subscriber.language), else_=languages[0])
    reason = case(
        (Subscriber.address.is_(None), "erased"),
        (Subscription.state == SubscriptionState.LEFT, "left"),
        (Subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication_id), "suppressed"),
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


def write_ledger(session: Session, campaign_id: int, query: Select[Any]) -> tuple[int, int, int]:
    """Write one delivery or one exclusion per candidate; return how many candidates, deliveries, exclusions.

    The candidates are looked up once, into a table of this transaction's own, so that what others commit
    meanwhile cannot put a person into both or neither.
    """
    session.execute(text(_CANDIDATES))
    names = ["subscriber_id", "partner_id", "language", "domain", "salutation", "reason"]
    session.execute(insert(_candidates).from_select(names, query))
    total = session.scalar(select(func.count()).select_from(_candidates)) or 0
    row = _candidates.c
    counted = {"preserve_rowcount": True}  # else psycopg's count of an INSERT is dropped and reads -1
    deliveries = session.execute(
        insert(Delivery).from_select(
            ["campaign_id", "n", *names[:-1], "state", "reason"],
            select(
                literal(campaign_id),
                func.row_number().over(order_by=row.subscriber_id),
                *(row[name] for name in names[:-1]),
                literal(int(DeliveryState.WAITING)),
                literal(""),
            ).where(row.reason == ""),
            include_defaults=False,
        ),
        execution_options=counted,
    )
    exclusions = session.execute(
        insert(Exclusion).from_select(
            ["campaign_id", "subscriber_id", "partner_id", "reason"],
            select(literal(campaign_id), row.subscriber_id, row.partner_id, row.reason).where(
                row.reason != ""
            ),
        ),
        execution_options=counted,
    )
    session.execute(text("DROP TABLE launch_candidates"))
    if session.get_bind().dialect.name == "postgresql" and deliveries.rowcount >= _MANY:  # type: ignore[attr-defined]
        session.execute(text("ANALYZE deliveries"))  # a planner that knows of no rows walks them all
    return total, deliveries.rowcount, exclusions.rowcount  # type: ignore[attr-defined]


_MANY = 10_000  # deliveries; below, autovacuum is soon enough

_CANDIDATES = """CREATE TEMPORARY TABLE launch_candidates (
    subscriber_id bigint PRIMARY KEY, partner_id bigint, language varchar(2),
    domain varchar(255), salutation varchar(200), reason varchar(40))"""

_candidates = table(
    "launch_candidates",
    *(column(name) for name in ("subscriber_id", "partner_id", "language", "domain", "salutation", "reason")),
)


def cut(session: Session, campaign_id: int, *, deliveries: int, size: int, due_at: datetime) -> int:
    """Cut deliveries 1…``deliveries`` into batches of ``size``; return how many."""
    rows = [
        {
            "campaign_id": campaign_id,
            "first": first,
            "last": min(first + size - 1, deliveries),
            "size": min(size, deliveries - first + 1),
            "due_at": due_at,
        }
        for first in range(1, deliveries + 1, size)
    ]
    session.execute(insert(Batch), rows)
    return len(rows)
