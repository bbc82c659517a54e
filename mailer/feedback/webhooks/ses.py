"""Amazon SES, told through SNS, also in China.

SNS signs every message (X.509, signature version 1 or 2) but for anybody who has an AWS account: so the
secret is the ARN of the one topic that is believed, and only the SNS host of its own region is asked for the
certificate. A subscription is confirmed by fetching the address in its confirmation, from the same host. Raw
message delivery is not signed, and not believed.

SES writes its own Message-ID over ours, but tells ours in ``mail.headers`` ("include original headers"), and
the envelope sender in ``mail.source``.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
https://docs.amazonaws.cn/en_us/sns/latest/dg/sns-verify-signature-of-message.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes

from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import (
    Certificate,
    Post,
    Refused,
    decoded,
    require,
    require_recent,
    rsa_signed,
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
    bounced,
)
from mailer.sentence import Sentence

_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{5,30}):\d{12}:[A-Za-z0-9_-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{16,64}\.pem")
_WINDOW = timedelta(
    days=1
)  # the instant is the publishing; SNS tries again for an hour, or as we set it there
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303  what SNS signs with unless its topic is set to version 2
    "2": hashes.SHA256(),
}
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")

EVENTS: Table = {
    "bounce": BOUNCE,
    "complaint": COMPLAINT,
    "deliverydelay": DELAY,
    "open": OPEN,
    "click": CLICK,
    "subscription": LEAVE,
    "reject": bounced(Category.CONTENT),  # a virus was found
    "rendering failure": bounced(Category.TECHNICAL),  # of a template of theirs; ours are none
    "send": PASSED,
    "delivery": PASSED,
}
_C = Category
BOUNCES: dict[str, Meaning] = {  # bounceSubType
    "general": BOUNCE,
    "undetermined": BOUNCE,
    "noemail": BOUNCE,  # the bounce did not say of which address it is: its words decide, if it has any
    "suppressed": WITHHELD,  # SES's own list, told as a 5.1.1
    "onaccountsuppressionlist": WITHHELD,
    "unsubscribedrecipient": WITHHELD,
    "mailboxfull": bounced(_C.MAILBOX_FULL),
    "messagetoolarge": bounced(_C.CONTENT),
    "contentrejected": bounced(_C.CONTENT),
    "attachmentrejected": bounced(_C.CONTENT),
    "customtimeoutexceeded": bounced(_C.TECHNICAL),
}
_NO_COMPLAINT = "not-spam"  # RFC 5965 §7.3: the reader took it back


def check(post: Post, secret: str, now: datetime, certificate: Certificate) -> None:
    """The topic, the address of the certificate, the signature, the instant: in this order."""
    message = unproved(post)
    arn = _ARN.fullmatch(secret)
    if arn is None:
        raise Refused
    require(message.text("TopicArn") == secret)
    url = message.text("SigningCertURL")
    host, slash, place = url.rpartition("/")
    require(host == _sns(arn) and bool(_CERTIFICATE.fullmatch(slash + place)))
    hash_ = _HASHES.get(message.text("SignatureVersion"))
    if hash_ is None:
        raise Refused
    signature = decoded(message.text("Signature"))
    require(rsa_signed(certificate(url), signature, _signed_text(message), hash_))
    require_recent(message.instant("Timestamp"), now, _WINDOW)


def confirms(message: Node) -> str:
    """Return where a subscription is confirmed: at the SNS of its topic's region, else nowhere."""
    arn = _ARN.fullmatch(message.text("TopicArn"))
    url = message.text("SubscribeURL")
    if arn is None or message.text("Type") != "SubscriptionConfirmation":
        return ""
    return url if url.startswith(f"{_sns(arn)}/") else ""


def _sns(arn: re.Match[str]) -> str:
    """Return where the SNS of a topic's region is, up to the path."""
    return f"https://sns.{arn[2]}.amazonaws.com{'.cn' if arn[1] == 'aws-cn' else ''}"


def _signed_text(message: Node) -> bytes:
    names = _NOTIFICATION if message.text("Type") == "Notification" else _CONFIRMATION
    values = ((name, message.at(name).raw) for name in names)
    lines = (f"{name}\n{value}\n" for name, value in values if isinstance(value, str))
    return "".join(lines).encode(errors="replace")


def read(message: Node) -> Iterator[Told]:
    """One message may speak of several recipients; ours have one each."""
    if message.text("Type") == "SubscriptionConfirmation":
        return
    event = Node.parse(message.text_whole("Message"))
    if message.text("Type") != "Notification" or event is None:
        yield Told(meaning=UNKNOWN, item=message.raw, id=message.text("MessageId"))
        return
    word = event.word("eventType") or event.word("notificationType")
    meaning, about = _meaning(word, event)
    recipients = about.each("bouncedRecipients") or about.each("delayedRecipients") or [Node({})]
    for place, recipient in enumerate(recipients):
        said = recipient.text("diagnosticCode")
        yield Told(
            meaning=meaning,
            item=message.raw,
            id=f"{message.text('MessageId')} {place}" if message.text("MessageId") else "",
            letter=_letter(event.at("mail")),
            address=recipient.text("emailAddress"),
            at=about.instant("timestamp"),
            words=said or about.text("reason"),
            status=recipient.text("status") if said else "",  # alone it is SES's own
            permanent={"permanent": True, "transient": False}.get(about.word("bounceType")),
            agent=about.text("userAgent"),
            link=about.text("link"),
        )


def _meaning(word: str, event: Node) -> tuple[Meaning, Node]:
    """Return what an event means, and the object that says more of it."""
    meaning = EVENTS.get(word, UNKNOWN)
    names = {"deliverydelay": "deliveryDelay", "rendering failure": "failure"}
    about = event.at(names.get(word, word))
    if word == "bounce":
        meaning = BOUNCES.get(about.word("bounceSubType"), BOUNCE)
    elif word == "complaint" and about.word("complaintFeedbackType") == _NO_COMPLAINT:
        meaning = PASSED
    elif word == "complaint" and about.word("complaintSubType") == "onaccountsuppressionlist":
        meaning = WITHHELD
    elif word == "subscription" and not _opted_out(about):
        meaning = PASSED
    return meaning, about


def _opted_out(about: Node) -> bool:
    wishes = about.at("newTopicPreferences")
    topics = wishes.each("topicSubscriptionStatus")
    return wishes.flag("unsubscribeAll") is True or any(
        topic.word("subscriptionStatus") == "optout" for topic in topics
    )


def _letter(mail: Node) -> tuple[str, ...]:
    written = [each.text("value") for each in mail.each("headers") if each.word("name") == "message-id"]
    return (*written[:2], mail.text("commonHeaders", "messageId"), mail.text("source"))


PROVIDER = Provider(
    name="ses",
    title="Amazon SES",
    secret=Secret.GIVEN,
    check=check,
    read=read,
    asks=Sentence(
        "Give the ARN of the SNS topic that SES publishes to, like"
        " arn:aws:sns:eu-central-1:123456789012:mailer; then subscribe the address to it over HTTPS,"
        " without raw message delivery."
    ),
    fits=lambda secret: bool(_ARN.fullmatch(secret)),
    confirms=confirms,
)
