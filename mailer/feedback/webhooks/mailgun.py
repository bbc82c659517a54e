"""Mailgun: signed webhooks, one event each.

The signature, in the body, is an HMAC over timestamp and token with the account's webhook signing key. It
does not cover the event, so a token is good for one post, which may come again, and for no other. Every event
tells our Message-ID.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-types
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import (
    Certificate,
    Post,
    from_epoch,
    hmac_sha256,
    require,
    require_recent,
    same,
    unproved,
)
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.told import (
    BOUNCE,
    CLICK,
    COMPLAINT,
    DELAY,
    LEAVE,
    OPEN,
    PASSED,
    UNKNOWN,
    WITHHELD,
    Meaning,
    Table,
    Told,
    What,
    bounced,
)
from mailer.sentence import Sentence

_WINDOW = timedelta(hours=12)  # Mailgun tries again for eight hours

EVENTS: Table = {
    "accepted": PASSED,
    "delivered": PASSED,
    "stored": PASSED,
    "failed": BOUNCE,  # temporary or permanent: see ``_meaning``
    "rejected": bounced(Category.POLICY),  # by Mailgun itself: our domain, our account, a virus
    "opened": OPEN,
    "clicked": CLICK,
    "complained": COMPLAINT,
    "unsubscribed": LEAVE,
}
REASONS: Table = {  # of permanent failures
    "suppress-bounce": WITHHELD,
    "suppress-complaint": WITHHELD,
    "suppress-unsubscribe": WITHHELD,
    "espblock": bounced(Category.REPUTATION),
    "greylisted": bounced(Category.TECHNICAL),
    "old": bounced(Category.TECHNICAL),  # tried until Mailgun gave up
    "bounce": BOUNCE,
    "hardfail": BOUNCE,
    "generic": BOUNCE,
}
_OWN_CODES = {605, 606, 607}  # bounced, unsubscribed, complained before: Mailgun's lists, not SMTP


def check(post: Post, secret: str, now: datetime, _certificate: Certificate) -> None:
    """Check the signature, then how old it is."""
    signed = unproved(post).at("signature")
    timestamp, token = signed.text("timestamp"), signed.text("token")
    expected = hmac_sha256(secret.encode(), (timestamp + token).encode(errors="replace")).hex()
    require(bool(timestamp and token) and same(signed.text("signature"), expected))
    require_recent(from_epoch(timestamp), now, _WINDOW)


def read(post: Node) -> Iterator[Told]:
    """One event."""
    event = post.at("event-data")
    meaning, answer = _meaning(event), event.at("delivery-status")
    yield Told(
        meaning=meaning,
        item=event.raw if event.raw is not None else post.raw,
        id=" ".join(filter(None, (event.text("id"), event.text("timestamp")))),  # ids may return next day
        letter=(event.text("message", "headers", "message-id"),),
        address=event.text("recipient"),
        at=event.instant("timestamp"),
        words=answer.text("message") or answer.text("description") or event.text("reject", "reason"),
        code=answer.code("code"),
        status=answer.text("enhanced-code"),
        permanent={"permanent": True, "temporary": False}.get(event.word("severity")),
        agent=event.text("client-info", "user-agent"),
        machine="" if event.word("client-info", "bot") in ("", "unknown") else "Mailgun",
        link=event.text("url"),
    )


def _meaning(event: Node) -> Meaning:
    meaning = EVENTS.get(event.word("event"), UNKNOWN)
    if meaning.what is not What.BOUNCE or meaning.category:
        return meaning
    if event.word("severity") == "temporary":
        return DELAY
    if event.number("delivery-status", "code") in _OWN_CODES:
        return WITHHELD
    return REASONS.get(event.word("reason"), BOUNCE)


def token(post: Node) -> str:
    """What is signed: used once."""
    signed = post.at("signature")
    return f"{signed.text('timestamp')} {signed.text('token')}"


PROVIDER = Provider(
    name="mailgun",
    title="Mailgun",
    secret=Secret.GIVEN,
    check=check,
    read=read,
    token=token,
    asks=Sentence("Give the HTTP webhook signing key that Mailgun shows among its API keys."),
)
