"""Mailboxes: which are read, set by an administrator; and how reading each of them goes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.database import clock
from mailer.errors import NotFound
from mailer.feedback.boxes import store
from mailer.feedback.boxes.account import Account, Protocol
from mailer.feedback.boxes.store import Mailbox, SeenMail, UnstoredMail
from mailer.feedback.boxes.trouble import MailboxTrouble
from mailer.sealing import Unsealable, seal, unseal
from mailer.sentence import Sentence
from mailer.signing import Keyring

_RETRY = (timedelta(minutes=1), timedelta(hours=1))  # at first, at most; it doubles in between
_RETRY_LASTING = (timedelta(minutes=15), timedelta(hours=6))  # what needs a person: wrong passwords lock


class NoMailbox(NotFound):
    """There is no such mailbox: `mailer mailbox list` shows those that are read."""


class NoUnstored(NotFound):
    """No mail of that number waits there: `mailer mailbox list` shows those that could not be stored."""


def add(session: Session, account: Account, *, keys: Keyring, now: datetime, actor: Actor) -> Mailbox:
    """Have a mailbox read. One that is read already gets the new secrets and options and is tried at once."""
    mailbox = next(
        (row for row in store.mailboxes(session) if Account.from_url(row.url).place == account.place), None
    )
    if mailbox is None:
        mailbox = Mailbox(added_at=now)
        session.add(mailbox)
    mailbox.url, mailbox.secret, mailbox.changed_at = account.url, _sealed(account, keys), now
    mailbox.failures, mailbox.retry_at = 0, None
    session.flush()
    audit.record(session, now=now, actor=actor, action="mailbox.add", subject=f"mailbox {mailbox.id}")
    return mailbox


def remove(session: Session, mailbox_id: int, *, now: datetime, actor: Actor) -> str:
    """Stop reading a mailbox, forget its password, and return its URL.

    :raises NoMailbox:
    """
    mailbox = get(session, mailbox_id)
    url = mailbox.url
    store.remove(session, mailbox)
    audit.record(session, now=now, actor=actor, action="mailbox.remove", subject=f"mailbox {mailbox_id}")
    return url


def try_again(session: Session, mailbox_id: int, *, now: datetime) -> None:
    """Have a mailbox tried at once that is left alone for a while, and its mails that we failed at.

    :raises NoMailbox:
    """
    mailbox = get(session, mailbox_id)
    mailbox.retry_at, mailbox.changed_at = None, now
    store.change_unstored(session, mailbox_id, None, due_at=now)


def dismiss(session: Session, mailbox_id: int, uid: str, *, now: datetime, actor: Actor) -> None:
    """Give a mail up that could not be stored: somebody has looked at it in the mailbox.

    :raises NoMailbox:
    :raises NoUnstored:
    """
    mailbox = get(session, mailbox_id)
    row = session.get(UnstoredMail, (mailbox_id, uid))
    if row is None:
        raise NoUnstored
    was_there = not row.gone
    store.drop_unstored(session, mailbox_id, uid)
    if was_there and Account.from_url(mailbox.url).protocol is Protocol.POP3:
        session.add(SeenMail(mailbox_id=mailbox_id, uid=uid))  # it shows the mail again and again
    session.flush()
    if mailbox.trouble and not store.unstored(session, mailbox_id):
        mailbox.trouble = mailbox.trouble_since = None  # whoever reads it next says what else there is
    audit.record(
        session, now=now, actor=actor, action="mailbox.dismiss", subject=f"mailbox {mailbox_id}",
        after={"uid": uid},
    )  # fmt: skip


def get(session: Session, mailbox_id: int) -> Mailbox:
    """:raises NoMailbox:"""
    mailbox = session.get(Mailbox, mailbox_id)
    if mailbox is None:
        raise NoMailbox
    return mailbox


def account_of(mailbox: Mailbox, keys: Keyring) -> Account:
    """Return how to reach a mailbox, with its secrets.

    :raises MailboxTrouble: MAILER_SECRET no longer opens them
    """
    try:
        secrets = json.loads(unseal(keys, mailbox.secret, purpose=_purpose(mailbox.url)))
    except Unsealable as error:
        raise MailboxTrouble(
            "The password of mailbox {mailbox} cannot be opened: put the key that MAILER_SECRET held before"
            " back, behind the newest, or give the password anew with `mailer mailbox add`.",
            lasting=True,
            mailbox=mailbox.url,
        ) from error
    return Account.from_url(mailbox.url).with_secrets(**secrets)


def looked(session: Session, mailbox_id: int, holder: str) -> None:
    """Write down that a mailbox was read and is in order."""
    store.change(
        session,
        mailbox_id,
        holder,
        looked_at=clock(session),
        trouble=None,
        trouble_since=None,
        failures=0,
        retry_at=None,
    )


def failed(session: Session, mailbox_id: int, holder: str, why: Sentence, *, lasting: bool = False) -> None:
    """Write down that a mailbox cannot be read, leave it alone for a while, and give the lease back.

    Waits double: 1 minute … 1 hour; 15 minutes … 6 hours where a person must do something.
    """
    mailbox = session.get(Mailbox, mailbox_id, populate_existing=True)
    if mailbox is None or mailbox.leased_by != holder:
        return
    now = clock(session)
    first, most = _RETRY_LASTING if lasting else _RETRY
    mailbox.retry_at = now + min(most, first * 2 ** min(mailbox.failures, 10))
    mailbox.failures += 1
    mailbox.trouble = why.stored()
    mailbox.trouble_since = mailbox.trouble_since or now
    mailbox.leased_by = mailbox.leased_until = None
    session.flush()


def noted(session: Session, mailbox_id: int, holder: str, why: Sentence) -> None:
    """Write down that a mailbox is read and something about it is not as it should be."""
    mailbox = session.get(Mailbox, mailbox_id, populate_existing=True)
    if mailbox is None or mailbox.leased_by != holder:
        return
    mailbox.looked_at = clock(session)
    mailbox.trouble = why.stored()
    mailbox.trouble_since = mailbox.trouble_since or mailbox.looked_at
    mailbox.failures, mailbox.retry_at = 0, None
    session.flush()


def trouble_of(mailbox: Mailbox) -> Sentence | None:
    """Return what is wrong with a mailbox; None: nothing is known to be."""
    return Sentence.restored(mailbox.trouble) if mailbox.trouble else None


def _sealed(account: Account, keys: Keyring) -> str:
    secrets = {"password": account.password, "client_secret": account.client_secret}
    return seal(keys, json.dumps(secrets).encode(), purpose=_purpose(account.url))


def _purpose(url: str) -> str:
    return f"mailbox {url}"
