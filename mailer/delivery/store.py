"""Tables of campaigns, the ledger and events, and all their SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Select,
    SmallInteger,
    String,
    Text,
    case,
    column,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from mailer.audience import suppressions
from mailer.audience.store import Membership, Subscriber, Subscription, SubscriptionState
from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.issues.store import FrozenEdition, Issue


class CampaignState(StrEnum):
    """Where a campaign stands; ``delivery.campaigns`` has the table of moves."""

    DRAFT = "draft"
    REVIEW = "review"  # frozen, waiting for another's approval
    APPROVED = "approved"
    SCHEDULED = "scheduled"  # launches by itself at scheduled_at
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"  # nothing waits any more
    CANCELLED = "cancelled"


class DeliveryState(IntEnum):
    """What is known of a letter. A number: the ledger has millions of rows."""

    WAITING = 0  # never tried
    DEFERRED = 1  # tried, will be tried again
    ACCEPTED = 2  # a relay answered 250: it has taken responsibility (RFC 5321 §6.1)
    REJECTED = 3  # a relay refused for good, or every try failed
    UNCERTAIN = 4  # begun, reply never seen: a person decides
    WITHDRAWN = 5  # taken out before it was tried: cancelled, suppressed, left, erased


class BatchState(StrEnum):
    """Where a batch stands."""

    WAITING = "waiting"  # to be leased from due_at on
    LEASED = "leased"
    ORPHANED = "orphaned"  # a begun slice whose worker is gone: only its journal can tell
    DONE = "done"


class EventKind(StrEnum):
    """What came back."""

    BOUNCE = "bounce"
    DELAY = "delay"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    OPEN = "open"
    CLICK = "click"
    LEAVE = "leave"


class Campaign(Base):
    """An issue's editions on their way to one audience."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), index=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"), index=True)
    audience: Mapped[str] = mapped_column(Text)  # a rule in the segment language
    languages: Mapped[Any] = mapped_column(Json)  # editions sent, in order of fallback: ["zh", "en"]
    fallback: Mapped[bool] = mapped_column(default=True)  # False: no edition in one's language excludes
    state: Mapped[CampaignState] = mapped_column(String(20), index=True)
    scheduled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hash: Mapped[str | None] = mapped_column(String(64))  # over editions, audience, time and sender
    approved_hash: Mapped[str | None] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(320))
    approved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    launched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    candidates: Mapped[int | None]  # counted at launch; deliveries + exclusions
    trouble: Mapped[str] = mapped_column(Text, default="")  # why it waits or paused by itself, for a person


class CampaignEdition(Base):
    """The frozen edition a campaign sends in a language."""

    __tablename__ = "campaign_editions"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(2), primary_key=True)
    frozen_edition_id: Mapped[int] = mapped_column(ForeignKey("frozen_editions.id"))


class Delivery(Base):
    """The ledger: one row per campaign and subscriber. ``n`` is dense from 1; nothing outside it is sent."""

    __tablename__ = "deliveries"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"))
    language: Mapped[str] = mapped_column(String(2))  # of the edition
    domain: Mapped[str] = mapped_column(String(255))  # snapshot: reports by destination
    salutation: Mapped[str] = mapped_column(String(200))  # snapshot: the very letter can be shown again
    state: Mapped[DeliveryState] = mapped_column(SmallInteger, default=DeliveryState.WAITING)
    reason: Mapped[str] = mapped_column(String(40), default="")  # why withdrawn


class Exclusion(Base):
    """A candidate who gets no letter, and why."""

    __tablename__ = "exclusions"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"))
    reason: Mapped[str] = mapped_column(String(40))  # suppressed | left | pending | no_edition | …


class Batch(Base):
    """Deliveries ``first``…``last`` of a campaign, or just ``numbers`` among them (a retry).

    ``done_to`` and ``begun_to`` count positions in the batch: up to ``done_to`` results are recorded, up
    to ``begun_to`` a slice was begun, beyond it nobody has begun anything.
    """

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint("done_to <= begun_to AND begun_to <= size", name="cursor_in_order"),
        Index("ix_batches_due", "state", "due_at"),
        Index("ix_batches_campaign", "campaign_id", "state"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    first: Mapped[int]
    last: Mapped[int]
    numbers: Mapped[Any | None] = mapped_column(Json)
    size: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=1)
    state: Mapped[BatchState] = mapped_column(String(20), default=BatchState.WAITING)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    done_to: Mapped[int] = mapped_column(default=0)
    begun_to: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(100))  # the journal that knows its begun slice
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Attempt(Base):
    """One try of one letter and what the relay said. Append-only."""

    __tablename__ = "attempts"
    __table_args__ = (ForeignKeyConstraint(["campaign_id", "n"], ["deliveries.campaign_id", "deliveries.n"]),)

    campaign_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[DeliveryState] = mapped_column(SmallInteger)
    relay: Mapped[str] = mapped_column(String(255), default="")  # host:port
    code: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[str | None] = mapped_column(String(12))  # enhanced status code, RFC 3463
    category: Mapped[str | None] = mapped_column(String(20))  # diagnosis; None when accepted
    reply: Mapped[str] = mapped_column(Text, default="")


