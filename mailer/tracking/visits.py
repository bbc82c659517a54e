"""Visits: a reader, or a machine, comes by a link of a letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from sqlalchemy.orm import Session

from mailer.delivery import events, leaving, letters
from mailer.delivery.store import EventKind
from mailer.errors import NotFound
from mailer.settings import Settings
from mailer.signing import Keyring, Purpose
from mailer.tracking import store
from mailer.tracking.machines import machine
from mailer.tracking.store import Reader


class NobodysLetter(NotFound):
    """This link is of a test letter, or of one no longer known: there is nothing here to change."""


class NoSuchLink(NotFound):
    """This link leads nowhere: open the letter again and take the link from there."""


@dataclass(frozen=True, slots=True)
class View:
    """A letter for the browser. ``html`` is the letter's own: serve it where no script runs."""

    language: str
    subject: str
    html: str


def click(
    session: Session, *, keys: Keyring, token: str, index: int, now: datetime, user_agent: str = ""
) -> str:
    """Return the address behind a counted link, and append a click. A double click is one.

    A test letter's links lead on and count nothing.

    :raises BadToken: forged
    :raises NoSuchLink: the letter has no such link
    """
    campaign_id, n = keys.read(Purpose.LINK, token)
    if n == letters.NOBODY:
        return _first_with(session, campaign_id, index)
    links = store.links(session, campaign_id, n) or ()
    if not 0 <= index < len(links):
        raise NoSuchLink
    _append(session, campaign_id, n, EventKind.CLICK, now, user_agent, index)
    return links[index]


def open_pixel(session: Session, *, keys: Keyring, token: str, now: datetime, user_agent: str = "") -> None:
    """Append an open; a test letter's counts nothing.

    :raises BadToken: forged
    """
    campaign_id, n = keys.read(Purpose.LINK, token)
    if store.links(session, campaign_id, n) is not None:
        _append(session, campaign_id, n, EventKind.OPEN, now, user_agent)


def leave(
    session: Session, *, keys: Keyring, token: str, now: datetime, source: str = "web", reason: str = ""
) -> Reader:
    """End the subscription a letter was sent under and return who left. Again, it changes nothing.

    :raises BadToken: forged, or not a leave link
    :raises NobodysLetter: a test letter's
    """
    reader = who(session, keys=keys, token=token, purpose=Purpose.LEAVE)
    leaving.leave(session, reader.campaign_id, reader.n, now=now, source=source, reason=reason)
    return who(session, keys=keys, token=token, purpose=Purpose.LEAVE)


def who(session: Session, *, keys: Keyring, token: str, purpose: Purpose = Purpose.LINK) -> Reader:
    """Return whom the letter of ``token`` went to.

    :raises BadToken: forged, or of another purpose
    :raises NobodysLetter: a test letter's, or of a letter that is no longer known
    """
    found = store.reader(session, *keys.read(purpose, token))
    if found is None:
        raise NobodysLetter
    return found


def view(session: Session, *, settings: Settings, token: str, now: datetime) -> View:
    """Return the very letter that was sent, for the browser: frozen bytes with this reader's values.

    :raises BadToken: forged
    :raises NotFound: a test letter's, or the person was erased
    """
    reader = who(session, keys=settings.keys, token=token)
    sent = letters.again(session, campaign_id=reader.campaign_id, n=reader.n, settings=settings, now=now)
    message = message_from_bytes(sent, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("html",))
    assert body is not None, "every letter has an HTML part"
    subject = store.subject(session, reader.campaign_id, reader.language)
    return View(reader.language, subject, body.get_content())


def _first_with(session: Session, campaign_id: int, index: int) -> str:
    for links in store.links_in_order(session, campaign_id):
        if 0 <= index < len(links):
            return links[index]
    raise NoSuchLink


def _append(
    session: Session,
    campaign_id: int,
    n: int,
    kind: EventKind,
    now: datetime,
    user_agent: str,
    link: int | None = None,
) -> None:
    name = machine(user_agent)
    events.record(
        session,
        campaign_id=campaign_id,
        n=n,
        kind=kind,
        at=now,
        source="web",
        # the same second twice is an impatient finger, or a browser that asks again
        key=f"{link}:{int(now.timestamp())}:{bool(name)}",
        detail=f"{events.MACHINE}: {name}" if name else "",
        link=link,
    )
