"""Likely duplicates: two entries side by side, why they may be one person, and what merging would do."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.audience import person, subscribers
from mailer.audience.changes import duplicates, merging
from mailer.audience.store import Subscriber
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext
from mailer.web.people import newsletters

router = APIRouter(
    prefix="/admin/duplicates", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]

PATH = "/admin/duplicates"
_SIZE = 20


@router.get("")
def list_duplicates(request: Request, session: Reading, me: Steward, page: pages.Number = 1) -> Response:
    found, total = duplicates.listing(session, page=page, size=_SIZE)
    ties = {each.id: _ties(session, each) for pair in found for each in (pair.first, pair.second)}
    return pages.render(
        request, "admin/duplicates.html", pairs=found, total=total, page=page, size=_SIZE, ties=ties,
        publications={each.id: name for each, name in newsletters(session)},
    )  # fmt: skip


@router.post("/find")
def find(session: Writing, now: Now, me: Steward) -> Response:
    n = duplicates.find(session, now=now)
    said = ngettext("%(num)s new pair was found.", "%(num)s new pairs were found.", n)
    return pages.done(PATH, said if n else _("No new pair was found."))


@router.get("/{kept}/{gone}")
def preview(request: Request, session: Reading, now: Now, me: Steward, kept: UUID, gone: UUID) -> Response:
    one, other = subscribers.get(session, kept), subscribers.get(session, gone)
    foreseen = merging.foresee(session, gone_id=other.id, kept_id=one.id, now=now)
    return pages.render(
        request, "admin/duplicate.html", kept=one, gone=other, foreseen=foreseen,
        publications={each.id: name for each, name in newsletters(session)},
    )  # fmt: skip


class Judgement(Form):
    """What somebody makes of the two."""

    do: Literal["merge", "different"]


@router.post("/{kept}/{gone}")
def decide(form: Posted, session: Writing, now: Now, me: Steward, kept: UUID, gone: UUID) -> Response:
    one, other = subscribers.get(session, kept), subscribers.get(session, gone)
    if forms.read(Judgement, form).do == "different":
        duplicates.keep_apart(session, first_id=one.id, second_id=other.id, now=now, actor=actor(me))
        return pages.done(PATH, _("They are two people. You will not be asked about them again."))
    merging.merge(session, gone_id=other.id, kept_id=one.id, now=now, actor=actor(me))
    return pages.done(f"/admin/subscribers/{kept}", _("They are one person now."))


def _ties(session: Session, found: Subscriber) -> dict[str, Any]:
    return {
        "partners": [held.partner for held in person.memberships(session, found.id)],
        "subscriptions": person.subscriptions(session, found.id),
    }
