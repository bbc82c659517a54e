"""Rules: what is kept for how long. Pure: the defaults, the least that is allowed, and why.

``days`` None: kept without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mailer.settings import Settings


class Key(StrEnum):
    """What is kept for a while."""

    RAW_MAIL = "raw_mail"  # mail that came back, as it came; what it told stays
    EVENT_WORDS = "event_words"  # what mail systems said; category and status stay
    VISITS = "visits"  # who opened and clicked; how many stays
    SIGN_UPS = "sign_ups"  # sign-ups that nobody confirmed, and who they were for
    STRANGERS = "strangers"  # people without a newsletter and without a partner
    LEFT_OVERS = "left_overs"  # what imports and changes still hold about people who were erased
    IMPORT_ROWS = "import_rows"  # verdicts on the rows of files
    CHANGES = "changes"  # what bulk changes and merges did, row by row
    AUDIT = "audit"  # who did what


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of thing and its period. ``least``: shorter would break an undo, or a promise made elsewhere."""

    key: Key
    days: int | None
    least: int


RULES = (
    Rule(Key.RAW_MAIL, 180, 1),
    Rule(Key.EVENT_WORDS, 365, 30),
    Rule(Key.VISITS, 730, 90),
    Rule(Key.SIGN_UPS, 30, 7),  # a confirmation may lie in a mailbox over a holiday
    Rule(Key.STRANGERS, 365, 30),
    Rule(Key.LEFT_OVERS, 0, 0),
    Rule(Key.IMPORT_ROWS, 90, 7),  # an import can be undone for a day, and asked about for a week
    Rule(Key.CHANGES, 90, 30),  # a change can be taken back for 30 days
    Rule(Key.AUDIT, 1_095, 90),
)


def defaults(settings: Settings) -> tuple[Rule, ...]:
    """Return the rules as they are until somebody sets a period; that of raw mail is a setting."""
    return tuple(
        Rule(rule.key, settings.raw_mail_days, rule.least) if rule.key is Key.RAW_MAIL else rule
        for rule in RULES
    )


def before(rule: Rule, now: datetime) -> datetime | None:
    """Return the instant before which things go; None: nothing does."""
    return None if rule.days is None else now - timedelta(days=rule.days)
