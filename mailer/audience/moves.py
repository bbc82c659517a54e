"""Moves: a person wants their letters at another address, and confirms it by a mail to that address.

The row of the person keeps its id, partners and choices. Suppressions are about an address and stay behind.
Where the new address is somebody's already it is the same person, who reads its mail: the two become one, and
what the person who moves has settled stands. Nobody is told which of it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, inspect, select, update
from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts import audit
from mailer.address import Address
from mailer.audience import bulk, silenced, store
from mailer.audience.evidence import store as evidence
from mailer.audience.names import Names
from mailer.audience.sign_ups import REVIVABLE, THE_READER, revive
from mailer.audience.store import (
    AddressChange,
    Membership,
    SignUp,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Topic,
)
from mailer.errors import Invalid, NotFound
from mailer.signing import Keyring


class SameAddress(Invalid):
    """Your letters go to this address already: give another."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A person who has moved. ``old``: the address their letters went to."""

    person: Subscriber
    old: str
    publication_id: int


def new(person: Subscriber, text: str) -> Address:
    """Read the address a person wants to move to.

    :raises BadAddress: not an address
    :raises SameAddress: it is theirs
    """
    found = addresses.parse(text)
    if found.key == person.address_key:
        raise SameAddress
    return found


def ask(
    session: Session,
    *,
    subscriber_id: int,
    publication_id: int,
    address: Address,
    keys: Keyring,
    now: datetime,
) -> AddressChange | None:
    """Note where a person wants their letters; None: that address must not be written to at all."""
    said = silenced.of_hashes(session, [keys.address_hash(address.key)], now)
    if {each.reason for each in said} - REVIVABLE:
        return None
    person = session.get_one(Subscriber, subscriber_id)
    change = AddressChange(
        subscriber_id=subscriber_id, publication_id=publication_id, address=address.wire,
        old_hash=person.address_hash, asked_at=now,
    )  # fmt: skip
    session.add(change)
    session.flush()
    return change


def find(session: Session, change_id: int) -> tuple[AddressChange, Subscriber]:
    """:raises NotFound: the person was erased, or the change settled by a later one"""
    change = session.get(AddressChange, change_id, with_for_update=True)
    person = session.get(Subscriber, change.subscriber_id) if change else None
    if change is None or person is None or person.address is None:
        raise NotFound
    if change.address is None and change.done_at is None:
        raise NotFound
    return change, person


def confirm(session: Session, change_id: int, *, keys: Keyring, now: datetime) -> Moved | None:
    """Move the person; None when they have moved already.

    :raises NotFound: the person was erased, or the change settled by a later one
    """
    bulk.one_intake_at_a_time(session)
    change, person = find(session, change_id)
    if change.done_at is not None or change.address is None:
        return None
    new, old = addresses.parse(change.address), person.address or ""
    other = store.subscriber_by_key(session, new.key)
    if other is not None and other.id != person.id:
        _absorb(session, person, other, now)
    person.address, person.address_key, person.domain = new.wire, new.key, new.domain
    change.old_hash, person.address_hash = person.address_hash, keys.address_hash(new.key)
    person.address_since = change.done_at = now
    session.execute(
        update(AddressChange).where(AddressChange.subscriber_id == person.id).values(address=None)
    )
    session.flush()
    revive(session, person.address_hash, change.publication_id, now)
    audit.record(
        session, now=now, actor=THE_READER, action="subscriber.change_address",
        subject=f"subscriber {person.id}",
    )  # fmt: skip
    return Moved(person, old, change.publication_id)


# --- two rows that are one person ----------------------------------------------------------------------


def _absorb(session: Session, person: Subscriber, other: Subscriber, now: datetime) -> None:
    """Give a person what was another row's, and leave of that row only what ledgers point to."""
    _take_evidence(session, person.id, other.id, now)
    _take_subscriptions(session, person.id, other.id)
    _take_memberships(session, person.id, other.id, now)
    _take_topics(session, person.id, other.id)
    session.execute(update(SignUp).where(SignUp.subscriber_id == other.id).values(subscriber_id=person.id))
    other.address = other.address_key = None
    other.erased_at = now
    for column, nothing in Names().columns().items():
        setattr(other, column, nothing)
    other.salutation_zh = other.salutation_en = ""
    session.flush()


def _take_evidence(session: Session, mine: int, theirs: int, now: datetime) -> None:
    """What the other row stood on is kept, and so is what of the person's own gives way to it."""
    its = Subscription.__table__.c
    gives_way = (its.subscriber_id == mine) & (its.state == SubscriptionState.PENDING)
    evidence.keep_subscriptions(session, (its.subscriber_id == theirs) | gives_way, now, by="")
    evidence.keep_memberships(session, Membership.__table__.c.subscriber_id == theirs, now, by="")
    session.execute(
        update(evidence.PastConsent)
        .where(evidence.PastConsent.subscriber_id == theirs)
        .values(subscriber_id=mine)
    )


def _take_subscriptions(session: Session, mine: int, theirs: int) -> None:
    own = {row.publication_id: row.state for row in _subscriptions(session, mine)}
    for row in _subscriptions(session, theirs):
        waits = own.get(row.publication_id) == SubscriptionState.PENDING
        if row.publication_id in own and not waits:
            session.delete(row)
            continue
        if waits:
            session.delete(session.get_one(Subscription, (row.publication_id, mine)))
            session.flush()
        row.subscriber_id = mine
    session.flush()


def _subscriptions(session: Session, subscriber_id: int) -> list[Subscription]:
    return list(session.scalars(select(Subscription).where(Subscription.subscriber_id == subscriber_id)))


def _take_memberships(session: Session, mine: int, theirs: int, now: datetime) -> None:
    """A partner that holds both keeps one of them, the person's own where it has not ended."""
    own = {row.partner_id: row for row in _memberships(session, mine)}
    for row in _memberships(session, theirs):
        kept = own.get(row.partner_id)
        if kept is None:
            row.subscriber_id = mine
        elif row.ended_at is None:
            if kept.ended_at is not None:
                _renew(kept, row)
            row.ended_at = now
    session.flush()


def _memberships(session: Session, subscriber_id: int) -> list[Membership]:
    return list(session.scalars(select(Membership).where(Membership.subscriber_id == subscriber_id)))


def _renew(ended: Membership, row: Membership) -> None:
    for column in inspect(Membership).columns.keys():  # noqa: SIM118 - iterating gives columns
        if column not in ("id", "public_id", "partner_id", "subscriber_id"):
            setattr(ended, column, getattr(row, column))


def _take_topics(session: Session, mine: int, theirs: int) -> None:
    """Of publications in which the person has chosen none."""
    chosen = (
        select(Topic.publication_id)
        .join(SubscriberTopic, SubscriberTopic.topic_id == Topic.id)
        .where(SubscriberTopic.subscriber_id == mine)
    )
    free = select(Topic.id).where(Topic.publication_id.not_in(chosen))
    session.execute(
        update(SubscriberTopic)
        .where(SubscriberTopic.subscriber_id == theirs, SubscriberTopic.topic_id.in_(free))
        .values(subscriber_id=mine)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(SubscriberTopic).where(SubscriberTopic.subscriber_id == theirs))
