"""The other end of a webhook: every provider's posts, signed as it signs them, with keys made here.

``tests/data/webhooks/<provider>/*.json`` hold posts in the form each provider documents (the address stands
in its module), with addresses of our own and places for the letter's identifiers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailer.delivery.store import Delivery
from tests.feedback import samples
from tests.make import NOON

DATA = Path(__file__).parent / "data" / "webhooks"
PUBLIC = "http://127.0.0.1:8000"  # where the application under test believes to be

TOPIC = "arn:aws:sns:eu-central-1:210987654321:mailer"
TOPIC_CN = "arn:aws-cn:sns:cn-north-1:210987654321:mailer"
SNS = "https://sns.eu-central-1.amazonaws.com"
SNS_CN = "https://sns.cn-north-1.amazonaws.com.cn"
PEM = "/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
EVENTBRIDGE = (
    "https://cn-hangzhou-eventbridge.oss-accelerate.aliyuncs.com/x509_public_certificate_2021012501.pem"
)
SVIX = "whsec_" + b64encode(b"a secret of Resend's own").decode()
MAILGUN = "key-of-mailgun"


@dataclass
class Post:
    """What goes over the wire."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Sign = Callable[[str, Any, datetime], Post]
"""Makes a post of a secret, a payload and the instant of signing."""


def kinds(provider: str) -> list[str]:
    """The names of a provider's sample posts."""
    return sorted(file.stem for file in (DATA / provider).glob("*.json"))


def payload(provider: str, kind: str, delivery: Delivery | None = None) -> Any:
    """A sample post, about a delivery or about nobody's letter."""
    text = (DATA / provider / f"{kind}.json").read_text()
    if delivery is not None:
        text = text.replace("{message_id}", samples.message_id(delivery))
        text = text.replace("{return_path}", samples.return_path(delivery))
    return json.loads(text)


# --- keys -----------------------------------------------------------------------------------------------


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_key() -> str:
    """As SendGrid shows it."""
    return b64encode(
        ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


@cache
def certificate(until: datetime = NOON + timedelta(days=365)) -> bytes:
    """A certificate of ``rsa_key``, PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(NOON - timedelta(days=365)).not_valid_after(until)
    return builder.public_key(rsa_key().public_key()).sign(rsa_key(), SHA256()).public_bytes(Encoding.PEM)


# --- how each signs -------------------------------------------------------------------------------------


def sns(
    message: dict[str, Any], *, version: str = "2", key: rsa.RSAPrivateKey | None = None
) -> dict[str, Any]:
    """Sign a message as SNS does."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    hash_ = SHA1() if version == "1" else SHA256()  # noqa: S303
    signature = (key or rsa_key()).sign(text.encode(), padding.PKCS1v15(), hash_)
    return message | {"SignatureVersion": version, "Signature": b64encode(signature).decode()}


def notification(event: Any, at: datetime, topic: str = TOPIC, host: str = SNS) -> dict[str, Any]:
    """What SNS makes of an event, unsigned."""
    text = json.dumps(event)
    return {
        "Type": "Notification", "MessageId": hashlib.sha256(text.encode()).hexdigest(), "TopicArn": topic,
        "Subject": "Amazon SES Email Event Notification", "Message": text, "Timestamp": _iso(at),
        "SigningCertURL": host + PEM, "UnsubscribeURL": f"{host}/?Action=Unsubscribe",
    }  # fmt: skip


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def by_sns(secret: str, event: Any, at: datetime) -> Post:
    host = SNS_CN if ":aws-cn:" in secret else SNS
    return Post(
        "/webhooks/ses", _json(sns(notification(event, at, secret, host))), {"content-type": "text/plain"}
    )


def by_sendgrid(secret: str, event: Any, at: datetime) -> Post:
    body, timestamp = _json(event), str(int(at.timestamp()))
    signature = ec_key().sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    name = "X-Twilio-Email-Event-Webhook"
    return Post(
        "/webhooks/sendgrid",
        body,
        {f"{name}-Signature": b64encode(signature).decode(), f"{name}-Timestamp": timestamp},
    )


def by_mailgun(secret: str, event: Any, at: datetime) -> Post:
    timestamp, token = str(int(at.timestamp())), hashlib.sha256(_json(event)).hexdigest()[:50]
    signature = hmac.new(secret.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    return Post(
        "/webhooks/mailgun", _json(event | {"signature": signed} if isinstance(event, dict) else event)
    )


def by_svix(secret: str, event: Any, at: datetime) -> Post:
    body, timestamp = _json(event), str(int(at.timestamp()))
    key = b"a secret of Resend's own"
    signature = hmac.new(key, f"msg_1.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return Post(
        "/webhooks/resend",
        body,
        {
            "svix-id": "msg_1",
            "svix-timestamp": timestamp,
            "svix-signature": f"v1a,abc v1,{b64encode(signature).decode()}",
        },
    )


def by_eventbridge(secret: str, event: Any, at: datetime) -> Post:
    path, body = "/webhooks/directmail", _json(event)
    fixed = {
        "x-eventbridge-signature-timestamp": str(int(at.timestamp() * 1000)),
        "x-eventbridge-hash-method": "SHA256",
        "x-eventbridge-signature-version": "1.0",
        "x-eventbridge-signature-url": EVENTBRIDGE,
        "x-eventbridge-signature-token": secret,
    }
    text = "\n".join([PUBLIC + path, *(f"{name}: {value}" for name, value in fixed.items())]).encode()
    signature = rsa_key().sign(text + b"\n" + body, padding.PKCS1v15(), SHA256())
    return Post(path, body, fixed | {"x-eventbridge-signature-v2": b64encode(signature).decode()})


def by_password(provider: str) -> Sign:
    def sign(secret: str, event: Any, at: datetime) -> Post:
        given = b64encode(f"mailer:{secret}".encode()).decode()
        return Post(f"/webhooks/{provider}", _json(event), {"authorization": f"Basic {given}"})

    return sign


def by_path(secret: str, event: Any, at: datetime) -> Post:
    return Post(f"/webhooks/tencent/{secret}", _json(event))


SIGN: dict[str, Sign] = {
    "ses": by_sns,
    "sendgrid": by_sendgrid,
    "mailgun": by_mailgun,
    "postmark": by_password("postmark"),
    "brevo": by_password("brevo"),
    "sparkpost": by_password("sparkpost"),
    "mailjet": by_password("mailjet"),
    "resend": by_svix,
    "directmail": by_eventbridge,
    "tencent": by_path,
}
GIVEN = {"ses": TOPIC, "sendgrid": sendgrid_key(), "mailgun": MAILGUN, "resend": SVIX}
SIGNED = ("ses", "sendgrid", "mailgun", "resend", "directmail")  # with an instant


def with_kind(names: Iterable[str], kind: str) -> list[str]:
    """Those providers that offer a kind of news."""
    return [name for name in names if kind in kinds(name)]
