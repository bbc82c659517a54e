"""Mail as it comes back, in words of our own: what the tests of this stage feed in."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage

from mailer.delivery.store import Delivery
from mailer.signing import Purpose
from tests.make import KEYS, NOON

BOUNCES = "bounces.mailer.example"
GONE = "550 5.1.1 <ann@example.org>: no such user here"
FULL = "552 5.2.2 Mailbox full"


def return_path(delivery: Delivery) -> str:
    """The envelope sender of a letter."""
    token = KEYS.sign(
        Purpose.RETURN_PATH, delivery.campaign_id, delivery.n, expires=NOON + timedelta(days=60)
    )
    return f"b-{token}@{BOUNCES}"


def message_id(delivery: Delivery) -> str:
    """The Message-ID of a letter."""
    return f"<m-{KEYS.sign(Purpose.MESSAGE_ID, delivery.campaign_id, delivery.n)}@{BOUNCES}>"


def leave_address(delivery: Delivery) -> str:
    """The mailto address of List-Unsubscribe."""
    return f"leave-{KEYS.sign(Purpose.LEAVE, delivery.campaign_id, delivery.n)}@{BOUNCES}"


def dsn(*said: tuple[str, str], action: str = "failed", serial: int = 1) -> bytes:
    """A delivery status notification (RFC 3464) naming each (address, diagnostic)."""
    blocks = [
        f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {_status(words)}\n"
        f"Remote-MTA: dns; mx.example.org\nDiagnostic-Code: smtp; {words}\n"
        for address, words in said
    ]
    status = "\n".join(["Reporting-MTA: dns; relay.example.net\n", *blocks])
    return (
        f"From: Mail Delivery System <MAILER-DAEMON@relay.example.net>\n"
        f"To: sender@example.net\nSubject: Delivery report {serial}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="edge"\n\n'
        f"--edge\nContent-Type: text/plain\n\nYour letter is on its last page.\n\n"
        f"--edge\nContent-Type: message/delivery-status\n\n{status}\n"
        f"--edge--\n"
    ).replace("\n", "\r\n").encode()  # fmt: skip


def complaint(original_id: str = "<x@example.net>", kind: str = "abuse") -> bytes:
    """A complaint (RFC 5965) with the reader's address redacted."""
    return (
        f"From: fbl@example.org\nTo: complaints@example.net\nSubject: FW: Green Observer\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=feedback-report; boundary="edge"\n\n'
        f"--edge\nContent-Type: text/plain\n\nA reader pressed a button.\n\n"
        f"--edge\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: {kind}\nUser-Agent: Loop/1\nVersion: 1\n\n"
        f"--edge\nContent-Type: message/rfc822\n\n"
        f"From: observer@news.example\nTo: redacted\nSubject: Green Observer\nMessage-ID: {original_id}\n\n"
        f"Rivers return.\n--edge--\n"
    ).encode()


def auto_reply() -> bytes:
    """An absence notice (RFC 3834)."""
    return _mail("Out of office", "I am away until Monday.", **{"Auto-Submitted": "auto-replied"})


def answer(words: str = "Thank you for the piece on rivers. Could you send me the figures?") -> bytes:
    """What a person writes back."""
    return _mail("Re: Green Observer", words)


def _mail(subject: str, words: str, **headers: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "news@example.net", subject
    for name, value in headers.items():
        message[name] = value
    message.set_content(words)
    return message.as_bytes()


def _status(words: str) -> str:
    return next((word for word in words.split() if word.count(".") == 2 and word[0] in "245"), "5.0.0")
