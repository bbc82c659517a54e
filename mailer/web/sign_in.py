"""The door: sign in with a password, a link by mail or one's own organisation, then a code; sign out.

Whatever door was taken, an account with codes is asked for one. Each door counts its own attempts, so that
who tries one of them over and over keeps nobody from coming in by another.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from starlette.background import BackgroundTask

from mailer import address
from mailer.accounts import oidc, second, sessions, users
from mailer.accounts.sessions import How, SignedIn
from mailer.accounts.store import Role, User
from mailer.errors import NotFound
from mailer.sealing import Unsealable, seal, unseal
from mailer.web import account_mail, forms, pages
from mailer.web.access import Me, believe, browser_of, cookie_name, guard, host_of, local, own_form
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, TooMany, Writing
from mailer.web.i18n import _

_PER_ACCOUNT = RateLimitItemPerMinute(10)
_PER_HOST = RateLimitItemPerMinute(60)  # a ministry's people may share one address
_LINKS_PER_HOST = RateLimitItemPerMinute(20)
_CODES = RateLimitItemPerHour(10)  # three of a million fit: 240 a day find one in four years
_ONCE = RateLimitItemPerHour(1)  # longer than ``oidc.LASTS``
_SEALED_FOR = "oidc attempt"


class TooManyCodes(TooMany):
    """Too many codes were tried: wait an hour, use a recovery code, or sign in by another way."""


async def _own_sign_in(request: Request, house: Here) -> None:
    """Nobody is signed in yet, so the form's token is compared with a cookie (double submit)."""
    await own_form(request, request.cookies.get(cookie_name(house, "visitor"), ""))


router = APIRouter(include_in_schema=False)


class SignIn(Form):
    """Who signs in, and where they were going."""

    email: str
    password: str
    next: str = "/"


@router.get("/sign-in")
def sign_in_page(request: Request, house: Here, next: str = "/") -> Response:
    return _with_visitor(
        request, house, "access/sign_in.html", form={"next": local(next)}, provider=_provider(house)
    )


@router.post("/sign-in", dependencies=[Depends(_own_sign_in)])
def sign_in(request: Request, form: Posted, house: Here, now: Now) -> Response:
    """The password is checked before the writing transaction: on SQLite that one holds up every other."""
    shown = {"visitor": form["csrf"], "provider": _provider(house)}
    with pages.again(request, "access/sign_in.html", form=forms.kept(form), **shown):
        given = forms.read(SignIn, form)
        _count(request, house, given.email)
        with house.database.read() as session:
            known = users.check(session, email=given.email, password=given.password)
        with house.database.write() as session:
            user = users.sign_in(session, user_id=known, password=given.password, now=now)
            return _entered(request, house, session, user, How.PASSWORD, now, local(given.next))


# --- the code -------------------------------------------------------------------------------------------


def _half(request: Request, session: Reading, house: Here, now: Now) -> SignedIn | None:
    return sessions.find_half(session, request.cookies.get(cookie_name(house, "half"), ""), now)


Half = Annotated[SignedIn | None, Depends(_half)]


class Code(Form):
    """A code, of the app or a recovery code."""

    code: str
    next: str = "/"


@router.get("/sign-in/code")
def code_page(request: Request, house: Here, half: Half, next: str = "/") -> Response:
    if half is None:
        return RedirectResponse("/sign-in", 303)
    return _with_visitor(request, house, "access/code.html", form={"next": local(next)})


@router.post("/sign-in/code", dependencies=[Depends(_own_sign_in)])
def give_code(request: Request, form: Posted, house: Here, now: Now, half: Half) -> Response:
    if half is None:
        return pages.done("/sign-in", _("That took too long: sign in once more."))
    with pages.again(request, "access/code.html", form=forms.kept(form), visitor=form["csrf"]):
        given = forms.read(Code, form)
        count_code(house, half.user.id, given.code, half.how)
        with house.database.write() as session:
            user = session.get_one(User, half.user.id)
            by_app = second.check(
                session, user_id=user.id, code=given.code, keys=house.settings.keys, now=now
            )
            response = _opened(request, house, session, user, half.how, now, local(given.next))
            sessions.close(session, request.cookies[cookie_name(house, "half")])
            left = second.left(session, user.id)
    response.delete_cookie(cookie_name(house, "half"), secure=house.secure, httponly=True, samesite="lax")
    if not by_app:
        pages.say(response, _("That recovery code is used up now; %(left)s are left.", left=left))
    return response


