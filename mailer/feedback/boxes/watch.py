"""Watching: every mailbox is read as mail comes, each in a thread of its own, until told to stop.

Any number of processes may watch: a lease says who reads which mailbox. No trouble ends a watch; it is
written down where administrators see it, and the mailbox is left alone for a while.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from datetime import UTC, datetime

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback.boxes import mailboxes, store
from mailer.feedback.boxes.account import Account, Protocol
from mailer.feedback.boxes.collect import Collected, Collector, opened
from mailer.feedback.boxes.store import Mailbox
from mailer.feedback.boxes.trouble import MailboxTrouble
from mailer.sentence import Sentence
from mailer.settings import Settings

LOOK_AROUND = 5.0  # seconds between looks for mailboxes that were added, and at those that others read
_RENEW = 20.0  # seconds between renewals of a lease
_STOPPED = 15.0  # seconds a thread may take to end: one mail and its answers

_log = logging.getLogger(__name__)


class Watcher:
    """All mailboxes of one database, from ``start`` to ``stop``."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._stopping = threading.Event()
        self._readers: dict[int, threading.Thread] = {}
        self._thread = threading.Thread(target=self._watch, name="mailboxes", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the mails being stored, and stop."""
        self._stopping.set()
        deadline = time.monotonic() + _STOPPED
        self._thread.join(_STOPPED)
        for reader in self._readers.values():
            reader.join(max(0.0, deadline - time.monotonic()))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._database.read() as session:
                    ids = store.mailbox_ids(session)
            except Exception as error:
                _log.warning("mailboxes cannot be looked up: %s", type(error).__name__)
                ids = []
            for mailbox_id in ids:
                if mailbox_id not in self._readers or not self._readers[mailbox_id].is_alive():
                    self._begin(mailbox_id)
            self._stopping.wait(LOOK_AROUND)

    def _begin(self, mailbox_id: int) -> None:
        reader = Reader(self._settings, self._database, mailbox_id, self._stopping)
        name = f"mailbox-{mailbox_id}"
        self._readers[mailbox_id] = threading.Thread(target=reader.run, name=name, daemon=True)
        self._readers[mailbox_id].start()


class Reader:
    """Reads one mailbox while it can have the lease; ``run`` ends when it cannot, or is told to stop."""

    def __init__(
        self, settings: Settings, database: Database, mailbox_id: int, stopping: threading.Event
    ) -> None:
        self._keys, self._database, self._id = settings.keys, database, mailbox_id
        self._stopping = stopping
        self._holder = secrets.token_hex(8)
        self._changed_at = datetime.min.replace(tzinfo=UTC)
        self._renewed = 0.0

    def run(self, *, once: bool = False) -> Collected | None:
        """Read until something is in the way; ``once``: until all that is there was heard.

        Returns what the last look brought; None: another reads it, or it is left alone just now.
        """
        try:
            with self._database.write() as session:
                mailbox = store.claim(session, self._id, self._holder)
            if mailbox is None:
                return None
            self._changed_at, self._renewed = mailbox.changed_at, time.monotonic()
            return self._read_guarded(mailbox, once=once)
        except Exception as error:  # the database is away, or worse: whoever looks around begins anew
            _log.warning("mailbox %d is not read just now: %s", self._id, type(error).__name__)
            return None

    def _read_guarded(self, mailbox: Mailbox, *, once: bool) -> Collected | None:
        try:
            collected = self._read(mailboxes.account_of(mailbox, self._keys), once=once)
        except MailboxTrouble as trouble:
            self._fail(trouble.sentence, lasting=trouble.lasting)
            return None
        except MailerError:
            raise
        except Exception as error:
            _log.exception("mailbox %d is not read, by a fault of ours", self._id)
            what = Sentence(
                "It is not read by a fault of ours ({error}): please report it.", error=type(error).__name__
            )
            self._fail(what)
            return None
        with self._database.write() as session:
            store.let_go(session, self._id, self._holder)
        return collected

    def _read(self, account: Account, *, once: bool) -> Collected:
        box = opened(account)
        try:
            collector = Collector(self._database, self._keys, self._id, account)
            while True:
                with self._database.read() as session:
                    cursor = mailboxes.get(session, self._id).cursor
                collected = collector.collect(box, cursor, datetime.now(UTC), self._goes_on)
                if account.protocol is Protocol.IMAP:
                    self._tell(collected)
                    if not once and box.wait(self._goes_on):
                        continue
                break
        finally:
            box.close()
        if account.protocol is Protocol.POP3:
            self._tell(collected)
            if not once:
                self._rest(account.poll)
        return collected

    def _tell(self, collected: Collected) -> None:
        with self._database.write() as session:
            if collected.note is None:
                mailboxes.looked(session, self._id, self._holder)
            else:
                mailboxes.noted(session, self._id, self._holder, collected.note)

    def _fail(self, why: Sentence, *, lasting: bool = False) -> None:
        with self._database.write() as session:
            mailboxes.failed(session, self._id, self._holder, why, lasting=lasting)

    def _goes_on(self) -> bool:
        """Whether to go on reading; renews the lease now and then."""
        if self._stopping.is_set():
            return False
        if time.monotonic() - self._renewed > _RENEW:
            with self._database.write() as session:
                if not store.renew(session, self._id, self._holder, self._changed_at):
                    return False
            self._renewed = time.monotonic()
        return True

    def _rest(self, seconds: float) -> None:
        """Hold the lease until it is time to look again: others would look at once."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._goes_on():
            self._stopping.wait(1.0)
