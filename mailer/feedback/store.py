"""Tables of what came back and what it changed, and all their SQL."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.audience.store import AddressChange, Subscriber
from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.delivery.events import MACHINE
from mailer.delivery.store import Attempt, Campaign, Delivery, DeliveryState, Event, EventInbox, EventKind
from mailer.diagnosis import Category
from mailer.feedback.kind import Kind
from mailer.feedback.rules import Bounce
from mailer.issues.store import Publication
from mailer.sentence import Told

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
    """What policy made of an event, and why; undoing names the person.

    ``until`` is set while a suppression is held, and only then.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint("undone_at IS NULL OR undone_by <> ''", name="undoing_has_undoer"),
        Index("ix_decisions_action", "action", "event_id"),  # the rare ones, among millions
        Index("ix_decisions_held", "until", sqlite_where=text("until IS NOT NULL"),
              postgresql_where=text("until IS NOT NULL")),
        Index("ix_decisions_silenced", "at", sqlite_where=text("suppression_id IS NOT NULL"),
              postgresql_where=text("suppression_id IS NOT NULL")),
        Index("ix_decisions_suppression_id", "suppression_id",
              sqlite_where=text("suppression_id IS NOT NULL"),
              postgresql_where=text("suppression_id IS NOT NULL")),
    )  # fmt: skip

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(20))  # rules.Action
    reason: Mapped[str] = mapped_column(Told)
    suppression_id: Mapped[int | None] = mapped_column(ForeignKey("suppressions.id"))
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    undone_by: Mapped[str] = mapped_column(String(320), default="", server_default="")
    undone_why: Mapped[str] = mapped_column(Text, default="", server_default="")


class PolicySetting(Base):
    """A setting of the policy that differs from its default (``rules.Rules``)."""

    __tablename__ = "policy_settings"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[int]
    set_by: Mapped[str] = mapped_column(String(320))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Tally(Base):
    """How much was heard from a destination in ten minutes: bounces by category, or, "", letters tried.

    A destination is a provider, or a domain that none is known of.
    """

    __tablename__ = "tallies"

    slot: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    destination: Mapped[str] = mapped_column(String(255), primary_key=True)
    category: Mapped[str] = mapped_column(String(20), primary_key=True)
    count: Mapped[int]


class Storm(Base):
    """A time in which a destination calls far more mailboxes missing than it used to."""

    __tablename__ = "storms"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    destination: Mapped[str] = mapped_column(String(255), index=True)
    began_at: Mapped[datetime] = mapped_column(UTCDateTime)
    bad: Mapped[int]  # mailboxes called missing in the hour before
    letters: Mapped[int]  # tried in it
    usual: Mapped[float]  # bad by letters, of the 30 days before; 0: nothing is known of them
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_by: Mapped[str] = mapped_column(String(320), default="")  # "system": it has passed
    believed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # a person said that it is true


class Dormant(Base):
    """An address whose letters come back unexplained: a person decides, or asks its partners to."""

    __tablename__ = "dormant"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))  # the one that was too many
    listed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    reason: Mapped[str] = mapped_column(Told)
    asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its partners
    asked_by: Mapped[str] = mapped_column(String(320), default="")
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by: Mapped[str] = mapped_column(String(320), default="")
    answer: Mapped[str] = mapped_column(String(20), default="")  # dormant.Answer
    why: Mapped[str] = mapped_column(Text, default="")
    suppression_id: Mapped[int | None] = mapped_column(ForeignKey("suppressions.id"))


class Alert(Base):
    """Something an administrator should know; it stands until it is settled."""

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    kind: Mapped[str] = mapped_column(String(20))  # alerts.About
    subject: Mapped[str] = mapped_column(String(300))  # a destination; "": none
    campaign_id: Mapped[int | None] = mapped_column(BigId)
    said: Mapped[str] = mapped_column(Told)
    settled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    settled_by: Mapped[str] = mapped_column(String(320), default="")


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
    passed_to: Mapped[str] = mapped_column(String(320), default="", server_default="")  # the desk's address
    passed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Mail(NamedTuple):
    """What came back, to be kept: a mail, or a provider's news. ``delivery`` None: of no letter of ours."""

    fingerprint: str
    raw: bytes
    envelope_to: str
    kind: str
    delivery: tuple[int, int] | None


def keep(session: Session, mails: Iterable[Mail], now: datetime) -> dict[str, int]:
    """Store what came back, the end of a long one cut off; return the ids of what is new, by fingerprint.

    In one order everywhere: two who store the same at once wait instead of deadlocking.
    """
    rows = [
        {
            "received_at": now,
            "fingerprint": mail.fingerprint,
            "envelope_to": mail.envelope_to,
            "kind": mail.kind,
            "campaign_id": mail.delivery[0] if mail.delivery else None,
            "n": mail.delivery[1] if mail.delivery else None,
            "content": zlib.compress(mail.raw[: _limit(session, mail.kind, mail.delivery, now)]),
        }
        for mail in sorted(mails)
    ]
    if not rows:
        return {}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ReturnedMail).on_conflict_do_nothing()
    found = session.execute(statement.returning(ReturnedMail.fingerprint, ReturnedMail.id), rows)
    return {fingerprint: int(mail_id) for fingerprint, mail_id in found}


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


def alone(session: Session, *, wait: bool = False) -> bool:
    """Take the policy for this transaction: whoever decides about events does so alone, in all processes.

    Returns whether it was had; with ``wait`` it always is. SQLite's write transactions are alone anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return True
    if wait:
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        return True
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))))


_LOCK = 0x706F6C696379  # "policy": PostgreSQL's advisory lock


class Pending(NamedTuple):
    """An event that policy has not looked at, and whom it concerns.

    ``destination`` is who answers for the address: a provider, else the domain.
    """

    event: Event
    subscriber_id: int
    address_hash: str
    publication_id: int
    sender: str
    destination: str


def destination() -> ColumnElement[str]:
    """Who answers for a delivery's address, as SQL: its provider, else its domain."""
    return func.coalesce(func.nullif(Delivery.provider, ""), Delivery.domain)


