"""Readers at a page of theirs: who they are by the link mailed to them, and how often we mail one."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request
from limits import RateLimitItemPerHour
from sqlalchemy.orm import Session

from mailer.audience.store import Subscriber
from mailer.errors import NotFound
from mailer.issues.store import Publication
from mailer.signing import Purpose
from mailer.web import i18n
from mailer.web.house import House, TooMany, host_of

_PER_PERSON = RateLimitItemPerHour(3)
_PER_HOST = RateLimitItemPerHour(60)


class MailedAlready(TooMany):
    """We have mailed you several links already: look for the last one, also among spam, or ask in an hour."""


class NobodyAnyMore(NotFound):
    """We hold nothing any more about whoever this link was mailed to: there is nothing left to do."""


def of(
    session: Session, house: House, purpose: Purpose, token: str, now: datetime
) -> tuple[Subscriber, Publication]:
    """Return whom a link of a person and a publication was mailed to.

    :raises BadToken: forged or expired
    :raises NobodyAnyMore: the person's data were erased
    """
    subscriber_id, publication_id = house.settings.keys.read(purpose, token, now=now)
    publication = session.get(Publication, publication_id)
    if publication is None:
        raise NotFound
    return known(session, subscriber_id), publication


def known(session: Session, subscriber_id: int) -> Subscriber:
    """:raises NobodyAnyMore: the person's data were erased"""
    person = session.get(Subscriber, subscriber_id)
    if person is None or person.address is None:
        raise NobodyAnyMore
    return person


def count_mail(request: Request, house: House, person: Subscriber) -> None:
    """Nobody fills a mailbox by pressing a button in a forwarded letter.

    :raises MailedAlready: three mails an hour went to this person
    :raises TooMany: 60 were asked for from there
    """
    house.doorkeeper.count(_PER_HOST, "preferences", host_of(request))
    if not house.doorkeeper.admits(_PER_PERSON, "preferences", str(person.id)):
        raise MailedAlready


def speak(request: Request, language: str) -> None:
    """Go on in a reader's language, unless they chose another for the pages."""
    if "lang" not in request.query_params and "lang" not in request.cookies:
        i18n.use(language)
