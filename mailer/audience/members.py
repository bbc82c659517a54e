"""The rows of a partner's people: their SQL. Every statement is bound by the partner; ``desk`` asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    and_,
    case,
    column,
    delete,
    func,
    literal_column,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.orm import Session, aliased

from mailer.audience import finding, silenced
from mailer.audience.bulk import among
from mailer.audience.evidence import store as evidence
from mailer.audience.finding import Count
from mailer.audience.store import (
    IS_BOUNCE,
    Membership,
    MembershipGap,
    MembershipTopic,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    Topic,
)
from mailer.database import UTCDateTime
from mailer.patience import for_a_page

Tie = tuple[Membership, Subscriber]
_LISTED = Membership.__table__.c  # address_key, address_hash, called: kept by the database
_campaigns = table("campaigns", column("launched_at", UTCDateTime))  # delivery's own: it stands above


class Standing(StrEnum):
    """How one of its people stands, as their partner may know; the first that fits, in this order."""

    BOUNCED = "bounced"  # letters come back
    WAITING = "waiting"  # asked, not answered
    PAUSED = "paused"  # the partner asks for no letters for a while
    CONFIRMED = "confirmed"


class Order(StrEnum):
    """What a list of people is sorted by."""

    ADDRESS = "address"
    NAME = "name"
    NEWEST = "newest"
    BOUNCED = "bounced"  # those whose letters came back first


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of its people a partner looks for; "" and None: all. ``search``: in addresses and names."""

    search: str = ""
    language: str = ""
    standing: Standing | None = None
    topic: str = ""
    waiting_since: datetime | None = None  # asked no later than this, and not answered


def _ties(partner_id: int) -> Select[Membership, Subscriber]:
    return (
        select(Membership, Subscriber)
        .join(Subscriber, Subscriber.id == Membership.subscriber_id)
        .where(*_current(partner_id))
    )


def _current(partner_id: int) -> tuple[ColumnElement[bool], ...]:
    """What holds of a partner's people; somebody who was erased has no address."""
    return (
        Membership.partner_id == partner_id,
        Membership.ended_at.is_(None),
        _LISTED.address_key.is_not(None),
    )


def _bounces(now: datetime) -> ColumnElement[bool]:
    return and_(literal_column(f"suppressions.{IS_BOUNCE}", Boolean), silenced.standing(now))


def _theirs(now: datetime) -> ColumnElement[bool]:
    same = Suppression.address_hash == _LISTED.address_hash
    return and_(same, _bounces(now), _concerns(Suppression.__table__.c.since))


def _concerns(since: ColumnElement[datetime]) -> ColumnElement[bool]:
    """The condition that a bounce is the partner's business: of its own time, or met again by an issue since.

    An address that is dead the moment it is added would tell that others had written to it.
    """
    launched = select(func.max(_campaigns.c.launched_at)).scalar_subquery()
    return or_(since >= Membership.joined_at, Membership.confirmed_at < launched)


def _bounced(now: datetime) -> ColumnElement[bool]:
    return select(Suppression.id).where(_theirs(now)).correlate(Membership).exists()


def _standing(bounced: ColumnElement[bool], now: datetime) -> ColumnElement[str]:
    return case(
        (bounced, Standing.BOUNCED.value),
        (Membership.confirmed_at.is_(None), Standing.WAITING.value),
        (Membership.paused_until > now, Standing.PAUSED.value),
        else_=Standing.CONFIRMED.value,
    )


def _stands(standing: Standing, now: datetime) -> ColumnElement[bool]:
    """The condition of a standing, word by word, so that an index can be asked for each."""
    said_yes = Membership.confirmed_at.is_not(None)
    paused = Membership.paused_until > now
    return {
        Standing.BOUNCED: _bounced(now),
        Standing.WAITING: and_(Membership.confirmed_at.is_(None), ~_bounced(now)),
        Standing.PAUSED: and_(said_yes, paused, ~_bounced(now)),
        Standing.CONFIRMED: and_(said_yes, or_(Membership.paused_until.is_(None), ~paused), ~_bounced(now)),
    }[standing]


def _sorted(order: Order, now: datetime) -> tuple[Any, ...]:
    since = select(func.min(Suppression.since)).where(_theirs(now)).correlate(Membership).scalar_subquery()
    return {
        Order.ADDRESS: (_LISTED.address_key,),
        Order.NAME: (_LISTED.called, Membership.id),
        Order.NEWEST: (Membership.joined_at.desc(), Membership.id.desc()),
        Order.BOUNCED: (since, _LISTED.address_key),
    }[order]


