"""Dates as newsletters write them, in Chinese and English."""

from __future__ import annotations

import datetime
import re

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in _MONTHS)

DATE = re.compile(
    r"\d{4}\s*(?:[.年/-])\s*\d{1,2}\s*(?:[.月/-])\s*\d{1,2}\s*日?(?:\s*[-–—至]\s*\d{1,2}\s*日?)?"
    rf"|\b\d{{1,2}}(?:\s*[-–]\s*\d{{1,2}})?\s+(?:{_MONTH})\.?,?\s+\d{{4}}\b"
    rf"|\b(?:{_MONTH})\.?\s+\d{{1,2}}(?:\s*[-–]\s*\d{{1,2}})?,?\s+\d{{4}}\b",
    re.IGNORECASE,
)
"""A day, or a run of days, with its year."""

MONTH_YEAR = re.compile(rf"\d{{4}}\s*年\s*\d{{1,2}}\s*月|\b(?:{_MONTH})\.?\s+\d{{4}}\b", re.IGNORECASE)


def issue_date(text: str) -> datetime.date | None:
    """Return the one day a line names, or None: a month alone, or a run of days, is no date of issue."""
    found = DATE.search(text)
    if not found:
        return None
    numbers = [int(number) for number in re.findall(r"\d+", found[0])]
    month = next((n for n, name in enumerate(_MONTHS, 1) if name[:3] in found[0].casefold()), None)
    try:
        if month is None and len(numbers) == 3:
            return datetime.date(*numbers)
        if month is not None and len(numbers) == 2:
            return datetime.date(numbers[1], month, numbers[0])
    except ValueError:
        return None
    return None
