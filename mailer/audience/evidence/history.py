"""History: how a person stood and stands with publications and partners, and on which evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailer.audience.evidence import store
from mailer.audience.store import ConsentKind, Membership, Subscription


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stood for a while. ``until`` None: now. ``changed_by`` "": the person ended it themselves.

    ``subscriber_id``: whose row it is, the person's or one merged into it. One of ``publication_id`` and
    ``partner_id`` is set; ``state`` as in ``evidence.store.PastConsent``.
    """

    subscriber_id: int
    publication_id: int | None
    partner_id: int | None
    state: str
    since: datetime
    until: datetime | None
    changed_by: str
    kind: ConsentKind
    at: datetime
    by: str
    wording: str
    origin: str


def keep_subscription(session: Session, found: Subscription, *, now: datetime, by: str = "") -> None:
    """Keep what a subscription holds, before it changes. ``by``: who changes it; "": the person."""
    its = Subscription.__table__.c
    which = (its.subscriber_id == found.subscriber_id) & (its.publication_id == found.publication_id)
    store.keep_subscriptions(session, which, now, by)


def keep_membership(session: Session, found: Membership, *, now: datetime, by: str) -> None:
    """Keep what a membership holds, before it changes."""
    store.keep_memberships(session, Membership.__table__.c.id == found.id, now, by)


def of_person(session: Session, subscriber_ids: Collection[int]) -> list[Standing]:
    """Return how a person stands and stood, the present first, then the past, newest first.

    Several ids: rows that were merged into one person.
    """
    subscriptions, memberships = store.present(session, subscriber_ids)
    standing = [
        _standing(each, each.publication_id, None, each.state, each.changed_at) for each in subscriptions
    ]
    for each in memberships:
        state = store.MEMBER if each.ended_at is None else store.ENDED
        standing.append(_standing(each, None, each.partner_id, state, each.ended_at or each.joined_at))
    standing.sort(key=lambda each: each.since, reverse=True)
    before = [
        _standing(
            each, each.publication_id, each.partner_id, each.state, each.since, each.until, each.changed_by
        )
        for each in store.past(session, subscriber_ids)
    ]
    return standing + before


def _standing(
    row: Any,
    publication_id: int | None,
    partner_id: int | None,
    state: str,
    since: datetime,
    until: datetime | None = None,
    changed_by: str = "",
) -> Standing:
    return Standing(
        row.subscriber_id, publication_id, partner_id, str(state), since, until, changed_by,
        ConsentKind(row.consent_kind), row.consent_at, row.consent_by, row.consent_wording,
        row.consent_origin,
    )  # fmt: skip
