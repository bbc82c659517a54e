"""Postmark: unsigned webhooks, guarded by Basic credentials in the address.

Postmark writes its own Message-ID over ours; letters carry ours as metadata (``delivery.echo``).

https://postmarkapp.com/developer/webhooks/webhooks-overview
https://postmarkapp.com/developer/webhooks/bounce-webhook
https://postmarkapp.com/developer/api/bounce-api (bounce types)
https://postmarkapp.com/support/article/1125-custom-metadata-faq
"""

from __future__ import annotations

from collections.abc import Iterator

from mailer.delivery.echo import NAME
from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import basic
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.told import (
    AUTO_REPLY,
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
    bounced,
)
from mailer.sentence import Sentence

EVENTS: Table = {  # RecordType
    "bounce": BOUNCE,
    "spamcomplaint": COMPLAINT,
    "open": OPEN,
    "click": CLICK,
    "subscriptionchange": LEAVE,
    "delivery": PASSED,
}
_C = Category
BOUNCES: Table = {  # Type
    "hardbounce": BOUNCE,
    "softbounce": BOUNCE,
    "unknown": BOUNCE,
    "transient": DELAY,
    "dnserror": DELAY,  # "a temporary DNS error"
    "unsubscribe": LEAVE,
    "subscribe": PASSED,
    "openrelaytest": PASSED,
    "inbounderror": PASSED,
    "autoresponder": AUTO_REPLY,
    "addresschange": AUTO_REPLY,
    "challengeverification": AUTO_REPLY,
    "spamnotification": bounced(_C.CONTENT),  # a filter's doing, no reader's complaint
    "virusnotification": bounced(_C.CONTENT),
    "blocked": bounced(_C.REPUTATION),
    "dmarcpolicy": bounced(_C.POLICY),
    "smtpapierror": bounced(_C.TECHNICAL),
    "templaterenderingfailed": bounced(_C.TECHNICAL),
    "bademailaddress": WITHHELD,
    "manuallydeactivated": WITHHELD,
    "unconfirmed": WITHHELD,
    "spamcomplaint": COMPLAINT,
}
_HARD = {"hardbounce": True, "softbounce": False}


def read(event: Node) -> Iterator[Told]:
    """One event."""
    yield Told(
        meaning=_meaning(event),
        item=event.raw,
        id=f"{event.word('RecordType')} {event.text('ID')}" if event.text("ID") else "",
        letter=(event.text("Metadata", NAME),),
        address=event.text("Email") or event.text("Recipient"),
        at=next(filter(None, map(event.instant, _INSTANTS)), None),
        words=event.text("Details"),
        permanent=_HARD.get(event.word("Type")),
        agent=event.text("UserAgent"),
        link=event.text("OriginalLink"),
    )


_INSTANTS = ("BouncedAt", "ReceivedAt", "ChangedAt", "DeliveredAt")


def _meaning(event: Node) -> Meaning:
    word = event.word("RecordType")
    meaning = EVENTS.get(word, UNKNOWN)
    if meaning is BOUNCE:
        return BOUNCES.get(event.word("Type"), UNKNOWN)
    if meaning is LEAVE and not _left(event):
        return PASSED
    return meaning


def _left(event: Node) -> bool:
    """Postmark's own list changes for bounces too: only a reader's own wish is one."""
    return (
        event.flag("SuppressSending") is True
        and event.word("Origin") == "recipient"
        and (event.word("SuppressionReason") == "manualsuppression")
    )


PROVIDER = Provider(
    name="postmark",
    title="Postmark",
    secret=Secret.BASIC,
    check=basic,
    read=read,
    asks=Sentence("Postmark takes the address as it is, name and password included."),
)
