"""Dormant addresses: letters come back from them unexplained, and a person decides. Their SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.store import Membership, Subscriber
from mailer.audience.suppressions import NoReason, Silence
from mailer.delivery.store import Delivery, Event
from mailer.errors import Conflict, NotFound
from mailer.feedback import alerts
from mailer.feedback.alerts import About
from mailer.feedback.store import Dormant
from mailer.sentence import Sentence

REASON = "dormant"  # of the suppression


class NotListed(NotFound):
    """This address is not on the list of dormant ones: reload the list."""


class DecidedAlready(Conflict):
    """Somebody has decided about this address already: reload the list."""


class Answer(StrEnum):
    """What a person makes of a dormant address."""

    SUPPRESS = "suppress"  # do not write to it any more
    KEEP = "keep"  # go on, and count from here
    ASK = "ask"  # ask the partners whose person it is; it stays on the list


class Row(NamedTuple):
    """A dormant address, and whose it is."""

    dormant: Dormant
    person: Subscriber


def list_many(session: Session, found: Mapping[int, tuple[int, Sentence]], *, now: datetime) -> None:
    """Put people on the list who are not on it; the values are the event that was too many, and why."""
    if not found:
        return
    waiting = select(Dormant.subscriber_id).where(
        Dormant.subscriber_id.in_(found), Dormant.decided_at.is_(None)
    )
    known = set(session.scalars(waiting))
    session.add_all(
        Dormant(subscriber_id=subscriber_id, event_id=event_id, reason=reason, listed_at=now)
        for subscriber_id, (event_id, reason) in found.items()
        if subscriber_id not in known
    )
    session.flush()
    said = Sentence("Addresses whose letters come back unexplained wait for you to decide.")
    alerts.tell(session, About.DORMANT, said, now=now)


def answered(session: Session, subscriber_ids: Collection[int]) -> dict[int, datetime]:
    """Return when somebody last decided about each of these people."""
    rows = session.execute(
        select(Dormant.subscriber_id, func.max(Dormant.decided_at))
        .where(Dormant.subscriber_id.in_(subscriber_ids), Dormant.decided_at.is_not(None))
        .group_by(Dormant.subscriber_id)
    )
    return {subscriber_id: at for subscriber_id, at in rows if at is not None}


def listing(
    session: Session,
    *,
    search: str = "",
    asked: bool | None = None,
    partner_id: int | None = None,
    page: int = 1,
    size: int = 50,
) -> tuple[list[Row], int]:
    """Return a page of those that wait, longest first, and their total.

    ``search``: the beginning of an address. ``asked``: only those whose partners were asked, or were not.
    ``partner_id``: only that partner's people.
    """
    query = (
        select(Dormant, Subscriber)
        .join(Subscriber, Subscriber.id == Dormant.subscriber_id)
        .where(Dormant.decided_at.is_(None), Subscriber.address_key.is_not(None))
    )
    if search.strip():
        start = search.strip().casefold()
        query = query.where(Subscriber.address_key.startswith(start, autoescape=True))
    if asked is not None:
        query = query.where(Dormant.asked_at.is_not(None) if asked else Dormant.asked_at.is_(None))
    if partner_id is not None:
        query = query.where(_of_partner(partner_id))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.execute(query.order_by(Dormant.id).limit(size).offset((max(page, 1) - 1) * size))
    return [Row(*row) for row in rows], total


def decide(
    session: Session,
    id: int,
    answer: Answer,
    *,
    why: str = "",
    partner_id: int | None = None,
    now: datetime,
    actor: Actor,
) -> Dormant:
    """Decide about a dormant address, or ask its partners to. ``why`` is needed to suppress it.

    ``partner_id``: a partner answers, about its own people only.

    :raises NotListed: not on the list, or not that partner's
    :raises DecidedAlready: somebody has
    :raises NoReason: to be suppressed, and nobody says why
    """
    row = session.get(Dormant, id, with_for_update=True)
    if row is None or (partner_id is not None and not _is_of(session, row, partner_id)):
        raise NotListed
    if row.decided_at is not None:
        raise DecidedAlready
    if answer is Answer.SUPPRESS and not why.strip():
        raise NoReason
    if answer is Answer.ASK:
        row.asked_at, row.asked_by = now, actor.name
    else:
        row.decided_at, row.decided_by, row.answer, row.why = now, actor.name, answer, why.strip()
    session.flush()
    if answer is Answer.SUPPRESS:
        row.suppression_id = _suppress(session, row, now, actor)
    _note(session, row, answer, now, actor)
    if not listing(session, size=1)[1]:
        alerts.settle_about(session, About.DORMANT, "", now=now, by=actor.name)
    return row


def keep(session: Session, event_id: int, *, why: str, now: datetime, actor: Actor) -> None:
    """Decide to go on writing to whom an event's letter went to, if they wait on the list."""
    its = and_(Delivery.campaign_id == Event.campaign_id, Delivery.n == Event.n)
    waiting = (
        select(Dormant.id)
        .join(Delivery, Delivery.subscriber_id == Dormant.subscriber_id)
        .join(Event, its)
        .where(Event.id == event_id, Dormant.decided_at.is_(None))
    )
    for id in session.scalars(waiting).all():
        decide(session, id, Answer.KEEP, why=why, now=now, actor=actor)


def _suppress(session: Session, row: Dormant, now: datetime, actor: Actor) -> int:
    person = session.get_one(Subscriber, row.subscriber_id)
    wanted = Silence(address_hash=person.address_hash, reason=REASON, note=row.why, added_by=actor.name)
    [made] = suppressions.suppress_many(session, [wanted], now=now)
    return made


def _note(session: Session, row: Dormant, answer: Answer, now: datetime, actor: Actor) -> None:
    """Write it down for every partner whose person it is, so that its desk shows it, and for us."""
    partners = session.scalars(
        select(Membership.partner_id)
        .where(Membership.subscriber_id == row.subscriber_id, Membership.ended_at.is_(None))
        .order_by(Membership.partner_id)
    )
    for partner_id in [*partners] or [None]:
        audit.record(
            session, now=now, actor=actor, action=f"dormant.{answer}", partner_id=partner_id,
            subject=f"subscriber {row.subscriber_id}", before={"waits": True},
            after={"waits": answer is Answer.ASK},
        )  # fmt: skip


def _of_partner(partner_id: int) -> ColumnElement[bool]:
    return Dormant.subscriber_id.in_(
        select(Membership.subscriber_id).where(
            Membership.partner_id == partner_id, Membership.ended_at.is_(None)
        )
    )


def _is_of(session: Session, row: Dormant, partner_id: int) -> bool:
    query = select(Dormant.id).where(Dormant.id == row.id, _of_partner(partner_id))
    return session.scalar(query) is not None
