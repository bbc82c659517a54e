"""Tables of the audience, and all their SQL."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime


class PartnerKind(StrEnum):
    """What a partner organisation is."""

    MINISTRY = "ministry"
    UN = "un"
    NGO = "ngo"
    COMPANY = "company"
    THINK_TANK = "think_tank"
    OTHER = "other"


class SubscriptionState(StrEnum):
    """Where a person stands with a publication."""

    PENDING = "pending"  # asked, not confirmed: not written to
    CONFIRMED = "confirmed"
    LEFT = "left"  # only the person can come back


class ConsentKind(StrEnum):
    """How consent came about."""

    SIGN_UP = "sign_up"
    INVITED = "invited"  # invited by a partner, confirmed by the person
    VOUCHED = "vouched"  # a trusted partner answers for it
    IMPORTED = "imported"  # the secretariat imported it with its evidence
    NONE = "none"  # no consent on record, only the person's wish to leave


class Partner(Base):
    """An organisation whose managers look after their own people."""

    __tablename__ = "partners"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    name_zh: Mapped[str] = mapped_column(String(200), default="")
    name_en: Mapped[str] = mapped_column(String(200), default="")
    kind: Mapped[PartnerKind] = mapped_column(String(20))
    country: Mapped[str] = mapped_column(String(2))  # ISO 3166-1 alpha-2
    language: Mapped[str] = mapped_column(String(2))
    zone: Mapped[str | None] = mapped_column(String(60))  # IANA; None: the publication's
    seats: Mapped[int | None]  # most people it may have; None: no limit
    trusted: Mapped[bool] = mapped_column(default=False)  # may vouch for consent
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class _Names:
    """A person's names, ``audience.names.Names``; ``name_*`` is always the full name when one is known."""

    family_zh: Mapped[str] = mapped_column(String(80), default="")
    given_zh: Mapped[str] = mapped_column(String(80), default="")
    name_zh: Mapped[str] = mapped_column(String(160), default="")
    honorific_zh: Mapped[str] = mapped_column(String(40), default="")  # after the name: 部长, 女士
    family_en: Mapped[str] = mapped_column(String(80), default="")
    given_en: Mapped[str] = mapped_column(String(80), default="")
    name_en: Mapped[str] = mapped_column(String(160), default="")
    honorific_en: Mapped[str] = mapped_column(String(40), default="")  # before the name: Dr, Ms


class Subscriber(_Names, Base):
    """One address: one row, one letter. The only table that holds addresses of readers.

    ``address`` None: erased; the row stays so that ledgers keep their sums.
    Salutations are kept ready ("尊敬的李敏部长：", "Dear Dr Lee,"), so that launching a campaign copies them.
    """

    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    address: Mapped[str | None] = mapped_column(String(320))  # Address.wire
    address_key: Mapped[str | None] = mapped_column(String(320), unique=True)  # Address.key
    address_hash: Mapped[str] = mapped_column(String(32), index=True)  # Keyring.address_hash(address_key)
    domain: Mapped[str] = mapped_column(String(255), index=True)  # A-labels, lower case
    salutation_zh: Mapped[str] = mapped_column(String(200), default="")
    salutation_en: Mapped[str] = mapped_column(String(200), default="")
    language: Mapped[str] = mapped_column(String(2))
    country: Mapped[str | None] = mapped_column(String(2))
    zone: Mapped[str | None] = mapped_column(String(60))  # IANA; None: the partner's, else the publication's
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    chosen_at: Mapped[datetime | None] = mapped_column(
        UTCDateTime
    )  # the person's own choice outranks others'
    erased_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class _Consent:
    """Evidence of consent: when, how, by whom, in which words, from where."""

    consent_kind: Mapped[ConsentKind] = mapped_column(String(20))
    consent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    consent_by: Mapped[str] = mapped_column(String(320), default="")  # the actor, as in the audit log
    consent_wording: Mapped[str] = mapped_column(Text, default="")
    consent_origin: Mapped[str] = mapped_column(String(200), default="")  # IP address, file name and line


class Membership(_Names, _Consent, Base):
    """A partner's own tie to a person: its own consent, notes, and names and language as it wrote them.

    A partner is shown these and never the subscriber's, which another partner may have written. Ending a
    membership ends no other partner's.
    """

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("partner_id", "subscriber_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("partners.id"))
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    language: Mapped[str | None] = mapped_column(String(2))
    notes: Mapped[str] = mapped_column(Text, default="")
    joined_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Subscription(_Consent, Base):
    """A person and a publication."""

    __tablename__ = "subscriptions"

    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True, index=True)
    state: Mapped[SubscriptionState] = mapped_column(String(20))
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    left_reason: Mapped[str] = mapped_column(String(200), default="")


class Topic(Base):
    """A subject a reader may choose within a publication."""

    __tablename__ = "topics"
    __table_args__ = (UniqueConstraint("publication_id", "code"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    code: Mapped[str] = mapped_column(String(40))
    name_zh: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))


class SubscriberTopic(Base):
    """A reader's choice of a topic. No row for any topic: no wish stated."""

    __tablename__ = "subscriber_topics"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"), primary_key=True, index=True)


class Segment(Base):
    """A saved rule; ``rule`` is the text form of ``audience.segments``."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    rule: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Suppression(Base):
    """An address that must not be written to. Kept as a keyed hash: it outlives erasure.

    ``publication_id`` None: everywhere. ``until`` None: until released. ``released_at`` set: over.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        CheckConstraint("released_at IS NULL OR released_by IS NOT NULL", name="release_has_releaser"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address_hash: Mapped[str] = mapped_column(String(32), index=True)
    publication_id: Mapped[int | None] = mapped_column(ForeignKey("publications.id"))
    reason: Mapped[str] = mapped_column(String(40))  # a diagnosis category, or "manual"
    note: Mapped[str] = mapped_column(Text, default="")  # the words of the mail system or of the person
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_by: Mapped[str | None] = mapped_column(String(320))


class Import(Base):
    """One import of people from a file: what it did can be seen, resumed and undone."""

    __tablename__ = "imports"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"), index=True)
    file_name: Mapped[str] = mapped_column(String(200))
    file_hash: Mapped[str] = mapped_column(String(64))  # SHA-256: a second run of the same file resumes
    actor: Mapped[str] = mapped_column(String(320))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ImportRow(Base):
    """The verdict on one row of a file.

    ``before`` is what undoing restores, where the row still stands as ``after`` says.
    """

    __tablename__ = "import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[str] = mapped_column(String(20))  # added | updated | unchanged | refused
    message: Mapped[str] = mapped_column(Text, default="")
    subscriber_id: Mapped[int | None] = mapped_column(ForeignKey("subscribers.id"), index=True)
    before: Mapped[Any | None] = mapped_column(Json)
    after: Mapped[Any | None] = mapped_column(Json)


Index("ix_subscriptions_confirmed", Subscription.publication_id, Subscription.state)
