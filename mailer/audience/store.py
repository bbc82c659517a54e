"""Tables of the audience, and all their SQL."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.sentence import Told


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


BOUNCES = frozenset({"bad_mailbox", "bad_domain", "inactive", "mailbox_full"})
"""Reasons of suppressions that a partner may be told: it is who can mend the address."""

IS_BOUNCE = "reason IN ({})".format(", ".join(f"'{each}'" for each in sorted(BOUNCES)))
"""The same as SQL, in the words of the index of such suppressions."""

LEFT_ELSEWHERE = "left_elsewhere"
"""The reason of suppressions of those who left another system's list, as a file of it says."""


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
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # it left, or became one with another


def _of_those_set(name: str, *columns: str) -> Index:
    """An index of the few rows whose last column is not NULL: a question for the others shall not use it."""
    is_set = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, postgresql_where=is_set, sqlite_where=is_set)


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
    """One address: one row, one letter. The only table that addresses of readers are written to.

    Memberships repeat it for their lists; the database itself keeps them in step.

    ``address`` None: erased; the row stays so that ledgers keep their sums.
    Salutations are kept ready ("尊敬的李敏部长：", "Dear Dr Lee,"), so that launching a campaign copies them.
    ``merged_into``: the row that stands for this person now; this one keeps its letters, and its address
    unless they moved to it.
    """

    __tablename__ = "subscribers"
    __table_args__ = (
        # lists go by address: who is on a page is found in the index alone
        UniqueConstraint("address_key", postgresql_include=["id", "merged_into", "address_hash"]),
        Index("ix_subscribers_country", "country", "address_key"),
        Index("ix_subscribers_address_hash", "address_hash", "id"),  # found by the index alone
        _of_those_set("ix_subscribers_merged_into", "merged_into"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    address: Mapped[str | None] = mapped_column(String(320))  # Address.wire
    address_key: Mapped[str | None] = mapped_column(String(320))  # Address.key
    address_hash: Mapped[str] = mapped_column(String(32))  # Keyring.address_hash(address_key)
    domain: Mapped[str] = mapped_column(String(255), index=True)  # A-labels, lower case
    salutation_zh: Mapped[str] = mapped_column(String(200), default="")
    salutation_en: Mapped[str] = mapped_column(String(200), default="")
    language: Mapped[str] = mapped_column(String(2))
    country: Mapped[str | None] = mapped_column(String(2))
    zone: Mapped[str | None] = mapped_column(String(60))  # IANA; None: the partner's, else the publication's
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    chosen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # their own choice outranks others'
    erased_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    merged_into: Mapped[int | None] = mapped_column(BigId)
    address_since: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it was changed; None: never


class _Consent:
    """Evidence of consent: when, how, by whom, in which words, from where."""

    consent_kind: Mapped[ConsentKind] = mapped_column(String(20))
    consent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    consent_by: Mapped[str] = mapped_column(String(320), default="")  # the actor, as in the audit log
    consent_wording: Mapped[str] = mapped_column(Text, default="")
    consent_origin: Mapped[str] = mapped_column(String(200), default="")  # IP address, file name and line


_LISTED_BY = (
    Column("address_key", String(320)),
    Column("address_hash", String(32)),
    Column("called", String(320)),  # a name in small letters, else the address
)
_NOT_SHOWN = {"exclude_properties": [column.name for column in _LISTED_BY]}
_HELD = ("partner_id", "subscriber_id", "ended_at", "confirmed_at")
_LISTED = ("address_key", "language", "confirmed_at", "paused_until", "address_hash", "joined_at", "id")


def _of_current(name: str, *columns: str) -> Index:
    """An index of a partner's people as they are now."""
    current = text("ended_at IS NULL")
    return Index(name, "partner_id", *columns, postgresql_where=current, sqlite_where=current)


class Membership(_Names, _Consent, Base):
    """A partner's own tie to a person: its own consent, notes, and names and language as it wrote them.

    A partner is shown these and never the subscriber's, which another partner may have written. Ending a
    membership ends no other partner's. What lists go by, ``_LISTED_BY``, the database keeps itself, by
    triggers on both tables (revision 0021): it is asked for in SQL alone, and nobody else writes it.
    """

    __tablename__ = "memberships"
    __mapper_args__ = _NOT_SHOWN
    __table_args__ = (
        *_LISTED_BY,
        UniqueConstraint("partner_id", "subscriber_id"),
        # a partner's people are found, sorted and counted without looking at any of them
        Index("ix_memberships_held", *_HELD),
        _of_current("ix_memberships_by_address", *_LISTED),
        _of_current("ix_memberships_by_name", "called", "id"),
        _of_those_set("ix_memberships_ended", "partner_id", "ended_at"),
        _of_those_set("ix_memberships_replaces_id", "replaces_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("partners.id"))
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    language: Mapped[str | None] = mapped_column(String(2))
    notes: Mapped[str] = mapped_column(Text, default="")
    joined_at: Mapped[datetime] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # vouched, or said yes; None: asked
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    paused_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # this partner asks for no letters
    replaces_id: Mapped[int | None] = mapped_column(  # the one at the address that was corrected
        ForeignKey("memberships.id", ondelete="SET NULL")
    )


class MembershipGap(Base):
    """A time in which a membership did not hold, but before and after: a pause, a removal that was undone."""

    __tablename__ = "membership_gaps"

    membership_id: Mapped[int] = mapped_column(
        ForeignKey("memberships.id", ondelete="CASCADE"), primary_key=True
    )
    since: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    until: Mapped[datetime] = mapped_column(UTCDateTime)


class MembershipTopic(Base):
    """A topic a partner chose for one of its people; the person's own choice outranks it."""

    __tablename__ = "membership_topics"

    membership_id: Mapped[int] = mapped_column(
        ForeignKey("memberships.id", ondelete="CASCADE"), primary_key=True
    )
    topic_id: Mapped[int] = mapped_column(ForeignKey("topics.id"), primary_key=True, index=True)


class RequestState(StrEnum):
    """How a partner's request stands."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"  # by the partner itself


class PartnerRequest(Base):
    """What a partner asks of the secretariat, and its answer."""

    __tablename__ = "partner_requests"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("partners.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))  # seats | topic
    seats: Mapped[int | None]  # how many it would like to have in all
    words: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[RequestState] = mapped_column(String(20), index=True)
    asked_by: Mapped[str] = mapped_column(String(320))  # the actor, as in the audit log
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    answer: Mapped[str] = mapped_column(Text, default="")
    answered_by: Mapped[str] = mapped_column(String(320), default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PartnerGroup(Base):
    """A thematic group that a partner belongs to: one row for each, by its code."""

    __tablename__ = "partner_groups"

    partner_id: Mapped[int] = mapped_column(ForeignKey("partners.id"), primary_key=True)
    code: Mapped[str] = mapped_column(String(40), primary_key=True, index=True)


class Subscription(_Consent, Base):
    """A person and a publication. ``paused_until`` and ``every_days`` are the person's own wishes."""

    __tablename__ = "subscriptions"

    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True, index=True)
    state: Mapped[SubscriptionState] = mapped_column(String(20))
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    left_reason: Mapped[str] = mapped_column(String(200), default="")
    paused_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    every_days: Mapped[int | None]  # at most one letter in so many days; None: every issue


class SignUp(Base):
    """A form that somebody filled in for an address: a wish until a mail to that address confirms it."""

    __tablename__ = "sign_ups"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    language: Mapped[str] = mapped_column(String(2))
    topics: Mapped[Any] = mapped_column(Json)  # codes
    names: Mapped[Any] = mapped_column(Json)  # names.Names by column, those that were given
    wording: Mapped[str] = mapped_column(Text)  # what was agreed to, as it stood on the page
    origin: Mapped[str] = mapped_column(String(200))  # IP address
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class AddressChange(Base):
    """A person's wish to be written to elsewhere, until a mail to the new address confirms it."""

    __tablename__ = "address_changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), index=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))  # in whose name it was asked
    address: Mapped[str | None] = mapped_column(String(320))  # the new one; None: settled, or erased
    old_hash: Mapped[str] = mapped_column(String(32))  # late news of letters sent before is about that one
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Topic(Base):
    """A subject a reader may choose within a publication."""

    __tablename__ = "topics"
    __table_args__ = (UniqueConstraint("publication_id", "code"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    code: Mapped[str] = mapped_column(String(40))
    name_zh: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    position: Mapped[int] = mapped_column(default=0, server_default="0")  # the lowest is shown first
    retired_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # not offered any more


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
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Suppression(Base):
    """An address that must not be written to. Kept as a keyed hash: it outlives erasure.

    It binds the publication, and every publication with that ``sender``; both None: everywhere. ``until``
    None: until released. ``released_at`` set: over.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        CheckConstraint("released_at IS NULL OR released_by IS NOT NULL", name="release_has_releaser"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address_hash: Mapped[str] = mapped_column(String(32), index=True)
    publication_id: Mapped[int | None] = mapped_column(ForeignKey("publications.id"))
    sender: Mapped[str | None] = mapped_column(String(320))  # address.key_of a publication's sender
    reason: Mapped[str] = mapped_column(String(40))  # a diagnosis category, "dormant", or "manual"
    note: Mapped[str] = mapped_column(Text, default="")  # the words of the mail system or of the person
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_by: Mapped[str | None] = mapped_column(String(320))
    released_why: Mapped[str] = mapped_column(Told, default="", server_default="")
    added_by: Mapped[str] = mapped_column(String(320), default="", server_default="")  # "": the policy
    import_id: Mapped[int | None] = mapped_column(ForeignKey("suppression_imports.id"), index=True)
    people_import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"))  # ``audience.gone``


class SuppressionImport(Base):
    """A file of addresses that was taken into the suppression list; undoing releases what it added."""

    __tablename__ = "suppression_imports"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    file_name: Mapped[str] = mapped_column(String(200))
    file_hash: Mapped[str] = mapped_column(String(64))  # SHA-256
    actor: Mapped[str] = mapped_column(String(320))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    added: Mapped[int]
    unchanged: Mapped[int]  # said before
    refused: Mapped[int]
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


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
    undo_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # workers put it back from then on
    undo_asked_by: Mapped[str] = mapped_column(String(320), default="", server_default="")
    to_undo: Mapped[int] = mapped_column(default=0, server_default="0")  # rows that wrote something
    restored: Mapped[int] = mapped_column(default=0, server_default="0")  # of them, all put back
    kept: Mapped[int] = mapped_column(default=0, server_default="0")  # of them, changed since
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # all of them were looked at


class ImportRow(Base):
    """The verdict on one row of a file.

    ``before`` is what undoing restores, where the row still stands as ``after`` says.
    """

    __tablename__ = "import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[str] = mapped_column(String(20))  # added | updated | unchanged | refused
    message: Mapped[str] = mapped_column(Told, default="")
    subscriber_id: Mapped[int | None] = mapped_column(ForeignKey("subscribers.id"), index=True)
    before: Mapped[Any | None] = mapped_column(Json)
    after: Mapped[Any | None] = mapped_column(Json)


class ImportPart(Base):
    """A stretch of a file that an import has taken in, and the people in it who were new through and through.

    Those have no ``ImportRow``: ``people`` packs them, ``audience.parts``. The stretch ends at ``last_line``.
    """

    __tablename__ = "import_parts"

    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    last_line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)  # when all of it was written
    people: Mapped[bytes]
    undone: Mapped[bool] = mapped_column(default=False)


_bounces = text(f"released_at IS NULL AND {IS_BOUNCE}")
Index(  # whose letters come back is counted in it alone
    "ix_suppressions_bounces",
    Suppression.address_hash,
    Suppression.since,
    Suppression.until,
    postgresql_where=_bounces,
    sqlite_where=_bounces,
)
_with_people = Suppression.people_import_id.is_not(None)
Index(
    "ix_suppressions_people_import_id",
    Suppression.people_import_id,
    postgresql_where=_with_people,
    sqlite_where=_with_people,
)
Index("ix_subscriptions_confirmed", Subscription.publication_id, Subscription.state)
_not_confirmed = text("state <> 'confirmed'")
Index(
    "ix_subscriptions_not_confirmed",
    Subscription.state,
    Subscription.subscriber_id,
    postgresql_where=_not_confirmed,
    sqlite_where=_not_confirmed,
)


# Partners


def partner_by_code(session: Session, code: str) -> Partner | None:
    """Return the partner of that code."""
    return session.scalar(select(Partner).where(Partner.code == code))


def partners(session: Session) -> list[tuple[Partner, int]]:
    """Return every partner by code, with how many people it has now."""
    people = (
        select(Membership.partner_id, func.count().label("people"))
        .where(Membership.ended_at.is_(None))
        .group_by(Membership.partner_id)
        .subquery()
    )
    rows = session.execute(
        select(Partner, func.coalesce(people.c.people, 0))
        .join(people, people.c.partner_id == Partner.id, isouter=True)
        .order_by(Partner.code)
    )
    return [(partner, people) for partner, people in rows]


# Segments


def segment_by_name(session: Session, name: str) -> Segment | None:
    """Return the saved segment of that name."""
    return session.scalar(select(Segment).where(Segment.name == name))


def segments(session: Session) -> list[Segment]:
    """Return every saved segment by name."""
    return list(session.scalars(select(Segment).order_by(Segment.name)))


# Finding people


def subscriber_by_public_id(session: Session, public_id: UUID) -> Subscriber | None:
    """Return the person the outside knows by ``public_id``."""
    return session.scalar(select(Subscriber).where(Subscriber.public_id == public_id))


def subscriber_by_key(session: Session, address_key: str) -> Subscriber | None:
    """Return the person of that address."""
    return session.scalar(select(Subscriber).where(Subscriber.address_key == address_key))


# Partners' ties to people; those of one partner's desk are in ``members``


def membership(session: Session, partner_id: int, subscriber_id: int) -> Membership:
    """Return a partner's tie to a person; there is one."""
    return session.scalars(
        select(Membership).where(
            Membership.partner_id == partner_id, Membership.subscriber_id == subscriber_id
        ),
        execution_options={"populate_existing": True},
    ).one()


def held_by_another(session: Session, subscriber_id: int, partner_id: int) -> bool:
    """Say whether another partner holds the person now."""
    found = select(Membership.id).where(
        Membership.subscriber_id == subscriber_id,
        Membership.partner_id != partner_id,
        Membership.ended_at.is_(None),
    )
    return session.scalar(found.limit(1)) is not None
