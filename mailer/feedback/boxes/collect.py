"""Collecting: what is new in a mailbox is heard, and touched only once that is safe.

What is to be done to a mail (moved, marked, deleted) is written down in the transaction that stores it, and
made good at the next look when the connection or the process ends before it is done. A mail that we fail at
is passed over and written down too, and tried again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError, ProgrammingError

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback import record
from mailer.feedback.boxes import store
from mailer.feedback.boxes.account import Account, Protocol, Then
from mailer.feedback.boxes.box import Box, Waiting
from mailer.feedback.boxes.imap import Imap
from mailer.feedback.boxes.pop3 import Pop3
from mailer.feedback.boxes.trouble import MailboxTrouble, said
from mailer.feedback.kind import Kind
from mailer.feedback.listener import SIZE_LIMIT
from mailer.feedback.record import Heard
from mailer.sentence import Sentence
from mailer.signing import Keyring

MEMORY = timedelta(days=62)  # how old mail may be that a mailbox holds when it is first read: tokens end then
MOST_UNSTORED = 100  # mails that are passed over; more of them are no accident, and the mailbox waits
_SETTLED_AT_ONCE = 25  # mails that are stored before they are moved together
_AGAIN_AFTER = (timedelta(hours=1), timedelta(days=1))  # a mail that we failed at: at first, at most
_MESSAGE_ID = re.compile(
    rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^<>\s]{1,190}>)", re.IGNORECASE | re.MULTILINE
)
_HEAD = 65_536  # octets of a mail in which its Message-ID is looked for

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Collected:
    """What a look brought. ``unstored``: mails that we failed at now, ``standing`` all that we have."""

    stored: int = 0
    known: int = 0
    unstored: int = 0
    standing: int = 0
    unsettled: Sentence | None = None  # why mails that are stored could not be moved

    @property
    def note(self) -> Sentence | None:
        """What an administrator should know; None: all is well."""
        if self.standing:
            return Sentence(
                "{count} mails of this mailbox could not be stored, by a fault of ours: each is named with"
                " the mailbox and is tried again by itself. Please report it with what the log says.",
                count=self.standing,
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
        self._is_pop3 = account.protocol is Protocol.POP3

    def collect(self, box: Box, cursor: str, now: datetime, going_on: Callable[[], bool]) -> Collected:
        """Hear what is new, until ``going_on``, asked before each mail, says no.

        :raises MailboxTrouble: the mailbox cannot be read; what was stored is stored
        :raises Unreachable: the database is away; nothing was touched that is not stored
        """
        collected = Collected()
        waiting = box.fresh(cursor, (now - MEMORY).date())
        self._settle_left(box, collected)
        self._hear_all(box, self._due(box, now), now, going_on, collected)
        if collected.standing < MOST_UNSTORED:
            self._hear_all(box, self._unseen(waiting), now, going_on, collected)
        if collected.standing >= MOST_UNSTORED:
            raise MailboxTrouble(
                "{count} mails of this mailbox could not be stored, so no more of it are read: this is a"
                " fault of ours, please report it with what the log says.",
                lasting=True,
                count=collected.standing,
            )
        return collected

    # -- which mails --

    def _due(self, box: Box, now: datetime) -> list[Waiting]:
        """Return mails that we failed at and that are to be tried again; note those that are gone."""
        with self._database.read() as session:
            due = {
                each.uid for each in store.unstored(session, self._id) if each.due_at <= now and not each.gone
            }
        found = box.find(due) if due else []
        if gone := due - {one.uid for one in found}:
            with self._database.write() as session:
                store.change_unstored(session, self._id, gone, gone=True)
        return found

    def _unseen(self, waiting: list[Waiting]) -> list[Waiting]:
        """Leave out what a POP3 mailbox still shows and we know; forget what it shows no more."""
        if not self._is_pop3:
            return waiting
        with self._database.read() as session:
            seen = store.seen(session, self._id)
            failed = {each.uid for each in store.unstored(session, self._id)}
        if gone := seen - {one.uid for one in waiting}:
            self._forget(gone)
        return [one for one in waiting if one.uid not in seen | failed]

    # -- hearing --

    def _hear_all(
        self,
        box: Box,
        waiting: Iterable[Waiting],
        now: datetime,
        going_on: Callable[[], bool],
        collected: Collected,
    ) -> None:
        done: list[Waiting] = []
        for one in waiting:
            if not going_on() or (collected.unstored and self._standing(collected) >= MOST_UNSTORED):
                break
            raw = box.fetch(one, SIZE_LIMIT)
            if raw is not None and self._hear(one, raw, now, collected):
                done.append(one)
            if len(done) >= _SETTLED_AT_ONCE:
                self._settle(box, done, collected)
        self._settle(box, done, collected)
        self._standing(collected)

    def _standing(self, collected: Collected) -> int:
        with self._database.read() as session:
            collected.standing = len(store.unstored(session, self._id))
        return collected.standing

    def _hear(self, one: Waiting, raw: bytes, now: datetime, collected: Collected) -> bool:
        """Store a mail; return whether it is ours to settle. A fault of ours in one mail stops no other."""
        try:
            with self._database.write() as session:
                heard = record.hear(session, raw=raw, envelope_to="", now=now, keys=self._keys)
                owed = self._account.then if self._may_settle(one, heard) else ""
                store.remember(
                    session, self._id, cursor=one.cursor, uid=one.uid, owed=owed, shown=self._is_pop3
                )
        except (MailerError, OperationalError, ProgrammingError):  # the database's trouble, not this mail's
            raise
        except Exception as error:
            self._pass_over(one, raw, type(error).__name__, now)
            collected.unstored += 1
            return False
        collected.stored += heard.mail_id is not None
        collected.known += heard.mail_id is None
        return bool(owed)

    def _pass_over(self, one: Waiting, raw: bytes, why: str, now: datetime) -> None:
        """Write down that we failed at a mail; who reads on goes on behind it.

        :raises Unreachable: that failed as well, so it is met again
        """
        _log.error("a mail of mailbox %d could not be stored: %s", self._id, why)
        named = _MESSAGE_ID.search(raw[:_HEAD])
        message_id = said(named[1]) if named else ""
        facts = {"uid": one.uid, "message_id": message_id, "size": one.size, "why": why[:200], "at": now}
        with self._database.write() as session:
            store.note_unstored(session, self._id, one.cursor, facts, _wait)

    def _may_settle(self, one: Waiting, heard: Heard) -> bool:
        """Tell whether a stored mail may be moved; deleted is only what we have whole, or a report."""
        if self._account.then is Then.KEEP:
            return False
        if self._account.then is not Then.DELETE:
            return heard.concerns_us or self._account.alone
        if one.size > SIZE_LIMIT:
            return False
        return heard.concerns_us or (self._account.alone and heard.kind != Kind.ORDINARY)

    # -- moving, marking, deleting --

    def _settle_left(self, box: Box, collected: Collected) -> None:
        """Do what was left undone: the connection broke, or whoever stored these mails is gone."""
        if self._account.then is Then.KEEP:
            return
        with self._database.read() as session:
            left = set(store.unsettled(session, self._id, self._account.then))
        if not left:
            return
        found = box.find(left)
        self._forget(left - {one.uid for one in found})
        while found and collected.unsettled is None:
            some, found = found[:_SETTLED_AT_ONCE], found[_SETTLED_AT_ONCE:]
            self._settle(box, some, collected)

    def _settle(self, box: Box, done: list[Waiting], collected: Collected) -> None:
        if not done:
            return
        try:
            box.settle(done)
        except MailboxTrouble as error:
            collected.unsettled = error.sentence
        else:
            if not self._is_pop3:  # which deletes when it is left (RFC 1939 §6), if then
                self._forget({one.uid for one in done})
        done.clear()

    def _forget(self, uids: set[str]) -> None:
        if uids:
            with self._database.write() as session:
                store.forget_seen(session, self._id, uids)


def _wait(tries: int) -> timedelta:
    first, most = _AGAIN_AFTER
    return min(most, first * (1 << min(tries - 1, 10)))
