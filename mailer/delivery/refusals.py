"""Refusals: whether a relay's no may be about us, and whether it is about what our letters say. Pure.

A relay may have something against the recipient, against the letter, or against who sends. Taken at its word,
the last would end every letter of a campaign, one by one (decision 11).
"""

from __future__ import annotations

import re

from mailer.delivery.smtp import Kind, Outcome
from mailer.diagnosis import Category, Diagnosis, diagnose

_ABOUT_THE_RECIPIENT = frozenset(
    {Category.BAD_MAILBOX, Category.BAD_DOMAIN, Category.INACTIVE, Category.MAILBOX_FULL}
)
_SIGN_IN_FIRST = frozenset({530, 534, 535, 538})  # RFC 4954 §6
_SENDER_STATUS = frozenset(
    {
        "1.7", "1.8",  # RFC 3463 §3.2: the sender's mailbox, the sender's system
        "7.8", "7.9", "7.11",  # RFC 4954 §6: we have to sign in, or better
        "7.20", "7.21", "7.22", "7.23", "7.24", "7.25", "7.26", "7.27",  # RFC 7372, 7505: DKIM, SPF, names
        "7.54", "7.57", "7.60", "7.64",  # Exchange: no relaying, not signed in, may not send as, no tenant
    }
)  # fmt: skip
_RECIPIENT_STATUS = re.compile(r"1\.(?:1|2|3|4|6|9|10)|2\.\d+")  # RFC 3463 §3.2 and §3.3, with its registry
_RECIPIENT_WORDS = re.compile(r"recipient address rejected|user unknown|unknown user|no such user|resolver\.")
_SENDER_WORDS = re.compile(
    "|".join(
        (
            # Postfix, smtpd_check.c: with smtpd_delay_reject, its default, all of these come at RCPT
            r"relay access denied",
            r"sender address rejected",
            r"sender address \S+ blocked",
            r"client host rejected",
            r"client host \S+ blocked",
            r"helo command rejected",
            r"helo command \S+ blocked",
            # Sendmail, Exim, qmail, Exchange, hMailServer, Haraka: we are not whom they relay for
            r"relaying (?:is )?(?:denied|not permitted|not allowed|prohibited)",
            r"relay (?:is )?(?:denied|not permitted|not allowed|prohibited)",
            r"relay limit exceeded",
            r"unable to relay",
            r"not (?:permitted|allowed) to relay",
            r"(?:cannot|do not|does not|don't) relay",
            r"allowed rcpthosts",
            # Sendmail with delay_checks, Exim
            r"domain of sender address",
            r"sender verify failed",
            # who signs in, and as whom
            r"authentication (?:is )?required",
            r"client was not authenticated",
            r"permissions? to send as",
            r"sender not owned|not owned by (?:auth )?user",
            # Exim on shared hosts, Google's relay: what we may send is used up
            r"exceeded the max (?:emails|defers and failures) per hour",
            r"daily (?:user )?sending (?:quota|limit)",
        )
    )
)


def is_own_no(outcome: Outcome) -> bool:
    """Whether a refusal may be about us and not about the recipient or this one letter.

    That is every refusal of MAIL; one of RCPT that speaks of who sends; one of DATA or the body for reasons
    of policy (RFC 3463 §3.8: x.7.x), or for good, unless it speaks of the recipient.
    """
    if outcome.code is None or outcome.code < 400:
        return False
    if outcome.command == "RCPT":
        return speaks_of_sender(outcome)
    if outcome.command in ("DATA", "BODY"):
        for_good = outcome.kind is Kind.REJECTED and _meaning(outcome).category not in _ABOUT_THE_RECIPIENT
        return for_good or (outcome.status or "")[1:4] == ".7."
    return outcome.command == "MAIL"


def speaks_of_sender(outcome: Outcome) -> bool:
    """Whether a relay, asked for a recipient, says what it has against who sends.

    Told by its status code where that is plain, else by the words of the mail systems in use. What is not
    known to speak of us is about the recipient.
    """
    detail = (outcome.status or "")[2:]
    if outcome.command != "RCPT" or outcome.code is None or outcome.code < 400:
        return False
    if detail in _SENDER_STATUS or outcome.code in _SIGN_IN_FIRST:
        return True
    words = " ".join(outcome.text.lower().split())
    if _RECIPIENT_STATUS.fullmatch(detail) or _RECIPIENT_WORDS.search(words):
        return False
    return _SENDER_WORDS.search(words) is not None


def is_of_content(outcome: Outcome) -> bool:
    """Whether a relay that has seen a letter refuses it for good for what it says, or for its size."""
    looked_at = outcome.command in ("DATA", "BODY") and outcome.kind is Kind.REJECTED
    return looked_at and _meaning(outcome).category == Category.CONTENT


def _meaning(outcome: Outcome) -> Diagnosis:
    return diagnose(
        provider=None,
        code=outcome.code,
        status=outcome.status,
        text=outcome.text,
        command=outcome.command,
    )
