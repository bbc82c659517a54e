"""The administrator's pages about silence: suppressions, addresses silent for long, what storms hold back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from mailer.accounts.sessions import SignedIn
from mailer.audience import suppression_files as files
from mailer.audience import suppressions
from mailer.audience.silenced import State
from mailer.feedback import decisions, dormant, inbox, storms
from mailer.feedback.dormant import Answer
from mailer.issues import store as issues
from mailer.web import forms, pages, tables
from mailer.web.access import actor, guard, local, may, staff
from mailer.web.feedback import instant, scope, scopes
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Watcher = Annotated[SignedIn, Depends(may("event.read"))]

PATH = "/admin/suppressions"
SIZE = 50


# --- suppressions ---------------------------------------------------------------------------------------


@router.get("/suppressions")
def list_suppressions(
    request: Request,
    session: Reading,
    house: Here,
    now: Now,
    me: Watcher,
    search: pages.Search = "",
    reason: Annotated[str, Query(max_length=40)] = "",
    state: State = State.IN_FORCE,
    page: pages.Number = 1,
) -> Response:
    found, total = suppressions.listing(
        session, now=now, search=search, keys=house.settings.keys, reason=reason, state=state,
        page=page, size=SIZE,
    )  # fmt: skip
    return pages.render(
        request, "admin/suppressions.html",
        found=found, total=total, search=search, reason=reason, state=state, page=page, size=SIZE,
        addresses=suppressions.addresses(session, found), reasons=suppressions.reasons(session, now),
        events=inbox.of_suppressions(session, [each.id for each in found]), **_choices(session),
    )  # fmt: skip


class Silence(Form):
    """A suppression by hand. ``scope`` "": everywhere; ``until``: its last day."""

    address: str
    scope: str = ""
    until: date | None = None
    note: str


@router.get("/suppressions/new")
def new_suppression(request: Request, session: Reading, me: Watcher) -> Response:
    return pages.render(request, "admin/suppression_new.html", **_choices(session))


@router.post("/suppressions")
def add_suppression(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Watcher
) -> Response:
    kept = forms.kept(form)
    with pages.again(request, "admin/suppression_new.html", form=kept, **_choices(session)):
        given = forms.read(Silence, form)
        made = suppressions.add(
            session, address=given.address, keys=house.settings.keys, scope=scope(session, given.scope),
            note=given.note, until=instant(given.until), now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(f"{PATH}/{made}", _("Nobody writes to this address any more."))


@router.get("/suppressions/export")
def export(house: Here, now: Now, me: Watcher) -> Response:
    """All that is in force as a CSV, read while it leaves; safe to open in a spreadsheet."""
    name = {"Content-Disposition": f'attachment; filename="suppressions-{now.date()}.csv"'}
    return StreamingResponse(_lines(house, now), media_type="text/csv; charset=utf-8", headers=name)


_IMPORT = "admin/suppression_import.html"


@router.get("/suppressions/import")
def choose_file(request: Request, session: Reading, me: Watcher) -> Response:
    return pages.render(request, _IMPORT, **tables.NOTHING, imports=files.listing(session))


@router.post("/suppressions/import/check")
def check_file(
    request: Request, form: Posted, session: Reading, house: Here, now: Now, me: Watcher
) -> Response:
    """Say what the import would do, row by row. Nothing is written."""
    seen = {"imports": files.listing(session)}
    check = partial(files.dry_run, session, keys=house.settings.keys, now=now, actor=actor(me))
    shown = tables.reported(request, form, _IMPORT, files.read, check, **seen)
    return pages.render(request, _IMPORT, **shown, **seen)


@router.post("/suppressions/import")
def take_file(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Watcher
) -> Response:
    take = partial(files.take_in, session, keys=house.settings.keys, now=now, actor=actor(me))
    shown = tables.reported(request, form, _IMPORT, files.read, take, imports=files.listing(session))
    return pages.render(request, _IMPORT, **shown, imports=files.listing(session))


class Import(Form):
    """The import that a button is about."""

    file: UUID


@router.post("/suppressions/import/undo")
def undo_import(form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    n = files.undo(session, forms.read(Import, form).file, now=now, actor=actor(me))
    return pages.done(
        f"{PATH}/import", ngettext("%(num)s address can be written to again.",
                                   "%(num)s addresses can be written to again.", n)
    )  # fmt: skip


class Which(Form):
    """The suppression a button is about, why it is released, and the page it stands on."""

    id: int
    why: str = ""
    next: str = PATH


@router.post("/suppressions/release")
def release(form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    given = forms.read(Which, form)
    suppressions.release(session, given.id, now, actor(me), given.why)
    address_hash = suppressions.get(session, given.id).address_hash
    if suppressions.of_address(session, address_hash, now):
        return pages.done(local(given.next), _("Released. Something else still silences this address."))
    return pages.done(local(given.next), _("The address can be written to again."))


@router.get("/suppressions/{suppression}")
def show_suppression(request: Request, session: Reading, now: Now, me: Watcher, suppression: int) -> Response:
    """Why an address is silenced: the chain back to the mail that led to it."""
    return pages.render(
        request, "admin/suppression.html", told=decisions.why(session, suppression),
        publication_names={each.id: name for each, name in _publications(session)},
    )  # fmt: skip


def _lines(house: House, now: Now) -> Iterator[str]:
    with house.database.read() as session:
        yield from files.export(session, now=now)


def _publications(session: Session) -> list[tuple[Any, str]]:
    return list(zip(issues.publications(session), [name for _code, name in scopes(session)], strict=True))


def _choices(session: Session) -> dict[str, Any]:
    return {
        "scopes": scopes(session),
        "publication_names": {each.id: name for each, name in _publications(session)},
        "states": list(State),
    }


# --- silent for long ------------------------------------------------------------------------------------


@router.get("/dormant")
def list_dormant(
    request: Request,
    session: Reading,
    me: Watcher,
    search: pages.Search = "",
    asked: bool | None = None,
    page: pages.Number = 1,
) -> Response:
    return pages.render(request, "admin/dormant.html", **_dormant(session, search, asked, page))


class Judgement(Form):
    """What a person makes of an address, and the page of the list where they do."""

    id: int
    answer: Answer
    why: str = ""
    page: int = Field(default=1, ge=1)


@router.post("/dormant")
def decide(request: Request, form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    given = forms.read(Judgement, form)
    seen = _dormant(session, "", None, given.page)
    with pages.again(request, "admin/dormant.html", form=forms.kept(form), **seen):
        if given.answer is Answer.SUPPRESS and not given.why:
            raise forms.Refused({"why": _("Please fill this in.")})
        dormant.decide(session, given.id, given.answer, why=given.why, now=now, actor=actor(me))
    said = {
        Answer.SUPPRESS: _("Nobody writes to this address any more."),
        Answer.KEEP: _("It is written to as before, and counted anew."),
        Answer.ASK: _("Its partners are asked."),
    }
    return pages.done("/admin/dormant", said[given.answer])


def _dormant(session: Session, search: str, asked: bool | None, page: int) -> dict[str, Any]:
    found, total = dormant.listing(session, search=search, asked=asked, page=page, size=SIZE)
    asked_for = {"search": search, "asked": asked, "page": page, "size": SIZE}
    return {"found": found, "total": total, **asked_for}


# --- held back in storms --------------------------------------------------------------------------------


@router.get("/storms")
def list_storms(request: Request, session: Reading, me: Watcher) -> Response:
    return pages.render(request, "admin/storms.html", storms=storms.listing(session))


class Storm(Form):
    """The storm that a button is about, and why."""

    id: int
    why: str


@router.post("/storms/release")
def release_held(request: Request, form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    with _storms_again(request, form, session):
        given = forms.read(Storm, form)
        n = storms.release(session, given.id, why=given.why, now=now, actor=actor(me))
    return pages.done(
        "/admin/storms",
        ngettext("%(num)s address is not silenced.", "%(num)s addresses are not silenced.", n),
    )


@router.post("/storms/confirm")
def confirm_held(request: Request, form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    with _storms_again(request, form, session):
        given = forms.read(Storm, form)
        n = storms.confirm(session, given.id, why=given.why, now=now, actor=actor(me))
    said = ngettext("%(num)s address is silenced.", "%(num)s addresses are silenced.", n)
    return pages.done("/admin/storms", said)


def _storms_again(request: Request, form: FormData, session: Session) -> AbstractContextManager[None]:
    listed = storms.listing(session)
    return pages.again(request, "admin/storms.html", form=forms.kept(form), storms=listed)
