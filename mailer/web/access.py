"""Access: who is asking, whether they may, and whether the request is really theirs.

Every route of a signed-in area hangs on ``guard``: it finds the session, and refuses a POST that another
site sent (``Sec-Fetch-Site`` and ``Origin``, where the browser says) or that lacks the session's token.
What a role may do is ``accounts.users``' table. For a partner manager, what is not theirs does not exist.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from mailer.accounts import sessions, users
from mailer.accounts.audit import Actor
from mailer.accounts.sessions import Browser, SignedIn
from mailer.accounts.store import Role
from mailer.errors import Forbidden, MailerError, NotFound
from mailer.sentence import Sentence
from mailer.web import i18n
from mailer.web.house import Here, House, Now, Reading, house_of

_SAFE_METHODS = ("GET", "HEAD")
_ONE_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\\x7f]*")


class SignInFirst(MailerError):
    """Sign in to see this page."""

    http_status = 401


class Forged(Forbidden):
    """This form has expired or did not come from our page: go back, reload the page and send it again."""

    heading = Sentence("Please send it again")


class CodesFirst(Forbidden):
    """Set up sign-in codes first: your organisation asks for them."""


def _me(request: Request, session: Reading, house: Here, now: Now) -> SignedIn:
    found = sessions.find(session, request.cookies.get(cookie_name(house, "session"), ""), now)
    if found is None:
        raise SignInFirst
    request.state.me = found
    return found


Me = Annotated[SignedIn, Depends(_me)]


async def believe(request: Request, me: Me, house: Here, now: Now) -> AsyncIterator[None]:
    """Let in who is signed in, and of their POSTs only those our own pages made.

    Once the answer has left, it is noted that the session was used.

    :raises SignInFirst: nobody is signed in
    :raises Forged: the request came from elsewhere
    """
    try:
        if request.method not in _SAFE_METHODS:
            await own_form(request, me.csrf)
        yield
    finally:
        await request.close()  # uploaded files
    if now - me.seen_at > sessions.SEEN_EVERY:
        await run_in_threadpool(_see, house, me.id, now)


def guard(me: Me, house: Here, _believed: Annotated[None, Depends(believe)]) -> None:
    """Let in who ``believe`` lets in, unless they have to set up codes first.

    :raises CodesFirst: the secretariat must sign in with codes, and this account does not yet
    """
    if house.settings.require_codes and me.user.role != Role.PARTNER and not me.has_codes:
        raise CodesFirst


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


def _see(house: House, id: str, now: datetime) -> None:
    with house.database.write() as session:
        sessions.see(session, id, now)


async def own_form(request: Request, token: str) -> None:
    """:raises Forged: another site sent it, or it does not carry ``token``"""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    hosts = {request.url.netloc, urlsplit(house_of(request).settings.public_url).netloc}
    form = await request.form()
    carried = str(form.get("csrf", ""))
    foreign = site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc not in hosts)
    if foreign or not token or not hmac.compare_digest(carried.encode(), token.encode()):
        raise Forged


def local(path: str) -> str:
    """Return ``path`` when it leads to a page of ours, else the home page: no open redirect."""
    return path if _ONE_LOCAL_PATH.fullmatch(path) else "/"


def browser_of(request: Request) -> Browser:
    """Return what is noted of the browser that asks."""
    return Browser(request.headers.get("user-agent", ""), host_of(request))


def host_of(request: Request) -> str:
    """Return the address the request came from; "" when the server does not say."""
    return request.client.host if request.client else ""


def cookie_name(house: House, kind: str) -> str:
    """``__Host-`` makes browsers refuse the cookie from a sibling domain; it needs HTTPS."""
    return f"__Host-{kind}" if house.secure else f"mailer-{kind}"


def install(app: FastAPI) -> None:
    """Send who is not signed in to the door, and back to the page they wanted."""

    @app.exception_handler(CodesFirst)
    def to_the_codes(request: Request, error: CodesFirst) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"error": i18n.tell(error.sentence)}, error.http_status)
        return RedirectResponse("/account/codes", 303)

    @app.exception_handler(SignInFirst)
    def to_the_door(request: Request, error: SignInFirst) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"error": i18n.tell(error.sentence)}, error.http_status)
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(wanted)}" if request.method in _SAFE_METHODS and wanted != "/" else ""
        return RedirectResponse(f"/sign-in{back}", 303)
