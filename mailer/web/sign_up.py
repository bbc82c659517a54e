"""Signing up: a form that anybody may fill in for any address, and the mail that makes it true.

The answer is the same whoever the address belongs to, and everything that depends on them happens after it
has left. The form may stand on other sites: in a frame (``/embed``), or as plain HTML that posts to
``/join``; that leads to a page of ours with one button before anything is mailed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from limits import RateLimitItemPerDay, RateLimitItemPerHour
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask
from starlette.datastructures import FormData

from mailer import address as addresses
from mailer.address import BadAddress
from mailer.audience import sign_ups, topics
from mailer.audience.names import Names
from mailer.audience.sign_ups import Mail, Wish
from mailer.audience.store import ConsentKind, Subscriber
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.signing import BadToken, Purpose
from mailer.web import consent, forms, i18n, mails, pages, tickets
from mailer.web.forms import Named, Refused
from mailer.web.house import Here, House, Now, Posted, Reading, Writing, host_of

router = APIRouter(include_in_schema=False)

_PER_HOST = RateLimitItemPerHour(100)  # a ministry's people may share one address
_CALM_HOST = RateLimitItemPerHour(10)  # beyond, a form takes a puzzle
_CALM_PUBLICATION = RateLimitItemPerHour(100)
_BY_SUM = RateLimitItemPerHour(30)  # of a publication: sums are no hindrance to who writes a program for them
_MAILS_AN_HOUR = RateLimitItemPerHour(1)
_MAILS_A_DAY = RateLimitItemPerDay(3)
WHERE_MAILS_CAME_BACK = RateLimitItemPerDay(1, 7)
_ONCE = RateLimitItemPerDay(1)


class SignUpForm(Named):
    """What somebody fills in. ``website`` is hidden from people: only machines answer it."""

    address: str
    language: Literal["zh", "en"]
    agreed: Literal["1"]
    topics: tuple[str, ...] = ()
    website: str = ""
    ticket: str = ""
    work: str = ""
    sum: str = ""


@router.get("/join/{code}")
def form_page(request: Request, house: Here, session: Reading, now: Now, code: str) -> Response:
    return _page(request, house, session, now, code)


@router.get("/embed/{code}.html")
def embedded_page(request: Request, house: Here, session: Reading, now: Now, code: str) -> Response:
    return _page(request, house, session, now, code)


@router.get("/join/{code}/sent")
def sent_page(request: Request, session: Reading, code: str) -> Response:
    name = _name(session, publications.get(session, code))
    return pages.render(request, "subscriber/join_sent.html", layout=_layout(request), name=name)


@router.get("/embed/{code}/sent")
def embedded_sent_page(request: Request, session: Reading, code: str) -> Response:
    return sent_page(request, session, code)


@router.post("/join/{code}")
def sign_up(request: Request, form: Posted, house: Here, session: Reading, now: Now, code: str) -> Response:
    """A form of ours, or one of another site: without a ticket it leads to a page with one button."""
    return _signed_up(request, form, house, session, now, code, f"/join/{code}/sent")


@router.post("/embed/{code}.html")
def sign_up_embedded(
    request: Request, form: Posted, house: Here, session: Reading, now: Now, code: str
) -> Response:
    return _signed_up(request, form, house, session, now, code, f"/embed/{code}/sent")


def _signed_up(
    request: Request, form: FormData, house: House, session: Session, now: datetime, code: str, next: str
) -> Response:
    publication = publications.get(session, code)
    about = _about(request, house, session, now, publication, str(form.get("ticket", "")))
    _ask_in(form)
    with pages.again(request, "subscriber/join.html", form=forms.kept(form), **about):
        given = forms.read(SignUpForm, form)
        house.doorkeeper.count(_PER_HOST, "join", host_of(request))
        wish = _wish(request, session, publication, given)
        if not given.ticket:
            return _step(request, form, about)
        tickets.check(house.settings.keys, given.ticket, publication.id, now)
        if not _let_in(request, house, publication, given):
            return _step(request, form, {**about, "puzzle": _puzzle(house, given.ticket)})
    done = pages.done(f"{next}?lang={i18n.current()}")
    first = house.doorkeeper.admits(_ONCE, "join-form", given.ticket)  # not a second press of the button
    if first and not given.website:
        done.background = BackgroundTask(answer, house, wish, publication.id, now)
    return done


def answer(house: House, wish: Wish, publication_id: int, now: datetime) -> None:
    """Note a sign-up and mail the address whatever it needs: after the answer, so that time tells nothing."""
    keys, doorkeeper = house.settings.keys, house.doorkeeper
    whose = keys.address_hash(addresses.key_of(wish.address))
    if not (
        doorkeeper.admits(_MAILS_AN_HOUR, "join", whose) and doorkeeper.admits(_MAILS_A_DAY, "join", whose)
    ):
        return
    with house.database.write() as session:
        asked = sign_ups.ask(session, wish, publication_id=publication_id, keys=keys, now=now)
    if asked.silenced and not doorkeeper.admits(WHERE_MAILS_CAME_BACK, "join", whose):
        return
    with house.database.read() as session, mails.patiently():
        if asked.mail is Mail.KNOWN:
            mails.known(session, house, session.get_one(Subscriber, asked.subscriber_id), publication_id, now)
        elif asked.mail is Mail.CONFIRM:
            person = session.get_one(Subscriber, asked.subscriber_id)
            mails.confirm_sign_up(session, house, person, publication_id, asked.id, wish.language, now)


@router.get("/joining/{token}")
def confirm_page(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    """One button: scanners follow links, and a followed link is nobody's consent."""
    sign_up, person = sign_ups.find(session, _sign_up_id(house, token, now))
    if "lang" not in request.query_params:
        i18n.use(sign_up.language)
    publication = session.get_one(Publication, sign_up.publication_id)
    return pages.render(
        request, "subscriber/joining.html", token=token, address=person.address,
        name=_name(session, publication), waits=sign_ups.waits(session, sign_up), code=publication.code,
    )  # fmt: skip


