"""Twilio SendGrid: signed event webhooks.

The signature is ECDSA (P-256, SHA-256) over timestamp and body, checked with the public key that SendGrid
shows. News of deliveries tells our Message-ID as ``smtp-id``; opens, clicks and complaints tell it only as a
unique argument, which letters to SendGrid carry (``delivery.echo``).

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailer.delivery.echo import NAME
from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import (
    Certificate,
    Post,
    Refused,
    decoded,
    from_epoch,
    require_recent,
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
    Table,
    Told,
    What,
    bounced,
)
from mailer.sentence import Sentence

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_WINDOW = timedelta(days=1)  # for so long SendGrid tries again

EVENTS: Table = {
    "processed": PASSED,
    "delivered": PASSED,
    "group_resubscribe": PASSED,
    "account_status_change": PASSED,
    "deferred": DELAY,
    "bounce": BOUNCE,
    "dropped": WITHHELD,  # SendGrid's own lists, or its own rules: the letter never left
    "open": OPEN,
    "click": CLICK,
    "spamreport": COMPLAINT,
    "unsubscribe": LEAVE,
    "group_unsubscribe": LEAVE,
}
BOUNCES: Table = {  # bounce_classification
    "invalid address": bounced(Category.BAD_MAILBOX),
    "technical": bounced(Category.TECHNICAL),
    "content": bounced(Category.CONTENT),
    "reputation": bounced(Category.REPUTATION),
    "frequency or volume too high": bounced(Category.RATE),
    "mailbox unavailable": BOUNCE,  # full, locked or busy: the words say which
    "unclassified": BOUNCE,
}


def check(post: Post, secret: str, now: datetime, _certificate: Certificate) -> None:
    """Check the signature, then how old it is."""
    timestamp, key = post.header(_TIMESTAMP), _key(secret)
    if key is None:
        raise Refused
    try:
        key.verify(decoded(post.header(_SIGNATURE)), timestamp.encode() + post.body, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise Refused from error
    require_recent(from_epoch(timestamp), now, _WINDOW)


def _key(text: str) -> EllipticCurvePublicKey | None:
    """Read the key as SendGrid shows it: base64 of its DER form (RFC 5480)."""
    try:
        key = load_der_public_key(decoded(text))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) else None


def read(post: Node) -> Iterator[Told]:
    """A post holds up to a thousand events."""
    for event in post.each():
        meaning = EVENTS.get(event.word("event"), UNKNOWN)
        if meaning is BOUNCE:
            meaning = BOUNCES.get(event.word("bounce_classification"), BOUNCE)
        yield Told(
            meaning=meaning,
            item=event.raw,
            id=event.text("sg_event_id"),
            letter=(event.text(NAME), event.text("smtp-id")),
            address=event.text("email"),
            at=event.instant("timestamp"),
            words=event.text("reason") or event.text("response"),
            status=event.text("status"),
            permanent=True if meaning.what is What.BOUNCE and event.word("type") == "bounce" else None,
            agent=event.text("useragent"),
            machine="SendGrid" if event.flag("sg_machine_open") else "",
            link=event.text("url"),
        )


PROVIDER = Provider(
    name="sendgrid",
    title="SendGrid",
    secret=Secret.GIVEN,
    check=check,
    read=read,
    asks=Sentence(
        "Give the verification key that SendGrid shows once its signed event webhook is switched on."
    ),
    fits=lambda secret: _key(secret) is not None,
)