class Event(Base):
    """What came back about a delivery. Append-only, told once (``event_keys``)."""

    __tablename__ = "events"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "n"], ["deliveries.campaign_id", "deliveries.n"]),
        Index("ix_events_delivery", "campaign_id", "kind", "n"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int]
    n: Mapped[int]
    kind: Mapped[EventKind] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    source: Mapped[str] = mapped_column(String(20))  # smtp | dsn | arf | mail | web | …
    category: Mapped[str | None] = mapped_column(String(20))
    status: Mapped[str | None] = mapped_column(String(12))
    permanent: Mapped[bool] = mapped_column(default=False)
    dead: Mapped[bool] = mapped_column(default=False)
    detail: Mapped[str] = mapped_column(Text, default="")  # the mail system's words
    link: Mapped[int | None] = mapped_column(SmallInteger)  # index of the clicked link
    mail_id: Mapped[int | None] = mapped_column(BigId)  # the raw message, in feedback's own table


class EventKey(Base):
    """What makes news the same news: told twice, it changes nothing."""

    __tablename__ = "event_keys"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class EventInbox(Base):
    """Events that feedback has not applied yet; a row goes in the transaction that applies it."""

    __tablename__ = "event_inbox"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)


class Worker(Base):
    """A worker process and when it was last alive. ``machine`` names the journal folder it writes to."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    machine: Mapped[str] = mapped_column(String(60), index=True)
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


# Campaigns


def campaign(session: Session, campaign_id: int, *, lock: bool = False) -> Campaign | None:
    """Return a campaign; ``lock`` holds its row until the transaction ends, and reads it afresh."""
    return session.get(Campaign, campaign_id, with_for_update=lock or None, populate_existing=lock)


def campaign_by_public_id(session: Session, public_id: UUID) -> Campaign | None:
    """Return the campaign pages know by ``public_id``."""
    return session.scalar(select(Campaign).where(Campaign.public_id == public_id))


def campaigns(session: Session, *states: CampaignState) -> list[Campaign]:
    """Return campaigns, newest first; with ``states`` only those in one of them."""
    query = select(Campaign).order_by(Campaign.id.desc())
    return list(session.scalars(query.where(Campaign.state.in_(states)) if states else query))


def state_of(session: Session, campaign_id: int) -> CampaignState | None:
    """Return a campaign's state alone: asked often while sending."""
    state = session.scalar(select(Campaign.state).where(Campaign.id == campaign_id))
    return CampaignState(state) if state else None


def frozen_editions(session: Session, campaign_id: int) -> dict[str, FrozenEdition]:
    """Return what a campaign sends, by language."""
    rows = session.scalars(
        select(FrozenEdition)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .where(CampaignEdition.campaign_id == campaign_id)
    )
    return {edition.language: edition for edition in rows}


def published(session: Session, issue: UUID, language: str) -> str | None:
    """Return the web version of an issue as the newest launched campaign sent it; None: none has."""
    return session.scalar(
        select(FrozenEdition.web_html)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .join(Campaign, Campaign.id == CampaignEdition.campaign_id)
        .join(Issue, Issue.id == Campaign.issue_id)
        .where(
            Issue.public_id == issue, FrozenEdition.language == language, Campaign.launched_at.is_not(None)
        )
        .order_by(Campaign.launched_at.desc())
        .limit(1)
    )


def set_editions(session: Session, campaign_id: int, editions: Iterable[FrozenEdition]) -> None:
    """Say which frozen editions a campaign sends, in place of any said before."""
    session.execute(delete(CampaignEdition).where(CampaignEdition.campaign_id == campaign_id))
    session.add_all(
        CampaignEdition(campaign_id=campaign_id, language=edition.language, frozen_edition_id=edition.id)
        for edition in editions
    )
    session.flush()


