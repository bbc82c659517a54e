"""Moves: a person wants their letters at another address, and confirms it by a mail to that address.

The row of the person keeps its id, partners and choices. Suppressions are about an address and stay behind.
Where the new address is somebody's already it is the same person, who reads its mail: the two become one by
the rules of ``changes.uniting``. Nobody is told which of it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts import audit
from mailer.address import Address
from mailer.audience import bulk, silenced, store
from mailer.audience.changes import uniting
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.uniting import Said
from mailer.audience.evidence import store as evidence
from mailer.audience.names import Names
from mailer.audience.sign_ups import REVIVABLE, THE_READER, revive
from mailer.audience.store import AddressChange, Membership, SignUp, Subscriber, SubscriberTopic, Subscription
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
    if other is not None:  # an address is one row's
        other.address = other.address_key = None
        session.flush()
    person.address, person.address_key, person.domain = new.wire, new.key, new.domain
    change.old_hash, person.address_hash = person.address_hash, keys.address_hash(new.key)
    person.address_since = change.done_at = now
    settled = AddressChange.subscriber_id.in_([person.id, other.id if other else person.id])
    session.execute(update(AddressChange).where(settled).values(address=None))
    session.flush()
    if other is not None and other is not person:
        uniting.unite(Pen(session), other, person, Said(now, moves=True))
        _strip(session, other, person, now)
    revive(session, person.address_hash, change.publication_id, now)
    audit.record(
        session, now=now, actor=THE_READER, action="subscriber.change_address",
        subject=f"subscriber {person.id}",
    )  # fmt: skip
    return Moved(person, old, change.publication_id)


def _strip(session: Session, husk: Subscriber, person: Subscriber, now: datetime) -> None:
    """Leave of a row whose address is the person's only what ledgers point to; its evidence is theirs."""
    its = Subscription.__table__.c
    stood = (its.subscriber_id == husk.id) & (its.left_reason != uniting.REASON)
    evidence.keep_subscriptions(session, stood, now, by="")
    ties = Membership.__table__.c
    evidence.keep_memberships(session, (ties.subscriber_id == husk.id) & (ties.ended_at < now), now, by="")
    for held in (evidence.PastConsent, SignUp):
        session.execute(update(held).where(held.subscriber_id == husk.id).values(subscriber_id=person.id))
    for tie in (Subscription, SubscriberTopic):
        session.execute(delete(tie).where(tie.subscriber_id == husk.id))
    for column, nothing in Names().columns().items():
        setattr(husk, column, nothing)
    husk.salutation_zh = husk.salutation_en = ""
    husk.erased_at = now
    session.flush()
