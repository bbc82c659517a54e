"""Invitations: a person whom a partner brought, and may not vouch for, is asked whether they want it.

Sent after the answer to the partner has left, so that neither words nor time tell a partner whether the
person is known, has left, or must not be written to: those get no invitation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.audience import subscribers
from mailer.delivery import inviting, note
from mailer.issues import publications
from mailer.web import i18n
from mailer.web.house import House
from mailer.web.i18n import _

_log = logging.getLogger(__name__)


def invite(house: House, address: str, publication_id: int, partner: str, now: datetime) -> None:
    """Ask a person, in their language, whether they want the publication; ``partner`` is who brought them."""
    with house.database.write() as session:
        person = subscribers.by_address(session, address)
        if not inviting.claim(session, person.id, publication_id, now):
            return
        words = letters(session, publication_id, {person.language: partner})
    try:
        with house.database.read() as session:
            inviting.send(session, person.id, publication_id, words, house.settings, now)
    except note.NoteRefused as trouble:
        _log.warning("subscriber %d was not invited: %s", person.id, type(trouble).__name__)
        with house.database.write() as session:
            inviting.give_back(session, person.id, publication_id)


def _text(name: str, partner: str, link: str, *, reads: bool) -> str:
    """Return the question in the language of the moment; ``reads``: they receive it already."""
    if reads:
        ask = _("You receive it already. If they may know it, confirm here:")
        else_ = _("If not, you need do nothing: nothing changes.")
    else:
        ask = _("If you would like to receive it, confirm here:")
        else_ = _("If not, you need do nothing: no letter will come.")
    put = _("%(partner)s has put you forward as a reader of %(name)s.", partner=partner, name=name)
    return f"{put} {ask}\n\n{link}\n\n{else_}"


def letters(session: Session, publication_id: int, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return by language what asks many people: subject, text, and the text for those who receive it already.

    ``{link}`` stands for each one's own. ``names``: what the partner is called, by language.
    """
    here, found = i18n.current(), {}
    for language, partner in names.items():
        i18n.use(language)
        name = publications.voice(session, publication_id, language).name
        found[language] = {
            "subject": _("%(name)s: would you like to receive it?", name=name),
            "text": _text(name, partner, "{link}", reads=False),
            "text_for_readers": _text(name, partner, "{link}", reads=True),
        }
    i18n.use(here)
    return found
