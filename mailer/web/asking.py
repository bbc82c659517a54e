"""Requests: a partner asks for seats or a topic, the secretariat answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.accounts import team
from mailer.accounts.sessions import SignedIn
from mailer.audience import desk, requests
from mailer.audience.requests import Kind
from mailer.audience.store import Partner, PartnerRequest, RequestState
from mailer.web import forms, i18n, pages, post
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.partner import Manager, Own, called, teller

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)
secretariat = APIRouter(
    prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]
SIZE = 50


class Wish(Form):
    """What a partner would like."""

    kind: Kind
    seats: int | None = None
    words: str = ""


@router.get("/requests")
def own_requests(request: Request, session: Reading, now: Now, own: Own, kind: str = "") -> Response:
    form = {"kind": kind if kind in set(Kind) else Kind.SEATS}
    return pages.render(request, "partner/requests.html", form=form, **_asked(session, own, now))


@router.post("/requests")
def ask(request: Request, form: Posted, session: Writing, now: Now, me: Manager, own: Own) -> Response:
    with pages.again(request, "partner/requests.html", form=forms.kept(form), **_asked(session, own, now)):
        given = forms.read(Wish, form)
        requests.ask(
            session, partner_id=own.id, kind=given.kind, seats=given.seats, words=given.words, now=now,
            actor=actor(me),
        )  # fmt: skip
    return pages.done(
        "/partner/requests", _("The secretariat has your request. The answer comes by mail, and here.")
    )


@router.post("/requests/{request_id}/withdraw")
def withdraw(session: Writing, now: Now, me: Manager, own: Own, request_id: UUID) -> Response:
    requests.withdraw(session, partner_id=own.id, request=request_id, now=now, actor=actor(me))
    return pages.done("/partner/requests", _("Withdrawn."))


def _asked(session: Session, own: Partner, now: datetime) -> dict[str, Any]:
    return {
        "asked": requests.of_partner(session, own.id),
        "overview": desk.overview(session, own, now=now),
        "who": teller(session, own),
        "name": called(own),
    }


@secretariat.get("/requests")
def every_request(request: Request, session: Reading, me: Steward, page: pages.Number = 1) -> Response:
    return pages.render(request, "admin/requests.html", **_waiting(session, page))


class Answer(Form):
    """What the secretariat says."""

    verdict: Literal["accept", "decline"]
    answer: str = ""


@secretariat.post("/requests/{request_id}")
def answer(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Steward, request_id: UUID
) -> Response:
    kept = {**forms.kept(form), "of": str(request_id)}
    with pages.again(request, "admin/requests.html", form=kept, **_waiting(session, 1)):
        given = forms.read(Answer, form)
        verb = requests.accept if given.verdict == "accept" else requests.decline
        found = verb(session, request=request_id, answer=given.answer, now=now, actor=actor(me))
    done = pages.done("/admin/requests", _("Answered. The partner is told by mail."))
    done.background = BackgroundTask(_tell, house, found.partner_id, found, now)
    return done


def _waiting(session: Session, page: int) -> dict[str, Any]:
    found, total = requests.listing(session, page=page, size=SIZE)
    return {"found": found, "total": total, "page": page, "size": SIZE}


def _tell(house: House, partner_id: int, found: PartnerRequest, now: datetime) -> None:
    """Tell who asked; where they have gone, all who manage the partner now."""
    with house.database.read() as session:
        managers = team.members(session, partner_id)
    asked = [user for user in managers if user.email == found.asked_by]
    for user in asked or managers:
        i18n.use(user.language)
        accepted = found.state == RequestState.ACCEPTED
        subject = _("Your request was granted") if accepted else _("Your request was declined")
        text = f"{_what(found)}\n\n{subject}."
        words = f"\n\n{found.answer}" if found.answer else ""
        link = f"\n\n{house.settings.public_url}/partner/requests\n"
        post.send(
            house, to=user.email, language=user.language, subject=subject, text=text + words + link, now=now
        )


def _what(found: PartnerRequest) -> str:
    if found.seats is not None:
        return _("You asked for %(seats)s seats in all.", seats=i18n.number(found.seats))
    return _("You asked for a topic: %(words)s", words=found.words)
