"""A reader's own data, to see and to erase: each opens only by a link mailed on request, for ten minutes.

Links that have expired are mailed afresh, to the address they were mailed to before and to no other.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy.orm import Session

from mailer.audience import moves, sign_ups, topics
from mailer.audience.sign_ups import THE_READER
from mailer.audience.store import Subscriber
from mailer.errors import NotFound
from mailer.feedback import erasure
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.reports import own_data
from mailer.signing import Expired, Purpose
from mailer.web import i18n, mails, pages, readers
from mailer.web.house import Here, House, Now, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(include_in_schema=False)

_PAGES = {
    "my": Purpose.PREFERENCES,
    "welcome": Purpose.PREFERENCES,
    "joining": Purpose.SIGN_UP,
    "confirm": Purpose.CONFIRM,
    "data": Purpose.DATA,
    "erase": Purpose.ERASE,
    "address": Purpose.NEW_ADDRESS,
}
"""Pages whose links expire and can be mailed afresh, by the first part of their address."""

Page = Literal["my", "welcome", "joining", "confirm", "data", "erase", "address"]


@router.post("/my/{token}/data")
def ask_for_data(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person, publication = readers.of(session, house, Purpose.PREFERENCES, token, now)
    readers.count_mail(request, house, person)
    mails.own_data(session, house, person, publication.id, now)
    readers.speak(request, person.language)
    return pages.done(f"/my/{token}", _("The link is on its way to you. It works for ten minutes."))


@router.post("/my/{token}/erase")
def ask_to_erase(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person, publication = readers.of(session, house, Purpose.PREFERENCES, token, now)
    readers.count_mail(request, house, person)
    mails.erasure(session, house, person, publication.id, now)
    readers.speak(request, person.language)
    return pages.done(f"/my/{token}", _("The link is on its way to you. It works for ten minutes."))


@router.get("/data/{token}")
def data(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person = _briefly(request, session, house, Purpose.DATA, token, now)
    held, every = own_data.everything(session, person.id, now), issues.publications(session)
    return pages.render(
        request, "subscriber/data.html", token=token, held=held, address=person.address,
        called_by={each.code: publications.voice(session, each.id, i18n.current()).name for each in every},
        topics_called={
            (each.code, topic.code): topic.name_zh if i18n.current() == "zh" else topic.name_en
            for each in every
            for topic in topics.listing(session, each.id, retired=True)
        },
    )  # fmt: skip


@router.get("/data/{token}/export")
def export(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person = _briefly(request, session, house, Purpose.DATA, token, now)
    held = own_data.everything(session, person.id, now)
    return Response(
        json.dumps(held, ensure_ascii=False, indent=2, default=_plain),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )


@router.get("/erase/{token}")
def erase_page(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    person = _briefly(request, session, house, Purpose.ERASE, token, now)
    return pages.render(request, "subscriber/erase.html", token=token, address=person.address)


@router.post("/erase/{token}")
def erase(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    person = _briefly(request, session, house, Purpose.ERASE, token, now)
    erased = erasure.erase(session, subscriber_id=person.id, now=now, actor=THE_READER)
    if house.outbox is not None:
        house.outbox.forget(erased.spellings)
    return pages.render(request, "subscriber/erased.html")


def _briefly(
    request: Request, session: Session, house: House, purpose: Purpose, token: str, now: datetime
) -> Subscriber:
    person = readers.known(session, house.settings.keys.read_brief(purpose, token, now=now))
    readers.speak(request, person.language)
    return person


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


# --- links that have expired ---------------------------------------------------------------------------


@router.post("/fresh/{page}/{token}")
def mail_afresh(
    request: Request, house: Here, session: Reading, now: Now, page: Page, token: str
) -> Response:
    """The same answer whoever the link belongs to; its mail goes to the address in it."""
    first, second = house.settings.keys.read(_PAGES[page], token)
    person = _whose(session, page, first)
    readers.count_mail(request, house, person)
    _mail(session, house, page, person, first, second, now)
    return pages.render(request, "subscriber/expired.html", fresh="", sent=True)


def _whose(session: Session, page: Page, first: int) -> Subscriber:
    match page:
        case "joining":
            return sign_ups.find(session, first)[1]
        case "address":
            return moves.find(session, first)[1]
    return readers.known(session, first)


def _mail(
    session: Session, house: House, page: Page, person: Subscriber, first: int, second: int, now: datetime
) -> None:
    match page:
        case "my" | "welcome":
            mails.preferences(session, house, person, second, now)
        case "confirm":
            mails.confirm_subscription(session, house, person, second, now)
        case "joining":
            its = sign_ups.find(session, first)[0]
            mails.confirm_sign_up(session, house, person, its.publication_id, its.id, its.language, now)
        case "data":
            mails.own_data(session, house, person, _a_publication(session), now)
        case "erase":
            mails.erasure(session, house, person, _a_publication(session), now)
        case "address":
            change = moves.find(session, first)[0]
            if change.address is None:  # they have moved
                raise NotFound
            mails.new_address(session, house, person, change.address, change.publication_id, change.id, now)


def _a_publication(session: Session) -> int:
    """Return in whose name a mail goes that is about none in particular."""
    found = issues.publications(session)
    if not found:
        raise NotFound
    return found[0].id


def install(app: FastAPI) -> None:
    """Have an expired link offer a fresh one, where it is of a kind that we mail."""

    @app.exception_handler(Expired)
    def expired(request: Request, error: Expired) -> Response:
        _slash, page, token, *_rest = [*request.url.path.split("/"), "", ""]
        if page not in _PAGES:
            return pages.trouble(request, error.http_status, i18n.tell(error.sentence))
        return pages.render(
            request, "subscriber/expired.html", error.http_status, fresh=f"/fresh/{page}/{token}", sent=False
        )
