"""Leaving: the reader of a letter goes, by a button or by mail (RFC 8058, RFC 2369)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.audience import subscriptions
from mailer.delivery import events
from mailer.delivery.store import Campaign, Delivery, EventKind
from mailer.errors import NotFound


def leave(
    session: Session,
    campaign_id: int,
    n: int,
    *,
    now: datetime,
    source: str,
    reason: str = "",
    mail_id: int | None = None,
) -> int | None:
    """End the subscription this delivery went to. Returns the event's id; None when it was told before.

    Leaving again changes nothing, leaving again after coming back does.

    :raises NotFound: no such delivery
    """
    found = session.execute(
        select(Delivery.subscriber_id, Campaign.publication_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    ).one_or_none()
    if found is None:
        raise NotFound
    subscriptions.leave(
        session,
        subscriber_id=found.subscriber_id,
        publication_id=found.publication_id,
        now=now,
        reason=reason,
    )
    return events.record(
        session,
        campaign_id=campaign_id,
        n=n,
        kind=EventKind.LEAVE,
        at=now,
        source=source,
        detail=reason,
        mail_id=mail_id,
    )
