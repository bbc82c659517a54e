"""What letters carry so that providers tell which letter their news are of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from mailer.delivery import echo
from mailer.delivery.letters import Compositor
from mailer.delivery.relay import Relay
from mailer.delivery.slices import Addressee
from mailer.delivery.store import DeliveryState
from mailer.feedback.attribution import letter_named
from tests.delivery.desk import Desk

CARRIED = {
    "smtp.sendgrid.net": "X-SMTPAPI",
    "smtp-broadcasts.postmarkapp.com": "X-PM-Metadata-mailer",
    "smtp-relay.brevo.com": "X-Mailin-custom",
    "smtp.eu.sparkpostmail.com": "X-MSYS-API",
    "in-v3.mailjet.com": "X-MJ-CustomID",
    "smtp.resend.com": "X-Mailer-Letter",
    "smtpdm.aliyun.com": "X-Notify-Message-ID",
    "smtp.qcloudmail.com": "X-Tencentcloudses-Cb-Custom",
}


ANN = Addressee(1, 1, "en", "Dear Ann,", DeliveryState.WAITING, "ann@example.org", "")


def composed(desk: Desk, campaign: int, relays: str) -> EmailMessage:
    """The letter to Ann, as a worker makes it for these relays."""
    settings = desk.settings.model_copy(update={"smtp_url": relays})
    with desk.database.read() as session:
        [letter] = Compositor(settings).slice(session, campaign, [ANN], datetime.now(UTC))
    message = message_from_bytes(bytes(letter.body), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def text(message: EmailMessage) -> str:
    part = message.get_body()
    assert part is not None
    return str(part.get_content())


def test_a_letter_to_a_provider_carries_what_it_repeats(desk: Desk) -> None:
    """The signed token of its Message-ID; the rest of the letter is as to any other relay."""
    desk.readers("ann@example.org")
    campaign = desk.launched()
    for provider, field in CARRIED.items():
        carries(desk, campaign, provider, field)


def carries(desk: Desk, campaign: int, host: str, field: str) -> None:
    message = composed(desk, campaign, f"smtp://u:p@{host}:587")
    value = message[field]
    if value.startswith("{"):
        [inner] = json.loads(value).values()
        value = inner["mailer"]
    now = datetime.now(UTC)
    named = letter_named([value], desk.settings.keys, now)
    assert named is not None
    assert named.delivery == (campaign, 1)
    assert named == letter_named([message["Message-ID"]], desk.settings.keys, now)
    assert len(value) <= 80  # Postmark's limit
    del message[field]
    plain = composed(desk, campaign, "smtp://127.0.0.1:25")
    assert sorted(message.keys()) == sorted(plain.keys())
    assert text(message) == text(plain)


def test_letters_to_other_relays_carry_nothing() -> None:
    """A name that only ends alike is no provider's; Amazon and Mailgun tell our Message-ID."""
    for host in ("127.0.0.1", "notsendgrid.net", "email-smtp.eu-central-1.amazonaws.com", "smtp.mailgun.org"):
        assert echo.fields([host], "t") == ""


def test_a_relay_may_name_the_provider_it_hands_letters_to(desk: Desk) -> None:
    """One's own Postfix, whose relayhost is the provider's; two relays make two fields."""
    desk.readers("ann@example.org")
    campaign = desk.launched()
    relays = "smtp://127.0.0.1:25?through=smtp.sendgrid.net smtp://u:p@in-v3.mailjet.com"
    message = composed(desk, campaign, relays)
    assert "X-SMTPAPI" in message
    assert "X-MJ-CustomID" in message
    assert Relay.from_url("smtp://127.0.0.1").through == ""


def test_a_field_stands_whole_on_one_line() -> None:
    """RFC 5322 §2.1.1: 998 octets at most; each ends its line."""
    lines = echo.fields(CARRIED, "a" * 34).split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == len(set(lines)) == len(CARRIED)
    assert all(len(line) < 120 and line.isascii() for line in lines)
