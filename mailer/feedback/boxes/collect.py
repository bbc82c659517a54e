"""Collecting: what is new in a mailbox is heard, and touched only once that is safe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback import record
from mailer.feedback.boxes import store
from mailer.feedback.boxes.account import Account, Protocol, Then
from mailer.feedback.boxes.box import Box, Waiting
from mailer.feedback.boxes.imap import Imap
from mailer.feedback.boxes.pop3 import Pop3
from mailer.feedback.boxes.trouble import MailboxTrouble
from mailer.feedback.kind import Kind
from mailer.feedback.listener import SIZE_LIMIT
from mailer.feedback.record import Heard
from mailer.sentence import Sentence
from mailer.signing import Keyring

MEMORY = timedelta(days=62)  # how old mail may be that a mailbox holds when it is first read: tokens end then
_SETTLED_AT_ONCE = 25  # mails that are stored before they are moved together

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Collected:
    """What a look brought. ``unstored``: mails that we failed at and that stay where they are."""

    stored: int = 0
    known: int = 0
    unstored: int = 0
    unsettled: Sentence | None = None  # why mails that are stored could not be moved

    @property
    def note(self) -> Sentence | None:
        """What an administrator should know; None: all is well."""
        if self.unstored:
            return Sentence(
                "{count} mails of this mailbox could not be stored and lie where they were: this is a fault"
                " of ours, please report it with what the log says.",
                count=self.unstored,
            )
        return self.unsettled


def opened(account: Account) -> Box:
    """Open a mailbox.

    :raises MailboxTrouble:
    """
    return Imap(account) if account.protocol is Protocol.IMAP else Pop3(account)


class Collector:
    """Reads one mailbox. For one thread."""

    def __init__(self, database: Database, keys: Keyring, mailbox_id: int, account: Account) -> None:
        self._database = database
        self._account = account
        self._keys = keys
        self._id = mailbox_id

    def collect(self, box: Box, cursor: str, now: datetime, going_on: Callable[[], bool]) -> Collected:
        """Hear what is new, until ``going_on``, asked before each mail, says no.

        :raises MailboxTrouble: the mailbox cannot be read; what was stored is stored
        :raises Unreachable: the database is away; nothing was touched that is not stored
        """
        done, collected = [], Collected()
        waiting = box.fresh(cursor, (now - MEMORY).date())
        for one in self._unseen(waiting):
            if not going_on():
                break
            raw = box.fetch(one, SIZE_LIMIT)
            if raw is not None and self._hear(one, raw, now, collected):
                done.append(one)
            if len(done) >= _SETTLED_AT_ONCE:
                self._settle(box, done, collected)
        self._settle(box, done, collected)
        return collected

    def _unseen(self, waiting: list[Waiting]) -> list[Waiting]:
        """Leave out what a POP3 mailbox still shows and we have; forget what it shows no more."""
        if any(one.cursor for one in waiting):
            return waiting
        with self._database.read() as session:
            seen = store.seen(session, self._id)
        if gone := seen - {one.uid for one in waiting}:
            with self._database.write() as session:
                store.forget_seen(session, self._id, gone)
        return [one for one in waiting if one.uid not in seen]

    def _hear(self, one: Waiting, raw: bytes, now: datetime, collected: Collected) -> bool:
        """Store a mail; return whether it is ours to settle. A fault of ours in one mail stops no other."""
        try:
            with self._database.write() as session:
                heard = record.hear(session, raw=raw, envelope_to="", now=now, keys=self._keys)
                store.remember(session, self._id, cursor=one.cursor, uid=one.uid)
        except (MailerError, OperationalError):
            raise
        except Exception as error:
            _log.error("a mail of mailbox %d could not be stored: %s", self._id, type(error).__name__)
            collected.unstored += 1
            return False
        collected.stored += heard.mail_id is not None
        collected.known += heard.mail_id is None
        return self._may_settle(one, heard)

    def _may_settle(self, one: Waiting, heard: Heard) -> bool:
        """Tell whether a stored mail may be moved; deleted is only what we have whole, or a report."""
        if self._account.then is not Then.DELETE:
            return heard.concerns_us or self._account.alone
        if one.size > SIZE_LIMIT:
            return False
        return heard.concerns_us or (self._account.alone and heard.kind != Kind.ORDINARY)

    def _settle(self, box: Box, done: list[Waiting], collected: Collected) -> None:
        try:
            box.settle(done)
        except MailboxTrouble as error:
            collected.unsettled = error.sentence
        done.clear()