def due_to_launch(session: Session, now: datetime) -> list[int]:
    """Return the scheduled campaigns whose time has come."""
    return list(
        session.scalars(
            select(Campaign.id)
            .where(Campaign.state == CampaignState.SCHEDULED, Campaign.scheduled_at <= now)
            .order_by(Campaign.scheduled_at)
        )
    )


# The ledger, written at launch


def candidates(
    *,
    publication_id: int,
    condition: ColumnElement[bool],
    languages: Sequence[str],
    fallback: bool,
    now: datetime,
) -> Select[Any]:
    """Return everybody the audience means, with the language they would get, or why they get nothing.

    Columns: subscriber_id, partner_id, language, domain, salutation, reason ("" for a delivery).
    """
    own = Subscriber.language.in_(languages)
    language = case((own, Subscriber.language), else_=languages[0])
    reason = case(
        (Subscriber.address.is_(None), "erased"),
        (Subscription.state == SubscriptionState.LEFT, "left"),
        (Subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication_id), "suppressed"),
        (~own if not fallback else false(), "no_edition"),
        else_="",
    )
    partner = (
        select(func.min(Membership.partner_id))
        .where(Membership.subscriber_id == Subscriber.id, Membership.ended_at.is_(None))
        .scalar_subquery()
    )
    return (
        select(
            Subscriber.id.label("subscriber_id"),
            partner.label("partner_id"),
            language.label("language"),
            Subscriber.domain.label("domain"),
            case((language == "zh", Subscriber.salutation_zh), else_=Subscriber.salutation_en).label(
                "salutation"
            ),
            reason.label("reason"),
        )
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.publication_id == publication_id, condition)
    )


def audience_counts(session: Session, query: Select[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many of ``candidates`` get a letter in each language, and how many get none, by reason."""
    rows = query.subquery()
    letters: dict[str, int] = {}
    none: dict[str, int] = {}
    grouped = select(rows.c.reason, rows.c.language, func.count()).group_by(rows.c.reason, rows.c.language)
    for reason, language, count in session.execute(grouped):
        counts, key = (none, reason) if reason else (letters, language)
        counts[key] = counts.get(key, 0) + count
    return letters, none


def write_ledger(session: Session, campaign_id: int, query: Select[Any]) -> tuple[int, int, int]:
    """Write one delivery or one exclusion per candidate; return how many candidates, deliveries, exclusions.

    The candidates are looked up once, into a table of this transaction's own, so that what others commit
    meanwhile cannot put a person into both or neither.
    """
    session.execute(text(_CANDIDATES))
    names = ["subscriber_id", "partner_id", "language", "domain", "salutation", "reason"]
    session.execute(insert(_candidates).from_select(names, query))
    total = session.scalar(select(func.count()).select_from(_candidates)) or 0
    row = _candidates.c
    counted = {"preserve_rowcount": True}  # else psycopg's count of an INSERT is dropped and reads -1
    deliveries = session.execute(
        insert(Delivery).from_select(
            ["campaign_id", "n", *names[:-1], "state", "reason"],
            select(
                literal(campaign_id),
                func.row_number().over(order_by=row.subscriber_id),
                *(row[name] for name in names[:-1]),
                literal(int(DeliveryState.WAITING)),
                literal(""),
            ).where(row.reason == ""),
            include_defaults=False,
        ),
        execution_options=counted,
    )
    exclusions = session.execute(
        insert(Exclusion).from_select(
            ["campaign_id", "subscriber_id", "partner_id", "reason"],
            select(literal(campaign_id), row.subscriber_id, row.partner_id, row.reason).where(
                row.reason != ""
            ),
        ),
        execution_options=counted,
    )
    session.execute(text("DROP TABLE launch_candidates"))
    return total, deliveries.rowcount, exclusions.rowcount  # type: ignore[attr-defined]


_CANDIDATES = """CREATE TEMPORARY TABLE launch_candidates (
    subscriber_id bigint PRIMARY KEY, partner_id bigint, language varchar(2),
    domain varchar(255), salutation varchar(200), reason varchar(40))"""

_candidates = table(
    "launch_candidates",
    *(column(name) for name in ("subscriber_id", "partner_id", "language", "domain", "salutation", "reason")),
)


def cut_batches(session: Session, campaign_id: int, *, deliveries: int, size: int, due_at: datetime) -> int:
    """Cut deliveries 1…``deliveries`` into batches of ``size``; return how many."""
    batches = [
        {
            "campaign_id": campaign_id,
            "first": first,
            "last": min(first + size - 1, deliveries),
            "size": min(size, deliveries - first + 1),
            "due_at": due_at,
        }
        for first in range(1, deliveries + 1, size)
    ]
    if batches:
        session.execute(insert(Batch), batches)
    return len(batches)


def add_batch(
    session: Session, campaign_id: int, numbers: Sequence[int], *, attempt: int, due_at: datetime
) -> Batch:
    """Make a batch of just these deliveries (in order): letters to be tried again."""
    batch = Batch(
        campaign_id=campaign_id,
        first=numbers[0],
        last=numbers[-1],
        numbers=list(numbers),
        size=len(numbers),
        attempt=attempt,
        due_at=due_at,
    )
    session.add(batch)
    session.flush()
    return batch


# Batches and their leases


def waiting_batches(session: Session, campaign_id: int) -> list[Batch]:
    """Return a campaign's batches that nobody has leased, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.campaign_id == campaign_id, Batch.state == BatchState.WAITING)
            .with_for_update()
        )
    )


