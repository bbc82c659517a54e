"""Tables of past consents and of wordings, and their SQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    case,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.audience.store import ConsentKind, Membership, Subscription, SubscriptionState
from mailer.database import Base, BigId, UTCDateTime

MEMBER, ENDED = "member", "ended"  # states of a membership, beside those of ``SubscriptionState``


class PastConsent(Base):
    """How a person stood with a publication or a partner for a while, and on which evidence. Append-only.

    Exactly one of ``publication_id`` and ``partner_id`` is set. ``state``: a ``SubscriptionState``; of a
    membership, "member" or "ended". ``changed_by``: who ended it, as in the audit log; "": the person.
    """

    __tablename__ = "consents"
    __table_args__ = (Index("ix_consents_person", "subscriber_id", "until"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    publication_id: Mapped[int | None] = mapped_column(ForeignKey("publications.id"))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"))
    state: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_by: Mapped[str] = mapped_column(String(320), default="")
    consent_kind: Mapped[ConsentKind] = mapped_column(String(20))
    consent_at: Mapped[datetime] = mapped_column(UTCDateTime)
    consent_by: Mapped[str] = mapped_column(String(320), default="")
    consent_wording: Mapped[str] = mapped_column(Text, default="")
    consent_origin: Mapped[str] = mapped_column(String(200), default="")


class ConsentWording(Base):
    """The words in which consent is asked for: by kind and language, each new text a new version."""

    __tablename__ = "consent_wordings"
    __table_args__ = (UniqueConstraint("publication_id", "kind", "language", "version"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    kind: Mapped[ConsentKind] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(2))
    version: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    made_by: Mapped[str] = mapped_column(String(320))


EVIDENCE = tuple(f"consent_{part}" for part in ("kind", "at", "by", "wording", "origin"))
"""The columns of a subscription or a membership that hold its consent."""

_PAST = cast(Table, PastConsent.__table__)


def keep_subscriptions(session: Session, which: ColumnElement[bool], now: datetime, by: str) -> None:
    """Keep what subscriptions hold, before they change. One statement, however many there are.

    A row that only waits for a person who never was asked is no evidence.
    """
    its = Subscription.__table__.c
    which = and_(which, or_(its.consent_kind != ConsentKind.NONE, its.state != SubscriptionState.PENDING))
    _keep(
        session,
        which,
        [its.subscriber_id, its.publication_id, null(), its.state, its.changed_at],
        its,
        now,
        by,
    )


def keep_memberships(session: Session, which: ColumnElement[bool], now: datetime, by: str) -> None:
    """Keep what memberships hold, before they end, begin anew or change their evidence."""
    its = Membership.__table__.c
    state = case((its.ended_at.is_(None), MEMBER), else_=ENDED)
    since = func.coalesce(its.ended_at, its.joined_at)
    _keep(session, which, [its.subscriber_id, null(), its.partner_id, state, since], its, now, by)


def _keep(
    session: Session, which: ColumnElement[bool], head: list[Any], its: Any, now: datetime, by: str
) -> None:
    session.flush()
    columns = [
        "subscriber_id",
        "publication_id",
        "partner_id",
        "state",
        "since",
        "until",
        "changed_by",
        *EVIDENCE,
    ]
    until, changed_by = literal(now, UTCDateTime), literal(by[:320])
    rows = select(*head, until, changed_by, *(its[name] for name in EVIDENCE)).where(which)
    session.execute(insert(_PAST).from_select(columns, rows))


def past(session: Session, subscriber_ids: Collection[int]) -> list[PastConsent]:
    """Return how people stood before, newest first."""
    query = select(PastConsent).where(PastConsent.subscriber_id.in_(subscriber_ids))
    return list(session.scalars(query.order_by(PastConsent.until.desc(), PastConsent.id.desc())))


def present(session: Session, subscriber_ids: Collection[int]) -> tuple[list[Subscription], list[Membership]]:
    """Return how people stand now with publications, and with partners, ended ones too."""
    subscriptions = select(Subscription).where(Subscription.subscriber_id.in_(subscriber_ids))
    memberships = select(Membership).where(Membership.subscriber_id.in_(subscriber_ids))
    return list(session.scalars(subscriptions)), list(session.scalars(memberships))


def had_left(session: Session, subscriber_id: int, publication_id: int) -> PastConsent | None:
    """Return when a person last stood as one who had left a publication."""
    query = select(PastConsent).where(
        PastConsent.subscriber_id == subscriber_id,
        PastConsent.publication_id == publication_id,
        PastConsent.state == SubscriptionState.LEFT,
    )
    return session.scalar(query.order_by(PastConsent.until.desc()).limit(1))


def forget(session: Session, subscriber_ids: Collection[int]) -> None:
    """Take away from past consents where they came from and in whose words: what is left names nobody."""
    theirs = PastConsent.subscriber_id.in_(subscriber_ids)
    blank = update(PastConsent).where(theirs).values(consent_origin="", consent_by="", changed_by="")
    session.execute(blank.execution_options(synchronize_session=False))


def wordings(session: Session, publication_id: int) -> list[ConsentWording]:
    """Return a publication's wordings, newest version first within kind and language."""
    its = ConsentWording
    query = select(its).where(its.publication_id == publication_id)
    return list(session.scalars(query.order_by(its.kind, its.language, its.version.desc())))
