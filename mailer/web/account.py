"""One's own account: name and language, password, sign-in codes, and the browsers that are signed in.

What guards the account is changed only by who has just signed in, or types the password or a code once more:
a browser left open is not enough.
"""

from __future__ import annotations

from typing import Any, Literal

import segno
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from limits import RateLimitItemPerMinute
from sqlalchemy.orm import Session

from mailer.accounts import devices, second, sessions, users
from mailer.accounts.sessions import SignedIn
from mailer.errors import Invalid
from mailer.web import forms, i18n, pages
from mailer.web.access import Me, actor, believe, guard
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.sign_in import count_code

router = APIRouter(prefix="/account", dependencies=[Depends(guard)], include_in_schema=False)
codes = APIRouter(prefix="/account/codes", dependencies=[Depends(believe)], include_in_schema=False)

_PASSWORDS = RateLimitItemPerMinute(10)


class SignInAnew(Invalid):
    """This needs a fresh sign-in: sign out and in again, then do it within ten minutes."""


def device(agent: str) -> str:
    """Return what people call a browser that calls itself ``agent``."""
    browser, system = devices.browser(agent), devices.system(agent)
    if browser and system:
        return _("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or system or _("A device we do not know")


@router.get("")
def show(request: Request, session: Reading, now: Now, me: Me) -> Response:
    form = {"name": me.user.name, "language": me.user.language}
    return pages.render(request, "account/account.html", form=form, **_shown(session, me, now))


class Self(Form):
    """What somebody says of themselves."""

    name: str = ""
    language: Literal["zh", "en"]


@router.post("")
def save(request: Request, form: Posted, session: Writing, now: Now, me: Me) -> Response:
    with pages.again(request, "account/account.html", form=forms.kept(form), **_shown(session, me, now)):
        given = forms.read(Self, form)
        users.rename(
            session, user_id=me.user.id, name=given.name, language=given.language, now=now, actor=actor(me)
        )
    i18n.use(given.language)
    return pages.done(f"/account?lang={given.language}", _("Saved."))


class Password(Form):
    """A new password, twice, and the old one unless the sign-in is fresh."""

    old: str = ""
    password: str
    again: str


@router.post("/password")
def set_password(request: Request, form: Posted, house: Here, now: Now, me: Me) -> Response:
    """Other sessions are closed: whoever knew the old password may sit there."""
    with house.database.read() as session:
        shown = _shown(session, me, now)
    kept = {"name": me.user.name, "language": me.user.language}
    with pages.again(request, "account/account.html", form=kept, **shown):
        given = forms.read(Password, form)
        if given.password != given.again:
            raise forms.Refused({"again": _("This is not the same password: type it again.")})
        _make_sure(house, me, given.old, now)
        with house.database.write() as session:
            users.set_password(
                session, user_id=me.user.id, password=given.password, now=now, actor=actor(me), keep=me.id
            )
    return pages.done("/account", _("The password is set. Other devices have been signed out."))


class Which(Form):
    """The session a button is about."""

    session: str


@router.post("/sessions/close")
def close_session(form: Posted, session: Writing, now: Now, me: Me) -> Response:
    id = forms.read(Which, form).session
    sessions.revoke(session, user_id=me.user.id, id=id, now=now, actor=actor(me))
    return pages.done("/account", _("That device is signed out."))


@router.post("/sessions/close-others")
def close_others(session: Writing, now: Now, me: Me) -> Response:
    sessions.revoke_all(session, user_id=me.user.id, now=now, actor=actor(me), keep=me.id)
    return pages.done("/account", _("All other devices are signed out."))


# --- codes: open also to who has to set them up before anything else -------------------------------------


@codes.get("")
def show_codes(request: Request, session: Reading, house: Here, now: Now, me: Me) -> Response:
    return pages.render(request, "account/codes.html", **_codes_shown(session, house, me, now))


class Sure(Form):
    """The password, unless the sign-in is fresh."""

    old: str = ""


@codes.post("/begin")
def begin_codes(request: Request, form: Posted, house: Here, now: Now, me: Me) -> Response:
    with house.database.read() as session:
        shown = _codes_shown(session, house, me, now)
    with pages.again(request, "account/codes.html", form={}, **shown):
        _make_sure(house, me, forms.read(Sure, form).old, now)
        with house.database.write() as session:
            second.begin(session, user_id=me.user.id, keys=house.settings.keys, now=now)
    return RedirectResponse("/account/codes", 303)


class Code(Form):
    """A code, of the app or a recovery code."""

    code: str


@codes.post("/confirm")
def confirm_codes(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Me
) -> Response:
    """The recovery codes are shown in this answer and never again."""
    with pages.again(request, "account/codes.html", form={}, **_codes_shown(session, house, me, now)):
        given = forms.read(Code, form)
        count_code(house, me.user.id, given.code, "account")
        made = second.confirm(
            session, user_id=me.user.id, code=given.code, keys=house.settings.keys, now=now, actor=actor(me),
            keep=me.id,
        )  # fmt: skip
    return pages.render(request, "account/recovery.html", codes=made)


@codes.post("/renew")
def renew_recovery(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Me
) -> Response:
    with pages.again(request, "account/codes.html", form={}, **_codes_shown(session, house, me, now)):
        _by_code(session, house, me, form, now)
        made = second.renew_recovery_codes(session, user_id=me.user.id, now=now, actor=actor(me))
    return pages.render(request, "account/recovery.html", codes=made)


@codes.post("/off")
def turn_off(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Me) -> Response:
    with pages.again(request, "account/codes.html", form={}, **_codes_shown(session, house, me, now)):
        _by_code(session, house, me, form, now)
        second.turn_off(session, user_id=me.user.id, now=now, actor=actor(me))
    return pages.done("/account/codes", _("Sign-in codes are off."))


def _by_code(session: Session, house: House, me: SignedIn, form: Posted, now: Now) -> None:
    code = forms.read(Code, form).code
    count_code(house, me.user.id, code, "account")
    second.check(session, user_id=me.user.id, code=code, keys=house.settings.keys, now=now)


def _make_sure(house: House, me: SignedIn, password: str, now: Now) -> None:
    """Let pass who signed in minutes ago, or knows the password.

    :raises SignInAnew: neither, and there is no password to ask for
    """
    if me.fresh(now):
        return
    if me.user.password_hash is None:
        raise SignInAnew
    house.doorkeeper.count(_PASSWORDS, "own password", str(me.user.id))
    try:
        with house.database.read() as session:
            users.check(session, email=me.user.email, password=password)
    except users.BadSignIn as error:
        raise forms.Refused({"old": _("This is not your password: try again.")}) from error


def _shown(session: Session, me: SignedIn, now: Now) -> dict[str, Any]:
    return {
        "fresh": me.fresh(now),
        "sessions": sessions.listing(session, me.user.id, now),
        "left": second.left(session, me.user.id),
        "device": device,
    }


def _codes_shown(session: Session, house: House, me: SignedIn, now: Now) -> dict[str, Any]:
    found = second.state(session, me.user.id)
    shown: dict[str, Any] = {
        "fresh": me.fresh(now), "left": second.left(session, me.user.id), "enrolment": None, "qr": "",
        "required": house.settings.require_codes and me.user.role != "partner",
    }  # fmt: skip
    if found is not None and found.confirmed_at is None:
        enrolment = second.enrolment(
            session, user_id=me.user.id, account=me.user.email, issuer=_issuer(house),
            keys=house.settings.keys,
        )  # fmt: skip
        shown.update(enrolment=enrolment, qr=segno.make(enrolment.address).svg_data_uri(scale=4, border=4))
    return shown


def _issuer(house: House) -> str:
    """Return what an authenticator app shows beside the code."""
    host = house.settings.public_url.partition("://")[2].partition("/")[0].partition(":")[0]
    return f"mailer {host}"
