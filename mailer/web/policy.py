"""The administrator's page about the policy: when an address is silenced, and when a campaign slows down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from mailer.accounts.sessions import SignedIn
from mailer.errors import MailerError
from mailer.feedback import policy
from mailer.feedback.policy import Setting
from mailer.feedback.rules import changed
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Refused
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _, number, tell

router = APIRouter(
    prefix="/admin/policy", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("rule.manage"))]

PATH = "/admin/policy"
_TEMPLATE = "admin/policy.html"
GROUPS = ("bad_mailbox", "bad_domain", "inactive", "mailbox_full", "dormant", "storm", "refused")
"""How the names of settings begin: those of one kind of news stand together."""


@router.get("")
def show(request: Request, session: Reading, me: Admin) -> Response:
    return pages.render(request, _TEMPLATE, **_seen(session))


@router.post("")
def change(request: Request, form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    """Set what differs from what is in force; an emptied field is at its default again."""
    with pages.again(request, _TEMPLATE, **_seen(session) | {"form": forms.kept(form)}):
        policy.set_(session, _changes(session, form), now=now, actor=actor(me))
    return pages.done(PATH, _("The policy is set. What was decided before stays decided."))


@router.post("/reset")
def reset(session: Writing, now: Now, me: Admin) -> Response:
    values = dict.fromkeys(it.name for it in policy.settings(session))
    policy.set_(session, values, now=now, actor=actor(me))
    return pages.done(PATH, _("Every setting is at its default again."))


def _changes(session: Session, form: FormData) -> Mapping[str, float | None]:
    """Return the settings that a form changes, None: to the default.

    :raises Refused: with a note for every value that cannot be
    """
    changes: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for setting in policy.settings(session):
        text = str(form.get(setting.name, setting.value)).strip()
        try:
            value = int(text) if text else setting.default
            changed({setting.name: value})
        except ValueError:
            notes[setting.name] = _("Please write a number.")
        except MailerError:
            notes[setting.name] = _(
                "A whole number from %(least)s to %(most)s, please.",
                least=number(setting.least),
                most=number(setting.most),
            )
        else:
            if value != setting.value:
                changes[setting.name] = None if value == setting.default else value
    if notes:
        raise Refused(notes)
    return changes


def _seen(session: Session) -> dict[str, Any]:
    found = policy.settings(session)
    return {
        "groups": {group: [it for it in found if it.name.startswith(group)] for group in GROUPS},
        "form": {it.name: it.value for it in found},
        "is_changed": any(it.value != it.default for it in found),
        "hint": _hint,
    }


def _hint(setting: Setting) -> str:
    """Say in which unit a setting is and what it is by default."""
    return _(
        "%(unit)s, %(least)s to %(most)s; by default %(default)s",
        unit=tell(setting.unit), least=number(setting.least), most=number(setting.most),
        default=number(setting.default),
    )  # fmt: skip