def _wanted(session: Session, query: Select[int], wanted: Wanted, now: datetime) -> Select[int]:
    """Keep of a query of memberships' ids those who are wanted; without what is searched for."""
    if wanted.language:
        query = query.where(Membership.language == wanted.language)
    if wanted.standing is not None:
        query = query.where(_stands(wanted.standing, now))
    if wanted.waiting_since is not None:
        query = query.where(_stands(Standing.WAITING, now), Membership.consent_at <= wanted.waiting_since)
    if wanted.topic:  # by their ids: the planner knows how many chose each
        ids = session.scalars(select(Topic.id).where(Topic.code == wanted.topic)).all()
        chosen = select(MembershipTopic.topic_id).where(
            MembershipTopic.membership_id == Membership.id, MembershipTopic.topic_id.in_(ids)
        )
        query = query.where(chosen.correlate(Membership).exists())
    return query


def people(
    session: Session,
    partner_id: int,
    wanted: Wanted,
    order: Order,
    page: int,
    size: int,
    now: datetime,
    total: Count | None = None,
) -> tuple[list[tuple[Membership, Subscriber, Standing]], Count]:
    """Return a page of a partner's people, each with how they stand, and how many there are.

    ``total`` None: it is not known yet.
    """
    began = monotonic()
    for_a_page(session)
    query, more = _wanted(session, select(Membership.id).where(*_current(partner_id)), wanted, now), False
    if wanted.search.strip():
        found, more = finding.of_partner(session, partner_id, wanted.search)
        query = query.where(among(session, Membership.id, found))
    skipped = (max(page, 1) - 1) * size
    # who is on the page, by as little as that takes; then what is shown of them
    ids = session.scalars(query.order_by(*_sorted(order, now)).limit(size + 1).offset(skipped)).all()
    if total is None:
        total = finding.counted(session, query, skipped, ids, size, began)
        total.more = total.more or more
    return _shown(session, partner_id, ids[:size], now), total


def _shown(
    session: Session, partner_id: int, ids: Sequence[int], now: datetime
) -> list[tuple[Membership, Subscriber, Standing]]:
    """Return these of a partner's people, in this order."""
    stands = _standing(_bounced(now), now)
    query = _ties(partner_id).add_columns(stands).where(Membership.id.in_(ids))
    found = {row[0].id: (row[0], row[1], Standing(row[2])) for row in session.execute(query)}
    return [found[each] for each in ids if each in found]


def late(session: Session, partner_id: int, since: datetime, now: datetime) -> int:
    """Count whom a partner asked no later than then, and who have not answered."""
    every = select(func.count(Membership.id)).where(*_current(partner_id))
    return session.scalar(_wanted(session, every, Wanted(waiting_since=since), now)) or 0


def standings(session: Session, partner_id: int, now: datetime) -> dict[Standing, int]:
    """Count a partner's people by how they stand, by indexes alone."""
    for_a_page(session)
    told = Suppression.__table__.c
    last = select(told.address_hash, func.max(told.since).label("since")).where(_bounces(now))
    back = last.group_by(told.address_hash).subquery()
    bounced = and_(back.c.address_hash.is_not(None), _concerns(back.c.since))
    stands = _standing(bounced, now)
    query = (
        select(stands, func.count())
        .select_from(Membership)
        .outerjoin(back, back.c.address_hash == _LISTED.address_hash)
        .where(*_current(partner_id))
        .group_by(stands)
    )
    return {Standing(standing): count for standing, count in session.execute(query)}


def person(
    session: Session, partner_id: int, public_id: UUID, now: datetime
) -> tuple[Membership, Subscriber, Standing] | None:
    """Return one of a partner's people; None too for another partner's, or one that has ended."""
    stands = _standing(_bounced(now), now)
    query = _ties(partner_id).where(Membership.public_id == public_id).add_columns(stands)
    row = session.execute(query).first()
    return (row[0], row[1], Standing(row[2])) if row else None


def at_address(session: Session, partner_id: int, address_key: str) -> Membership | None:
    """Return the partner's tie to the person of that address, if there is one now."""
    row = session.execute(_ties(partner_id).where(_LISTED.address_key == address_key)).first()
    return row[0] if row else None


def removed(session: Session, partner_id: int, since: datetime, most: int | None = None) -> list[Tie]:
    """Return whom a partner has taken off its list since then, the last first; no corrected addresses.

    ``most``: so many at most.
    """
    found = _removed(partner_id, since).order_by(Membership.ended_at.desc(), Membership.id.desc())
    return [(row[0], row[1]) for row in session.execute(found.limit(most))]


def removed_one(session: Session, partner_id: int, since: datetime, public_id: UUID) -> Tie | None:
    """Return one of whom a partner has taken off its list since then."""
    row = session.execute(_removed(partner_id, since).where(Membership.public_id == public_id)).first()
    return (row[0], row[1]) if row else None


def _removed(partner_id: int, since: datetime) -> Select[Membership, Subscriber]:
    newer = aliased(Membership)
    corrected = select(newer.id).where(
        newer.replaces_id == Membership.id, newer.partner_id == partner_id, newer.ended_at.is_(None)
    )
    return (
        select(Membership, Subscriber)
        .join(Subscriber, Subscriber.id == Membership.subscriber_id)
        .where(
            Membership.partner_id == partner_id,
            Membership.ended_at >= since,
            ~corrected.correlate(Membership).exists(),
            Subscriber.address_key.is_not(None),
            Subscriber.merged_into.is_(None),
        )
    )


