"""When a deferred letter is tried again (RFC 5321 §4.5.4.1)."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_RETRY = timedelta(minutes=30)  # RFC 5321 §4.5.4.1: "at least 30 minutes"
GIVE_UP_AFTER = timedelta(days=4)  # same section: "at least 4-5 days"
_MINUTE = timedelta(minutes=1)


def next_attempt(*, attempts: int, first_at: datetime, now: datetime) -> datetime | None:
    """Return when to try again, or None once GIVE_UP_AFTER has passed.

    Waits double: 30 min … 32 h, and end at a whole minute: letters deferred within one go again together.
    ``attempts`` counts those made (>= 1); aware UTC.
    """
    due = now + FIRST_RETRY * 2 ** min(attempts - 1, 10)
    due += (datetime.min.replace(tzinfo=due.tzinfo) - due) % _MINUTE
    return due if due - first_at <= GIVE_UP_AFTER else None
