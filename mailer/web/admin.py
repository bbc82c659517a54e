"""The administrator's pages: accounts, what happened, the outbox."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response

from mailer.accounts import audit, sessions, users
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import Role
from mailer.audience import partners
from mailer.errors import Invalid, NotFound
from mailer.feedback.outbox import PAGE_SIZE as LETTERS
from mailer.feedback.outbox import Outbox
from mailer.web import forms, letters, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Admin = Annotated[SignedIn, Depends(may("user.manage"))]
Watcher = Annotated[SignedIn, Depends(may("event.read"))]
Reader = Annotated[SignedIn, Depends(may("report.read"))]


class OwnAccount(Invalid):
    """You cannot close the account you are signed in with: ask another administrator."""


class Account(Form):
    """A new account."""

    email: str
    name: str = ""
    role: Role
    partner: str = ""
    language: Literal["zh", "en"] = "en"


@router.get("/users")
def list_users(request: Request, session: Reading, me: Admin) -> Response:
    return pages.render(request, "admin/users.html", **_accounts(session))


@router.post("/users")
def add_user(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    with pages.again(request, "admin/users.html", form=forms.kept(form), **_accounts(session)):
        given = forms.read(Account, form)
        user = users.add(
            session, email=given.email, role=given.role, name=given.name, language=given.language,
            partner_code=given.partner or None, now=now, actor=actor(me),
        )  # fmt: skip
    link = f"{house.settings.public_url}/sign-in/{sessions.make_link(session, user_id=user.id, now=now)}"
    return pages.render(request, "admin/users.html", link=link, made=user, **_accounts(session))


class Whose(Form):
    """The account a button is about."""

    email: str


@router.post("/users/link")
def link_for_user(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin
) -> Response:
    user = users.get(session, forms.read(Whose, form).email)
    link = f"{house.settings.public_url}/sign-in/{sessions.make_link(session, user_id=user.id, now=now)}"
    return pages.render(request, "admin/users.html", link=link, made=user, **_accounts(session))


@router.post("/users/disable")
def disable_user(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    user = users.get(session, forms.read(Whose, form).email)
    if user.id == me.user.id:
        raise OwnAccount
    users.disable(session, user_id=user.id, now=now, actor=actor(me))
    return pages.done("/admin/users", _("%(email)s can no longer sign in.", email=user.email))


def _accounts(session: Reading) -> dict[str, Any]:
    everyone = partners.listing(session)
    return {
        "users": users.listing(session),
        "partners": {partner.id: partner for partner, _people in everyone},
        "roles": Role,
    }


@router.get("/activity")
def activity(request: Request, session: Reading, me: Watcher) -> Response:
    return pages.render(request, "admin/activity.html", entries=audit.entries(session, limit=100))


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
