"""Changes to many people at once: chosen, previewed, made by workers, taken back."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from mailer.accounts import users
from mailer.accounts.sessions import SignedIn
from mailer.audience.changes import journal, organisations
from mailer.errors import Forbidden
from mailer.web import forms, pages
from mailer.web.access import actor, guard, local, may, staff
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Writing
from mailer.web.i18n import _, ngettext

router = APIRouter(
    prefix="/admin/changes", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]

PATH = "/admin/changes"


class Back(Form):
    """Where to go on."""

    next: str = PATH


@router.post("/{change}/take-back")
def take_back(form: Posted, session: Writing, now: Now, me: Steward, change: UUID) -> Response:
    """Those of partners touch accounts: only who may manage accounts takes them back."""
    kind = journal.get(session, change).kind
    if kind in (organisations.CLOSE, organisations.MERGE) and not users.may(me.user.role, "user.manage"):
        raise Forbidden
    done = journal.undo(session, change, now=now, actor=actor(me))
    said = _("Taken back.")
    if done.kept:
        said += " " + ngettext(
            "%(num)s entry has changed since and stays.", "%(num)s entries have changed since and stay.",
            done.kept,
        )  # fmt: skip
    return pages.done(local(forms.read(Back, form).next), said)
