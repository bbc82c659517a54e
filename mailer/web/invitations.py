"""Invitations: a person whom a partner brought, and may not vouch for, is asked whether they want it.

Sent after the answer to the partner has left, so that neither words nor time tell a partner whether the
person is known, has left, or must not be written to: those get no invitation.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from limits import RateLimitItemPerDay
from sqlalchemy.orm import Session

from mailer.audience import subscribers, subscriptions, suppressions
from mailer.audience.store import Subscriber, SubscriptionState
from mailer.delivery import note
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.signing import Purpose
from mailer.web import i18n
from mailer.web.house import House, TooMany
from mailer.web.i18n import _

LASTS = timedelta(days=14)
_PER_PERSON = RateLimitItemPerDay(1)  # however many partners bring them
_log = logging.getLogger(__name__)


def invite(house: House, address: str, publication_id: int, partner: str, now: datetime) -> None:
    """Ask a person, in their language, whether they want the publication; ``partner`` is who brought them."""
    with house.database.read() as session:
        person = subscribers.by_address(session, address)
        if not _may_be_asked(session, person, publication_id, now):
            return
        try:
            house.doorkeeper.count(_PER_PERSON, "invitation", str(person.id))
            _send(session, house, person, publication_id, partner, now)
        except (TooMany, note.NoteRefused) as trouble:
            _log.warning("subscriber %d was not invited: %s", person.id, type(trouble).__name__)


def _may_be_asked(session: Session, person: Subscriber, publication_id: int, now: datetime) -> bool:
    asked = subscriptions.is_asked(session, person.id, publication_id)
    return asked and not suppressions.of_address(session, person.address_hash, now)


def _send(
    session: Session, house: House, person: Subscriber, publication_id: int, partner: str, now: datetime
) -> None:
    i18n.use(person.language)
    token = house.settings.keys.sign(Purpose.CONFIRM, person.id, publication_id, expires=now + LASTS)
    voice = publications.voice(session, publication_id, person.language)
    subscription = subscriptions.get(session, person.id, publication_id)
    reads = subscription is not None and subscription.state == SubscriptionState.CONFIRMED
    note.send(
        session,
        to=person.address or "",
        subject=_("%(name)s: would you like to receive it?", name=voice.name),
        text=_("%(partner)s has put you forward as a reader of %(name)s.", partner=partner, name=voice.name)
        + " "
        + (
            _("You receive it already. If they may know it, confirm here:")
            if reads
            else _("If you would like to receive it, confirm here:")
        )
        + f"\n\n{house.settings.public_url}/confirm/{token}\n\n"
        + (
            _("If not, you need do nothing: nothing changes.")
            if reads
            else _("If not, you need do nothing: no letter will come.")
        ),
        publication=session.get_one(Publication, publication_id),
        voice=voice,
        settings=house.settings,
        now=now,
    )
