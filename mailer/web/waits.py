"""Why letters wait, in words: a sentence for every reason that the reports find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from mailer.reports.waiting import Wait, Why
from mailer.web import i18n
from mailer.web.i18n import _, ngettext
from mailer.web.words import destination


def told(waits: Iterable[Wait], *, now: datetime, zone: str) -> Iterator[str]:
    """Yield the reasons as sentences; times are those of ``zone``."""
    for wait in waits:
        yield _told(wait, i18n.soon(wait.until, now, zone) if wait.until else "")


def _told(wait: Wait, time: str) -> str:
    n = wait.letters
    match wait.why:
        case Why.REST | Why.PACE:
            return _of_destination(wait, time)
        case Why.RELAY:
            return ngettext(
                "%(num)s letter goes at the pace that our relay allows today: about %(span)s left.",
                "%(num)s letters go at the pace that our relay allows today: about %(span)s left.",
                n,
                span=i18n.span(wait.seconds),
            )
        case Why.PAUSED:
            return ngettext(
                "Paused: %(num)s letter waits until somebody resumes it.",
                "Paused: %(num)s letters wait until somebody resumes it.",
                n,
            )
        case Why.WINDOW:
            return _("It waits for its send window, which opens %(time)s.", time=time)
        case Why.NOBODY:
            return ngettext(
                "Nothing is being sent: no worker was seen for a minute, and %(num)s letter waits.",
                "Nothing is being sent: no worker was seen for a minute, and %(num)s letters wait.",
                n,
            )
        case Why.HOUR:
            return ngettext(
                "%(num)s letter waits for its reader's own hour: %(time)s.",
                "%(num)s letters wait for their readers' own hour, the next of them until %(time)s.",
                n,
                time=time,
            )
        case Why.AGAIN:
            return ngettext(
                "%(num)s letter was deferred by its mail system and is tried again: %(time)s.",
                "%(num)s letters were deferred by their mail systems and are tried again, the next %(time)s.",
                n,
                time=time,
            )
        case Why.LOST:
            return ngettext(
                "A worker stopped while %(num)s letter was on its way. Its journal tells what became of it.",
                "A worker stopped while %(num)s letters were on their way. Its journal tells what became of"
                " them.",
                n,
            )


def _of_destination(wait: Wait, time: str) -> str:
    where = destination(wait.lane)
    if wait.why is Why.PACE:
        return ngettext(
            "%(num)s letter goes at the pace that %(where)s accepts: about %(span)s left.",
            "%(num)s letters go at the pace that %(where)s accepts: about %(span)s left.",
            wait.letters,
            where=where,
            span=i18n.span(wait.seconds),
        )
    return ngettext(
        "%(where)s asked us to slow down: %(num)s letter waits until %(time)s.",
        "%(where)s asked us to slow down: %(num)s letters wait until %(time)s.",
        wait.letters,
        where=where,
        time=time,
    )
