"""Subscriptions: a person and a publication. Only the person can come back after leaving.

What a subscription held before is kept (``evidence``) whenever it changes: nothing here overwrites evidence.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, update
from sqlalchemy.orm import Session

from mailer.audience import bulk, members
from mailer.audience.evidence import history
from mailer.audience.evidence import store as evidence
from mailer.audience.store import ConsentKind, Subscription, SubscriptionState
from mailer.errors import Conflict, Invalid

OFTEN = (14, 30, 90)
"""Days: what a reader may choose as the least time between two letters."""
LONGEST_PAUSE = timedelta(days=366)
_REASON = 200  # characters kept, store.Subscription.left_reason


class BadPause(Invalid):
    """A pause ends on a day to come, within a year: choose another, or leave and come back later."""


class BadInterval(Invalid):
    """Choose one of the intervals offered."""


class NotSubscribed(Conflict):
    """You are not subscribed any more: subscribe again first."""


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
    """Record that a person confirmed what was asked for them; False when nothing was asked.

    Every partner that has asked sees it, also where another's word had subscribed the person before.
    """
    if not is_asked(session, subscriber_id, publication_id):
        return False
    subscription = session.get_one(Subscription, (publication_id, subscriber_id))
    if subscription.state == SubscriptionState.PENDING:
        _move(session, subscription, SubscriptionState.CONFIRMED, now)
        subscription.consent_at, subscription.consent_origin = now, origin[:200]
    members.confirm_asked(session, subscriber_id, now)
    return True


def is_asked(session: Session, subscriber_id: int, publication_id: int) -> bool:
    """Say whether a person has something to confirm. Who left has not: only they themselves come back."""
    subscription = get(session, subscriber_id, publication_id)
    if subscription is None or subscription.state == SubscriptionState.LEFT:
        return False
    return subscription.state == SubscriptionState.PENDING or members.is_asked(session, subscriber_id)


def rejoin(
    session: Session,
    *,
    subscriber_id: int,
    publication_id: int,
    now: datetime,
    wording: str = "undo of leaving",
    origin: str = "",
) -> bool:
    """Undo a leave, at the person's own wish; False when they had not left. It is a new consent."""
    subscription = get(session, subscriber_id, publication_id)
    if subscription is None or subscription.state != SubscriptionState.LEFT:
        return False
    _move(session, subscription, SubscriptionState.CONFIRMED, now)
    subscription.left_reason = ""
    subscription.consent_kind, subscription.consent_at = ConsentKind.SIGN_UP, now
    subscription.consent_by, subscription.consent_wording = "", wording
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


def pause(
    session: Session, *, subscriber_id: int, publication_id: int, until: datetime | None, now: datetime
) -> None:
    """Send no letters before an instant; None: go on at once.

    :raises BadPause: it ends in the past, or after more than a year
    :raises NotSubscribed: nothing would come anyway
    """
    if until is not None and not now < until <= now + LONGEST_PAUSE:
        raise BadPause
    _confirmed(session, subscriber_id, publication_id).paused_until = until


def set_interval(session: Session, *, subscriber_id: int, publication_id: int, days: int | None) -> None:
    """Send at most one letter in so many days (``OFTEN``); None: every issue.

    :raises BadInterval: not one that is offered
    :raises NotSubscribed: nothing would come anyway
    """
    if days is not None and days not in OFTEN:
        raise BadInterval
    _confirmed(session, subscriber_id, publication_id).every_days = days


def leave_all(session: Session, *, subscriber_id: int, now: datetime) -> int:
    """Record that a person left every publication they were asked or subscribed for; return how many."""
    ids = bulk.publications_of(session, subscriber_id)
    return sum(leave(session, subscriber_id=subscriber_id, publication_id=each, now=now) for each in ids)


def _confirmed(session: Session, subscriber_id: int, publication_id: int) -> Subscription:
    found = get(session, subscriber_id, publication_id)
    if found is None or found.state != SubscriptionState.CONFIRMED:
        raise NotSubscribed
    return found


def _move(
    session: Session, subscription: Subscription, state: SubscriptionState, now: datetime, by: str = ""
) -> None:
    history.keep_subscription(session, subscription, now=now, by=by)
    subscription.state, subscription.changed_at = state, now
