"""Mailjet: unsigned webhooks, guarded by Basic credentials in the address.

Letters carry our identifier as X-MJ-CustomID, told as ``CustomID`` (``delivery.echo``).

https://dev.mailjet.com/email/guides/webhooks/
https://documentation.mailjet.com/hc/en-us/articles/360043578154-Event-Tracking-API
"""

from __future__ import annotations

from collections.abc import Iterator

from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import basic
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

EVENTS: Table = {
    "sent": PASSED,
    "bounce": BOUNCE,
    "blocked": WITHHELD,  # never tried; but see ERRORS
    "spam": COMPLAINT,
    "unsub": LEAVE,
    "open": OPEN,
    "click": CLICK,
}
_C = Category
ERRORS: Table = {
    "user unknown": bounced(_C.BAD_MAILBOX),
    "mailbox inactive": bounced(_C.INACTIVE),
    "quota exceeded": bounced(_C.MAILBOX_FULL),
    "invalid domain": bounced(_C.BAD_DOMAIN),
    "no mail host": bounced(_C.BAD_DOMAIN),
    "relay/access denied": bounced(_C.POLICY),
    "greylisted": DELAY,
    "sender blocked": bounced(_C.REPUTATION),
    "content blocked": bounced(_C.CONTENT),
    "policy issue": bounced(_C.POLICY),
    "system issue": bounced(_C.TECHNICAL),
    "protocol issue": bounced(_C.TECHNICAL),
    "connection issue": bounced(_C.TECHNICAL),
    "error in template language": bounced(_C.TECHNICAL),
    "blacklisted": WITHHELD,  # by Mailjet
    "spam reporter": WITHHELD,  # complained before
    "preblocked": WITHHELD,
    "typofix": WITHHELD,
    "duplicate in campaign": WITHHELD,
}


def read(post: Node) -> Iterator[Told]:
    """A list of events, or one alone where they are not grouped."""
    for event in post.each():
        yield Told(
            meaning=_meaning(event),
            item=event.raw,
            id=_id(event),
            letter=(event.text("CustomID"),),
            address=event.text("email"),
            at=event.instant("time"),
            words=event.text("smtp_reply") or event.text("comment") or event.text("error"),
            permanent=event.flag("hard_bounce"),
            agent=event.text("agent"),
            link=event.text("url"),
        )


def _meaning(event: Node) -> Meaning:
    meaning = EVENTS.get(event.word("event"), UNKNOWN)
    if meaning.what is not What.BOUNCE:
        return meaning
    said = ERRORS.get(event.word("error"), meaning)
    return said if not meaning.withheld or said.what is What.DELAY else WITHHELD


def _id(event: Node) -> str:
    """Mailjet names no event: a letter's second of an event is one."""
    of = event.text("Message_GUID") or event.text("MessageID")
    parts = (event.word("event"), of, event.text("time"), event.text("url"))
    return " ".join(parts) if of else ""


PROVIDER = Provider(
    name="mailjet",
    title="Mailjet",
    secret=Secret.BASIC,
    check=basic,
    read=read,
    asks=Sentence("Mailjet takes the address as it is, name and password included."),
)
