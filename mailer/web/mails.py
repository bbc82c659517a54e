"""Mails to one reader about their own subscription, each with a link that only that mail holds.

Nothing that a stranger typed stands in them: whoever fills in a form for somebody else's address cannot write
to them. Sent after the answer to the browser has left, so that its time tells nothing (law 6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec

from sqlalchemy.orm import Session

from mailer.address import masked
from mailer.audience.store import Subscriber
from mailer.delivery import note
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.signing import Purpose
from mailer.web import i18n
from mailer.web.house import House
from mailer.web.i18n import _, sentences

PREFERENCES_LAST = timedelta(days=1)
SIGN_UP_LASTS = timedelta(days=7)
NEW_ADDRESS_LASTS = timedelta(days=2)
BRIEFLY = timedelta(minutes=10)
_log = logging.getLogger(__name__)

Given = ParamSpec("Given")


@contextmanager
def patiently() -> Iterator[None]:
    """Note that a mail did not leave, where nobody waits for the answer: whoever misses it asks again."""
    try:
        yield
    except note.NoteRefused as trouble:
        _log.warning("a reader's mail did not leave: %s", type(trouble).__name__)


def _aside(
    mail: Callable[Concatenate[Session, Given], None],
) -> Callable[Concatenate[Session, Given], None]:
    """Have a mail speak its reader's language, and the page after it go on in its own."""

    @wraps(mail)
    def sent(session: Session, /, *given: Given.args, **named: Given.kwargs) -> None:
        before = i18n.current()
        try:
            mail(session, *given, **named)
        finally:
            i18n.use(before)

    return sent


def preferences_link(house: House, subscriber_id: int, publication_id: int, now: datetime) -> str:
    """Return the address of a person's preferences page; it goes by mail to that person and nowhere else."""
    return _link(house, "my", Purpose.PREFERENCES, subscriber_id, publication_id, now + PREFERENCES_LAST)


@_aside
def preferences(
    session: Session, house: House, person: Subscriber, publication_id: int, now: datetime
) -> None:
    """Mail the link to one's preferences."""
    name = _speak(session, person, publication_id)
    _send(
        session, house, person.address, publication_id, now,
        _("%(name)s: your preferences", name=name),
        _("Here you can change your language and topics, pause, or leave:"),
        preferences_link(house, person.id, publication_id, now),
        _("The link works for a day. If you did not ask for it, you can ignore this letter."),
    )  # fmt: skip


@_aside
def known(session: Session, house: House, person: Subscriber, publication_id: int, now: datetime) -> None:
    """Tell a subscriber, for whose address a sign-up form was filled in, that nothing is needed."""
    name = _speak(session, person, publication_id)
    _send(
        session, house, person.address, publication_id, now,
        _("%(name)s: you are subscribed already", name=name),
        sentences(
            _("Somebody, perhaps you, asked for %(name)s at this address.", name=name),
            _("It comes to you already."),
        ),
        _("Here you can change your language and topics, pause, or leave:"),
        preferences_link(house, person.id, publication_id, now),
        _("The link works for a day. If you did not ask for it, you can ignore this letter."),
    )  # fmt: skip


@_aside
def confirm_sign_up(
    session: Session, house: House, person: Subscriber, publication_id: int, sign_up_id: int,
    language: str, now: datetime,
) -> None:  # fmt: skip
    """Ask whether the person wants what somebody filled in for their address."""
    name = _speak(session, person, publication_id, language)
    _send(
        session, house, person.address, publication_id, now,
        _("%(name)s: please confirm", name=name),
        sentences(
            _("Somebody, perhaps you, asked for %(name)s at this address.", name=name),
            _("If you would like to receive it, confirm here:"),
        ),
        _link(house, "joining", Purpose.SIGN_UP, sign_up_id, 0, now + SIGN_UP_LASTS),
        _("If it was not you, you need do nothing: no letter will come. The link works for a week."),
    )  # fmt: skip


@_aside
def confirm_subscription(
    session: Session, house: House, person: Subscriber, publication_id: int, now: datetime
) -> None:
    """Ask once more whether a person wants what a partner brought them for."""
    name = _speak(session, person, publication_id)
    _send(
        session, house, person.address, publication_id, now,
        _("%(name)s: please confirm", name=name),
        _("If you would like to receive it, confirm here:"),
        _link(house, "confirm", Purpose.CONFIRM, person.id, publication_id, now + SIGN_UP_LASTS),
        _("If not, you need do nothing: no letter will come."),
    )  # fmt: skip