def count_code(house: House, user_id: int, code: str, how: str) -> None:
    """Count an attempt, apart by door: who knows the password alone does not use up the owner's by mail.

    Recovery codes are counted for themselves: they stay a way in when guessing has used up the others.

    :raises TooManyCodes:
    """
    kind = "recovery" if len(code.strip()) > 10 else f"code {how}"
    try:
        house.doorkeeper.count(_CODES, kind, str(user_id))
    except TooMany as error:
        raise TooManyCodes from error


# --- links by mail --------------------------------------------------------------------------------------


class Wanted(Form):
    """Who wants a link, and where it should lead."""

    email: str
    next: str = "/"


@router.get("/sign-in/link")
def ask_page(request: Request, house: Here, next: str = "/") -> Response:
    return _with_visitor(
        request, house, "access/ask_link.html", form={"next": local(next)}, mails=_mails(house)
    )


@router.post("/sign-in/link", dependencies=[Depends(_own_sign_in)])
def ask_for_link(request: Request, form: Posted, house: Here, now: Now) -> Response:
    """Whether there is such an account is looked up once the answer has left: not even time tells."""
    again = {"visitor": form["csrf"], "mails": _mails(house)}
    with pages.again(request, "access/ask_link.html", form=forms.kept(form), **again):
        given = forms.read(Wanted, form)
        asked = address.parse(given.email).key
        house.doorkeeper.count(_LINKS_PER_HOST, "sign-in link", host_of(request))
    response = pages.render(request, "access/link_sent.html", email=given.email, mails=_mails(house))
    if _mails(house):
        response.background = BackgroundTask(account_mail.send_link, house, asked, local(given.next), now)
    return response


# --- the organisation's own sign-in ---------------------------------------------------------------------


@router.get("/sign-in/provider")
def to_provider(house: Here, now: Now, next: str = "/") -> Response:
    client = _client(house)
    attempt = oidc.Attempt.begin(local(next), now)
    response = RedirectResponse(oidc.leave_for(client, oidc.discover(client.issuer), attempt), 303)
    sealed = seal(house.settings.keys, attempt.text(), purpose=_SEALED_FOR)
    _set(response, house, "provider", sealed, oidc.LASTS)
    return response


@router.get("/sign-in/provider/back")
def from_provider(request: Request, house: Here, now: Now) -> Response:
    """The one GET that signs in: the protocol wants it. Only the browser that set out can use it, once."""
    email, path = _who_came_back(request, house, now)
    with house.database.write() as session:
        user = users.sign_in_by_provider(session, email=email, now=now)
        response = _entered(request, house, session, user, How.PROVIDER, now, path)
    response.delete_cookie(cookie_name(house, "provider"), secure=house.secure, httponly=True, samesite="lax")
    return response


def _who_came_back(request: Request, house: House, now: Now) -> tuple[str, str]:
    client, kept = _client(house), request.cookies.get(cookie_name(house, "provider"), "")
    try:
        attempt = oidc.Attempt.restored(unseal(house.settings.keys, kept, purpose=_SEALED_FOR), now)
        house.doorkeeper.count(_ONCE, "oidc state", attempt.state)
    except (Unsealable, TooMany) as error:
        raise oidc.ProviderFailed from error
    return oidc.come_back(client, attempt, request.query_params, now), attempt.path


def _client(house: House) -> oidc.Client:
    chosen = house.settings
    if not chosen.oidc_issuer:
        raise NotFound
    back = f"{chosen.public_url}/sign-in/provider/back"
    return oidc.Client(chosen.oidc_issuer, chosen.oidc_client_id, chosen.oidc_client_secret, back)