def lease(session: Session, *, owner: str, now: datetime, until: datetime) -> Batch | None:
    """Lease the next due batch for ``owner``, chosen fairly; None when nothing is due.

    Campaigns with fewer batches leased now come first, small campaigns before large ones.
    """
    busy = (
        select(func.count())
        .select_from(leased := aliased(Batch))
        .where(leased.campaign_id == Batch.campaign_id, leased.state == BatchState.LEASED)
        .scalar_subquery()
    )
    found = session.scalar(
        select(Batch)
        .join(Campaign, Campaign.id == Batch.campaign_id)
        .where(
            Batch.state == BatchState.WAITING, Batch.due_at <= now, Campaign.state == CampaignState.SENDING
        )
        .order_by(busy, Campaign.candidates, Batch.due_at, Batch.id)
        .limit(1)
        .with_for_update(of=Batch, skip_locked=True)
    )
    if found is not None:
        found.state, found.owner, found.lease_until = BatchState.LEASED, owner, until
        session.flush()
    return found


def anything_due(session: Session, now: datetime) -> bool:
    """Tell whether a worker would find a batch."""
    return bool(
        session.scalar(
            select(Batch.id)
            .join(Campaign, Campaign.id == Batch.campaign_id)
            .where(
                Batch.state == BatchState.WAITING,
                Batch.due_at <= now,
                Campaign.state == CampaignState.SENDING,
            )
            .limit(1)
        )
    )


def held(session: Session, batch_id: int, owner: str) -> Batch | None:
    """Return the batch, its row locked, if ``owner`` still holds its lease."""
    return session.scalar(
        select(Batch)
        .where(Batch.id == batch_id, Batch.owner == owner, Batch.state == BatchState.LEASED)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def holds(session: Session, batch_id: int, owner: str) -> bool:
    """Tell whether ``owner`` still holds a batch's lease."""
    found = session.scalar(
        select(Batch.id).where(Batch.id == batch_id, Batch.owner == owner, Batch.state == BatchState.LEASED)
    )
    return found is not None


def expired(session: Session, now: datetime) -> list[Batch]:
    """Return leased batches whose lease has run out, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.state == BatchState.LEASED, Batch.lease_until < now)
            .with_for_update(skip_locked=True)
        )
    )


def begun_by(session: Session, owner: str) -> list[Batch]:
    """Return the batches whose begun slice only ``owner``'s journal can tell of, their rows locked."""
    return list(
        session.scalars(
            select(Batch)
            .where(Batch.owner == owner, Batch.state.in_((BatchState.LEASED, BatchState.ORPHANED)))
            .with_for_update()
        )
    )


def orphans(session: Session, campaign_id: int | None = None) -> list[Batch]:
    """Return begun slices whose worker is gone."""
    query = select(Batch).where(Batch.state == BatchState.ORPHANED)
    return list(session.scalars(query.where(Batch.campaign_id == campaign_id) if campaign_id else query))


def open_batches(session: Session, campaign_id: int) -> int:
    """Count a campaign's batches that are not done."""
    count = session.scalar(
        select(func.count())
        .select_from(Batch)
        .where(Batch.campaign_id == campaign_id, Batch.state != BatchState.DONE)
    )
    return count or 0


# Letters of a slice, and what became of them


class Addressee(NamedTuple):
    """What a letter needs, and what forbids it. ``barrier`` "" when it may be written."""

    n: int
    subscriber_id: int
    language: str
    salutation: str
    state: int
    address: str | None
    barrier: str


def addressees(
    session: Session, *, campaign_id: int, numbers: Sequence[int], publication_id: int, now: datetime
) -> list[Addressee]:
    """Return deliveries with their addresses, and whether each may still be written to, in order of ``n``."""
    barrier = case(
        (Subscriber.address.is_(None), "erased"),
        (Subscription.state == SubscriptionState.LEFT, "left"),
        (Subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication_id), "suppressed"),
        else_="",
    )
    rows = session.execute(
        select(
            Delivery.n,
            Delivery.subscriber_id,
            Delivery.language,
            Delivery.salutation,
            Delivery.state,
            Subscriber.address,
            barrier,
        )
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .join(
            Subscription,
            (Subscription.subscriber_id == Delivery.subscriber_id)
            & (Subscription.publication_id == publication_id),
        )
        .where(Delivery.campaign_id == campaign_id, _among(numbers))
        .order_by(Delivery.n)
    )
    return [Addressee(*row) for row in rows]


