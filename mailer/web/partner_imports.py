"""The directory of partners comes in from a file: tried first, then whole or not at all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.background import BackgroundTask

from mailer.accounts import sessions, users
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import User
from mailer.audience import partner_files
from mailer.web import account_mail, forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.house import Here, House, Now, Posted, Writing

router = APIRouter(
    prefix="/admin/partners/import", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("user.manage"))]  # accounts are made for managers

_PAGE = "admin/partner_import.html"
_NOTHING: dict[str, Any] = {"report": None, "name": "", "carried": "", "unread": ()}


@router.get("")
def choose_file(request: Request, me: Admin) -> Response:
    return pages.render(request, _PAGE, **_NOTHING)


@router.post("/check")
def check_file(request: Request, form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    """Say what the file would do, row by row. Nothing is written: it was tried, and taken back."""
    with pages.again(request, _PAGE, form={}, **_NOTHING):
        name, raw = forms.chosen_file(form)
        found = partner_files.read(raw, name)
        report = partner_files.dry_run(session, found, now=now, actor=actor(me))
    shown = {"report": report, "name": name, "carried": forms.carried(raw), "unread": found.unread}
    return pages.render(request, _PAGE, **shown)


@router.post("")
def take_file(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    with pages.again(request, _PAGE, form={}, **_NOTHING):
        name, raw = forms.chosen_file(form)
        found = partner_files.read(raw, name)
        report = partner_files.take_in(session, found, now=now, actor=actor(me))
    page = pages.render(request, _PAGE, **_NOTHING | {"report": report, "name": name, "unread": found.unread})
    if report.written:
        made = [users.get(session, email) for email in report.managers]
        links = [
            (each, sessions.make_link(session, user_id=each.id, now=now, actor=actor(me))) for each in made
        ]
        page.background = BackgroundTask(_invite, house, links, me.user.name or me.user.email, now)
    return page


def _invite(house: House, links: list[tuple[User, str]], inviter: str, now: datetime) -> None:
    for user, token in links:
        account_mail.send_invitation(house, user, inviter, token, now)
