"""Test letters: a real letter to a colleague, outside the ledger's sums."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from mailer import address
from mailer.delivery import campaigns, letters, refresh_tokens
from mailer.delivery.relays import hand_over
from mailer.delivery.smtp import Kind, Outcome
from mailer.errors import MailerError
from mailer.settings import Settings


class Refused(MailerError):
    """The test letter was not taken."""


def send(
    session: Session,
    *,
    campaign_id: int,
    to: str,
    settings: Settings,
    now: datetime,
    language: str | None = None,
) -> Outcome:
    """Send ``to`` the letter as it stands now, frozen or not, through the first relay that takes it.

    Its links lead where a reader's would, but count nothing: token number 0 is nobody's.

    :raises BadAddress: ``to`` is no address
    :raises Refused: the relay did not take it; the message has its words
    :raises RelayUnavailable: no relay can be reached
    """
    recipient = address.parse(to)
    envelope = letters.trial(
        session,
        campaigns.get(session, campaign_id),
        recipient=recipient,
        language=language,
        settings=settings,
        now=now,
    )
    outcome = hand_over(envelope, settings.relay_urls, refresh_tokens.shelf(settings))
    if outcome.kind is not Kind.ACCEPTED:
        raise Refused(
            "The test letter to {recipient} was not taken: {reply}",
            recipient=recipient.shown,
            reply=outcome.text,
        )
    return outcome
