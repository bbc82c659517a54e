"""Tencent Cloud SES (邮件推送): unsigned callbacks, guarded by a secret at the end of their address.

Tencent documents neither a signature nor credentials for callbacks, and their ports are 8080 to 8082 only.
It tells a ``messageId``, which need not be ours, and the header X-Tencentcloudses-Cb-Custom that letters
carry (``delivery.echo``).

https://cloud.tencent.com/document/product/1288/53443 and https://www.tencentcloud.com/document/product/1084/39492
https://cloud.tencent.com/document/product/1288/55194 (callback addresses)
"""

from __future__ import annotations

from collections.abc import Iterator

from mailer.delivery.echo import CALLBACK
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import in_path
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
)
from mailer.sentence import Sentence

EVENTS: Table = {
    "processed": PASSED,
    "deliver": PASSED,
    "delivered": PASSED,
    "deferred": DELAY,
    "bounce": BOUNCE,
    "dropped": WITHHELD,  # by Tencent: its own lists and rules
    "open": OPEN,
    "click": CLICK,
    "spamreport": COMPLAINT,
    "unsubscribe": LEAVE,
}
_HARD = {"hard": True, "hard_bounce": True, "soft": False, "soft_bounce": False}


def read(post: Node) -> Iterator[Told]:
    """One event."""
    for event in post.each():
        yield Told(
            meaning=EVENTS.get(event.word("event"), UNKNOWN),
            item=event.raw,
            letter=(event.text(CALLBACK), event.text("messageId")),
            address=event.text("email"),
            at=event.instant("timestamp"),
            words=event.text("reason"),
            permanent=_HARD.get(event.word("bounceType")),
            agent=event.text("useragent"),
            link=event.text("link"),
        )


PROVIDER = Provider(
    name="tencent",
    title="Tencent Cloud SES",
    secret=Secret.PATH,
    check=in_path,
    read=read,
    asks=Sentence(
        "Tencent takes the address as it is, on port 8080, 8081 or 8082: have your proxy listen there."
    ),
)
