"""Post: short letters of our own to people with an account, sent when the page has been answered."""

from __future__ import annotations

import logging
from datetime import datetime

from mailer.delivery import note
from mailer.issues import publications, store
from mailer.web.house import House

_log = logging.getLogger(__name__)


def send(house: House, *, to: str, language: str, subject: str, text: str, now: datetime) -> None:
    """Send a note in the first newsletter's name. A relay that takes it not is noted, not told to anybody."""
    with house.database.read() as session:
        found = store.publications(session)
        if not found:
            _log.warning("a note was not sent: there is no publication whose name it could bear")
            return
        voice = publications.voice(session, found[0].id, language)
        try:
            note.send(
                session, to=to, subject=subject, text=text, publication=found[0], voice=voice,
                settings=house.settings, now=now,
            )  # fmt: skip
        except note.NoteRefused:
            _log.warning("a note to an account was not sent: no relay took it")
