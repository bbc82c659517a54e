"""A sending service's news as JSON in a mail: Amazon SES through SNS "email" subscriptions.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html names the fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mailer.feedback.kind import Kind

RECIPIENT_LIMIT = 500

_KINDS = {"bounce": Kind.BOUNCE, "complaint": Kind.COMPLAINT, "delivery": Kind.DELIVERED}
_LISTS = {"bounce": "bouncedRecipients", "complaint": "complainedRecipients", "delivery": "recipients"}


@dataclass(frozen=True, slots=True)
class Notified:
    """One recipient of a notification; what the service leaves out is ""."""

    address: str
    status: str
    diagnostic: str
    remote_mta: str
    complaint: bool
    delivered: bool


@dataclass(frozen=True, slots=True)
class Notification:
    """``message_id`` is the Message-ID the letter was given to the service with, None when it is not told."""

    kind: Kind
    recipients: tuple[Notified, ...]
    message_id: str | None


def read(text: str) -> Notification | None:
    """Return the notification ``text`` begins with, or None if it is none. Never raises."""
    told = _leading_object(text)
    if isinstance(wrapped := told.get("Message"), str):  # the SNS envelope, unless raw delivery is on
        told = _leading_object(wrapped)
    name = str(told.get("notificationType", "")).lower()
    if name not in _KINDS:
        return None
    news = _dict(told.get(name))
    people = news.get(_LISTS[name])
    people = people[:RECIPIENT_LIMIT] if isinstance(people, list) else []
    sent = _dict(_dict(told.get("mail")).get("commonHeaders")).get("messageId")
    return Notification(
        _KINDS[name],
        tuple(_notified(one, name, str(news.get("remoteMtaIp", ""))) for one in people),
        sent if isinstance(sent, str) else None,
    )


def _leading_object(text: str) -> dict[str, Any]:
    """Return the JSON object ``text`` begins with, {} if none; line ends that mail put in are dropped."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        told, _ = json.JSONDecoder(strict=False).raw_decode(text.lstrip().replace("\n", ""))
    except (ValueError, RecursionError):
        return {}
    return _dict(told)


def _notified(one: object, name: str, remote_mta: str) -> Notified:
    fields = {"emailAddress": one} if isinstance(one, str) else _dict(one)
    return Notified(
        address=str(fields.get("emailAddress", ""))[:320],
        status=str(fields.get("status", "")),
        diagnostic=str(fields.get("diagnosticCode", "")),
        remote_mta=remote_mta,
        complaint=name == "complaint",
        delivered=name == "delivery",
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
