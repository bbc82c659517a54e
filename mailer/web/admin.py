"""The administrator's pages: partners, subscribers, the outbox."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from mailer.accounts.sessions import SignedIn
from mailer.audience import partners, subscribers, suppressions
from mailer.audience.store import PartnerKind
from mailer.errors import NotFound
from mailer.feedback.outbox import PAGE_SIZE as LETTERS
from mailer.feedback.outbox import Outbox
from mailer.reports import person as reports
from mailer.reports import store as reports_store
from mailer.web import forms, letters, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.campaigns import known
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]
Reader = Annotated[SignedIn, Depends(may("report.read"))]


@router.get("/partners")
def list_partners(request: Request, session: Reading, me: Steward) -> Response:
    return pages.render(request, "admin/partners.html", partners=partners.listing(session))


class NewPartner(Form):
    """A new partner organisation."""

    code: str
    name_zh: str = ""
    name_en: str = ""
    kind: PartnerKind
    country: str
    language: Literal["zh", "en"] = "en"
    trusted: bool = False


@router.post("/partners")
def add_partner(request: Request, form: Posted, session: Writing, now: Now, me: Steward) -> Response:
    everyone = partners.listing(session)
    with pages.again(request, "admin/partners.html", form=forms.kept(form), partners=everyone):
        given = forms.read(NewPartner, form)
        partner = partners.add(session, now=now, actor=actor(me), **given.model_dump())
    return pages.done("/admin/partners", _("%(code)s has been added.", code=partner.code))


@router.get("/subscribers")
def list_subscribers(
    request: Request, session: Reading, me: Steward, search: pages.Search = "", page: pages.Number = 1
) -> Response:
    people, total = subscribers.listing(session, search=search, page=page)
    return pages.render(
        request, "admin/subscribers.html", people=people, total=total, search=search, page=page, size=50
    )


@router.get("/subscribers/{person}")
def show_subscriber(request: Request, session: Reading, now: Now, me: Steward, person: UUID) -> Response:
    """Everything that answers "why did the letter not arrive?" about one person."""
    found = subscribers.get(session, person)
    fates = reports.fates(session, found.id)
    return pages.render(
        request,
        "admin/subscriber.html",
        person=found,
        suppressed=suppressions.of_address(session, found.address_hash, now),
        subscriptions=reports_store.subscriptions_of(session, found.id),
        partners=reports_store.partners_of(session, found.id),
        fates=fates,
        campaigns={each.row.id: each for each in known(session, [fate.campaign for fate in fates])},
    )


def _outbox(house: Here) -> Outbox:
    if house.outbox is None:
        raise NotFound
    return house.outbox


Caught = Annotated[Outbox, Depends(_outbox)]


@router.get("/outbox")
def outbox(
    request: Request, caught: Caught, me: Reader, search: pages.Search = "", page: pages.Number = 1
) -> Response:
    found, total = caught.listing(search, page), caught.count(search)
    return pages.render(
        request, "admin/outbox.html", letters=found, total=total, search=search, page=page, size=LETTERS
    )


@router.get("/outbox/{letter}")
def outbox_letter(
    request: Request,
    caught: Caught,
    me: Reader,
    letter: int,
    view: Literal["desktop", "phone", "dark", "text", "headers", "raw"] = "desktop",
) -> Response:
    parts, raw = caught.parts(letter), caught.letter(letter)
    return pages.render(
        request, "admin/letter.html", letter=letter, parts=parts, view=view, raw=raw.decode(errors="replace")
    )


@router.get("/outbox/{letter}/html")
def outbox_html(caught: Caught, house: Here, me: Reader, letter: int, dark: bool = False) -> Response:
    html = caught.parts(letter).html
    if html is None:
        raise NotFound
    return letters.framed(html, house.settings, dark=dark)


@router.get("/outbox/{letter}/raw")
def outbox_raw(caught: Caught, me: Reader, letter: int) -> Response:
    """The letter as it came, for a mail program to open."""
    name = {"Content-Disposition": f'attachment; filename="letter-{letter}.eml"'}
    return Response(caught.letter(letter), media_type="message/rfc822", headers=name)
