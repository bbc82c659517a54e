"""Reception: whom the listener takes mail for, where it puts it, and when it asks to come again.

Nothing is lost: whatever cannot be stored now is answered with 4xx, and its sender tries again. Nothing fills
the disk: what is for nobody is refused at once, one return path takes ``PER_HOUR`` mails an hour, and on a
machine whose disk is nearly full all wait outside.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mailer.database import Database
from mailer.feedback import attribution, record
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings

Manners = Callable[[str], str | None]
"""How a host treats an address: None takes the letter, a reply like ``550 5.1.1 No such user`` refuses."""

PER_HOUR = 30  # mails to one return path or leave address; real letters get one to five in all
ROOM = 200_000_000  # octets of disk below which nothing more is taken
_COUNTED = 100_000  # addresses counted before counting begins anew
_LOOK_AT_DISK = 5.0  # seconds between looks

STORED = "250 2.0.0 OK: stored"
LATER = "451 4.3.0 Not stored, please try again later"
_REFUSED = "550 5.7.1 This host takes only answers to letters it has sent"
_TOO_OFTEN = "450 4.2.1 Too many letters to this address, please try again later"
_FULL = "452 4.3.1 No room just now, please try again later"

_log = logging.getLogger(__name__)


class Reception:
    """Takes and stores. ``refusal`` is for the listener's own thread, ``store`` may run in any."""

    def __init__(
        self, settings: Settings, database: Database, outbox: Outbox | None, manners: Manners
    ) -> None:
        self._domain = settings.bounce_domain.lower()
        self._keys = settings.keys
        self._database = database
        self._outbox = outbox
        self._manners = manners
        self._often: Counter[str] = Counter()
        self._hour = 0
        self._folder = settings.data if database.dialect == "sqlite" else None
        self._looked_at, self._full = -_LOOK_AT_DISK, False

    def refusal(self, address: str) -> str | None:
        """Return why no mail is taken for an address; None: it is."""
        if self._disk_is_full():
            return _FULL
        if self._outbox is not None and not self._is_returned(address):
            return self._manners(address)
        ours = attribution.mailbox(address, self._keys, datetime.now(UTC)) is not None
        if self._outbox is None and not ours:
            return _REFUSED
        return _TOO_OFTEN if ours and self._too_often(address) else None

    def store(self, content: bytes, sender: str, recipients: Sequence[str]) -> str:
        """Store a mail for all of its recipients or for none; return the reply."""
        returned = [address for address in recipients if self._is_returned(address)]
        caught = [address for address in recipients if not self._is_returned(address)]
        now = datetime.now(UTC)
        try:
            if returned:
                self._hear(content, returned, now)
            if caught and self._outbox:  # last: it keeps no letter twice when the peer must try again
                self._outbox.record(received_at=now, mail_from=sender, recipients=caught, content=content)
        except Exception as error:  # whatever it was, the letter is not stored and its sender must know
            _log.error("a letter could not be stored: %s", type(error).__name__)
            return LATER
        return STORED

    def _hear(self, content: bytes, recipients: list[str], now: datetime) -> None:
        with self._database.write() as session:
            for address in recipients:
                record.hear(session, raw=content, envelope_to=address, now=now, keys=self._keys)

    def _is_returned(self, address: str) -> bool:
        return self._outbox is None or address.rpartition("@")[2].lower() == self._domain

    def _too_often(self, address: str) -> bool:
        """Count a mail to an address, by the hour."""
        hour = int(time.monotonic() // 3600)
        if hour != self._hour or len(self._often) >= _COUNTED:
            self._hour = hour
            self._often.clear()
        key = address.lower()
        self._often[key] += 1
        return self._often[key] > PER_HOUR

    def _disk_is_full(self) -> bool:
        if self._folder is not None and time.monotonic() - self._looked_at >= _LOOK_AT_DISK:
            self._looked_at = time.monotonic()
            self._full = shutil.disk_usage(self._folder).free < ROOM
        return self._full
