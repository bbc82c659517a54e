"""What RFC 3463 enhanced status codes mean, when nothing better is said.

Status classes 4 and 5 share subject and detail: 4.2.2 and 5.2.2 are both a full mailbox.
"""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

MEANINGS: dict[tuple[int, int], Category] = {
    # X.1 addresses
    (1, 1): _C.BAD_MAILBOX,
    (1, 2): _C.BAD_DOMAIN,
    (1, 3): _C.BAD_MAILBOX,  # bad destination mailbox address syntax
    (1, 4): _C.BAD_MAILBOX,  # ambiguous
    (1, 6): _C.BAD_MAILBOX,  # has moved, no forwarding address
    (1, 7): _C.POLICY,  # bad sender's mailbox address syntax
    (1, 8): _C.POLICY,  # bad sender's system address
    (1, 9): _C.TECHNICAL,  # relayed to a non-compliant mailer (RFC 5248)
    (1, 10): _C.BAD_DOMAIN,  # null MX (RFC 7505)
    # X.2 mailboxes
    (2, 1): _C.INACTIVE,  # disabled, not accepting messages
    (2, 2): _C.MAILBOX_FULL,
    (2, 3): _C.CONTENT,  # longer than the mailbox allows
    (2, 4): _C.TECHNICAL,  # mailing list expansion
    # X.3 the receiving system
    (3, 0): _C.TECHNICAL,
    (3, 1): _C.TECHNICAL,
    (3, 2): _C.TECHNICAL,
    (3, 3): _C.TECHNICAL,
    (3, 4): _C.CONTENT,  # message too big for system
    (3, 5): _C.TECHNICAL,
    # X.4 network and routing
    (4, 0): _C.TECHNICAL,
    (4, 1): _C.TECHNICAL,
    (4, 2): _C.TECHNICAL,
    (4, 3): _C.TECHNICAL,
    (4, 4): _C.TECHNICAL,  # unable to route; permanent: see meaning_of
    (4, 5): _C.TECHNICAL,  # mail system congestion
    (4, 6): _C.TECHNICAL,
    (4, 7): _C.TECHNICAL,
    # X.5 protocol
    (5, 1): _C.TECHNICAL,
    (5, 2): _C.TECHNICAL,
    (5, 3): _C.RATE,  # too many recipients
    (5, 4): _C.TECHNICAL,
    (5, 5): _C.TECHNICAL,
    (5, 6): _C.TECHNICAL,
    # X.7 security and policy: about us unless a line below says otherwise
    (7, 13): _C.INACTIVE,  # user account disabled (RFC 5248)
    (7, 17): _C.BAD_MAILBOX,  # mailbox owner has changed (RFC 7293)
    (7, 18): _C.BAD_DOMAIN,  # domain owner has changed (RFC 7293)
    (7, 25): _C.REPUTATION,  # reverse DNS validation failed (RFC 7372)
    (7, 28): _C.RATE,  # mail flood detected (RFC 5248 registry)
}

_SUBJECTS = {6: Category.CONTENT, 7: Category.POLICY}
_BARE_CODES = {  # RFC 5321 §4.2.3
    421: _C.TECHNICAL,
    451: _C.TECHNICAL,
    452: _C.TECHNICAL,
    454: _C.TECHNICAL,
    500: _C.TECHNICAL,
    501: _C.TECHNICAL,
    502: _C.TECHNICAL,
    503: _C.TECHNICAL,
    504: _C.TECHNICAL,
    523: _C.POLICY,  # "encryption needed" (RFC 5248)
    524: _C.POLICY,
    525: _C.INACTIVE,  # "user account disabled" (RFC 5248)
    530: _C.POLICY,  # "authentication required" (RFC 4954 §6)
    535: _C.POLICY,
    538: _C.POLICY,
    521: _C.BAD_DOMAIN,  # "host does not accept mail" (RFC 7504)
    552: _C.MAILBOX_FULL,  # "exceeded storage allocation"
    556: _C.BAD_DOMAIN,  # "domain does not accept mail" (RFC 7504)
}


def meaning_of(status: str) -> Category | None:
    """Return what an "5.1.1"-like status says by itself, or None if it says nothing.

    A 5.4.4 ("unable to route") is what MTAs use for a name that does not exist; 4.4.4 may heal.
    """
    try:
        of_class, subject, detail = map(int, status.split("."))
    except ValueError:
        return None
    if (of_class, subject, detail) == (5, 4, 4):
        return Category.BAD_DOMAIN
    return MEANINGS.get((subject, detail)) or _SUBJECTS.get(subject)


def meaning_of_code(code: int | None) -> Category | None:
    """Return what a bare reply code says, or None: 550 alone names no cause."""
    return _BARE_CODES.get(code or 0)