@router.post("/joining/{token}")
def confirm(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    """Whoever pressed the button first reads the address's mail: they go on to their preferences."""
    sign_up_id = _sign_up_id(house, token, now)
    sign_up, person = sign_ups.find(session, sign_up_id)
    origin = request.client.host if request.client else ""
    if not sign_ups.confirm(session, sign_up_id, now=now, origin=origin):
        return pages.done(f"/joining/{token}")
    preferences = house.settings.keys.sign(
        Purpose.PREFERENCES, person.id, sign_up.publication_id, expires=now + mails.PREFERENCES_LAST
    )
    done = pages.done(f"/welcome/{preferences}")
    if session.get_one(Publication, sign_up.publication_id).welcomes:
        done.background = BackgroundTask(greet, house, person.id, sign_up.publication_id, now)
    return done


def greet(house: House, subscriber_id: int, publication_id: int, now: datetime) -> None:
    """Mail a new subscriber a welcome."""
    with house.database.read() as session, mails.patiently():
        mails.welcome(session, house, session.get_one(Subscriber, subscriber_id), publication_id, now)


def _sign_up_id(house: House, token: str, now: datetime) -> int:
    return house.settings.keys.read(Purpose.SIGN_UP, token, now=now)[0]


# --- the form -------------------------------------------------------------------------------------------


def _page(request: Request, house: House, session: Session, now: datetime, code: str) -> Response:
    publication = publications.get(session, code)
    form = {"language": i18n.current()}
    return pages.render(
        request, "subscriber/join.html", form=form, **_about(request, house, session, now, publication)
    )


def _about(
    request: Request,
    house: House,
    session: Session,
    now: datetime,
    publication: Publication,
    ticket: str = "",
) -> dict[str, Any]:
    keys = house.settings.keys
    try:
        tickets.check(keys, ticket, publication.id, now)
    except tickets.Stale:
        ticket = tickets.issue(keys, publication.id, now, secrets.randbelow(2**16))
    except tickets.TooQuick:
        pass
    return {
        "layout": _layout(request),
        "code": publication.code,
        "name": _name(session, publication),
        "wording": consent.said(session, publication.id, ConsentKind.SIGN_UP),
        "offered": topics.listing(session, publication.id),
        "ticket": ticket,
        "step": False,
        "puzzle": None,
    }


def _layout(request: Request) -> str:
    return "embedded.html" if request.url.path.startswith("/embed/") else "subscriber/base.html"


def _name(session: Session, publication: Publication) -> str:
    return publications.voice(session, publication.id, i18n.current()).name


def _ask_in(form: FormData) -> None:
    """Go on in the language of the form that was sent: the browser may prefer another."""
    if form.get("page_language") in i18n.NAMES:
        i18n.use(str(form["page_language"]))


def _wish(request: Request, session: Session, publication: Publication, given: SignUpForm) -> Wish:
    """:raises Refused: not an address"""
    try:
        address = addresses.parse(given.address)
    except BadAddress as error:
        raise Refused({"address": i18n.tell(error.sentence)}) from error
    offered = {topic.code for topic in topics.listing(session, publication.id)}
    return Wish(
        address=address.wire,
        language=given.language,
        topics=sorted(offered & set(given.topics)),
        names=Names(**given.given_names()),
        wording=consent.said(session, publication.id, ConsentKind.SIGN_UP),
        origin=request.client.host if request.client else "",
    )


def _let_in(request: Request, house: House, publication: Publication, given: SignUpForm) -> bool:
    """Tell whether a form goes through: always in calm times, else with its puzzle solved or its sum done."""
    if tickets.is_solved(given.ticket, given.work):
        return True
    if given.sum == str(sum(tickets.summands(house.settings.keys, given.ticket))):
        return house.doorkeeper.admits(_BY_SUM, "join-sum", publication.code)
    return house.doorkeeper.admits(_CALM_HOST, "join-calm", host_of(request)) and house.doorkeeper.admits(
        _CALM_PUBLICATION, "join-calm", publication.code
    )


def _puzzle(house: House, ticket: str) -> tuple[int, int] | None:
    try:
        return tickets.summands(house.settings.keys, ticket)
    except BadToken:
        return None


def _step(request: Request, form: FormData, about: Mapping[str, Any]) -> Response:
    """Show what was filled in, with one button: nothing has been mailed yet."""
    return pages.render(request, "subscriber/join.html", form=forms.kept(form), **{**about, "step": True})
