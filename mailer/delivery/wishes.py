"""Wishes: pauses, and how often somebody wants a letter, as conditions of the launch and of each slice.

Both are about the ``Subscription`` of the query. A partner's pause holds letters back only while every
partner of the person pauses, and never from who answered for themselves (decision 26).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, Table, and_, or_, select

from mailer.audience.store import ConsentKind, Membership, Subscription
from mailer.delivery.store import Attempt, Campaign, Delivery, DeliveryState
from mailer.dialects import days_before

LENIENCE = timedelta(hours=12)
"""By so much may a letter come early: one in 14 days means every second of a weekly's, whatever the hour."""

# tables, not classes: the send path asks without the ORM
_subscription = cast(Table, Subscription.__table__).c
_memberships, _deliveries, _campaigns, _attempts = (
    cast(Table, each.__table__) for each in (Membership, Delivery, Campaign, Attempt)
)

Instant = datetime | ColumnElement[datetime]


def paused(now: Instant) -> ColumnElement[bool]:
    """The condition that the person, or every partner who answers for them, asks for no letters yet."""
    kind = _subscription.consent_kind
    vouched_for = and_(kind != ConsentKind.SIGN_UP, kind != ConsentKind.INVITED)
    return or_(
        _subscription.paused_until > now,
        and_(vouched_for, _held(now, paused=True), ~_held(now, paused=False)),
    )


def _held(now: Instant, *, paused: bool) -> ColumnElement[bool]:
    its = _memberships.alias("holding")
    pausing = and_(its.c.paused_until.is_not(None), its.c.paused_until > now)
    return (
        select(its.c.id)
        .where(its.c.subscriber_id == _subscription.subscriber_id, its.c.ended_at.is_(None))
        .where(pausing if paused else or_(its.c.paused_until.is_(None), its.c.paused_until <= now))
        .correlate_except(its)
        .exists()
    )


def too_often(lately: Instant, publication_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """The condition that the person's last letter of the publication is too recent for their wish.

    ``lately`` is now and ``LENIENCE``. Letters are looked up only of those who have stated a wish.
    """
    since = days_before(lately, _subscription.every_days)
    letter, campaign, attempt = (
        _deliveries.alias("earlier"),
        _campaigns.alias("earlier_campaign"),
        _attempts.alias("earlier_try"),
    )
    received = (
        select(attempt.c.n)
        .select_from(letter)
        .join(campaign, campaign.c.id == letter.c.campaign_id)
        .join(attempt, and_(attempt.c.campaign_id == letter.c.campaign_id, attempt.c.n == letter.c.n))
        .where(
            letter.c.subscriber_id == _subscription.subscriber_id,
            letter.c.state == DeliveryState.ACCEPTED.value,
            campaign.c.publication_id == publication_id,
            or_(campaign.c.finished_at.is_(None), campaign.c.finished_at > since),
            attempt.c.at > since,
        )
        .correlate_except(letter, campaign, attempt)
        .exists()
    )
    return and_(_subscription.every_days.is_not(None), received)
