"""Inviting: people whom a partner brought, and does not vouch for, are asked by mail, once a day at most.

Those of a file are asked in turns. Rows are the truth: the upload knows up to which line people were asked,
and when the next are due. Whoever is asked is noted before the mail leaves, so that nobody is asked twice;
where no relay takes the mail, it is noted back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer.audience import subscriptions, suppressions
from mailer.audience.store import Import, Subscriber, SubscriptionState
from mailer.audience.uploads import store
from mailer.audience.uploads.store import Upload
from mailer.database import Database
from mailer.delivery import note
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.settings import Settings
from mailer.signing import Purpose

AT_ONCE = 20  # people of a turn
PAUSE = timedelta(seconds=10)  # between the turns of one file: at most 7,200 people an hour
RETRY = timedelta(minutes=5)  # where no relay took a mail
LASTS = timedelta(days=14)  # the link
ONCE_IN = timedelta(days=1)  # for one person, however many partners bring them


Letters = Mapping[str, Mapping[str, str]]
"""By language: "subject", "text", and "text_for_readers", for those who receive it already."""


@dataclass(frozen=True, slots=True)
class _Asked:
    line: int  # of the file
    subscriber_id: int


def invite(database: Database, *, settings: Settings, clock: Callable[[], datetime]) -> bool:
    """Ask the next people of one file; False when none are due."""
    now = clock()
    with database.write() as session:
        upload = store.lease_invitations(session, now, now + PAUSE)
        if upload is None:
            return False
        upload_id, asked = upload.id, _next(session, upload, now)
    for each in asked:
        try:
            with database.read() as session:
                upload = session.get_one(Upload, upload_id)
                if upload.invitation is not None:
                    send(session, each.subscriber_id, upload.publication_id, upload.invitation, settings, now)
        except note.NoteRefused:
            with database.write() as session:
                _put_back(session, session.get_one(Upload, upload_id), asked[asked.index(each) :], now)
            break
    return True


def _next(session: Session, upload: Upload, now: datetime) -> list[_Asked]:
    """Note who is asked now; people who must not be, or were today, are passed over."""
    done = session.get_one(Import, upload.import_id)
    found = [] if done.undo_asked_at else store.added_after(session, done.id, upload.invited_to, AT_ONCE)
    if not found:
        upload.invitation = upload.invite_at = None
        return []
    upload.invited_to = found[-1][0]
    return [
        _Asked(line, subscriber_id)
        for line, subscriber_id in found
        if claim(session, subscriber_id, upload.publication_id, now)
    ]


def claim(session: Session, subscriber_id: int, publication_id: int, now: datetime) -> bool:
    """Note that a person is asked now; False: they must not be, or were today, whoever brought them."""
    person = session.get(Subscriber, subscriber_id)
    if person is None or person.address is None:
        return False
    may = (
        subscriptions.is_asked(session, subscriber_id, publication_id)
        and not suppressions.of_address(session, person.address_hash, now)
        and not store.asked_since(session, subscriber_id, publication_id, now - ONCE_IN)
    )
    if may:
        store.note_asked(session, subscriber_id, publication_id, now)
    return may


def give_back(session: Session, subscriber_id: int, publication_id: int) -> None:
    """Note that a person was not asked after all."""
    store.forget_asked(session, subscriber_id, publication_id)


def send(
    session: Session,
    subscriber_id: int,
    publication_id: int,
    letters: Letters,
    settings: Settings,
    now: datetime,
) -> None:
    """Ask a person in their language, in words that have "{link}" for the address to confirm at.

    :raises NoteRefused: no relay took it
    """
    person = session.get(Subscriber, subscriber_id)
    if person is None or person.address is None:
        return
    words = letters[person.language]
    subscription = subscriptions.get(session, subscriber_id, publication_id)
    reads = subscription is not None and subscription.state == SubscriptionState.CONFIRMED
    token = settings.keys.sign(Purpose.CONFIRM, person.id, publication_id, expires=now + LASTS)
    note.send(
        session,
        to=person.address,
        subject=words["subject"],
        text=words["text_for_readers" if reads else "text"].replace(
            "{link}", f"{settings.public_url}/confirm/{token}"
        ),
        publication=session.get_one(Publication, publication_id),
        voice=publications.voice(session, publication_id, person.language),
        settings=settings,
        now=now,
    )


def _put_back(session: Session, upload: Upload, asked: list[_Asked], now: datetime) -> None:
    """Have these asked later: their mail did not leave."""
    upload.invited_to, upload.invite_at = asked[0].line - 1, now + RETRY
    for each in asked:
        give_back(session, each.subscriber_id, upload.publication_id)
