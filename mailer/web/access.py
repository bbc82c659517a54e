"""Access: who is asking, whether they may, and whether the request is really theirs.

Every route of a signed-in area hangs on ``guard``: it finds the session, and refuses a POST that another
site sent (``Sec-Fetch-Site`` and ``Origin``, where the browser says) or that lacks the session's token.
What a role may do is ``accounts.users``' table. For a partner manager, what is not theirs does not exist.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from limits import RateLimitItemPerMinute

from mailer.accounts import sessions, users
from mailer.accounts.audit import Actor
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import Role, User
from mailer.address import key_of
from mailer.errors import Forbidden, MailerError, NotFound
from mailer.web import forms, i18n, pages
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing, house_of
from mailer.web.i18n import _

_SAFE_METHODS = ("GET", "HEAD")
_PER_ACCOUNT = RateLimitItemPerMinute(10)
_PER_HOST = RateLimitItemPerMinute(60)  # a ministry's people may share one address
_ONE_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\\x7f]*")


class SignInFirst(MailerError):
    """Sign in to see this page."""

    http_status = 401


class Forged(Forbidden):
    """This form has expired or did not come from our page: go back, reload the page and send it again."""


def _me(request: Request, session: Reading, house: Here, now: Now) -> SignedIn:
    found = sessions.find(session, request.cookies.get(_cookie(house, "session"), ""), now)
    if found is None:
        raise SignInFirst
    request.state.me = found
    return found


Me = Annotated[SignedIn, Depends(_me)]


async def guard(request: Request, me: Me) -> AsyncIterator[None]:
    """Let in who is signed in, and of their POSTs only those our own pages made.

    :raises SignInFirst: nobody is signed in
    :raises Forged: the request came from elsewhere
    """
    try:
        if request.method not in _SAFE_METHODS:
            await _own_form(request, me.csrf)
        yield
    finally:
        await request.close()  # uploaded files


def staff(me: Me) -> None:
    """:raises NotFound: a partner manager, for whom the secretariat's pages do not exist"""
    if me.user.role == Role.PARTNER:
        raise NotFound


def may(action: str) -> Callable[..., SignedIn]:
    """Return the dependency of an endpoint: who is signed in, if their role may do ``action``."""

    def allowed(me: Me) -> SignedIn:
        if not users.may(me.user.role, action):
            raise Forbidden
        return me

    return allowed


def actor(me: SignedIn) -> Actor:
    """Return who acts, for the audit log."""
    return Actor(me.user.id, me.user.email)


async def _own_form(request: Request, token: str) -> None:
    """:raises Forged: another site sent it, or it does not carry ``token``"""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    hosts = {request.url.netloc, urlsplit(house_of(request).settings.public_url).netloc}
    form = await request.form()
    carried = str(form.get("csrf", ""))
    foreign = site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc not in hosts)
    if foreign or not token or not hmac.compare_digest(carried.encode(), token.encode()):
        raise Forged


async def _own_sign_in(request: Request, house: Here) -> None:
    """Nobody is signed in yet, so the form's token is compared with a cookie (double submit)."""
    await _own_form(request, request.cookies.get(_cookie(house, "visitor"), ""))


router = APIRouter(include_in_schema=False)


class SignIn(Form):
    """Who signs in, and where they were going."""

    email: str
    password: str
    next: str = "/"


@router.get("/sign-in")
def sign_in_page(request: Request, house: Here, next: str = "/") -> Response:
    return _with_visitor(request, house, "access/sign_in.html", form={"next": local(next)})


@router.post("/sign-in", dependencies=[Depends(_own_sign_in)])
def sign_in(request: Request, form: Posted, house: Here, now: Now) -> Response:
    """The password is checked before the writing transaction: on SQLite that one holds up every other."""
    with pages.again(request, "access/sign_in.html", form=forms.kept(form), visitor=form["csrf"]):
        given = forms.read(SignIn, form)
        _count(request, house, given.email)
        with house.database.read() as session:
            known = users.check(session, email=given.email, password=given.password)
        with house.database.write() as session:
            user = users.sign_in(session, user_id=known, password=given.password, now=now)
            return _opened(house, session, user, now, local(given.next))


@router.get("/sign-in/{token}")
def link_page(request: Request, house: Here, token: str) -> Response:
    """Mail scanners follow links: opening one shows a button, only pressing it uses the link up."""
    return _with_visitor(request, house, "access/link.html", token=token)


@router.post("/sign-in/{token}", dependencies=[Depends(_own_sign_in)])
def use_link(house: Here, session: Writing, now: Now, token: str) -> Response:
    return _opened(house, session, sessions.use_link(session, token, now), now, "/")


@router.post("/sign-out", dependencies=[Depends(guard)])
def sign_out(request: Request, house: Here, session: Writing) -> Response:
    name = _cookie(house, "session")
    sessions.close(session, request.cookies.get(name, ""))
    response = pages.done("/sign-in", _("You are signed out."))
    response.delete_cookie(name, secure=house.secure, httponly=True, samesite="lax")
    return response


@router.get("/", dependencies=[Depends(guard)])
def home(me: Me) -> Response:
    return RedirectResponse("/partner" if me.user.role == Role.PARTNER else "/desk", 303)


def local(path: str) -> str:
    """Return ``path`` when it leads to a page of ours, else the home page: no open redirect."""
    return path if _ONE_LOCAL_PATH.fullmatch(path) else "/"


def _count(request: Request, house: House, email: str) -> None:
    host = request.client.host if request.client else ""
    house.doorkeeper.count(_PER_HOST, "sign-in", host)
    house.doorkeeper.count(_PER_ACCOUNT, "sign-in", house.settings.keys.address_hash(key_of(email)))


def _opened(house: House, session: Writing, user: User, now: Now, path: str) -> Response:
    cookie, _csrf = sessions.open_session(session, user_id=user.id, now=now)
    response = pages.done(path)
    _set(response, house, "session", cookie, int(sessions.SESSION_LASTS.total_seconds()))
    response.set_cookie("lang", user.language, max_age=365 * 86_400, samesite="lax")
    return response


def _with_visitor(request: Request, house: House, template: str, **context: Any) -> Response:
    name = _cookie(house, "visitor")
    visitor = request.cookies.get(name) or secrets.token_urlsafe(24)
    response = pages.render(request, template, visitor=visitor, **context)
    _set(response, house, "visitor", visitor, 86_400)
    return response


def _set(response: Response, house: House, kind: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _cookie(house, kind), value, max_age=seconds, httponly=True, samesite="lax", secure=house.secure
    )


def _cookie(house: House, kind: str) -> str:
    """``__Host-`` makes browsers refuse the cookie from a sibling domain; it needs HTTPS."""
    return f"__Host-{kind}" if house.secure else f"mailer-{kind}"


def install(app: FastAPI) -> None:
    """Send who is not signed in to the door, and back to the page they wanted."""

    @app.exception_handler(SignInFirst)
    def to_the_door(request: Request, error: SignInFirst) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"error": i18n.tell(error.sentence)}, error.http_status)
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(wanted)}" if request.method in _SAFE_METHODS and wanted != "/" else ""
        return RedirectResponse(f"/sign-in{back}", 303)
