"""Tables of what came back and what it changed, and all their SQL."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.audience.store import Subscriber
from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.delivery.events import MACHINE
from mailer.delivery.store import Attempt, Campaign, Delivery, DeliveryState, Event, EventInbox, EventKind
from mailer.feedback.kind import Kind
from mailer.issues.store import Publication

KEPT = 2 * 1024 * 1024  # octets of a mail that are kept: its reports come first, then the letter it returns
KEPT_OF_STRANGERS = 64 * 1024  # the same where no delivery is named: whoever wrote it owes us nothing
KEPT_OF_ANSWERS = 20 * 1024 * 1024  # the same of what a person answers: it is passed on with all its files
KEPT_IN_FLOOD = 2 * 1024  # the same of strangers, once FLOOD of theirs have come within an hour
FLOOD = 1_000  # mails


class ReturnedMail(Base):
    """A message that came back as it came, of a long one the beginning.

    Has its own retention; events outlive it.
    """

    __tablename__ = "returned_mail"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256: stored once
    envelope_to: Mapped[str] = mapped_column(String(320))
    kind: Mapped[str] = mapped_column(String(20))  # feedback.message.Kind, or "leave"
    campaign_id: Mapped[int | None]  # None: no valid token, backscatter, it changed nothing
    n: Mapped[int | None]
    content: Mapped[bytes] = mapped_column(LargeBinary)  # zlib


class Decision(Base):
    """What policy made of an event, and why; undoing names the person."""

    __tablename__ = "decisions"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(20))  # suppress | count | none
    reason: Mapped[str] = mapped_column(Text)
    suppression_id: Mapped[int | None] = mapped_column(ForeignKey("suppressions.id"))


class Answer(Base):
    """A person's own answer to a letter, or a question of a person's filter; passed on, or why not."""

    __tablename__ = "answers"
    __table_args__ = (Index("ix_answers_delivery", "campaign_id", "n"),)

    mail_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)  # of returned_mail
    campaign_id: Mapped[int]
    n: Mapped[int]
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    state: Mapped[str] = mapped_column(String(10), index=True)  # answers.State
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: nothing is to be done by itself
    attempts: Mapped[int] = mapped_column(default=0)
    said: Mapped[Any | None] = mapped_column(Json)  # Sentence.stored: why it is kept, or did not go


def keep_mail(
    session: Session,
    *,
    raw: bytes,
    fingerprint: str,
    envelope_to: str,
    kind: str,
    delivery: tuple[int, int] | None,
    now: datetime,
) -> int | None:
    """Store a mail, the end of a long one cut off, and return its id; None when it is stored already."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    campaign_id, n = delivery or (None, None)
    kept = raw[: _limit(session, kind, delivery, now)]
    statement = dialect.insert(ReturnedMail).values(
        received_at=now,
        fingerprint=fingerprint,
        envelope_to=envelope_to,
        kind=kind,
        campaign_id=campaign_id,
        n=n,
        content=zlib.compress(kept),
    )
    stored: int | None = session.scalar(statement.on_conflict_do_nothing().returning(ReturnedMail.id))
    return stored


def _limit(session: Session, kind: str, delivery: tuple[int, int] | None, now: datetime) -> int:
    """Return how much of a mail is kept, in octets: a flood of backscatter fills no disk."""
    if delivery:
        return KEPT_OF_ANSWERS if kind == Kind.ORDINARY else KEPT
    of_strangers = (ReturnedMail.received_at > now - timedelta(hours=1), ReturnedMail.campaign_id.is_(None))
    late = select(ReturnedMail.id).where(*of_strangers).offset(FLOOD - 1).limit(1)
    return KEPT_OF_STRANGERS if session.scalar(late) is None else KEPT_IN_FLOOD


def mail_content(session: Session, mail_id: int) -> bytes | None:
    """Return a stored mail as it came; None when its retention is over."""
    content = session.scalar(select(ReturnedMail.content).where(ReturnedMail.id == mail_id))
    return zlib.decompress(content) if content else None


def forget_mail(session: Session, before: datetime, limit: int) -> int:
    """Erase the oldest mails that came before an instant, ``limit`` at most; return how many.

    The newest row of all is emptied instead: SQLite would give its number to the next mail, and events that
    named the old one would show the new.
    """
    newest = session.scalar(select(func.max(ReturnedMail.id)))
    old = select(ReturnedMail.id).where(ReturnedMail.received_at < before, ReturnedMail.content != b"")
    ids = list(session.scalars(old.order_by(ReturnedMail.received_at).limit(limit)))
    session.execute(delete(Answer).where(Answer.mail_id.in_(ids)))
    if newest in ids:
        session.execute(update(ReturnedMail).where(ReturnedMail.id == newest).values(content=b""))
    session.execute(delete(ReturnedMail).where(ReturnedMail.id.in_(ids), ReturnedMail.id != newest))
    return len(ids)


def written_to(session: Session, campaign_id: int, n: int) -> str | None:
    """Return the address a delivery went to, "" when it is erased; None: no such delivery.

    A signed token may outlive its delivery, and a test letter's never had one.
    """
    found: str | None = session.scalar(
        select(func.coalesce(Subscriber.address, ""))
        .join(Delivery, Delivery.subscriber_id == Subscriber.id)
        .where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    )
    return found


