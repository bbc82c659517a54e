"""The administrator's pages of accounts: who may sign in, what they may do, and from where they do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.accounts import second, sessions, store, users
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import Role, User
from mailer.audience import partners as directory
from mailer.errors import Invalid, NotFound
from mailer.web import account_mail, forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.account import device
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/users", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("user.manage"))]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class NoAccount(NotFound):
    """There is no such account: choose one from the list."""


class OwnAccount(Invalid):
    """You are signed in with this account: ask another administrator to close it or change its role."""


@router.get("")
def list_users(
    request: Request, session: Reading, now: Now, me: Admin, search: pages.Search = "", role: str = ""
) -> Response:
    everybody = users.listing(session)
    found = [user for user in everybody if _fits(user, search, role)]
    return pages.render(
        request, "admin/users.html", users=found, total=len(everybody), search=search, role=role,
        roles=_by_role(everybody), sessions=sessions.counts(session, now),
        with_codes=store.with_codes(session), **_partners(session),
    )  # fmt: skip


class Account(Form):
    """What an account may do, and who it is."""

    name: str = ""
    role: Role
    partner: str = ""


class NewAccount(Account):
    """A new account; ``invite``: its first link goes by mail."""

    email: str
    language: Literal["zh", "en"] = "en"
    invite: bool = False


@router.get("/new")
def new_user(
    request: Request, session: Reading, house: Here, me: Admin, partner: pages.Search = ""
) -> Response:
    """The form; with ``partner`` that partner's manager is meant."""
    form: dict[str, Any] = {}
    if partner:
        meant = directory.get(session, partner)
        form = {"role": Role.PARTNER, "partner": meant.code, "language": meant.language, "invite": "1"}
    return pages.render(request, "admin/user_new.html", form=form, **_partners(session), mails=_mails(house))


@router.post("/new")
def add_user(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    context = {**_partners(session), "mails": _mails(house)}
    with pages.again(request, "admin/user_new.html", form=forms.kept(form), **context):
        given = forms.read(NewAccount, form)
        user = users.add(
            session, email=given.email, role=given.role, name=given.name, language=given.language,
            partner_code=given.partner or None, now=now, actor=actor(me),
        )  # fmt: skip
    return _linked(request, session, house, now, me, user, by_mail=given.invite)


@router.get("/{user}")
def show_user(request: Request, session: Reading, house: Here, now: Now, me: Admin, user: Number) -> Response:
    found = _found(session, user)
    return pages.render(request, "admin/user.html", **_shown(session, house, now, found))


@router.post("/{user}")
def change_user(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin, user: Number
) -> Response:
    """Another role or partner signs the account out: what was open in its browsers was seen as another."""
    found = _found(session, user)
    shown = _shown(session, house, now, found)
    with pages.again(request, "admin/user.html", **{**shown, "form": forms.kept(form)}):
        given = forms.read(Account, form)
        if found.id == me.user.id and given.role != found.role:
            raise OwnAccount
        users.change(
            session, user_id=found.id, role=given.role, partner_code=given.partner or None, name=given.name,
            now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(f"/admin/users/{user}", _("Saved."))


class Sending(Form):
    """Whether a link goes by mail or is handed over."""

    mail: bool = False


@router.post("/{user}/link")
def link_for_user(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin, user: Number
) -> Response:
    return _linked(
        request, session, house, now, me, _found(session, user), by_mail=forms.read(Sending, form).mail
    )


@router.post("/{user}/close")
def close_user(session: Writing, now: Now, me: Admin, user: Number) -> Response:
    found = _found(session, user)
    if found.id == me.user.id:
        raise OwnAccount
    users.disable(session, user_id=user, now=now, actor=actor(me))
    return pages.done(f"/admin/users/{user}", _("%(email)s can no longer sign in.", email=found.email))


@router.post("/{user}/open")
def open_user(session: Writing, now: Now, me: Admin, user: Number) -> Response:
    found = _found(session, user)
    users.enable(session, user_id=user, now=now, actor=actor(me))
    return pages.done(f"/admin/users/{user}", _("%(email)s can sign in again.", email=found.email))


@router.post("/{user}/codes-off")
def reset_codes(session: Writing, now: Now, me: Admin, user: Number) -> Response:
    found = _found(session, user)
    second.reset(session, user_id=user, now=now, actor=actor(me))
    return pages.done(f"/admin/users/{user}", _("%(email)s signs in without a code now.", email=found.email))


class Which(Form):
    """The session a button is about; "": all of them."""

    session: str = ""


@router.post("/{user}/sign-out")
def sign_out_user(form: Posted, session: Writing, now: Now, me: Admin, user: Number) -> Response:
    found, id = _found(session, user), forms.read(Which, form).session
    if id:
        sessions.revoke(session, user_id=user, id=id, now=now, actor=actor(me))
    else:
        sessions.revoke_all(session, user_id=user, now=now, actor=actor(me))
    return pages.done(f"/admin/users/{user}", _("%(email)s has been signed out.", email=found.email))


def _linked(
    request: Request, session: Writing, house: House, now: Now, me: SignedIn, user: User, *, by_mail: bool
) -> Response:
    """Make a link: it goes by mail, or is shown once to be handed over."""
    token = sessions.make_link(session, user_id=user.id, now=now, actor=actor(me))
    if not (by_mail and _mails(house)):
        context = _shown(session, house, now, user)
        return pages.render(request, "admin/user.html", link=account_mail.link(house, token), **context)
    response = pages.done(
        f"/admin/users/{user.id}", _("A sign-in link is on its way to %(email)s.", email=user.email)
    )
    inviter = me.user.name or me.user.email
    response.background = BackgroundTask(account_mail.send_invitation, house, user, inviter, token, now)
    return response


def _found(session: Session, id: int) -> User:
    user = session.get(User, id)
    if user is None:
        raise NoAccount
    return user


def _shown(session: Session, house: House, now: Now, user: User) -> dict[str, Any]:
    partners = _partners(session)
    code = partners["partners"][user.partner_id].code if user.partner_id else ""
    found = second.state(session, user.id)
    return {
        **partners,
        "user": user,
        "form": {"name": user.name, "role": user.role, "partner": code},
        "codes_on": found is not None and found.confirmed_at is not None,
        "sessions": sessions.listing(session, user.id, now),
        "device": device,
        "mails": _mails(house),
    }


def _partners(session: Session) -> dict[str, Any]:
    return {"partners": {row.id: row for row in store.partners(session)}}


def _by_role(everybody: list[User]) -> dict[str, int]:
    counted = {role: sum(user.role == role for user in everybody) for role in Role}
    return {role: number for role, number in counted.items() if number}


def _fits(user: User, search: str, role: str) -> bool:
    words = f"{user.email} {user.name}".casefold()
    return search.strip().casefold() in words and role in ("", user.role)


def _mails(house: House) -> bool:
    return bool(house.settings.smtp_url)