def hash_written_to() -> ColumnElement[str]:
    """The hash of the address a delivery went to: the person's, or one that they have left since."""
    tried = (
        select(func.max(Attempt.at))
        .where(Attempt.campaign_id == Delivery.campaign_id, Attempt.n == Delivery.n)
        .correlate(Delivery)
        .scalar_subquery()
    )
    left = (
        select(AddressChange.old_hash)
        .where(AddressChange.subscriber_id == Delivery.subscriber_id, AddressChange.done_at > tried)
        .order_by(AddressChange.done_at)
        .limit(1)
        .correlate(Delivery)
        .scalar_subquery()
    )
    return case((Subscriber.address_since.is_not(None), func.coalesce(left, Subscriber.address_hash)),
                else_=Subscriber.address_hash)  # fmt: skip


def pending(session: Session, limit: int) -> Sequence[Pending]:
    """Return the oldest events of the inbox."""
    rows = session.execute(
        select(
            Event,
            Delivery.subscriber_id,
            hash_written_to(),
            Campaign.publication_id,
            Publication.sender_address,
            destination(),
        )
        .join(EventInbox, EventInbox.event_id == Event.id)
        .join(Delivery, and_(Delivery.campaign_id == Event.campaign_id, Delivery.n == Event.n))
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .join(Campaign, Campaign.id == Event.campaign_id)
        .join(Publication, Publication.id == Campaign.publication_id)
        .order_by(EventInbox.event_id)
        .limit(limit)
    )
    return [Pending(*row) for row in rows]


class ToldBounce(NamedTuple):
    """A bounce, and when a person undid what was made of it."""

    bounce: Bounce
    undone_at: datetime | None


def bounces_of(
    session: Session, subscriber_ids: Collection[int], since: datetime
) -> dict[int, list[ToldBounce]]:
    """Return the bounces of these people's letters since an instant, oldest first."""
    rows = session.execute(
        select(
            Delivery.subscriber_id, Event.campaign_id, Event.n, Event.at, Event.category, Event.dead,
            Decision.undone_at,
        )
        .join(Event, _of_its_delivery(EventKind.BOUNCE))
        .join(Decision, Decision.event_id == Event.id, isouter=True)
        .where(Delivery.subscriber_id.in_(subscriber_ids), Event.at >= since)
        .order_by(Event.at, Event.id)
    )  # fmt: skip
    found: dict[int, list[ToldBounce]] = defaultdict(list)
    for subscriber_id, campaign_id, n, at, category, dead, undone_at in rows:
        bounce = Bounce(campaign_id, n, at, category or Category.UNKNOWN, dead)
        found[subscriber_id].append(ToldBounce(bounce, undone_at))
    return found


def signs_of_life(
    session: Session, subscriber_ids: Collection[int], *, settled: datetime
) -> dict[int, datetime]:
    """Return when each person was last seen alive: a click by a person, or a letter that came through.

    An open is none: pictures are fetched by machines that do not say so. A letter has come through when it
    was accepted before ``settled`` and nothing bounced.
    """
    acts = (
        select(Delivery.subscriber_id, func.max(Event.at))
        .join(Event, _of_its_delivery(EventKind.CLICK))
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
    # into the table, not the class: the ORM would send a statement for each run of rows with the same gaps
    session.execute(insert(cast(Table, Decision.__table__)), decisions)
    done = [decision["event_id"] for decision in decisions]
    session.execute(delete(EventInbox).where(EventInbox.event_id.in_(done)))


def decision(session: Session, event_id: int) -> Decision | None:
    """Return what was made of an event, its row held until the transaction ends; None: nothing yet."""
    return session.get(Decision, event_id, with_for_update=True, populate_existing=True)


def decisions_behind(session: Session, suppression_id: int) -> list[tuple[Decision, Event]]:
    """Return the decisions that led to a suppression, each with its event, oldest first."""
    rows = session.execute(
        select(Decision, Event)
        .join(Event, Event.id == Decision.event_id)
        .where(Decision.suppression_id == suppression_id)
        .order_by(Event.at, Event.id)
    )
    return [(decision, event) for decision, event in rows]


# Settings


def policy_settings(session: Session) -> list[PolicySetting]:
    """Return the settings that differ from their defaults."""
    return list(session.scalars(select(PolicySetting)))


def put_settings(session: Session, values: Mapping[str, int], by: str, now: datetime) -> None:
    """Write settings."""
    for name, value in values.items():
        session.merge(PolicySetting(name=name, value=value, set_by=by, set_at=now))
    session.flush()


def drop_settings(session: Session, names: Collection[str]) -> None:
    """Have settings at their defaults again."""
    session.execute(delete(PolicySetting).where(PolicySetting.name.in_(names)))


def _of_its_delivery(*kinds: EventKind) -> ColumnElement[bool]:
    return and_(Event.campaign_id == Delivery.campaign_id, Event.n == Delivery.n, Event.kind.in_(kinds))


def publication_of(session: Session, campaign_id: int) -> Publication:
    """Return the publication that a campaign's letters are of."""
    return session.scalars(
        select(Publication)
        .join(Campaign, Campaign.publication_id == Publication.id)
        .where(Campaign.id == campaign_id)
    ).one()


def language_of(session: Session, campaign_id: int, n: int) -> str:
    """Return the language a letter was in, "" when it is gone."""
    language: str | None = session.scalar(
        select(Delivery.language).where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    )
    return language or ""
