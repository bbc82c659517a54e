"""Other systems' exports: what listmonk, Mailchimp and Mailman know of consent, and of who left them.

listmonk: ``uuid,email,name,attributes,status,created_at,updated_at``. Mailchimp: ``Email Address,First Name,
Last Name,…,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,…``, with ``UNSUB_TIME`` or
``CLEAN_TIME`` in the files of those who left and of those who cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mailer.sentence import Sentence

GONE = frozenset((
    "unsubscribed", "blocklisted", "blacklisted", "blocked", "disabled", "cleaned", "bounced", "archived",
    "complained", "inactive", "nonsubscribed", "transactional", "unconfirmed", "pending",
    "已退订", "退订", "黑名单", "已屏蔽",
))  # fmt: skip
"""What another system says of somebody it does not write to."""

LEFT_THERE = Sentence(
    "The other system does not write to this person any more: only they themselves can come back."
)


def history(place: Mapping[str, int]) -> Callable[[Sequence[str]], tuple[str, str]] | None:
    """Return what tells, of a row, its consent for the origin and why it is refused; None: no such column."""
    status, left = place.get("status"), place.get("left_at")
    consents = [
        (place.get(f"{step}_at"), place.get(f"{step}_from"), word)
        for step, word in (("confirmed", "confirmed"), ("opted_in", "opted in"))
        if f"{step}_at" in place
    ]
    if status is None and left is None and not consents:
        return None

    def told(got: Sequence[str]) -> tuple[str, str]:
        if (status is not None and got[status].casefold() in GONE) or (left is not None and got[left]):
            return "", LEFT_THERE
        for at, whence, word in consents:
            if at is not None and got[at]:
                host = f" from {got[whence]}" if whence is not None and got[whence] else ""
                return f" ({word} {got[at]}{host})", ""
        return "", ""

    return told
