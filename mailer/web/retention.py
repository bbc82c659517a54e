"""How long things are kept: the periods, what went so far, and a way to set them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.retention import store, sweep
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/retention", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]
Admin = Annotated[SignedIn, Depends(may("user.manage"))]

PATH = "/admin/retention"
_LAST = 20  # runs shown


@router.get("")
def show(request: Request, session: Reading, house: Here, me: Steward) -> Response:
    return pages.render(request, "admin/retention.html", **_periods(session, house))


class Period(Form):
    """A period to set. ``days`` empty: without end."""

    key: str
    days: int | None = None


@router.post("")
def set_period(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin
) -> Response:
    with pages.again(request, "admin/retention.html", form=forms.kept(form), **_periods(session, house)):
        given = forms.read(Period, form)
        sweep.set_period(
            session, key=given.key, days=given.days, settings=house.settings, now=now, actor=actor(me)
        )
    return pages.done(PATH, _("Saved."))


def _periods(session: Session, house: House) -> dict[str, Any]:
    return {
        "rules": sweep.in_force(session, house.settings),
        "own": store.periods(session),
        "last": store.last_runs(session),
        "gone": store.forgotten(session),
        "runs": store.runs(session, _LAST),
    }
