"""The directory of partners comes in from a file: tried first, then whole or not at all."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.background import BackgroundTask

from mailer.accounts import sessions, users
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import User
from mailer.audience import partner_files
from mailer.web import account_mail, pages, tables
from mailer.web.access import actor, guard, may, staff
from mailer.web.house import Here, House, Now, Posted, Writing

router = APIRouter(
    prefix="/admin/partners/import", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("user.manage"))]  # accounts are made for managers

_PAGE = "admin/partner_import.html"


@router.get("")
def choose_file(request: Request, me: Admin) -> Response:
    return pages.render(request, _PAGE, **tables.NOTHING)


@router.post("/check")
def check_file(request: Request, form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    """Say what the file would do, row by row. Nothing is written: it was tried, and taken back."""
    check = partial(partner_files.dry_run, session, now=now, actor=actor(me))
    shown = tables.reported(request, form, _PAGE, partner_files.read, check)
    return pages.render(request, _PAGE, **shown)


@router.post("")
def take_file(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    take = partial(partner_files.take_in, session, now=now, actor=actor(me))
    shown = tables.reported(request, form, _PAGE, partner_files.read, take)
    page = pages.render(request, _PAGE, **shown)
    if shown["report"].written:
        made = [users.get(session, email) for email in shown["report"].managers]
        links = [
            (each, sessions.make_link(session, user_id=each.id, now=now, actor=actor(me))) for each in made
        ]
        page.background = BackgroundTask(_invite, house, links, me.user.name or me.user.email, now)
    return page


def _invite(house: House, links: list[tuple[User, str]], inviter: str, now: datetime) -> None:
    for user, token in links:
        account_mail.send_invitation(house, user, inviter, token, now)
