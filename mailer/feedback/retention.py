"""Retention: raw mail is kept for a while; the events it told stay, and say so when it is gone."""

from __future__ import annotations

import time
from datetime import datetime

from mailer.database import Database
from mailer.feedback import store

_AT_ONCE = 500  # mails in one transaction: nobody who writes waits for long
_SECONDS = 20.0  # of one call; the timetable calls again


def forget_old_mail(database: Database, *, before: datetime, seconds: float = _SECONDS) -> int:
    """Erase mail that came before an instant, in small steps for about so many seconds; return how many."""
    until, forgotten = time.monotonic() + seconds, 0
    while True:
        with database.write() as session:
            step = store.forget_mail(session, before, _AT_ONCE)
        forgotten += step
        if step < _AT_ONCE or time.monotonic() >= until:
            return forgotten
