"""Steps: forgetting some rows of one kind, the oldest first; the SQL. Each returns how many went.

A step is small, so that nobody who writes waits for long, and does nothing a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import cast

from sqlalchemy import ColumnElement, Select, Table, delete, exists, func, insert, null, or_, select, update
from sqlalchemy.orm import Session

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry
from mailer.audience import bulk
from mailer.audience.changes import rows as changes
from mailer.audience.changes.store import ChangeRow
from mailer.audience.evidence import store as evidence
from mailer.audience.evidence.store import PastConsent
from mailer.audience.store import (
    ConsentKind,
    Import,
    ImportRow,
    Membership,
    SignUp,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from mailer.delivery.store import (
    Campaign,
    CampaignState,
    Case,
    Event,
    EventInbox,
    EventKind,
)
from mailer.feedback import erasure
from mailer.feedback import store as feedback
from mailer.reports.store import by_people
from mailer.retention.rules import Key
from mailer.tracking.store import VisitSum

_VISITS = (EventKind.OPEN, EventKind.CLICK)
_OVER = (CampaignState.SENT, CampaignState.CANCELLED)

Step = Callable[[Session, datetime, int], int]
"""``step(session, before, limit)``: forget at most so many of what is older than an instant."""


def event_words(session: Session, before: datetime, limit: int) -> int:
    """Blank what mail systems said about letters long ago."""
    wordy = (
        select(Case.event_id)
        .join(Event, Event.id == Case.event_id)
        .where(Case.at < before, Event.detail != "")
        .order_by(Case.at, Case.event_id)
        .limit(limit)
    )
    ids = list(session.scalars(wordy))
    _quietly(session, update(Event).where(Event.id.in_(ids)).values(detail=""))
    return len(ids)


def visits(session: Session, before: datetime, limit: int) -> int:
    """Forget who opened and clicked of old campaigns. Their sums are written first, once."""
    gone = 0
    while gone < limit:
        ids = list(session.scalars(_summed_visits().limit(limit - gone)))
        _quietly(session, delete(Event).where(Event.id.in_(ids)))
        gone += len(ids)
        if not ids:
            campaign_id = session.scalar(_without_sums(before))
            if campaign_id is None:
                break
            _sum_up(session, campaign_id, before)
    return gone


def import_rows(session: Session, before: datetime, limit: int) -> int:
    """Drop the verdicts on the rows of imports that ended long ago."""
    old = (
        select(ImportRow.import_id, ImportRow.line)
        .join(Import, Import.id == ImportRow.import_id)
        .where(Import.finished_at < before)
        .order_by(ImportRow.import_id, ImportRow.line)
        .limit(limit)
    )
    keys = session.execute(old).all()
    for import_id in {row.import_id for row in keys}:
        lines = [row.line for row in keys if row.import_id == import_id]
        _quietly(
            session, delete(ImportRow).where(ImportRow.import_id == import_id, ImportRow.line.in_(lines))
        )
    return len(keys)


def audit(session: Session, before: datetime, limit: int) -> int:
    """Drop the oldest entries of the audit log."""
    old = select(AuditEntry.id).where(AuditEntry.at < before).order_by(AuditEntry.at).limit(limit)
    ids = list(session.scalars(old))
    _quietly(session, delete(AuditEntry).where(AuditEntry.id.in_(ids)))
    return len(ids)


def left_overs(session: Session, before: datetime, limit: int) -> int:
    """Blank what imports, changes and past consents still hold about people who were erased."""
    kept = [
        (ChangeRow.subscriber_id, ChangeRow.written.is_not(None)),
        (ImportRow.subscriber_id, or_(ImportRow.before.is_not(None), ImportRow.after.is_not(None))),
        (PastConsent.subscriber_id, or_(PastConsent.consent_origin != "", PastConsent.consent_by != "")),
    ]
    gone: set[int] = set()
    for whose, holds in kept:
        query = select(Subscriber.id).join_from(Subscriber, whose.class_, whose == Subscriber.id)
        gone.update(
            session.scalars(query.where(Subscriber.erased_at < before, holds).distinct().limit(limit))
        )
    ids = sorted(gone)[:limit]
    changes.forget(session, ids)
    evidence.forget(session, ids)
    blank = update(ImportRow).where(ImportRow.subscriber_id.in_(ids))
    _quietly(session, blank.values(before=null(), after=null(), message=""))
    return len(ids)


def sign_ups(session: Session, before: datetime, limit: int) -> int:
    """Drop sign-ups that nobody confirmed, and who they were for where nothing else is known of them."""
    asked = select(SignUp.id, SignUp.subscriber_id).where(SignUp.confirmed_at.is_(None))
    stale = session.execute(asked.where(SignUp.asked_at < before).order_by(SignUp.id).limit(limit)).all()
    _quietly(session, delete(SignUp).where(SignUp.id.in_([row.id for row in stale])))
    pending = list(session.scalars(_pending(before).limit(limit)))
    for row in pending:
        _drop_pending(session, row)
    session.flush()
    people = {row.subscriber_id for row in stale} | {row.subscriber_id for row in pending}
    bulk.delete_subscribers(session, [each for each in people if not _is_tied(session, each)])
    return len(people)


def strangers(session: Session, before: datetime, limit: int, *, now: datetime) -> int:
    """Forget people whom nothing has tied to a newsletter or a partner since an instant."""
    ids = list(session.scalars(_strangers(before).limit(limit)))
    gone = bulk.delete_subscribers(session, ids)
    for subscriber_id in set(ids) - gone:  # letters were sent to them: the ledger keeps its sums
        erasure.erase(session, subscriber_id=subscriber_id, now=now, actor=SYSTEM, barred=False)
    return len(ids)


def steps(now: datetime) -> Mapping[Key, Step]:
    """Return the step of every kind of thing."""
    return {
        Key.RAW_MAIL: feedback.forget_mail,
        Key.EVENT_WORDS: event_words,
        Key.VISITS: visits,
        Key.SIGN_UPS: sign_ups,
        Key.STRANGERS: partial(strangers, now=now),
        Key.LEFT_OVERS: left_overs,
        Key.IMPORT_ROWS: import_rows,
        Key.CHANGES: changes.forget_before,
        Key.AUDIT: audit,
    }


def _quietly(session: Session, statement: object) -> None:
    """Execute without looking for the rows among the objects of this session: it holds none of them."""
    session.execute(statement.execution_options(synchronize_session=False))  # type: ignore[attr-defined]


def _pending(before: datetime) -> Select[Subscription]:
    return (
        select(Subscription)
        .where(
            Subscription.state == SubscriptionState.PENDING,
            Subscription.consent_kind == ConsentKind.SIGN_UP,
            Subscription.changed_at < before,
        )
        .order_by(Subscription.subscriber_id)
    )


def _drop_pending(session: Session, row: Subscription) -> None:
    """Drop what was never confirmed; who had left before has left again."""
    left = evidence.had_left(session, row.subscriber_id, row.publication_id)
    if left is None:
        session.delete(row)
    else:
        row.state, row.changed_at = SubscriptionState.LEFT, left.since


def _is_tied(session: Session, subscriber_id: int) -> bool:
    """Say whether a person has any subscription, or a membership that goes on."""
    query = select(Subscriber.id).where(Subscriber.id == subscriber_id, or_(_subscribed(), _held(None)))
    return session.scalar(query) is not None


def _subscribed() -> ColumnElement[bool]:
    return exists().where(Subscription.subscriber_id == Subscriber.id).correlate(Subscriber)


def _held(since: datetime | None) -> ColumnElement[bool]:
    """On a partner's list; ``since``: now, or at any time after it."""
    on_list = Membership.ended_at.is_(None)
    lately = on_list if since is None else or_(on_list, Membership.ended_at >= since)
    return exists().where(Membership.subscriber_id == Subscriber.id, lately).correlate(Subscriber)


