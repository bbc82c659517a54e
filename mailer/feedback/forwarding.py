"""Forwarding: a person's answer as the desk gets it. Pure.

The answer travels whole as an attachment, message/rfc822 (RFC 2046 §5.2.1), and its words stand above it.
Sent again under its own From (Resent-*, RFC 5322 §3.6.6) it would fail the reader's DMARC and our relay's
rules. The letter asks for no automatic answer (RFC 3834 §5) and says that we made it: it is never passed on
again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr, parseaddr
from hashlib import sha256

from mailer import address
from mailer.feedback import mime
from mailer.feedback.mime import Headers
from mailer.feedback.outbox import taken_apart

PASSED_ON = "X-Mailer-Passed-On"
_WORDS_LIMIT = 20_000  # characters of the answer that stand in the letter itself
_LINE_LIMIT = 998  # octets, RFC 5322 §2.1.1
_ABOUT = (
    "A reader has answered a letter of {name}. The answer is below, and attached as it came.\n"
    "If you reply to this letter, it goes to the reader.\n\n"
    "一位读者回复了《{name}》的来信，内容如下，原件见附件。直接回复本邮件即可答复该读者。\n"
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote an answer, as it says itself: ``address`` "" when it cannot be written to."""

    name: str
    address: str

    @property
    def shown(self) -> str:
        """A name, else the address."""
        return self.name or self.address or "?"


def writer(headers: Headers) -> Writer:
    """Read who wrote a mail: whoever Reply-To names is written to (RFC 5322 §3.6.2)."""
    name, sender = parseaddr(headers.get("from")[:1_000])
    _, answers_to = parseaddr(headers.get("reply-to")[:1_000])
    return Writer(_one_line(mime.decode_words(name))[:100], _wire(answers_to) or _wire(sender))


def letter(
    raw: bytes, *, to: str, sender: tuple[str, str], newsletter: str, host: str, now: datetime
) -> bytes:
    """Return the letter that brings ``raw`` to the desk. ``sender``: name and address; ``host``: our domain.

    Made twice of the same answer it has the same Message-ID, so that a desk that gets it twice can tell.
    """
    headers = mime.read(raw).headers
    person = writer(headers)
    subject = _one_line(mime.decode_words(headers.get("subject")[:2_000]))[:300]
    edge = sha256(raw).hexdigest()[:32]
    message = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)
    message["From"] = formataddr(sender)
    message["To"] = to
    if person.address:
        message["Reply-To"] = formataddr((person.name, person.address))
    message["Subject"] = f"{person.shown}: {subject}".strip()
    message["Date"] = format_datetime(now.astimezone(UTC))
    message["Message-ID"] = f"<answer-{edge}@{host}>"
    message["Auto-Submitted"] = "auto-generated"
    message[PASSED_ON] = host
    message["MIME-Version"] = "1.0"
    words = EmailMessage(policy=SMTP)
    words.set_content(
        f"{_ABOUT.format(name=newsletter)}\n{'-' * 72}\n\n{_words(raw)}\n", cte="quoted-printable"
    )
    del words["MIME-Version"]
    cut = f"--{edge}".encode()
    whole = f'Content-Type: multipart/mixed; boundary="{edge}"\r\n\r\n'.encode()
    parts = (
        message.as_bytes().removesuffix(b"\r\n") + whole + cut,
        words.as_bytes() + cut,
        _attached(raw) + cut + b"--",
    )
    return b"\r\n".join((*parts, b""))


def _attached(raw: bytes) -> bytes:
    """Return the part that holds the answer: as a message where it may travel as one, else as a file."""
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    fit = whole.isascii() and b"\0" not in whole and max(map(len, whole.split(b"\r\n"))) <= _LINE_LIMIT
    if fit:
        return b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + whole + b"\r\n"
    file = EmailMessage(policy=SMTP)
    file.set_content(
        raw, maintype="application", subtype="octet-stream", disposition="attachment", filename="answer.eml"
    )
    del file["MIME-Version"]
    return file.as_bytes()


def _words(raw: bytes) -> str:
    parts = taken_apart(raw)
    words = parts.text if parts.text is not None else mime.plain_of_html(parts.html or "")
    return "\n".join(words[:_WORDS_LIMIT].replace("\0", "").splitlines())


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _wire(text: str) -> str:
    try:
        found = address.parse(text)
    except address.BadAddress:
        return ""
    return "" if found.smtputf8 else found.wire