def not_recorded(session: Session, campaign_id: int, attempt: int, numbers: Sequence[int]) -> list[int]:
    """Return those of ``numbers`` (in order) whose attempt of that number is not in the ledger yet."""
    if not numbers:
        return []
    there = set(
        session.scalars(
            select(Attempt.n).where(
                Attempt.campaign_id == campaign_id,
                Attempt.attempt == attempt,
                Attempt.n.between(numbers[0], numbers[-1]),
            )
        )
    )
    return [n for n in numbers if n not in there]


def domains(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """Return the domain each letter goes to."""
    if not numbers:
        return {}
    rows = session.execute(
        select(Delivery.n, Delivery.domain).where(Delivery.campaign_id == campaign_id, _among(numbers))
    )
    return {row.n: row.domain for row in rows}


def first_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, datetime]:
    """Return when each letter was first tried."""
    rows = session.execute(
        select(Attempt.n, func.min(Attempt.at))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


def add_attempts(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append attempts, in bulk. One that is there already is left as it is (a journal settled twice)."""
    if not rows:
        return
    dialect = session.get_bind().dialect.name
    statement = (sqlite_insert if dialect == "sqlite" else pg_insert)(Attempt).on_conflict_do_nothing()
    session.execute(statement, list(rows))


def set_state(
    session: Session, campaign_id: int, numbers: Sequence[int], state: DeliveryState, reason: str = ""
) -> None:
    """Say where letters stand."""
    if numbers:
        session.execute(
            update(Delivery)
            .where(Delivery.campaign_id == campaign_id, _among(numbers))
            .values(state=state, reason=reason)
        )


def in_states(
    session: Session, campaign_id: int, numbers: Sequence[int], states: Iterable[DeliveryState]
) -> list[int]:
    """Return those of ``numbers`` (in order) that are in one of ``states``."""
    if not numbers:
        return []
    return list(
        session.scalars(
            select(Delivery.n)
            .where(Delivery.campaign_id == campaign_id, _among(numbers), Delivery.state.in_(list(states)))
            .order_by(Delivery.n)
        )
    )


def _among(numbers: Sequence[int]) -> ColumnElement[bool]:
    """A range where it is one: the planner and the wire like it better than a list."""
    if len(numbers) == numbers[-1] - numbers[0] + 1:
        return Delivery.n.between(numbers[0], numbers[-1])
    return Delivery.n.in_(numbers)


def in_state(session: Session, campaign_id: int, state: DeliveryState) -> list[int]:
    """Return the numbers of a campaign's letters in ``state``."""
    return list(
        session.scalars(
            select(Delivery.n)
            .where(Delivery.campaign_id == campaign_id, Delivery.state == state)
            .order_by(Delivery.n)
        )
    )


def last_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, int]:
    """Return each letter's last attempt's number."""
    rows = session.execute(
        select(Attempt.n, func.max(Attempt.attempt))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


# Events


def unapplied(session: Session) -> int:
    """Count the events feedback has not applied yet."""
    return session.scalar(select(func.count()).select_from(EventInbox)) or 0


# Workers


def beat(session: Session, *, worker: str, machine: str, now: datetime) -> None:
    """Note that a worker is alive."""
    row = session.get(Worker, worker)
    if row is None:
        session.add(Worker(id=worker, machine=machine, started_at=now, seen_at=now))
    else:
        row.seen_at = now
    session.flush()


def forget_workers(session: Session, before: datetime) -> None:
    """Drop workers not seen since ``before``."""
    session.execute(delete(Worker).where(Worker.seen_at < before))


def alive(session: Session, worker: str, since: datetime) -> bool:
    """Tell whether a worker was seen since then."""
    found = session.scalar(select(Worker.id).where(Worker.id == worker, Worker.seen_at >= since))
    return found is not None
