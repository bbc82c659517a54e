"""A reader's preferences: reached by a link that was mailed to the address itself, good for a day.

What goes beyond them, all data and erasing them, takes one more mail; a change of address is confirmed at the
new one.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from limits import RateLimitItemPerDay
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.address import Address
from mailer.audience import desk, moves, sign_ups, subscribers, subscriptions, topics
from mailer.audience.names import Names
from mailer.audience.sign_ups import THE_READER
from mailer.audience.store import Subscriber, SubscriptionState
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.issues.store import Publication
from mailer.signing import Purpose
from mailer.web import forms, i18n, mails, pages, readers
from mailer.web.forms import NAMES, Form, Named, Refused
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(include_in_schema=False)

_MOVES = RateLimitItemPerDay(5)  # of a person
_MAILS_TO_NEW = RateLimitItemPerDay(3)  # of an address, however many ask


@router.get("/welcome/{token}")
def welcome_page(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person, publication = _reader(request, session, house, token, now)
    name = publications.voice(session, publication.id, i18n.current()).name
    return pages.render(
        request, "subscriber/welcome.html", token=token, name=name, address=person.address,
        welcomes=publication.welcomes,
    )  # fmt: skip


@router.get("/my/{token}")
def preferences(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person, publication = _reader(request, session, house, token, now)
    return pages.render(request, "subscriber/preferences.html", **_about(session, person, publication, token))


class Myself(Named):
    """What holds for every publication."""

    language: Literal["zh", "en"]


@router.post("/my/{token}")
def change_myself(
    request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str
) -> Response:
    person, publication = _reader(request, session, house, token, now)
    about = _about(session, person, publication, token)
    with pages.again(request, "subscriber/preferences.html", **{**about, "form": forms.kept(form)}):
        given = forms.read(Myself, form)
        subscribers.set_language(
            session, subscriber_id=person.id, language=given.language, now=now, actor=THE_READER
        )
        said = given.given_names()
        if said != _said(person):
            subscribers.edit(session, subscriber_id=person.id, now=now, actor=THE_READER, names=Names(**said))
    if "lang" not in request.cookies:
        i18n.use(given.language)
    return pages.done(f"/my/{token}", _("Saved."))


class Wishes(Form):
    """What a reader wants of one publication."""

    topics: tuple[str, ...] = ()
    every: int | None = None


@router.post("/my/{token}/letters/{code}")
def change_letters(
    request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str, code: str
) -> Response:
    person, publication, about = _of(request, session, house, token, code, now)
    with pages.again(request, "subscriber/preferences.html", **about):
        wishes = forms.read(Wishes, form)
        subscriptions.set_interval(
            session, subscriber_id=person.id, publication_id=publication.id, days=wishes.every
        )
        subscribers.set_topics(
            session, subscriber_id=person.id, publication_id=publication.id, codes=wishes.topics, now=now,
            actor=THE_READER,
        )  # fmt: skip
    return pages.done(f"/my/{token}", _("Saved."))


class Pause(Form):
    """For how many months, or until which day."""

    months: Literal["1", "3", "6", ""] = ""
    until: date | None = None


@router.post("/my/{token}/letters/{code}/pause")
def pause(
    request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str, code: str
) -> Response:
    person, publication, about = _of(request, session, house, token, code, now)
    with pages.again(request, "subscriber/preferences.html", **about):
        given = forms.read(Pause, form)
        until = _until(given, publication.zone, now)
        subscriptions.pause(
            session, subscriber_id=person.id, publication_id=publication.id, until=until, now=now
        )
    return pages.done(f"/my/{token}", _("Paused. No letter will come before %(day)s.", day=i18n.day(until)))


@router.post("/my/{token}/letters/{code}/resume")
def resume(request: Request, house: Here, session: Writing, now: Now, token: str, code: str) -> Response:
    person, publication, about = _of(request, session, house, token, code, now)
    with pages.again(request, "subscriber/preferences.html", **about):
        subscriptions.pause(
            session, subscriber_id=person.id, publication_id=publication.id, until=None, now=now
        )
    return pages.done(f"/my/{token}", _("Letters come again."))


class Leaving(Form):
    """Why somebody leaves, if they care to say."""

    reason: str = ""


@router.post("/my/{token}/letters/{code}/leave")
def leave(
    request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str, code: str
) -> Response:
    person, publication, _ignored = _of(request, session, house, token, code, now)
    reason = forms.read(Leaving, form).reason
    subscriptions.leave(
        session, subscriber_id=person.id, publication_id=publication.id, now=now, reason=reason
    )
    return pages.done(f"/my/{token}", _("You have left. No further letter will come."))


@router.post("/my/{token}/letters/{code}/join")
def join(request: Request, house: Here, session: Writing, now: Now, token: str, code: str) -> Response:
    """The link came by mail, so the person needs no further one to confirm."""
    person, publication, _ignored = _of(request, session, house, token, code, now)
    name = publications.voice(session, publication.id, i18n.current()).name
    sign_ups.subscribe(
        session, subscriber_id=person.id, publication_id=publication.id, now=now,
        wording=_("Subscribe to %(name)s", name=name),
        origin=request.client.host if request.client else "",
    )  # fmt: skip
    return pages.done(f"/my/{token}", _("You are subscribed to %(name)s.", name=name))


@router.post("/my/{token}/leave")
def leave_all(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    person, _publication = _reader(request, session, house, token, now)
    subscriptions.leave_all(session, subscriber_id=person.id, now=now)
    return pages.done(f"/my/{token}", _("You have left. No further letter will come."))


# --- another address -----------------------------------------------------------------------------------


class NewAddress(Form):
    """Where letters shall go."""

    address: str


@router.post("/my/{token}/address")
def ask_to_move(
    request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str
) -> Response:
    """The answer is the same whoever the new address belongs to: its mail goes out afterwards."""
    person, publication = _reader(request, session, house, token, now)
    about = _about(session, person, publication, token)
    with pages.again(request, "subscriber/preferences.html", **about):
        wanted = moves.new(person, forms.read(NewAddress, form).address)
        house.doorkeeper.count(_MOVES, "move", str(person.id))
    done = pages.done(
        f"/my/{token}", _("We have mailed a link to the new address: press the button behind it.")
    )
    done.background = BackgroundTask(_mail_new_address, house, person.id, publication.id, wanted, now)
    return done


def _mail_new_address(
    house: House, subscriber_id: int, publication_id: int, address: Address, now: datetime
) -> None:
    keys = house.settings.keys
    if not house.doorkeeper.admits(_MAILS_TO_NEW, "move", keys.address_hash(address.key)):
        return
    with house.database.write() as session:
        change = moves.ask(
            session, subscriber_id=subscriber_id, publication_id=publication_id, address=address, keys=keys,
            now=now,
        )  # fmt: skip
    if change is None:
        return
    with house.database.read() as session, mails.patiently():
        _change, person = moves.find(session, change.id)
        mails.new_address(session, house, person, address.wire, publication_id, change.id, now)


@router.get("/address/{token}")
def move_page(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    change, person = moves.find(session, _change_id(house, token, now))
    readers.speak(request, person.language)
    name = publications.voice(session, change.publication_id, i18n.current()).name
    return pages.render(request, "subscriber/move.html", token=token, change=change, name=name)


@router.post("/address/{token}")
def move(house: Here, session: Writing, now: Now, token: str) -> Response:
    moved = moves.confirm(session, _change_id(house, token, now), keys=house.settings.keys, now=now)
    done = pages.done(f"/address/{token}")
    if moved is not None:
        done.background = BackgroundTask(
            _tell_old_address, house, moved.person.id, moved.old, moved.publication_id, now
        )
    return done


def _tell_old_address(house: House, subscriber_id: int, old: str, publication_id: int, now: datetime) -> None:
    with house.database.read() as session, mails.patiently():
        person = session.get_one(Subscriber, subscriber_id)
        mails.address_changed(session, house, person, old, publication_id, now)


def _change_id(house: House, token: str, now: datetime) -> int:
    return house.settings.keys.read(Purpose.NEW_ADDRESS, token, now=now)[0]


# --- what the page shows -------------------------------------------------------------------------------


def _reader(
    request: Request, session: Session, house: House, token: str, now: datetime
) -> tuple[Subscriber, Publication]:
    """Return whose preferences they are, and the publication whose letter led here."""
    person, publication = readers.of(session, house, Purpose.PREFERENCES, token, now)
    readers.speak(request, person.language)
    return person, publication


def _of(
    request: Request, session: Session, house: House, token: str, code: str, now: datetime
) -> tuple[Subscriber, Publication, dict[str, Any]]:
    """Return the person, the publication that is to be changed, and what the page shows."""
    person, first = _reader(request, session, house, token, now)
    return person, publications.get(session, code), _about(session, person, first, token)


def _about(session: Session, person: Subscriber, first: Publication, token: str) -> dict[str, Any]:
    others = [each for each in issues.publications(session) if each.id != first.id]
    return {
        "token": token,
        "address": person.address,
        "letters": [_letters(session, person, each) for each in (first, *others)],
        "form": {"language": person.language, **_said(person)},
        "often": subscriptions.OFTEN,
    }


def _letters(session: Session, person: Subscriber, publication: Publication) -> dict[str, Any]:
    """How a person stands with a publication."""
    its = subscriptions.get(session, person.id, publication.id)
    return {
        "code": publication.code,
        "name": publications.voice(session, publication.id, i18n.current()).name,
        "subscribed": its is not None and its.state == SubscriptionState.CONFIRMED,
        "paused_until": its.paused_until if its else None,
        "zone": publication.zone,
        "offered": topics.listing(session, publication.id),
        "form": {
            "topics": topics.chosen(session, person.id, publication.id),
            "every": (its.every_days if its else None) or "",
        },
    }


def _said(person: Subscriber) -> dict[str, str]:
    names = desk.names_of(person)
    return {name: getattr(names, name) for name in NAMES}


def _until(given: Pause, zone: str, now: datetime) -> datetime:
    """Return when a pause ends: the beginning of a day where the publication is at home.

    :raises Refused: neither months nor a day were given
    """
    here = ZoneInfo(zone)
    today = now.astimezone(here).date()
    day = given.until or (_months_on(today, int(given.months)) if given.months else None)
    if day is None:
        raise Refused({"until": _("Please choose a span or a day.")})
    return datetime.combine(day, time(), here)


def _months_on(day: date, months: int) -> date:
    """Return the same day some months later, or the last of that month where it is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