class Pending(NamedTuple):
    """An event that policy has not looked at, and whom it concerns."""

    event: Event
    subscriber_id: int
    address_hash: str
    publication_id: int


def pending(session: Session, limit: int) -> Sequence[Pending]:
    """Take the oldest events of the inbox; on PostgreSQL those that nobody else is applying just now."""
    rows = session.execute(
        select(Event, Delivery.subscriber_id, Subscriber.address_hash, Campaign.publication_id)
        .join(EventInbox, EventInbox.event_id == Event.id)
        .join(Delivery, and_(Delivery.campaign_id == Event.campaign_id, Delivery.n == Event.n))
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .join(Campaign, Campaign.id == Event.campaign_id)
        .order_by(EventInbox.event_id)
        .limit(limit)
        .with_for_update(of=EventInbox, skip_locked=True)
    )
    return [Pending(*row) for row in rows]


def bounces_of(session: Session, subscriber_ids: Collection[int], since: datetime) -> dict[int, list[Event]]:
    """Return the bounces of these people's letters since an instant, oldest first."""
    rows = session.execute(
        select(Delivery.subscriber_id, Event)
        .join(Event, _of_its_delivery(EventKind.BOUNCE))
        .where(Delivery.subscriber_id.in_(subscriber_ids), Event.at >= since)
        .order_by(Event.at, Event.id)
    )
    found: dict[int, list[Event]] = defaultdict(list)
    for subscriber_id, event in rows:
        found[subscriber_id].append(event)
    return found


def signs_of_life(
    session: Session, subscriber_ids: Collection[int], *, settled: datetime
) -> dict[int, datetime]:
    """Return when each person was last seen alive: a click or an open by a person, or a letter that came
    through. A letter has come through when it was accepted before ``settled`` and nothing bounced."""
    acts = (
        select(Delivery.subscriber_id, func.max(Event.at))
        .join(Event, _of_its_delivery(EventKind.CLICK, EventKind.OPEN))
        .where(Delivery.subscriber_id.in_(subscriber_ids), ~Event.detail.startswith(MACHINE))
        .group_by(Delivery.subscriber_id)
    )
    letters = (
        select(Delivery.subscriber_id, func.max(Attempt.at))
        .join(Attempt, and_(Attempt.campaign_id == Delivery.campaign_id, Attempt.n == Delivery.n))
        .where(
            Delivery.subscriber_id.in_(subscriber_ids),
            Attempt.state == DeliveryState.ACCEPTED,
            Attempt.at <= settled,
            ~exists().where(_of_its_delivery(EventKind.BOUNCE)),
        )
        .group_by(Delivery.subscriber_id)
    )
    seen: dict[int, datetime] = {}
    for statement in (acts, letters):
        for subscriber_id, at in session.execute(statement):
            seen[subscriber_id] = max(at, seen.get(subscriber_id, at))
    return seen


def file_decisions(session: Session, decisions: Sequence[dict[str, object]]) -> None:
    """Write one decision for each event, as columns of ``Decision``, and take the events out of the inbox."""
    session.execute(insert(Decision), decisions)
    done = [decision["event_id"] for decision in decisions]
    session.execute(delete(EventInbox).where(EventInbox.event_id.in_(done)))


def _of_its_delivery(*kinds: EventKind) -> ColumnElement[bool]:
    return and_(Event.campaign_id == Delivery.campaign_id, Event.n == Delivery.n, Event.kind.in_(kinds))


# -- answers ----------------------------------------------------------------------------------------------


def publication_of(session: Session, campaign_id: int) -> Publication:
    """Return the publication that a campaign's letters are of."""
    return session.scalars(
        select(Publication)
        .join(Campaign, Campaign.publication_id == Publication.id)
        .where(Campaign.id == campaign_id)
    ).one()


def answers_since(session: Session, since: datetime, delivery: tuple[int, int] | None = None) -> int:
    """Return how many answers came since an instant: to one letter, or to all."""
    count = select(func.count()).select_from(Answer).where(Answer.at > since)
    if delivery is not None:
        count = count.where(Answer.campaign_id == delivery[0], Answer.n == delivery[1])
    return session.scalar(count) or 0


def answers_in(session: Session, *states: str, limit: int = 1_000) -> list[Answer]:
    """Return the answers in these states, newest first."""
    chosen = select(Answer).where(Answer.state.in_(states)).order_by(Answer.at.desc()).limit(limit)
    return list(session.scalars(chosen))


def due_answers(session: Session, now: datetime, limit: int) -> list[Answer]:
    """Take answers that are to be passed on now; on PostgreSQL those that nobody else takes just now."""
    due = select(Answer).where(Answer.due_at <= now).order_by(Answer.due_at).limit(limit)
    return list(session.scalars(due.with_for_update(skip_locked=True)))


def language_of(session: Session, campaign_id: int, n: int) -> str:
    """Return the language a letter was in, "" when it is gone."""
    language: str | None = session.scalar(
        select(Delivery.language).where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    )
    return language or ""
