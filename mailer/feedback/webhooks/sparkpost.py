"""SparkPost (Bird): unsigned webhooks in batches, guarded by Basic credentials or a bearer token.

Letters carry our identifier as metadata, told as ``rcpt_meta`` (``delivery.echo``).

https://developers.sparkpost.com/api/webhooks/
https://support.sparkpost.com/docs/tech-resources/webhook-event-reference
https://support.sparkpost.com/docs/deliverability/bounce-classification-codes
"""

from __future__ import annotations

from collections.abc import Iterator

from mailer.delivery.echo import NAME
from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import bearer_or_basic
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
    Table,
    Told,
    bounced,
)
from mailer.sentence import Sentence

EVENTS: Table = {
    "injection": PASSED,
    "delivery": PASSED,
    "initial_open": PASSED,  # an "open" is told too
    "amp_initial_open": PASSED,
    "ab_test_completed": PASSED,
    "ab_test_cancelled": PASSED,
    "delay": DELAY,
    "bounce": BOUNCE,
    "out_of_band": BOUNCE,
    "policy_rejection": WITHHELD,  # SparkPost's lists and rules
    "generation_failure": bounced(Category.TECHNICAL),
    "generation_rejection": WITHHELD,
    "spam_complaint": COMPLAINT,
    "list_unsubscribe": LEAVE,
    "link_unsubscribe": LEAVE,
    "open": OPEN,
    "amp_open": OPEN,
    "click": CLICK,
    "amp_click": CLICK,
}
_C = Category
CLASSES: Table = {  # bounce_class
    "1": BOUNCE,  # undetermined
    "10": bounced(_C.BAD_MAILBOX),
    "20": BOUNCE,  # soft
    "21": bounced(_C.TECHNICAL),  # DNS failed
    "22": bounced(_C.MAILBOX_FULL),
    "23": bounced(_C.CONTENT),  # too large
    "24": bounced(_C.TECHNICAL),  # timed out
    "25": WITHHELD,  # "admin failure": suppressed by SparkPost's own policy
    "30": BOUNCE,  # "no RCPT": no recipient could be determined, which says nothing of a mailbox
    "40": BOUNCE,
    "50": bounced(_C.POLICY),
    "51": bounced(_C.REPUTATION),
    "52": bounced(_C.CONTENT),
    "53": bounced(_C.CONTENT),  # attachment
    "54": bounced(_C.POLICY),  # relaying denied
    "60": AUTO_REPLY,
    "70": BOUNCE,  # transient
    "80": PASSED,  # subscribes
    "90": LEAVE,
    "100": AUTO_REPLY,  # challenge
}
_NO_COMPLAINT = "not-spam"


def read(post: Node) -> Iterator[Told]:
    """Each item is ``{"msys": {class of event: event}}``; an empty one is a try."""
    for item in post.each():
        envelope = item.at("msys")
        for name in envelope.names()[:4]:
            yield _told(envelope.at(name), item)


def _told(event: Node, item: Node) -> Told:
    meaning = EVENTS.get(event.word("type"), UNKNOWN)
    if meaning is BOUNCE:
        meaning = CLASSES.get(event.text("bounce_class"), BOUNCE)
    elif meaning is COMPLAINT and event.word("fbtype") == _NO_COMPLAINT:
        meaning = PASSED
    return Told(
        meaning=meaning,
        item=item.raw,
        id=event.text("event_id"),
        letter=(event.text("rcpt_meta", NAME), event.text("msg_from")),
        address=event.text("rcpt_to") or event.text("raw_rcpt_to"),
        at=event.instant("timestamp"),
        words=event.text("raw_reason") or event.text("reason"),
        code=event.code("error_code"),
        agent=event.text("user_agent"),
        machine="SparkPost"
        if event.flag("is_prefetched") or event.flag("user_agent_parsed", "is_proxy")
        else "",
        link=event.text("target_link_url"),
    )


PROVIDER = Provider(
    name="sparkpost",
    title="SparkPost",
    secret=Secret.BASIC,
    check=bearer_or_basic,
    read=read,
    asks=Sentence("SparkPost asks for name and password beside the address: switch Basic authentication on."),
)