def former(session: Session, partner_id: int, membership: Membership) -> list[Tie]:
    """Return what stood at the addresses that were corrected on the way to this one, the last first."""
    found: list[Tie] = []
    before, met = membership.replaces_id, {membership.id}
    while before is not None and before not in met:
        met.add(before)
        row = session.execute(
            select(Membership, Subscriber)
            .join(Subscriber, Subscriber.id == Membership.subscriber_id)
            .where(Membership.partner_id == partner_id, Membership.id == before)
        ).first()
        if row is None:
            break
        found.append((row[0], row[1]))
        before = row[0].replaces_id
    return found


def names_of(
    session: Session, partner_id: int, membership_ids: Collection[int], subscriber_ids: Collection[int]
) -> list[Tie]:
    """Return a partner's ties by their ids, or by those of the people, ended ones too."""
    rows = session.execute(
        select(Membership, Subscriber)
        .join(Subscriber, Subscriber.id == Membership.subscriber_id)
        .where(
            Membership.partner_id == partner_id,
            or_(Membership.id.in_(membership_ids), Membership.subscriber_id.in_(subscriber_ids)),
        )
    )
    return [(row[0], row[1]) for row in rows]


# Topics


def topics(session: Session, membership_id: int) -> list[str]:
    """Return the codes of the topics a partner chose for a person."""
    return list(
        session.scalars(
            select(Topic.code)
            .join(MembershipTopic, MembershipTopic.topic_id == Topic.id)
            .where(MembershipTopic.membership_id == membership_id)
            .order_by(Topic.code)
        )
    )


def choose_topics(session: Session, membership_id: int, chosen: Collection[int]) -> None:
    """Make ``chosen`` all topics of a membership."""
    session.execute(delete(MembershipTopic).where(MembershipTopic.membership_id == membership_id))
    session.add_all(
        MembershipTopic(membership_id=membership_id, topic_id=topic) for topic in sorted(set(chosen))
    )
    session.flush()


# In force, and out of it


def held(partner_id: int, at: ColumnElement[datetime]) -> ColumnElement[bool]:
    """The condition that a Membership of the query is the partner's, and was in force at an instant.

    Not while a person had not answered, nor during a pause: letters that came then were another's.
    """
    gap = (
        select(MembershipGap.membership_id)
        .where(
            MembershipGap.membership_id == Membership.id,
            MembershipGap.since <= at,
            MembershipGap.until > at,
        )
        .correlate_except(MembershipGap)
    )
    return and_(
        Membership.partner_id == partner_id,
        Membership.confirmed_at <= at,
        or_(Membership.ended_at.is_(None), Membership.ended_at > at),
        ~gap.exists(),
    )


def end_gap(session: Session, membership_id: int, now: datetime) -> None:
    """End the pause that lasts now."""
    session.execute(
        update(MembershipGap)
        .where(MembershipGap.membership_id == membership_id, MembershipGap.until > now)
        .values(until=now)
    )


def vouched_by_another(session: Session, subscriber_id: int, partner_id: int) -> bool:
    """Say whether another partner's membership of the person is in force now."""
    found = select(Membership.id).where(
        Membership.subscriber_id == subscriber_id,
        Membership.partner_id != partner_id,
        Membership.ended_at.is_(None),
        Membership.confirmed_at.is_not(None),
    )
    return session.scalar(found.limit(1)) is not None


def restore_vouching(session: Session, subscriber_id: int, withdrawn_at: datetime, now: datetime) -> None:
    """Let subscriptions count again that ``withdraw_vouching`` put back at that instant."""
    its = Subscription.__table__.c
    withdrawn = and_(
        its.subscriber_id == subscriber_id,
        its.state == SubscriptionState.PENDING,
        its.consent_kind == "vouched",
        its.changed_at == withdrawn_at,
    )
    evidence.keep_subscriptions(session, withdrawn, now, by="")
    session.execute(
        update(Subscription).where(withdrawn).values(state=SubscriptionState.CONFIRMED, changed_at=now)
    )


# Asked, and answered


def is_asked(session: Session, subscriber_id: int) -> bool:
    """Say whether a partner has asked a person who has not answered."""
    found = select(Membership.id).where(*_asked(subscriber_id))
    return session.scalar(found.limit(1)) is not None


def confirm_asked(session: Session, subscriber_id: int, now: datetime) -> None:
    """Put every membership in force that waits for the person's yes."""
    session.execute(update(Membership).where(*_asked(subscriber_id)).values(confirmed_at=now))


def _asked(subscriber_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Membership.subscriber_id == subscriber_id,
        Membership.ended_at.is_(None),
        Membership.confirmed_at.is_(None),
    )