def _strangers(before: datetime) -> Select[int]:
    asks = exists().where(SignUp.subscriber_id == Subscriber.id, SignUp.asked_at >= before)
    return (
        select(Subscriber.id)
        .where(
            Subscriber.created_at < before,
            Subscriber.address.is_not(None),
            Subscriber.merged_into.is_(None),
            ~_subscribed(),
            ~_held(before),
            ~asks.correlate(Subscriber),
        )
        .order_by(Subscriber.id)
    )


def _without_sums(before: datetime) -> Select[int]:
    """The oldest campaign that was over before an instant and whose visits are not summed up."""
    return (
        select(Campaign.id)
        .where(
            Campaign.state.in_(_OVER),
            func.coalesce(Campaign.finished_at, Campaign.launched_at) < before,
            exists().where(Event.campaign_id == Campaign.id, Event.kind.in_(_VISITS)),
            ~exists().where(VisitSum.campaign_id == Campaign.id),
        )
        .order_by(Campaign.id)
        .limit(1)
    )


def _summed_visits() -> Select[int]:
    """Visits of campaigns whose sums are written; those that nobody has applied yet wait."""
    return (
        select(Event.id)
        .join(VisitSum, VisitSum.campaign_id == Event.campaign_id)
        .where(
            VisitSum.kind == EventKind.OPEN, VisitSum.link == -1, Event.kind.in_(_VISITS),
            ~exists().where(EventInbox.event_id == Event.id),
        )
    )  # fmt: skip


def _sum_up(session: Session, campaign_id: int, at: datetime) -> None:
    """Write how many people opened and clicked, in all and by link; machines are left out, as in reports."""
    of = (Event.campaign_id == campaign_id, by_people(Event))
    people = func.count(Event.n.distinct())
    for kind in _VISITS:
        row = session.execute(select(people, func.count()).where(*of, Event.kind == kind)).one()
        _sum(session, campaign_id, kind, -1, row[0], row[1], at)
    links = select(Event.link, people, func.count()).where(*of, Event.kind == EventKind.CLICK)
    for link, clickers, clicks in session.execute(links.group_by(Event.link)):
        if link is not None:
            _sum(session, campaign_id, EventKind.CLICK, link, clickers, clicks, at)


def _sum(
    session: Session, campaign_id: int, kind: str, link: int, people: int, visits: int, at: datetime
) -> None:
    row = {
        "campaign_id": campaign_id,
        "kind": kind,
        "link": link,
        "people": people,
        "visits": visits,
        "at": at,
    }
    session.execute(insert(cast(Table, VisitSum.__table__)).values(**row))
