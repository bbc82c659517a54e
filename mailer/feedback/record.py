"""Hearing back: one mail in, stored once, put against its delivery, told as events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.delivery import events, leaving, own_rules
from mailer.delivery.events import News
from mailer.delivery.store import EventKind
from mailer.diagnosis import Category
from mailer.feedback import answers, store
from mailer.feedback.attribution import Sealed, delivery_of, same_mailbox
from mailer.feedback.kind import Kind
from mailer.feedback.message import FailedRecipient, Returned, classify, take_in
from mailer.signing import Keyring, Purpose

LEAVE = "leave"  # the kind under which a mail to a leave address is kept
_NO_LEAVE = frozenset(
    {Kind.BOUNCE, Kind.DELAY, Kind.COMPLAINT, Kind.DELIVERED}
)  # no person asked for anything
_NOT_SPAM = "not-spam"  # RFC 5965 §7.3: the reader took a complaint back
_NOBODY = FailedRecipient("", Category.UNKNOWN, "", False, False, "", "")


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a mail. ``delivery`` None: backscatter, or a delivery that is gone; nothing changed.

    ``mail_id`` None: the same mail was heard before, and nothing changed. ``events`` are ids; ordinary mail
    has none. ``answer``: a person's own words about a letter, which are passed on.
    """

    kind: str
    delivery: tuple[int, int] | None
    events: tuple[int, ...]
    mail_id: int | None
    answer: bool = False

    @property
    def concerns_us(self) -> bool:
        """Whether it may leave a mailbox that people share; others' letters, and reports of them, may not."""
        return self.answer or (self.delivery is not None and self.kind != Kind.ORDINARY)


def hear(session: Session, *, raw: bytes, envelope_to: str, now: datetime, keys: Keyring) -> Heard:
    """Store a mail that came to ``envelope_to`` ("" when that is not known) and write what it tells.

    Any bytes will do. It is read before the first statement that writes, so no lock is held meanwhile; every
    few seconds the own rules are read before it.
    """
    mail = take_in(raw, own_rules.in_force(session))
    returned = mail.returned
    sealed = delivery_of(returned.kind, envelope_to, mail.addresses, keys, now)
    written_to = store.written_to(session, *sealed.delivery) if sealed else None
    if written_to is None:
        sealed = None
    leaves = sealed is not None and sealed.purpose is Purpose.LEAVE and returned.kind not in _NO_LEAVE
    kind = LEAVE if leaves else str(returned.kind)
    delivery = sealed.delivery if sealed else None
    mail_id = store.keep_mail(
        session,
        raw=raw,
        fingerprint=sha256(envelope_to.lower().encode(errors="replace") + b"\n" + raw).hexdigest(),
        envelope_to=events.writable(envelope_to)[:320],
        kind=kind,
        delivery=delivery,
        now=now,
    )
    if mail_id is None or sealed is None:
        return Heard(kind, delivery, (), mail_id)
    if leaves:
        told = leaving.leave(session, *sealed.delivery, now=now, source="mail", mail_id=mail_id)
        return Heard(kind, delivery, (told,) if told else (), mail_id)
    if returned.kind in answers.OF_PEOPLE:
        answer = answers.take(
            session,
            returned.kind,
            mail.headers,
            mail_id=mail_id,
            delivery=sealed.delivery,
            sent_to=envelope_to,
            now=now,
        )
        return Heard(kind, delivery, (), mail_id, answer)
    told_events = events.record_many(session, _news(returned, sealed, written_to or "", now, mail_id))
    return Heard(kind, delivery, tuple(told_events), mail_id)


def about_mailbox(raw: bytes, written_to: str) -> bool:
    """Tell whether a report speaks of the mailbox we wrote to, and of no other (law 4)."""
    recipients = classify(raw).recipients
    return bool(recipients) and all(same_mailbox(one.address, written_to) for one in recipients)


def _news(returned: Returned, sealed: Sealed, written_to: str, now: datetime, mail_id: int) -> Iterator[News]:
    match returned.kind:
        case Kind.BOUNCE:
            yield from _failures(EventKind.BOUNCE, returned.recipients, sealed, written_to, now, mail_id)
        case Kind.DELAY:
            yield from _failures(EventKind.DELAY, returned.recipients, sealed, written_to, now, mail_id)
        case Kind.COMPLAINT if returned.feedback_type != _NOT_SPAM:
            yield _plain(EventKind.COMPLAINT, "arf", Category.COMPLAINT, sealed, now, mail_id)
        case Kind.AUTO_REPLY:
            yield _plain(EventKind.AUTO_REPLY, "mail", Category.AUTO_REPLY, sealed, now, mail_id)


def _failures(
    kind: EventKind,
    recipients: tuple[FailedRecipient, ...],
    sealed: Sealed,
    written_to: str,
    now: datetime,
    mail_id: int,
) -> Iterator[News]:
    """Tell each diagnosis once.

    Only a report about the mailbox we wrote to calls it dead: whoever forwards letters to a mailbox that is
    gone, or to several of which one is, may well read them (law 4).
    """
    dead = all(one.dead and same_mailbox(one.address, written_to) for one in recipients or (_NOBODY,))
    for recipient in recipients or (_NOBODY,):
        yield News(
            campaign_id=sealed.campaign_id,
            n=sealed.n,
            kind=kind,
            at=now,
            source="dsn",
            key=f"{recipient.category}:{recipient.status}",
            category=recipient.category,
            status=recipient.status,
            permanent=recipient.permanent,
            dead=dead,
            reason=recipient.reason,
            detail=recipient.diagnostic,
            mail_id=mail_id,
        )


def _plain(
    kind: EventKind, source: str, category: Category, sealed: Sealed, now: datetime, mail_id: int
) -> News:
    return News(
        campaign_id=sealed.campaign_id,
        n=sealed.n,
        kind=kind,
        at=now,
        source=source,
        category=category,
        mail_id=mail_id,
    )
