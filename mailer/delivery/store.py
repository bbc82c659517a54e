"""Tables of campaigns, the ledger and events, and all their SQL."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime


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
