"""The outbox: letters that were caught instead of sent."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response

from mailer.accounts.sessions import SignedIn
from mailer.errors import NotFound
from mailer.feedback.outbox import PAGE_SIZE as LETTERS
from mailer.feedback.outbox import Outbox
from mailer.web import letters, pages
from mailer.web.access import guard, may, staff
from mailer.web.house import Here

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Reader = Annotated[SignedIn, Depends(may("report.read"))]


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
