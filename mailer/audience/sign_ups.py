"""Sign-ups: somebody fills in a form for an address, and a mail to that address confirms it.

Whoever fills it in learns nothing, and changes nothing about a person who is known: all they wish waits in
the sign-up's own row. Only whoever reads the address's mail can confirm it; that brings back a person who had
left, and shows that a mailbox is alive which was silenced for its bounces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts.audit import Actor
from mailer.audience import bulk, desk, silenced, store, subscribers, suppressions, topics
from mailer.audience.evidence import history
from mailer.audience.intake import Consent, Person
from mailer.audience.names import Names, clean
from mailer.audience.store import (
    BOUNCES,
    LEFT_ELSEWHERE,
    ConsentKind,
    SignUp,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from mailer.errors import NotFound
from mailer.sentence import Sentence
from mailer.signing import Keyring

THE_READER = Actor(None, "reader")  # their address stays out of the audit log
REVIVABLE = BOUNCES | {"dormant", suppressions.ERASED, LEFT_ELSEWHERE}
"""Reasons of suppressions that end when the address's own mail confirms; a complaint, for one, stays."""


class Mail(StrEnum):
    """What the address is written after a sign-up."""

    CONFIRM = "confirm"
    KNOWN = "known"  # they are subscribed already
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a form says. ``wording``: what was agreed to; ``origin``: the IP address it came from."""

    address: str
    language: str
    topics: Sequence[str] = ()
    names: Names = field(default_factory=Names)
    wording: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What follows from a sign-up. ``silenced``: a mail goes where mails came back, so rarely.

    ``id`` is the sign-up's, 0 when there is nothing to confirm.
    """

    mail: Mail
    subscriber_id: int = 0
    id: int = 0
    silenced: bool = False


def ask(session: Session, wish: Wish, *, publication_id: int, keys: Keyring, now: datetime) -> Asked:
    """Note what a form says, and say what its address is written.

    :raises BadAddress: not an address
    :raises NameTooLong: longer than its column
    """
    key = addresses.parse(wish.address).key
    reasons = {
        found.reason for found in silenced.of_hashes(session, [keys.address_hash(key)], now, publication_id)
    }
    if reasons - REVIVABLE:
        return Asked(Mail.NOTHING)
    person = store.subscriber_by_key(session, key) or _new(session, wish, publication_id, keys, now)
    subscription = session.get(Subscription, (publication_id, person.id))
    confirmed = subscription is not None and subscription.state == SubscriptionState.CONFIRMED
    if confirmed and not reasons:
        return Asked(Mail.KNOWN, person.id)
    sign_up = SignUp(
        publication_id=publication_id, subscriber_id=person.id, language=wish.language,
        topics=sorted(set(wish.topics)),
        names={column: text for column, text in clean(wish.names).columns().items() if text},
        wording=wish.wording, origin=wish.origin[:200], asked_at=now,
    )  # fmt: skip
    session.add(sign_up)
    session.flush()
    return Asked(Mail.CONFIRM, person.id, sign_up.id, bool(reasons))


def _new(session: Session, wish: Wish, publication_id: int, keys: Keyring, now: datetime) -> Subscriber:
    subscribers.take_in(
        session,
        [Person(address=wish.address, names=Names(), language=wish.language)],
        keys=keys, now=now, actor=THE_READER, publication_id=publication_id,
        consent=Consent(ConsentKind.SIGN_UP, wish.wording, wish.origin),
    )  # fmt: skip
    return subscribers.by_address(session, wish.address)


def find(session: Session, sign_up_id: int) -> tuple[SignUp, Subscriber]:
    """:raises NotFound: the sign-up was forgotten, or the person erased"""
    sign_up = session.get(SignUp, sign_up_id, with_for_update=True)
    person = session.get(Subscriber, sign_up.subscriber_id) if sign_up else None
    if sign_up is None or person is None or person.address is None:
        raise NotFound
    return sign_up, person


def waits(session: Session, sign_up: SignUp) -> bool:
    """Tell whether a sign-up can be confirmed: not confirmed yet, and its person has not left since."""
    if sign_up.confirmed_at is not None:
        return False
    subscription = session.get(Subscription, (sign_up.publication_id, sign_up.subscriber_id))
    left = subscription is not None and subscription.state == SubscriptionState.LEFT
    return not (left and subscription is not None and subscription.changed_at > sign_up.asked_at)


def confirm(session: Session, sign_up_id: int, *, now: datetime, origin: str) -> bool:
    """Subscribe the person as the form says; False when there is nothing to confirm any more.

    :raises NotFound: the sign-up was forgotten, or the person erased
    """
    sign_up, person = find(session, sign_up_id)
    if not waits(session, sign_up):
        return False
    sign_up.confirmed_at = now
    subscribe(
        session, subscriber_id=person.id, publication_id=sign_up.publication_id, now=now,
        wording=sign_up.wording, origin=" ".join(dict.fromkeys([sign_up.origin, origin[:90]])),
    )  # fmt: skip
    _fulfil(session, sign_up, person, now)
    revive(session, person.address_hash, sign_up.publication_id, now)
    return True


def subscribe(
    session: Session, *, subscriber_id: int, publication_id: int, now: datetime, wording: str, origin: str
) -> None:
    """Subscribe a person who has shown that they read their address's mail; it is their own consent."""
    bulk.insert_missing_subscription(session, subscriber_id, publication_id, now)
    its = session.get_one(
        Subscription, (publication_id, subscriber_id), populate_existing=True, with_for_update=True
    )
    history.keep_subscription(session, its, now=now)
    its.state, its.changed_at, its.left_reason, its.paused_until = (
        SubscriptionState.CONFIRMED, now, "", None,
    )  # fmt: skip
    its.consent_kind, its.consent_at, its.consent_by = ConsentKind.SIGN_UP, now, ""
    its.consent_wording, its.consent_origin = wording, origin[:200]
    session.flush()


def _fulfil(session: Session, sign_up: SignUp, person: Subscriber, now: datetime) -> None:
    subscribers.set_language(
        session, subscriber_id=person.id, language=sign_up.language, now=now, actor=THE_READER
    )
    offered = {topic.code for topic in topics.listing(session, sign_up.publication_id)}
    chosen = offered & set(sign_up.topics)
    if chosen:
        subscribers.set_topics(
            session, subscriber_id=person.id, publication_id=sign_up.publication_id, codes=chosen, now=now,
            actor=THE_READER,
        )  # fmt: skip
    if sign_up.names:
        newer = Names(**sign_up.names).over(desk.names_of(person))
        subscribers.edit(session, subscriber_id=person.id, now=now, actor=THE_READER, names=newer)


def revive(session: Session, address_hash: str, publication_id: int, now: datetime) -> None:
    """End suppressions of an address for its bounces, or for leaving elsewhere: mail to it was just read."""
    for found in silenced.of_hashes(session, [address_hash], now, publication_id):
        if found.reason in REVIVABLE:
            suppressions.release(
                session, found.id, now, THE_READER, Sentence("The reader confirmed by a mail to the address.")
            )
