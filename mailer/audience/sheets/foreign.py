"""Other systems' exports: what listmonk, Mailchimp and Mailman know of consent, and of who left them.

listmonk: ``uuid,email,name,attributes,status,created_at,updated_at``. Mailchimp: ``Email Address,First Name,
Last Name,…,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,…``, with ``UNSUB_TIME`` or
``CLEAN_TIME`` in the files of those who left and of those who cannot be reached. Mailman: a member's
``delivery_status``, as its REST API calls it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mailer.audience.store import LEFT_ELSEWHERE
from mailer.sentence import Sentence

_NOT_WRITTEN_TO = {
    LEFT_ELSEWHERE: "unsubscribed optedout blocklisted blacklisted blocked byuser disabledbyuser"
    " 已退订 退订 黑名单 已屏蔽",
    "bad_mailbox": "cleaned bounced hardbounced bybounces disabledbybounces 退信 已退信",
    "complaint": "complained complaint spam 投诉 已投诉",
    "": "disabled archived inactive nonsubscribed transactional unconfirmed pending bymoderator"
    " disabledbymoderator",  # nobody knows why, or they never agreed: nothing to remember
}
"""What another system says of somebody it does not write to, by the reason that is kept of it."""
_REASON = {word: reason for reason, words in _NOT_WRITTEN_TO.items() for word in words.split()}
_TIMES = (("left_at", LEFT_ELSEWHERE, "unsubscribed"), ("cleaned_at", "bad_mailbox", "cleaned"))

LEFT_THERE = Sentence(
    "The other system does not write to this person any more: only they themselves can come back."
)


class Gone(NamedTuple):
    """Somebody whom another system does not write to. ``reason``: of a suppression, ``note``: its words."""

    address: str
    reason: str
    note: str


class History(NamedTuple):
    """What a row tells of the past. ``said``: of consent, for the origin.

    ``reason`` None: the person may be written to; "": not, and nobody knows why; else why not, in the other
    system's ``said``.
    """

    said: str
    reason: str | None = None


def history(place: Mapping[str, int]) -> Callable[[Sequence[str]], History] | None:
    """Return what tells a row's history; None: no column holds any."""
    status = place.get("status")
    times = [(place[each], reason, word) for each, reason, word in _TIMES if each in place]
    consents = [
        (place[f"{step}_at"], place.get(f"{step}_from"), word)
        for step, word in (("confirmed", "confirmed"), ("opted_in", "opted in"))
        if f"{step}_at" in place
    ]
    if status is None and not times and not consents:
        return None

    def told(got: Sequence[str]) -> History:
        reason = _of_status(got[status]) if status is not None else None
        for at, why, word in times:
            if got[at]:
                said = got[status] if status is not None and reason else word
                return History(f"{said} {got[at]}"[:_LONGEST], reason or why)
        if status is not None and reason is not None:
            return History(got[status][:_LONGEST], reason)
        return History(_consent(got, consents))

    return told


_LONGEST = 100  # characters kept of what another system says


@lru_cache(maxsize=256)  # a file has few words for this
def _of_status(cell: str) -> str | None:
    return _REASON.get(re.sub(r"[\W_]", "", cell).casefold())


def _consent(got: Sequence[str], consents: Iterable[tuple[int, int | None, str]]) -> str:
    for at, whence, word in consents:
        if got[at]:
            host = f" from {got[whence]}" if whence is not None and got[whence] else ""
            return f" ({word} {got[at]}{host})"
    return ""
