"""Subscriptions: a person and a publication. Only the person can come back after leaving.

What a subscription held before is kept (``evidence``) whenever it changes: nothing here overwrites evidence.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, update
from sqlalchemy.orm import Session

from mailer.audience import bulk
from mailer.audience.evidence import history
from mailer.audience.evidence import store as evidence
from mailer.audience.store import ConsentKind, Subscription, SubscriptionState

_REASON = 200  # characters kept, store.Subscription.left_reason


def get(session: Session, subscriber_id: int, publication_id: int) -> Subscription | None:
    """Return how a person stands with a publication; None: the two have never met."""
    return session.get(Subscription, (publication_id, subscriber_id))


def leave(
    session: Session,
    *,
    subscriber_id: int,
    publication_id: int,
    now: datetime,
    reason: str = "",
    by: str = "",
) -> bool:
    """Record that a person left; False when they had before (the first moment and reason stay).

    A person without a subscription is recorded too, so that no import subscribes them afterwards.
    ``by``: who took them off, as in the audit log; "": the person.
    """
    bulk.insert_missing_subscription(session, subscriber_id, publication_id, now)
    subscription = session.get_one(
        Subscription, (publication_id, subscriber_id), populate_existing=True, with_for_update=True
    )
    if subscription.state == SubscriptionState.LEFT:
        return False
    _move(session, subscription, SubscriptionState.LEFT, now, by)
    subscription.left_reason = " ".join(reason.split())[:_REASON]
    session.flush()
    return True


def confirm(
    session: Session, *, subscriber_id: int, publication_id: int, now: datetime, origin: str = ""
) -> bool:
    """Record that a person confirmed what was asked for them; False when nothing was pending."""
    subscription = get(session, subscriber_id, publication_id)
    if subscription is None or subscription.state != SubscriptionState.PENDING:
        return False
    _move(session, subscription, SubscriptionState.CONFIRMED, now)
    subscription.consent_at, subscription.consent_origin = now, origin[:200]
    return True


def rejoin(
    session: Session, *, subscriber_id: int, publication_id: int, now: datetime, origin: str = ""
) -> bool:
    """Undo a leave, at the person's own wish; False when they had not left. It is a new consent."""
    subscription = get(session, subscriber_id, publication_id)
    if subscription is None or subscription.state != SubscriptionState.LEFT:
        return False
    _move(session, subscription, SubscriptionState.CONFIRMED, now)
    subscription.left_reason = ""
    subscription.consent_kind, subscription.consent_at = ConsentKind.SIGN_UP, now
    subscription.consent_by, subscription.consent_wording = "", "undo of leaving"
    subscription.consent_origin = origin[:200]
    return True


def withdraw_vouching(session: Session, subscriber_ids: Collection[int], *, now: datetime, by: str) -> None:
    """Make subscriptions that rest on a partner's word alone wait for the person's own."""
    its = Subscription.__table__.c
    vouched = and_(
        its.subscriber_id.in_(subscriber_ids),
        its.state == SubscriptionState.CONFIRMED,
        its.consent_kind == ConsentKind.VOUCHED,
    )
    evidence.keep_subscriptions(session, vouched, now, by)
    session.execute(
        update(Subscription).where(vouched).values(state=SubscriptionState.PENDING, changed_at=now)
    )


def _move(
    session: Session, subscription: Subscription, state: SubscriptionState, now: datetime, by: str = ""
) -> None:
    history.keep_subscription(session, subscription, now=now, by=by)
    subscription.state, subscription.changed_at = state, now
