"""Notes: a short plain letter of our own to one person, outside every campaign's sums."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr, make_msgid

from sqlalchemy.orm import Session

from mailer.delivery import dkim_keys, refresh_tokens
from mailer.delivery.relay import RelayUnavailable
from mailer.delivery.relays import hand_over
from mailer.delivery.smtp import Envelope, Kind
from mailer.errors import MailerError
from mailer.issues.store import Publication, Voice
from mailer.settings import Settings


class NoteRefused(MailerError):
    """The letter could not be handed over just now: try again in a few minutes."""

    http_status = 503


def send(
    session: Session,
    *,
    to: str,
    subject: str,
    text: str,
    publication: Publication,
    voice: Voice,
    settings: Settings,
    now: datetime,
) -> None:
    """Send ``to`` a note in a publication's name, signed as its letters are, by whichever relay takes it.

    Its return path is null: an answer that it cannot be delivered goes to nobody (RFC 5321 §4.5.5).

    :raises NoteRefused: no relay took it, or its domain's DKIM key cannot be opened
    """
    message = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)  # RFC 6531
    message["From"] = formataddr((voice.sender_name, publication.sender_address))
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(now.astimezone(UTC))
    message["Message-ID"] = make_msgid(domain=settings.bounce_domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office answers, please
    message.set_content(text, cte="quoted-printable")
    try:
        letter = dkim_keys.signed(session, message.as_bytes(), settings=settings, now=now)
        outcome = hand_over(Envelope(0, "", to, letter), settings.relay_urls, refresh_tokens.shelf(settings))
    except (RelayUnavailable, dkim_keys.UnreadableKey) as error:
        raise NoteRefused from error
    if outcome.kind is not Kind.ACCEPTED:
        raise NoteRefused