def _provider(house: House) -> str:
    """Return what people call the provider; "": there is none."""
    chosen = house.settings
    return chosen.oidc_issuer and (chosen.oidc_name or urlsplit(chosen.oidc_issuer).hostname or "")


# --- links and the way out ------------------------------------------------------------------------------


@router.get("/sign-in/{token}")
def link_page(request: Request, house: Here, token: str, next: str = "/") -> Response:
    """Mail scanners follow links: opening one shows a button, only pressing it uses the link up."""
    return _with_visitor(request, house, "access/link.html", token=token, form={"next": local(next)})


@router.post("/sign-in/{token}", dependencies=[Depends(_own_sign_in)])
def use_link(request: Request, form: Posted, house: Here, session: Writing, now: Now, token: str) -> Response:
    """One that was used or has expired is answered with the form that mails another."""
    again = {"visitor": form["csrf"], "mails": _mails(house)}
    with pages.again(request, "access/ask_link.html", form=forms.kept(form), **again):
        user = sessions.use_link(session, token, now)
    return _entered(request, house, session, user, How.LINK, now, local(str(form.get("next", "/"))))


@router.post("/sign-out", dependencies=[Depends(believe)])
def sign_out(request: Request, house: Here, session: Writing) -> Response:
    name = cookie_name(house, "session")
    sessions.close(session, request.cookies.get(name, ""))
    response = pages.done("/sign-in", _("You are signed out."))
    response.delete_cookie(name, secure=house.secure, httponly=True, samesite="lax")
    return response


@router.get("/", dependencies=[Depends(guard)])
def home(me: Me) -> Response:
    return RedirectResponse("/partner" if me.user.role == Role.PARTNER else "/desk", 303)


def _count(request: Request, house: House, email: str) -> None:
    house.doorkeeper.count(_PER_HOST, "sign-in", host_of(request))
    known_as = house.settings.keys.address_hash(address.key_of(email))
    house.doorkeeper.count(_PER_ACCOUNT, "sign-in", known_as)


def _mails(house: House) -> bool:
    """Say whether links leave by mail. The whole secretariat sees caught letters: no link goes there."""
    return bool(house.settings.smtp_url)


def _entered(
    request: Request, house: House, session: Writing, user: User, how: How, now: Now, path: str
) -> Response:
    """The first step is done: open the session, or ask for the code where the account has them."""
    found = second.state(session, user.id)
    if found is None or found.confirmed_at is None:
        return _opened(request, house, session, user, how, now, path)
    cookie, _csrf = sessions.open_session(
        session, user_id=user.id, now=now, how=how, browser=browser_of(request), half=True
    )
    response = pages.done(f"/sign-in/code?{urlencode({'next': path})}")
    _set(response, house, "half", cookie, sessions.HALF_LASTS)
    return response


def _opened(
    request: Request, house: House, session: Writing, user: User, how: str, now: Now, path: str
) -> Response:
    sessions.close(session, request.cookies.get(cookie_name(house, "session"), ""))
    cookie, _csrf = sessions.open_session(
        session, user_id=user.id, now=now, how=how, browser=browser_of(request)
    )
    response = pages.done(path)
    _set(response, house, "session", cookie, sessions.SESSION_LASTS)
    response.set_cookie("lang", user.language, max_age=365 * 86_400, samesite="lax")
    return response


def _with_visitor(request: Request, house: House, template: str, **context: Any) -> Response:
    name = cookie_name(house, "visitor")
    visitor = request.cookies.get(name) or secrets.token_urlsafe(24)
    response = pages.render(request, template, visitor=visitor, **context)
    _set(response, house, "visitor", visitor, timedelta(days=1))
    return response


def _set(response: Response, house: House, kind: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        cookie_name(house, kind), value, max_age=int(lasts.total_seconds()), httponly=True, samesite="lax",
        secure=house.secure,
    )  # fmt: skip
