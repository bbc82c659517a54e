"""Privacy: what the audience holds about a person, erased (GDPR art. 17, PIPL art. 47).

A row without address, names or hash stays, so that ledgers keep their sums; a keyed hash of the address stays
in the suppression list, so that no import brings the person back. What other stages hold is up to
``feedback.erasure``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, null, select, update
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.changes import rows as changes
from mailer.audience.evidence import store as evidence
from mailer.audience.names import Names
from mailer.audience.store import (
    AddressChange,
    ImportRow,
    Membership,
    MembershipTopic,
    SignUp,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Suppression,
)
from mailer.audience.uploads.store import Invitation
from mailer.errors import NotFound


@dataclass(frozen=True, slots=True)
class Erased:
    """Whose data are gone. ``address`` in every spelling that rows may hold, for whoever erases the rest."""

    subscriber_id: int
    spellings: tuple[str, ...]


def erase(
    session: Session, *, subscriber_id: int, now: datetime, actor: Actor, barred: bool = True
) -> Erased:
    """Erase what the audience holds about a person, and keep their address from being brought back.

    ``barred`` False: it may be; nobody wished it gone, its time was over.

    :raises NotFound: nobody, or erased before
    """
    person = session.get(Subscriber, subscriber_id, with_for_update=True)
    if person is None or person.address is None:
        raise NotFound
    spellings = tuple(dict.fromkeys((person.address, person.address_key or person.address)))
    if barred:
        suppressions.suppress(
            session, address_hash=person.address_hash, reason=suppressions.ERASED, note="", now=now
        )
    session.execute(
        update(Suppression).where(Suppression.address_hash == person.address_hash).values(note="")
    )
    forget(session, subscriber_id, now)
    changes.forget_searches(session, spellings)
    _blank(person, now)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="subscriber.erase", subject=f"subscriber {subscriber_id}",
        after={"state": "erased"},
    )  # fmt: skip
    return Erased(subscriber_id, spellings)


def forget(session: Session, subscriber_id: int, now: datetime) -> None:
    """Erase what other tables of the audience hold about a row."""
    _forget_ties(session, subscriber_id, now)
    evidence.forget(session, [subscriber_id])
    changes.forget(session, [subscriber_id])


def _forget_ties(session: Session, subscriber_id: int, now: datetime) -> None:
    for table in (Subscription, SubscriberTopic, SignUp, AddressChange, Invitation):
        session.execute(delete(table).where(table.subscriber_id == subscriber_id))
    its = select(Membership.id).where(Membership.subscriber_id == subscriber_id)
    session.execute(delete(MembershipTopic).where(MembershipTopic.membership_id.in_(its)))
    nothing = {**Names().columns(), "notes": "", "language": None, "consent_origin": "", "consent_by": ""}
    mine = update(Membership).where(Membership.subscriber_id == subscriber_id)
    session.execute(mine.values(**nothing))
    session.execute(mine.where(Membership.ended_at.is_(None)).values(ended_at=now))
    session.execute(
        update(ImportRow)
        .where(ImportRow.subscriber_id == subscriber_id)
        .values(before=null(), after=null(), message="")
    )


def _blank(person: Subscriber, now: datetime) -> None:
    person.address = person.address_key = person.country = person.zone = person.chosen_at = None
    person.address_hash = secrets.token_hex(16)  # of nobody: this row and the suppression list do not meet
    person.domain, person.salutation_zh, person.salutation_en = "", "", ""
    for column, nothing in Names().columns().items():
        setattr(person, column, nothing)
    person.erased_at = now
