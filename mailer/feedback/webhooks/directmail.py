"""Alibaba Cloud DirectMail (邮件推送), told through EventBridge (事件总线) to an HTTP target.

EventBridge signs (RSA, SHA-256) its fixed headers, the address and the body, but for anybody who has an
account: so the secret is the token that is set for the target and signed with the rest. Only EventBridge's
own hosts are asked for the certificate. DirectMail tells our Message-ID as ``msg_id``, and the header
X-Notify-Message-ID that letters carry (``delivery.echo``).

https://help.aliyun.com/zh/eventbridge/user-guide/events-of-the-direct-mail-type
https://help.aliyun.com/en/eventbridge/user-guide/signature-algorithm
https://www.alibabacloud.com/help/en/eventbridge/latest/supported-regions
https://help.aliyun.com/zh/direct-mail/user-guide/set-up-eventbridge
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256

from mailer.delivery.echo import NOTIFY
from mailer.diagnosis import Category
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import (
    Certificate,
    Post,
    decoded,
    from_epoch,
    require,
    require_recent,
    rsa_signed,
    same,
)
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.told import (
    BOUNCE,
    CLICK,
    COMPLAINT,
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

_SIGNED = tuple(
    f"x-eventbridge-{name}"
    for name in (
        "signature-timestamp",
        "hash-method",
        "signature-version",
        "signature-url",
        "signature-token",
    )
)
_TIMESTAMP, _HASH, _VERSION, _URL, _TOKEN = _SIGNED
_SIGNATURE = "x-eventbridge-signature-v2"
_REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-3", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7", "cn-beijing", "cn-chengdu", "cn-guangzhou", "cn-hangzhou",
    "cn-heyuan", "cn-hongkong", "cn-huhehaote", "cn-qingdao", "cn-shanghai", "cn-shanghai-finance-1",
    "cn-shenzhen", "cn-wulanchabu", "cn-zhangjiakou", "eu-central-1", "eu-west-1", "us-east-1", "us-west-1",
)  # fmt: skip
"""Where EventBridge is. A closed list: anybody may own a bucket that is called like it elsewhere."""
_HOSTS = frozenset(f"{region}-eventbridge.oss-accelerate.aliyuncs.com" for region in _REGIONS)
_PATH = re.compile(r"/x509_public_certificate[\w.-]{0,60}\.pem", re.ASCII)
_WINDOW = timedelta(minutes=5)  # documented: 60 s; clocks differ

EVENTS: Table = {
    "dm:deliver:succeed": PASSED,
    "dm:feedback:subscribe": PASSED,
    "dm:validator:graylistresult": PASSED,
    "dm:deliver:fail": BOUNCE,
    "dm:feedback:fblreport": COMPLAINT,
    "dm:feedback:unsubscribe": LEAVE,
    "dm:trace:open": OPEN,
    "dm:trace:click": CLICK,
}
_C = Category
FAILURES: Table = {  # failed_type
    "smtpnxbox": bounced(_C.BAD_MAILBOX),
    "sysoutdnsresolvefail": BOUNCE,  # no such domain, or name servers asleep: its words say no more
    "smtpcontspam": bounced(_C.CONTENT),
    "smtpmiscspam": bounced(_C.CONTENT),
    "smtpdbl": bounced(_C.REPUTATION),
    "smtpauthfail": bounced(_C.POLICY),
    "smtpspffail": bounced(_C.POLICY),
    "smtpdmafail": bounced(_C.POLICY),
    "smtpmfbad": bounced(_C.POLICY),
    "smtpmffreq": bounced(_C.RATE),
    "smtpmfdfreq": bounced(_C.RATE),
    "smtpipfreq": bounced(_C.RATE),
    "smtprcptfreq": bounced(_C.RATE),
    "smtpmflimit": bounced(_C.RATE),
    "smtpzpermerr": BOUNCE,
    "sysoutinvrcpt": WITHHELD,  # DirectMail's own idea of an address, and its own lists
    "sysincominginvrcpt": WITHHELD,
    "sysoutrcptonaccountlevelbouncelist": WITHHELD,
    "sysouthoneypot": WITHHELD,
    "sysoutrecipientunsubscribed": WITHHELD,
    "sysoutrecipientreportedspam": WITHHELD,
}


def check(post: Post, secret: str, now: datetime, certificate: Certificate) -> None:
    """The token, the address of the certificate, the signature, the instant: in this order."""
    require(same(post.header(_TOKEN), secret))
    url = post.header(_URL)
    require(_is_eventbridge(url) and post.header(_HASH).upper() == "SHA256")
    lines = [post.url, *(f"{name}: {post.header(name)}" for name in _SIGNED)]
    text = "\n".join(lines).encode() + b"\n" + post.body
    signature, key = decoded(post.header(_SIGNATURE)), certificate(url)
    # the documented form first; the vendor's reference code ends the text with one more line end
    require(any(rsa_signed(key, signature, form, SHA256()) for form in (text, text + b"\n")))
    require_recent(from_epoch(post.header(_TIMESTAMP), per_second=1000), now, _WINDOW)


def _is_eventbridge(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    known = parts.netloc in _HOSTS and bool(_PATH.fullmatch(parts.path))
    return parts.scheme == "https" and known and not parts.query and not parts.fragment


def read(post: Node) -> Iterator[Told]:
    """One CloudEvent, or a list of them."""
    for event in post.each():
        data = event.at("data")
        meaning = EVENTS.get(event.word("type"), UNKNOWN)
        if meaning is BOUNCE:
            meaning = FAILURES.get(data.word("failed_type"), BOUNCE)
        yield Told(
            meaning=meaning,
            item=event.raw,
            id=event.text("id"),
            letter=(data.text("header", NOTIFY), data.text("msg_id"), data.text("message_id")),
            address=data.text("rcpt"),
            at=event.instant("time"),  # those in ``data`` have no zone
            words=data.text("err_msg"),
            code=data.code("err_code"),
            agent=data.text("user_agent"),
            link=data.text("click_url") or data.text("url"),
        )


PROVIDER = Provider(
    name="directmail",
    title="Alibaba Cloud DirectMail",
    secret=Secret.TOKEN,
    check=check,
    read=read,
    asks=Sentence(
        "In EventBridge make a rule for acs.dm with an HTTP target: this address, and the token that is made."
    ),
)
