"""Brevo: unsigned webhooks, guarded by a bearer token or Basic credentials in the address.

What it tells as ``message-id`` need not be ours; letters carry ours in X-Mailin-custom (``delivery.echo``).

https://developers.brevo.com/docs/transactional-webhooks
https://developers.brevo.com/docs/secured-webhooks
https://developers.brevo.com/docs/batched-webhooks
"""

from __future__ import annotations

from collections.abc import Iterator

from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import bearer_or_basic
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
    bounced,
)
from mailer.sentence import Sentence

EVENTS: Table = {
    "request": PASSED,
    "sent": PASSED,
    "delivered": PASSED,
    "list_addition": PASSED,
    "hard_bounce": BOUNCE,
    "soft_bounce": BOUNCE,
    "deferred": DELAY,
    "blocked": WITHHELD,  # Brevo's own list
    "invalid_email": WITHHELD,  # Brevo's own idea of an address
    "error": bounced(Category.TECHNICAL),
    "spam": COMPLAINT,
    "unsubscribed": LEAVE,
    "unsubscribe": LEAVE,
    "opened": OPEN,
    "proxy_open": OPEN,
    "click": CLICK,
    "unique_opened": PASSED,  # told beside the first of these
    "unique_proxy_open": PASSED,
}
_HARD = {"hard_bounce": True, "soft_bounce": False}


def read(post: Node) -> Iterator[Told]:
    """One event, or a list of them where batches are switched on."""
    for event in post.each():
        word = event.word("event")
        yield Told(
            meaning=EVENTS.get(word, UNKNOWN),
            item=event.raw,  # its ``id`` is the webhook's, not the event's
            letter=(event.text("X-Mailin-custom"), event.text("message-id")),
            address=event.text("email"),
            at=event.instant("ts_event"),
            words=event.text("reason"),
            permanent=_HARD.get(word),
            agent=event.text("user_agent"),
            machine="Brevo" if word == "proxy_open" else "",
            link=event.text("link"),
        )


PROVIDER = Provider(
    name="brevo",
    title="Brevo",
    secret=Secret.BASIC,
    check=bearer_or_basic,
    read=read,
    asks=Sentence(
        "Brevo takes the address as it is, name and password included, or the password as a token."
    ),
)
