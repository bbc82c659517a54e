"""Resend: webhooks signed as Svix signs them.

An HMAC-SHA256 over id, timestamp and body; each try is signed afresh, so five minutes will do. Resend sends
through Amazon SES and tells its kinds of bounces. Letters carry our identifier in a header of its own, which
Resend tells with the letter's other headers.

https://resend.com/docs/webhooks/event-types
https://resend.com/docs/webhooks/emails/bounced
https://docs.svix.com/receiving/verifying-payloads/how-manual
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mailer.delivery.echo import HEADER
from mailer.diagnosis import Category
from mailer.feedback.webhooks import ses
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import (
    Certificate,
    Post,
    decoded,
    from_epoch,
    hmac_sha256,
    require,
    require_recent,
    same,
)
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.told import (
    BOUNCE,
    CLICK,
    COMPLAINT,
    DELAY,
    OPEN,
    PASSED,
    UNKNOWN,
    WITHHELD,
    Table,
    Told,
    bounced,
)
from mailer.sentence import Sentence

_PREFIX = "whsec_"
_WINDOW = timedelta(minutes=5)  # as Svix's own libraries have it

EVENTS: Table = {
    "email.sent": PASSED,
    "email.scheduled": PASSED,
    "email.delivered": PASSED,
    "email.received": PASSED,
    "email.delivery_delayed": DELAY,
    "email.bounced": BOUNCE,
    "email.suppressed": WITHHELD,
    "suppression.added": PASSED,
    "suppression.removed": PASSED,
    "email.failed": bounced(Category.TECHNICAL),  # our key, our domain, our quota: never left
    "email.complained": COMPLAINT,
    "email.opened": OPEN,
    "email.clicked": CLICK,
}


def check(post: Post, secret: str, now: datetime, _certificate: Certificate) -> None:
    """One of the signatures must be right: while a secret is replaced there are two."""
    timestamp = post.header("svix-timestamp")
    signed = f"{post.header('svix-id')}.{timestamp}.".encode() + post.body
    expected = hmac_sha256(_key(secret), signed).hex()
    given = (each.partition(",") for each in post.header("svix-signature").split()[:10])
    proved = [version == "v1" and same(decoded(text).hex(), expected) for version, _, text in given]
    require(any(proved))
    require_recent(from_epoch(timestamp), now, _WINDOW)


def _key(secret: str) -> bytes:
    return decoded(secret.removeprefix(_PREFIX))


def read(post: Node) -> Iterator[Told]:
    """One event."""
    data = post.at("data")
    meaning = EVENTS.get(post.word("type"), UNKNOWN)
    about = next((data.at(name) for name in _ABOUT if data.at(name).raw), Node({}))
    if meaning is BOUNCE:
        meaning = ses.BOUNCES.get(about.word("subType"), BOUNCE)
    to = data.texts("to")
    said = (*about.texts("diagnosticCode"), about.text("message"), about.text("reason"))
    yield Told(
        meaning=meaning,
        item=post.raw,  # its id is in the header svix-id; told again, it is the same to the letter
        letter=_letter(data),
        address=to[0] if len(to) == 1 else "",
        at=post.instant("created_at"),
        words=next(filter(None, said), ""),
        permanent={"permanent": True, "transient": False}.get(about.word("type")),
        agent=data.text("click", "userAgent") or data.text("open", "userAgent"),
        link=data.text("click", "link"),
    )


_ABOUT = ("bounce", "failed", "suppressed", "delivery_delayed")  # objects that hold the words


def _letter(data: Node) -> tuple[str, ...]:
    headers = {each.word("name"): each.text("value") for each in data.each("headers")[:100]}
    return (headers.get(HEADER.lower(), ""), headers.get("message-id", ""), data.text("message_id"))


PROVIDER = Provider(
    name="resend",
    title="Resend",
    secret=Secret.GIVEN,
    check=check,
    read=read,
    asks=Sentence("Give the signing secret that Resend shows beside the webhook; it begins with whsec_."),
    fits=lambda secret: secret.startswith(_PREFIX) and len(_key(secret)) >= 16,
)
