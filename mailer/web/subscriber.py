"""The subscriber's pages: reached from a letter, without an account.

A letter's own link counts a click or an open, shows the letter, and lets its reader leave: letters get
forwarded, so it does nothing else. Preferences (``web.preferences``) open only with a link mailed to the
address itself.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from sqlalchemy.orm import Session

from mailer import tracking
from mailer.address import masked
from mailer.audience import subscriptions
from mailer.audience.store import Subscriber, SubscriptionState
from mailer.delivery import store as delivery
from mailer.errors import NotFound
from mailer.issues import figures, publications
from mailer.signing import BadToken, Purpose
from mailer.tracking import Reader
from mailer.web import forms, i18n, letters, mails, pages, readers
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.preferences import Leaving

router = APIRouter(include_in_schema=False)

UNDO_LASTS = timedelta(days=1)  # a button pressed by mistake is noticed at once
_A_YEAR = "public, max-age=31536000, immutable"
_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)

Language = Literal["zh", "en"]


@router.get("/c/{token}/{index}")
def click(request: Request, house: Here, session: Writing, now: Now, token: str, index: int) -> Response:
    """Law 7: a token resolves to a link of the frozen letter and to nothing else."""
    address = tracking.click(
        session, keys=house.settings.keys, token=token, index=index, now=now, user_agent=_agent(request)
    )
    return RedirectResponse(address, 302)


@router.get("/o/{token}.gif")
def opened(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    """A picture is a picture, whoever asks for it."""
    with suppress(BadToken):  # a forged token counts nothing; a broken picture would disturb the reader
        tracking.open_pixel(
            session, keys=house.settings.keys, token=token, now=now, user_agent=_agent(request)
        )
    return Response(_PIXEL, media_type="image/gif")


@router.get("/view/{token}")
def view(house: Here, session: Reading, now: Now, token: str) -> Response:
    shown = tracking.view(session, settings=house.settings, token=token, now=now)
    return letters.published(shown.html, house.settings)


@router.get("/issues/{issue}/{language}")
def web_version(house: Here, session: Reading, issue: UUID, language: Language) -> Response:
    """Public once a campaign has sent it; a draft is nobody's business."""
    html = delivery.published(session, issue, language)
    if html is None:
        raise NotFound
    return letters.published(html, house.settings)


@router.get("/figures/{name}")
def figure(session: Reading, name: str) -> Response:
    found = figures.get(session, name)
    return Response(found.content, media_type=found.media_type, headers={"Cache-Control": _A_YEAR})


@router.get("/leave/{token}")
def leave_page(request: Request, house: Here, session: Reading, token: str) -> Response:
    reader = _who(request, session, house, token, Purpose.LEAVE)
    ask = house.settings.keys.sign(Purpose.LINK, reader.campaign_id, reader.n)
    return _letter_page(request, "subscriber/leave.html", reader, token=token, ask=ask)


@router.post("/leave/{token}")
def leave(house: Here, form: Posted, session: Writing, now: Now, token: str) -> Response:
    """RFC 8058 one-click: a bare POST suffices; no cookie, no sign-in. GET only shows the button."""
    reason = forms.read(Leaving, form).reason
    tracking.leave(session, keys=house.settings.keys, token=token, now=now, reason=reason)
    one_click = "List-Unsubscribe" in form
    return PlainTextResponse("") if one_click else pages.done(f"/leave/{token}")


@router.post("/leave/{token}/undo")
def come_back(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    """Whoever holds the letter could leave, so they may take it back for a day; later it takes a mailed link.

    Law 3: a forwarded letter must not subscribe again somebody who left long ago.
    """
    reader = _who(request, session, house, token, Purpose.LEAVE)
    left = subscriptions.get(session, reader.subscriber_id, reader.publication_id)
    if left is not None and now - left.changed_at > UNDO_LASTS:
        ask = house.settings.keys.sign(Purpose.LINK, reader.campaign_id, reader.n)
        return pages.done(f"/preferences/{ask}")
    subscriptions.rejoin(
        session, subscriber_id=reader.subscriber_id, publication_id=reader.publication_id, now=now,
        wording=_("That was a mistake: subscribe me again"),
        origin=request.client.host if request.client else "",
    )  # fmt: skip
    return pages.done(f"/leave/{token}", _("Welcome back. You are subscribed again."))


@router.get("/confirm/{token}")
def confirm_page(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    """One button: scanners follow links, and a followed link is nobody's consent."""
    person, publication = readers.of(session, house, Purpose.CONFIRM, token, now)
    readers.speak(request, person.language)
    subscription = subscriptions.get(session, person.id, publication.id)
    waits = subscriptions.is_asked(session, person.id, publication.id)
    return pages.render(
        request, "subscriber/confirm.html", token=token, address=person.address, waits=waits,
        name=publications.voice(session, publication.id, i18n.current()).name,
        left=subscription is None or subscription.state == SubscriptionState.LEFT,
    )  # fmt: skip


@router.post("/confirm/{token}")
def confirm(request: Request, house: Here, session: Writing, now: Now, token: str) -> Response:
    person, publication = readers.of(session, house, Purpose.CONFIRM, token, now)
    origin = request.client.host if request.client else ""
    subscriptions.confirm(
        session, subscriber_id=person.id, publication_id=publication.id, now=now, origin=origin
    )
    return pages.done(f"/confirm/{token}")


@router.get("/preferences/{token}")
def ask_for_link_page(request: Request, house: Here, session: Reading, token: str) -> Response:
    reader = _who(request, session, house, token, Purpose.LINK)
    leave = house.settings.keys.sign(Purpose.LEAVE, reader.campaign_id, reader.n)
    return _letter_page(request, "subscriber/ask.html", reader, token=token, leave=leave)


@router.post("/preferences/{token}")
def mail_link(request: Request, house: Here, session: Reading, now: Now, token: str) -> Response:
    reader = _who(request, session, house, token, Purpose.LINK)
    person = session.get_one(Subscriber, reader.subscriber_id)
    if person.address is None:
        raise NotFound
    readers.count_mail(request, house, person)
    mails.preferences(session, house, person, reader.publication_id, now)
    return pages.done(f"/preferences/{token}", _("The link is on its way to you. It works for a day."))


def _who(request: Request, session: Session, house: House, token: str, purpose: Purpose) -> Reader:
    """Whose letter it is; from here on the page speaks its language, unless its reader chose another."""
    reader = tracking.who(session, keys=house.settings.keys, token=token, purpose=purpose)
    readers.speak(request, reader.language)
    return reader


def _letter_page(request: Request, template: str, reader: Reader, **context: Any) -> Response:
    return pages.render(
        request,
        template,
        address=masked(reader.address) if reader.address else "",
        name=reader.publication_name or reader.publication_code,
        left=reader.state == SubscriptionState.LEFT,
        **context,
    )


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")
