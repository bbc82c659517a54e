"""Joining: people come to a partner's desk, are asked once more, move to an address that works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import desk, members, store, subscribers
from mailer.audience.desk import PartnerPerson
from mailer.audience.intake import Consent, Person
from mailer.audience.names import Names
from mailer.audience.store import ConsentKind, Partner
from mailer.audience.subscribers import Taken
from mailer.errors import Conflict
from mailer.signing import Keyring

ASKED_AGAIN_AFTER = timedelta(days=1)


class HasAnswered(Conflict):
    """This person has answered already: reload the page."""


class TooSoon(Conflict):
    """This person was asked less than a day ago: give them time, and ask again tomorrow."""


class SameAddress(Conflict):
    """This is the address it has already: write the one your colleague uses now."""


class OnTheList(Conflict):
    """That address is on your list already: remove this person instead, so that they stand there once."""


def consent_of(partner: Partner, *, ask: bool, wording: str, origin: str) -> Consent:
    """Return the consent by which a partner brings people: its word where that counts, unless it ``ask``s."""
    vouched = partner.trusted and not ask
    return Consent(ConsentKind.VOUCHED if vouched else ConsentKind.INVITED, wording, origin)


def add(
    session: Session,
    *,
    partner_id: int,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    address: str,
    names: Names,
    language: str,
    publication_id: int,
    notes: str = "",
    wording: str = "",
    origin: str = "",
    ask: bool = False,
) -> PartnerPerson:
    """Bring a person to the partner: vouched for where it is trusted, unless it would rather ``ask``.

    :raises BadAddress: not an address; BadCode, NameTooLong, TooLong: another value cannot be used
    :raises NoSeat: the partner has no room for one more
    """
    partner = session.get_one(Partner, partner_id)
    subscriber = subscribers.add(
        session, keys=keys, now=now, actor=actor, address=address, names=names, language=language,
        publication_id=publication_id, consent=consent_of(partner, ask=ask, wording=wording, origin=origin),
        partner_id=partner_id, notes=notes,
    )  # fmt: skip
    membership = store.membership(session, partner_id, subscriber.id)
    return desk.person(session, partner_id, membership.public_id, now=now)


def add_several(
    session: Session,
    people: Sequence[Person],
    *,
    partner_id: int,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    publication_id: int,
    wording: str = "",
    origin: str = "",
    ask: bool = False,
) -> list[Taken]:
    """Bring people to the partner, and say of each what became of it; a refused one stops no other.

    ``people`` are the partner's: their ``partner_id`` must be its.
    """
    partner = session.get_one(Partner, partner_id)
    taken = subscribers.take_in(
        session, people, keys=keys, now=now, actor=actor, publication_id=publication_id,
        consent=consent_of(partner, ask=ask, wording=wording, origin=origin),
    )  # fmt: skip
    verdicts = Counter(each.verdict for each in taken)
    audit.record(
        session, now=now, actor=actor, action="membership.add_several", subject=f"partner {partner.code}",
        after=dict(verdicts), partner_id=partner_id,
    )  # fmt: skip
    return taken


def ask_again(
    session: Session, *, partner_id: int, membership_public_id: UUID, now: datetime, actor: Actor
) -> str:
    """Return the address of a person who is to be asked once more.

    :raises NobodyHere: no such person of this partner
    :raises HasAnswered: nothing is waited for
    :raises TooSoon: they were asked within ``ASKED_AGAIN_AFTER``
    """
    membership, subscriber = desk.own(session, partner_id, membership_public_id, now)
    if membership.confirmed_at is not None:
        raise HasAnswered
    last = audit.last(session, subject=f"membership {membership.id}", action="membership.ask_again")
    if now - max(membership.consent_at, last or membership.consent_at) < ASKED_AGAIN_AFTER:
        raise TooSoon
    desk.record(session, now, actor, "membership.ask_again", membership, {"asked": now.isoformat()})
    return subscriber.address_key or ""


def correct(
    session: Session,
    *,
    partner_id: int,
    membership_public_id: UUID,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    address: str,
    publication_id: int,
    wording: str = "",
    origin: str = "",
    ask: bool = False,
) -> PartnerPerson:
    """Move a person to the address they use now, and keep what the partner knows of them.

    The membership at the old address ends and what silences that address stays: the new address is another
    mailbox, so consent is given or asked for anew, and remembers whom it replaces.

    :raises NobodyHere: no such person of this partner
    :raises BadAddress: not an address
    :raises SameAddress: it is theirs already
    :raises OnTheList: another of the partner's people has it
    """
    old, subscriber = desk.own(session, partner_id, membership_public_id, now)
    key = addresses.parse(address).key
    if key == subscriber.address_key:
        raise SameAddress
    if members.at_address(session, partner_id, key) is not None:
        raise OnTheList
    desk.end(session, old, now, actor.name)  # first: it gives its seat
    person = add(
        session, partner_id=partner_id, keys=keys, now=now, actor=actor, address=address,
        names=desk.names_of(old), language=old.language or "", publication_id=publication_id,
        notes=old.notes, wording=wording, origin=origin, ask=ask,
    )  # fmt: skip
    new, _subscriber = desk.own(session, partner_id, person.id, now)
    new.replaces_id = old.id
    desk.choose_topics(session, new, publication_id, members.topics(session, old.id))
    if old.paused_until is not None and old.paused_until > now:
        desk.pause(
            session, partner_id=partner_id, membership_public_id=person.id, until=old.paused_until, now=now,
            actor=actor,
        )  # fmt: skip
    desk.record(session, now, actor, "membership.correct", new, {"replaces": f"membership {old.id}"})
    session.flush()
    return desk.person(session, partner_id, person.id, now=now)
