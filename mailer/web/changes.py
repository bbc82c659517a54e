"""Changes to many people at once: chosen, previewed, made by workers, taken back."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from mailer import queue
from mailer.accounts import users
from mailer.accounts.sessions import SignedIn
from mailer.audience import directory, partners, topics
from mailer.audience.changes import journal, organisations, rows, targets, wholesale
from mailer.audience.changes.kinds import Kind, Plan
from mailer.audience.changes.store import Change, Verdict
from mailer.errors import Forbidden, MailerError
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.web import forms, pages
from mailer.web.access import actor, guard, local, may, staff
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext, sentences
from mailer.web.people import Wanted, choices, newsletters

router = APIRouter(
    prefix="/admin/changes", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]

PATH = "/admin/changes"
_LAST = 50  # changes listed
_SHOWN = 100  # refusals listed


@router.get("")
def list_changes(request: Request, session: Reading, now: Now, me: Steward) -> Response:
    found = rows.changes(session, wholesale.BULK, _LAST)
    return pages.render(
        request, "admin/changes.html", changes=[(each, wholesale.counts(each)) for each in found],
        undoable={each.id for each in found if journal.may_undo(each, now)}, **_named(session),
    )  # fmt: skip


class Wish(Form):
    """What is to be done; which fields matter depends on ``do``. ``until``: the last day of a pause."""

    do: Kind
    publication: str
    value: str = ""
    note: str = ""
    partner_to: str = ""
    topic: int | None = None
    until: date | None = None


@router.get("/new")
def new_change(
    request: Request,
    session: Reading,
    now: Now,
    me: Steward,
    wanted: Wanted,
    do: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Whom, what, and then what would happen: nothing is written before the last button."""
    form = dict(request.query_params)
    shown = {"wanted": wanted, "do": do if do in set(Kind) else "", "form": form, **_choices(session)}
    if "look" not in form:
        return pages.render(request, "admin/change_new.html", preview=None, **shown)
    try:
        plan = _plan(session, forms.read(Wish, forms.asked(form)))
        found = wholesale.preview(session, wanted, plan, now=now)
    except MailerError as error:
        return pages.render(request, "admin/change_new.html", 422, preview=None, error=error, **shown)
    return pages.render(request, "admin/change_new.html", preview=found, **shown)


@router.post("")
def make_change(
    request: Request, form: Posted, session: Writing, now: Now, me: Steward, wanted: Wanted
) -> Response:
    """The selection is in the address, as it was previewed."""
    shown = {"wanted": wanted, "do": str(form.get("do", "")), **_choices(session)}
    with pages.again(request, "admin/change_new.html", form=forms.kept(form), preview=None, **shown):
        plan = _plan(session, forms.read(Wish, form))
        change = wholesale.begin(session, wanted, plan, now=now, actor=actor(me))
    queue.ring(session, queue.CHANGE)
    return pages.done(f"{PATH}/{change.public_id}")


@router.get("/{change}")
def show_change(request: Request, session: Reading, now: Now, me: Steward, change: UUID) -> Response:
    found = _bulk(session, change)
    counts, total = wholesale.counts(found), found.plan["total"]
    done = sum(counts.values())
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"state": _state(found), "progress": done,
                             "figures": {each: str(n) for each, n in counts.items()}})  # fmt: skip
    refused = rows.first_rows(session, found.id, Verdict.REFUSED, _SHOWN)
    people = targets.by_id(session, [row.subscriber_id for row in refused if row.subscriber_id])
    return pages.render(
        request, "admin/change.html", change=found, counts=counts, total=total, done=done,
        state=_state(found), refused=[(people.get(row.subscriber_id or 0), row.message) for row in refused],
        may_undo=journal.may_undo(found, now), restored=rows.restored(session, found.id),
        **_named(session),
    )  # fmt: skip


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
        kept = ngettext(
            "%(num)s entry has changed since and stays.", "%(num)s entries have changed since and stay.",
            done.kept,
        )  # fmt: skip
        said = sentences(said, kept)
    return pages.done(local(forms.read(Back, form).next), said)


def _bulk(session: Session, public_id: UUID) -> Change:
    found = journal.get(session, public_id)
    if found.kind != wholesale.BULK:
        raise journal.NoChange
    return found


def _state(change: Change) -> str:
    return "undone" if change.undone_at else "made" if change.finished_at else "making"


def _plan(session: Session, wish: Wish) -> Plan:
    publication = publications.get(session, wish.publication)
    partner = partners.get(session, wish.partner_to) if wish.partner_to else None
    return Plan(
        wish.do, publication.id, wish.value, wish.note, partner.id if partner else None, wish.topic,
        _end_of(wish.until, publication.zone),
    )  # fmt: skip


def _end_of(day: date | None, zone: str) -> datetime | None:
    return datetime.combine(day, time(23, 59, 59), ZoneInfo(zone)) if day else None


def _choices(session: Session) -> dict[str, Any]:
    found = newsletters(session)
    return {
        **choices(session),
        "kinds": list(Kind),
        "publications": found,
        "topics": [(each, name) for own, name in found for each in topics.listing(session, own.id)],
    }


def _named(session: Session) -> dict[str, Any]:
    """What a change speaks of, by id: partners and topics."""
    every = [each.id for each in issues.publications(session)]
    return {
        "partner_names": {each.id: each for each in directory.partners(session)},
        "topic_names": {
            each.id: each for own in every for each in topics.listing(session, own, retired=True)
        },
    }