@_aside
def welcome(session: Session, house: House, person: Subscriber, publication_id: int, now: datetime) -> None:
    """Greet a new subscriber, where the publication does so."""
    name = _speak(session, person, publication_id)
    _send(
        session, house, person.address, publication_id, now,
        _("Welcome to %(name)s", name=name),
        _("Thank you for confirming. %(name)s will come to this address from now on.", name=name),
        _("Here you can change your language and topics, pause, or leave:"),
        preferences_link(house, person.id, publication_id, now),
        _("This link works for a day. Later, every letter offers one at its end."),
    )  # fmt: skip


@_aside
def new_address(
    session: Session, house: House, person: Subscriber, address: str, publication_id: int, change_id: int,
    now: datetime,
) -> None:  # fmt: skip
    """Ask at the new address whether letters shall come there."""
    name = _speak(session, person, publication_id)
    _send(
        session, house, address, publication_id, now,
        _("%(name)s: is this your new address?", name=name),
        sentences(
            _("A reader of %(name)s asked for their letters to come here.", name=name),
            _("If that was you, confirm here:"),
        ),
        _link(house, "address", Purpose.NEW_ADDRESS, change_id, 0, now + NEW_ADDRESS_LASTS),
        _("If it was not you, you need do nothing: nothing will change. The link works for two days."),
    )  # fmt: skip


@_aside
def address_changed(
    session: Session, house: House, person: Subscriber, old: str, publication_id: int, now: datetime
) -> None:
    """Tell the address that letters went to that they go elsewhere now."""
    name = _speak(session, person, publication_id)
    desk = session.get_one(Publication, publication_id).desk_address
    _send(
        session, house, old, publication_id, now,
        _("%(name)s: your address was changed", name=name),
        _("From now on letters go to %(address)s and no longer to this address.",
          address=masked(person.address or "")),
        _("If that was not you, write to %(desk)s.", desk=desk),
    )  # fmt: skip


@_aside
def own_data(session: Session, house: House, person: Subscriber, publication_id: int, now: datetime) -> None:
    """Mail the link that shows all we hold about a person."""
    name = _speak(session, person, publication_id)
    _send_brief(
        session, house, person, publication_id, now, Purpose.DATA, "data",
        _("%(name)s: your data", name=name),
        _("Everything we hold about you is here, to read and to take with you:"),
    )  # fmt: skip


@_aside
def erasure(session: Session, house: House, person: Subscriber, publication_id: int, now: datetime) -> None:
    """Mail the link by which a person has all erased that we hold about them."""
    name = _speak(session, person, publication_id)
    _send_brief(
        session, house, person, publication_id, now, Purpose.ERASE, "erase",
        _("%(name)s: erase your data", name=name),
        _("Here you can have everything erased that we hold about you. It cannot be taken back:"),
    )  # fmt: skip


def _send_brief(
    session: Session, house: House, person: Subscriber, publication_id: int, now: datetime, purpose: Purpose,
    page: str, subject: str, what: str,
) -> None:  # fmt: skip
    token = house.settings.keys.sign_briefly(purpose, person.id, expires=now + BRIEFLY)
    _send(
        session, house, person.address, publication_id, now, subject, what,
        f"{house.settings.public_url}/{page}/{token}",
        _("The link works for ten minutes. If you did not ask for it, you can ignore this letter."),
    )  # fmt: skip


def _link(house: House, page: str, purpose: Purpose, first: int, second: int, expires: datetime) -> str:
    token = house.settings.keys.sign(purpose, first, second, expires=expires)
    return f"{house.settings.public_url}/{page}/{token}"


def _speak(session: Session, person: Subscriber, publication_id: int, language: str = "") -> str:
    """Go on in the person's language, and return what the publication is called in it."""
    i18n.use(language or person.language)
    return publications.voice(session, publication_id, i18n.current()).name


def _send(
    session: Session, house: House, to: str | None, publication_id: int, now: datetime, subject: str,
    *paragraphs: str,
) -> None:  # fmt: skip
    """:raises NoteRefused: no relay took it"""
    note.send(
        session, to=to or "", subject=subject, text="\n\n".join(paragraphs),
        publication=session.get_one(Publication, publication_id),
        voice=publications.voice(session, publication_id, i18n.current()),
        settings=house.settings, now=now,
    )  # fmt: skip
