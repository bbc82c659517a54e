"""Tables of the mailboxes that are read, and all their SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, delete, insert, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime, clock

LEASE = timedelta(seconds=90)  # so long may a reader be silent before another takes the mailbox
_AT_ONCE = 500  # uids in one statement


class Mailbox(Base):
    """A mailbox that is read for what came back, and how reading it goes."""

    __tablename__ = "mailboxes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    url: Mapped[str] = mapped_column(String(1000), unique=True)  # boxes.account, without its secrets
    secret: Mapped[str] = mapped_column(Text)  # sealed: {"password": …, "client_secret": …}
    added_at: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)  # by a person: who reads it begins anew
    cursor: Mapped[str] = mapped_column(String(60), default="")  # IMAP: UIDVALIDITY:UID last looked at
    leased_by: Mapped[str | None] = mapped_column(String(40))
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # by the database's clock
    looked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it was last found in order
    heard: Mapped[int] = mapped_column(BigInteger, default=0)  # mails of it that were stored
    trouble: Mapped[Any | None] = mapped_column(Json)  # Sentence.stored; None: it works
    trouble_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # it is left alone until then


class SeenMail(Base):
    """A mail of a POP3 mailbox that was stored, by its UIDL; forgotten once it is gone from there."""

    __tablename__ = "mailbox_seen"

    mailbox_id: Mapped[int] = mapped_column(
        ForeignKey("mailboxes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    uid: Mapped[str] = mapped_column(String(200), primary_key=True)


def mailboxes(session: Session) -> list[Mailbox]:
    """Return every mailbox, oldest first."""
    return list(session.scalars(select(Mailbox).order_by(Mailbox.id)))


def mailbox_ids(session: Session) -> list[int]:
    """Return the ids of every mailbox."""
    return list(session.scalars(select(Mailbox.id)))


def remove(session: Session, mailbox: Mailbox) -> None:
    """Forget a mailbox and what was seen in it."""
    session.execute(delete(SeenMail).where(SeenMail.mailbox_id == mailbox.id))
    session.delete(mailbox)
    session.flush()


def claim(session: Session, mailbox_id: int, holder: str) -> Mailbox | None:
    """Lease a mailbox that nobody else reads and that is not to be left alone; None: not now."""
    now = clock(session)
    taken = session.execute(
        update(Mailbox)
        .where(
            Mailbox.id == mailbox_id,
            or_(Mailbox.leased_until.is_(None), Mailbox.leased_until <= now, Mailbox.leased_by == holder),
            or_(Mailbox.retry_at.is_(None), Mailbox.retry_at <= now),
        )
        .values(leased_by=holder, leased_until=now + LEASE)
        .returning(Mailbox.id)
    ).scalar()
    return session.get(Mailbox, mailbox_id, populate_existing=True) if taken else None


def renew(session: Session, mailbox_id: int, holder: str, changed_at: datetime) -> bool:
    """Keep a lease; False: it is lost, or the mailbox was changed or removed meanwhile."""
    return bool(
        session.execute(
            update(Mailbox)
            .where(Mailbox.id == mailbox_id, Mailbox.leased_by == holder, Mailbox.changed_at == changed_at)
            .values(leased_until=clock(session) + LEASE)
            .returning(Mailbox.id)
        ).scalar()
    )


def let_go(session: Session, mailbox_id: int, holder: str) -> None:
    """Give a lease back."""
    change(session, mailbox_id, holder, leased_by=None, leased_until=None)


def change(session: Session, mailbox_id: int, holder: str, **values: Any) -> None:
    """Write down how reading goes, if the lease is still the holder's."""
    session.execute(
        update(Mailbox).where(Mailbox.id == mailbox_id, Mailbox.leased_by == holder).values(**values)
    )


def remember(session: Session, mailbox_id: int, *, cursor: str, uid: str) -> None:
    """Write down that a mail is stored: in the transaction that stores it."""
    told: dict[Any, Any] = {Mailbox.heard: Mailbox.heard + 1}
    if cursor:
        told[Mailbox.cursor] = cursor
    session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(told))
    if not cursor and session.get(SeenMail, (mailbox_id, uid)) is None:
        session.execute(insert(SeenMail).values(mailbox_id=mailbox_id, uid=uid))


def seen(session: Session, mailbox_id: int) -> set[str]:
    """Return the UIDs of a POP3 mailbox's mails that are stored."""
    return set(session.scalars(select(SeenMail.uid).where(SeenMail.mailbox_id == mailbox_id)))


def forget_seen(session: Session, mailbox_id: int, uids: Collection[str]) -> None:
    """Forget mails that are no longer in the mailbox."""
    for some in _slices(sorted(uids)):
        session.execute(delete(SeenMail).where(SeenMail.mailbox_id == mailbox_id, SeenMail.uid.in_(some)))


def _slices(uids: list[str]) -> Iterable[list[str]]:
    return (uids[at : at + _AT_ONCE] for at in range(0, len(uids), _AT_ONCE))
