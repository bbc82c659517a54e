"""Tables of the mailboxes that are read, and all their SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    String,
    Text,
    delete,
    insert,
    or_,
    select,
    update,
)
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
    """A mail that was stored, by its UID in the mailbox.

    Of a POP3 mailbox it stays until the mail is gone from there; of IMAP until what is to be done to the mail
    is done.
    """

    __tablename__ = "mailbox_seen"

    mailbox_id: Mapped[int] = mapped_column(
        ForeignKey("mailboxes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    uid: Mapped[str] = mapped_column(String(200), primary_key=True)
    owed: Mapped[str] = mapped_column(String(10), default="", server_default="")  # a Then; "": nothing


class UnstoredMail(Base):
    """A mail that we failed at; it lies in its mailbox still, unless it is ``gone`` from there."""

    __tablename__ = "mailbox_unstored"

    mailbox_id: Mapped[int] = mapped_column(
        ForeignKey("mailboxes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    uid: Mapped[str] = mapped_column(String(200), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(200))  # "": it has none that can be read
    size: Mapped[int] = mapped_column(BigInteger)  # octets
    why: Mapped[str] = mapped_column(String(200))  # the fault's kind; its words might quote the mail
    at: Mapped[datetime] = mapped_column(UTCDateTime)  # when it was first tried
    tries: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)  # when it is tried again
    gone: Mapped[bool] = mapped_column(default=False)


def mailboxes(session: Session) -> list[Mailbox]:
    """Return every mailbox, oldest first."""
    return list(session.scalars(select(Mailbox).order_by(Mailbox.id)))


def mailbox_ids(session: Session) -> list[int]:
    """Return the ids of every mailbox."""
    return list(session.scalars(select(Mailbox.id)))


def remove(session: Session, mailbox: Mailbox) -> None:
    """Forget a mailbox and what was seen in it."""
    session.execute(delete(SeenMail).where(SeenMail.mailbox_id == mailbox.id))
    session.execute(delete(UnstoredMail).where(UnstoredMail.mailbox_id == mailbox.id))
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


def remember(
    session: Session, mailbox_id: int, *, cursor: str, uid: str, owed: str, shown: bool = False
) -> None:
    """Write down that a mail is stored: in the transaction that stores it.

    ``owed``: what is still to be done to it, "" for nothing. ``shown``: the mailbox shows it again and again.
    """
    told: dict[Any, Any] = {Mailbox.heard: Mailbox.heard + 1}
    if cursor:
        told[Mailbox.cursor] = cursor
    session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(told))
    session.execute(delete(UnstoredMail).where(*_is(UnstoredMail, mailbox_id, [uid])))
    if (owed or shown) and session.get(SeenMail, (mailbox_id, uid)) is None:
        session.execute(insert(SeenMail).values(mailbox_id=mailbox_id, uid=uid, owed=owed))


def seen(session: Session, mailbox_id: int) -> set[str]:
    """Return the UIDs of a mailbox's mails that are stored, as far as they are remembered."""
    return set(session.scalars(select(SeenMail.uid).where(SeenMail.mailbox_id == mailbox_id)))


def unsettled(session: Session, mailbox_id: int, owed: str) -> list[str]:
    """Return the UIDs of mails that are stored and to which this is still to be done; some, if many."""
    mine = select(SeenMail.uid).where(SeenMail.mailbox_id == mailbox_id, SeenMail.owed == owed)
    return list(session.scalars(mine.order_by(SeenMail.uid).limit(_AT_ONCE)))


def forget_seen(session: Session, mailbox_id: int, uids: Collection[str]) -> None:
    """Forget mails about which nothing is to be known any more."""
    for some in _slices(sorted(uids)):
        session.execute(delete(SeenMail).where(*_is(SeenMail, mailbox_id, some)))


# -- what could not be stored --


def unstored(session: Session, mailbox_id: int) -> list[UnstoredMail]:
    """Return the mails of a mailbox that we failed at, oldest first."""
    mine = select(UnstoredMail).where(UnstoredMail.mailbox_id == mailbox_id)
    return list(session.scalars(mine.order_by(UnstoredMail.at, UnstoredMail.uid)))


def note_unstored(
    session: Session, mailbox_id: int, cursor: str, facts: dict[str, Any], waits: Callable[[int], timedelta]
) -> None:
    """Write down that we failed at a mail, and pass over it; ``waits`` says how long after so many tries.

    ``facts`` are columns of ``UnstoredMail``, ``at`` the instant of this try.
    """
    if cursor:
        session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(cursor=cursor))
    row = session.get(UnstoredMail, (mailbox_id, facts["uid"]))
    if row is None:
        row = UnstoredMail(mailbox_id=mailbox_id, tries=0, **facts)
        session.add(row)
    row.tries += 1
    row.why, row.due_at = facts["why"], facts["at"] + waits(row.tries)
    session.flush()


def change_unstored(session: Session, mailbox_id: int, uids: Collection[str] | None, **values: Any) -> None:
    """Change what is written about mails that we failed at; ``uids`` None: all that are still there."""
    which = [UnstoredMail.mailbox_id == mailbox_id, UnstoredMail.gone.is_(False)]
    if uids is not None:
        which.append(UnstoredMail.uid.in_(uids))
    session.execute(update(UnstoredMail).where(*which).values(**values))


def drop_unstored(session: Session, mailbox_id: int, uid: str) -> bool:
    """Forget that we failed at a mail; False: that was not written down."""
    gone = delete(UnstoredMail).where(*_is(UnstoredMail, mailbox_id, [uid])).returning(UnstoredMail.uid)
    return session.scalar(gone) is not None


def _is(
    table: type[SeenMail | UnstoredMail], mailbox_id: int, uids: Collection[str]
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.mailbox_id == mailbox_id, table.uid.in_(uids)


def _slices(uids: list[str]) -> Iterable[list[str]]:
    return (uids[at : at + _AT_ONCE] for at in range(0, len(uids), _AT_ONCE))
