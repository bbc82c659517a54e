"""Own data: everything we hold about one person, for that person (GDPR art. 15 and 20, PIPL art. 45).

Other people stand nowhere in it: whoever of a partner or of ours acted is named by their part only.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.audience import desk, silenced
from mailer.audience import person as people
from mailer.audience.evidence import store as evidence
from mailer.audience.evidence.store import PastConsent
from mailer.audience.store import (
    AddressChange,
    ImportRow,
    Membership,
    Partner,
    SignUp,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Suppression,
    Topic,
)
from mailer.delivery.store import Campaign, Delivery, DeliveryState, Event, Exclusion
from mailer.errors import NotFound
from mailer.issues.store import Issue, Publication

Data = dict[str, Any]


def everything(session: Session, subscriber_id: int, now: datetime) -> Data:
    """Return all we hold, as JSON values but for instants, which are aware UTC; by part, oldest first.

    Past consents, letters and their events are also those of entries that became the person's.

    :raises NotFound: nobody, or erased
    """
    person = session.get(Subscriber, subscriber_id)
    if person is None or person.address is None:
        raise NotFound
    ids = people.rows_of(session, subscriber_id)
    return {
        "person": _person(person),
        "subscriptions": _subscriptions(session, subscriber_id),
        "sign_ups": _sign_ups(session, subscriber_id),
        "memberships": _memberships(session, subscriber_id),
        "past_consents": _past_consents(session, ids),
        "other_addresses": [row.address for row in people.others(session, subscriber_id) if row.address],
        "imports": _imports(session, subscriber_id),
        "address_changes": _address_changes(session, subscriber_id),
        "suppressions": _suppressions(session, person.address_hash, now),
        "letters": _letters(session, ids),
        "no_letters": _no_letters(session, ids),
        "events": _events(session, ids),
    }


def _person(person: Subscriber) -> Data:
    return {
        "address": person.address,
        **desk.names_of(person).columns(),
        "language": person.language,
        "country": person.country,
        "zone": person.zone,
        "known_since": person.created_at,
        "chosen_at": person.chosen_at,
    }


def _consent(row: Subscription | Membership | PastConsent) -> Data:
    return {
        "kind": row.consent_kind,
        "at": row.consent_at,
        "wording": row.consent_wording,
        "origin": row.consent_origin,
    }


def _subscriptions(session: Session, subscriber_id: int) -> list[Data]:
    chosen: dict[int, list[str]] = {}
    topics = (
        select(Topic.publication_id, Topic.code)
        .join(SubscriberTopic, SubscriberTopic.topic_id == Topic.id)
        .where(SubscriberTopic.subscriber_id == subscriber_id)
        .order_by(Topic.code)
    )
    for publication_id, code in session.execute(topics):
        chosen.setdefault(publication_id, []).append(code)
    rows = session.execute(
        select(Subscription, Publication.code)
        .join(Publication, Publication.id == Subscription.publication_id)
        .where(Subscription.subscriber_id == subscriber_id)
        .order_by(Publication.code)
    )
    return [
        {
            "publication": code,
            "state": its.state,
            "since": its.changed_at,
            "reason_for_leaving": its.left_reason,
            "paused_until": its.paused_until,
            "every_days": its.every_days,
            "topics": chosen.get(its.publication_id, []),
            "consent": _consent(its),
        }
        for its, code in rows
    ]


def _sign_ups(session: Session, subscriber_id: int) -> list[Data]:
    rows = session.execute(
        select(SignUp, Publication.code)
        .join(Publication, Publication.id == SignUp.publication_id)
        .where(SignUp.subscriber_id == subscriber_id)
        .order_by(SignUp.id)
    )
    return [
        {
            "publication": code,
            "asked_at": its.asked_at,
            "confirmed_at": its.confirmed_at,
            "language": its.language,
            "topics": its.topics,
            "names": its.names,
            "wording": its.wording,
            "origin": its.origin,
        }
        for its, code in rows
    ]


def _memberships(session: Session, subscriber_id: int) -> list[Data]:
    rows = session.execute(
        select(Membership, Partner.name_en, Partner.name_zh)
        .join(Partner, Partner.id == Membership.partner_id)
        .where(Membership.subscriber_id == subscriber_id)
        .order_by(Membership.joined_at)
    )
    return [
        {
            "partner": name_en or name_zh,
            "joined_at": its.joined_at,
            "ended_at": its.ended_at,
            "paused_until": its.paused_until,
            **desk.names_of(its).columns(),
            "language": its.language,
            "notes": its.notes,
            "consent": _consent(its),
        }
        for its, name_en, name_zh in rows
    ]


def _past_consents(session: Session, ids: Collection[int]) -> list[Data]:
    codes = dict(session.execute(select(Publication.id, Publication.code)).all())
    return [
        {
            "publication": codes.get(row.publication_id) if row.publication_id else None,
            "state": row.state,
            "since": row.since,
            "until": row.until,
            "consent": _consent(row),
        }
        for row in reversed(evidence.past(session, ids))
    ]


def _imports(session: Session, subscriber_id: int) -> list[Data]:
    rows = session.scalars(
        select(ImportRow).where(ImportRow.subscriber_id == subscriber_id).order_by(ImportRow.import_id)
    )
    return [{"import": its.import_id, "line": its.line, "verdict": its.verdict} for its in rows]


def _address_changes(session: Session, subscriber_id: int) -> list[Data]:
    rows = session.scalars(
        select(AddressChange).where(AddressChange.subscriber_id == subscriber_id).order_by(AddressChange.id)
    )
    return [{"asked_at": its.asked_at, "done_at": its.done_at, "new_address": its.address} for its in rows]


def _suppressions(session: Session, address_hash: str, now: datetime) -> list[Data]:
    rows: list[Suppression] = silenced.of_hashes(session, [address_hash], now)
    return [
        {"reason": its.reason, "note": str(its.note), "since": its.since, "until": its.until} for its in rows
    ]


def _letters(session: Session, ids: Collection[int]) -> list[Data]:
    rows = session.execute(
        select(Delivery, Campaign.launched_at, Publication.code, Issue.number)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Publication, Publication.id == Campaign.publication_id)
        .join(Issue, Issue.id == Campaign.issue_id)
        .where(Delivery.subscriber_id.in_(ids))
        .order_by(Delivery.campaign_id)
    )
    return [
        {
            "publication": code,
            "issue": number,
            "launched_at": launched_at,
            "language": its.language,
            "salutation": its.salutation,
            "state": DeliveryState(its.state).name.lower(),
            "reason": its.reason,
        }
        for its, launched_at, code, number in rows
    ]


def _no_letters(session: Session, ids: Collection[int]) -> list[Data]:
    rows = session.execute(
        select(Exclusion.reason, Campaign.launched_at, Publication.code)
        .join(Campaign, Campaign.id == Exclusion.campaign_id)
        .join(Publication, Publication.id == Campaign.publication_id)
        .where(Exclusion.subscriber_id.in_(ids))
        .order_by(Exclusion.campaign_id)
    )
    return [{"publication": code, "launched_at": at, "reason": reason} for reason, at, code in rows]


def _events(session: Session, ids: Collection[int]) -> list[Data]:
    """What came back about the person's letters: opens, clicks, bounces, with the words that were said."""
    rows = session.execute(
        select(Event, Issue.number)
        .join(Delivery, (Delivery.campaign_id == Event.campaign_id) & (Delivery.n == Event.n))
        .join(Campaign, Campaign.id == Event.campaign_id)
        .join(Issue, Issue.id == Campaign.issue_id)
        .where(Delivery.subscriber_id.in_(ids))
        .order_by(Event.at, Event.id)
    )
    return [
        {
            "at": its.at,
            "what": its.kind,
            "issue": number,
            "category": its.category,
            "words": its.detail,
            "link": its.link,
        }
        for its, number in rows
    ]
