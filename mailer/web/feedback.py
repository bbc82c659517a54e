"""The administrator's bounce inbox: what came back, what was made of it and why, and undoing that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.audience import directory, suppressions
from mailer.audience import store as people
from mailer.delivery import store
from mailer.delivery.cases import KINDS
from mailer.delivery.store import EventKind
from mailer.diagnosis import Category
from mailer.errors import NotFound
from mailer.feedback import alerts, answered, grounds, inbox, shown, tryout
from mailer.feedback import store as feedback
from mailer.feedback.inbox import Filter, Row
from mailer.feedback.rules import Action
from mailer.feedback.store import Answer, Decision
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.reports import store as reports
from mailer.web import forms, i18n, pages
from mailer.web.access import actor, guard, local, may, staff
from mailer.web.answers import seen
from mailer.web.campaigns import known
from mailer.web.forms import Form, Refused
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext

router = APIRouter(
    prefix="/admin/feedback", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Watcher = Annotated[SignedIn, Depends(may("event.read"))]

Behind = Annotated[int | None, Query(ge=1)]

PATH = "/admin/feedback"
NOBODY_KNOWN = "other"  # in an address: the provider that nobody knows


class Wanted(Form):
    """What the address of a page asks for. ``view`` "waiting": what a person has to look at."""

    view: Literal["waiting", "all"] = "waiting"
    kind: EventKind | None = None
    category: Category | None = None
    provider: str = ""
    partner: str = ""
    campaign: UUID | None = None
    action: str = ""
    rule: int | None = None
    since: date | None = None
    until: date | None = None
    search: str = ""


@router.get("")
def list_cases(
    request: Request,
    session: Reading,
    now: Now,
    me: Watcher,
    behind: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    wanted, error = _asked(request.query_params)
    filter_ = _filter(session, wanted)
    found = inbox.listing(session, filter_, behind=behind)
    return pages.render(
        request, "admin/feedback.html", 422 if error else 200,
        found=found, wanted=wanted, form=dict(request.query_params), error=error, behind=behind,
        counts=inbox.counts(session, filter_), counted=inbox.COUNTED, waiting=inbox.waiting(session),
        alerts=alerts.standing(session), **_choices(session),
    )  # fmt: skip


class Chosen(Form):
    """The cases that a button is about, and where to go on."""

    event: list[int]
    next: str = PATH


@router.post("/settle")
def settle(form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    given = forms.read(Chosen, form)
    done = inbox.settle(session, given.event, now=now, actor=actor(me))
    return pages.done(local(given.next), ngettext("%(num)s is looked at.", "%(num)s are looked at.", done))


class Settled(Form):
    """An alert that somebody has seen."""

    alert: int


@router.post("/alerts/settle")
def settle_alert(form: Posted, session: Writing, now: Now, me: Watcher) -> Response:
    alerts.settle(session, forms.read(Settled, form).alert, now=now, actor=actor(me))
    return pages.done(PATH)


@router.get("/{event}")
def show_case(request: Request, session: Reading, now: Now, me: Watcher, event: int) -> Response:
    return pages.render(request, "admin/event.html", **_case(session, event, now))


@router.get("/{event}/mail")
def mail(session: Reading, me: Watcher, event: int) -> Response:
    """The mail, or a provider's post, as it came: for a mail program to open; a browser only stores it."""
    raw = _mail(session, inbox.get(session, event))
    if raw is None:
        raise NotFound
    ending, kind = ("json", "application/json") if shown.is_json(raw) else ("eml", "message/rfc822")
    name = {"Content-Disposition": f'attachment; filename="returned-{event}.{ending}"'}
    return Response(raw, media_type=kind, headers=name)


class Why(Form):
    """Why somebody does something, in their words."""

    why: str


@router.post("/{event}/undo")
def undo(request: Request, form: Posted, session: Writing, now: Now, me: Watcher, event: int) -> Response:
    """Take back what was decided; of a case that a rule judged anew, the judgement too."""
    with pages.again(request, "admin/event.html", form=forms.kept(form), **_case(session, event, now)):
        given = forms.read(Why, form)
        stands = tryout.undo(session, event, why=given.why, now=now, actor=actor(me))
    return pages.done(f"{PATH}/{stands}", _("Undone: it is as if this had never been decided."))


class Silence(Form):
    """A suppression by hand. ``scope`` "": everywhere, else the code of a publication."""

    scope: str = ""
    until: date | None = None
    note: str


@router.post("/{event}/suppress")
def suppress(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Watcher, event: int
) -> Response:
    with pages.again(request, "admin/event.html", form=forms.kept(form), **_case(session, event, now)):
        given, row = forms.read(Silence, form), inbox.get(session, event)
        suppressions.add(
            session, address=row.person.address or "", keys=house.settings.keys,
            scope=scope(session, given.scope), note=given.note, until=instant(given.until),
            now=now, actor=actor(me),
        )  # fmt: skip
        inbox.settle(session, [row.case.event_id], now=now, actor=actor(me))
    return pages.done(f"{PATH}/{event}", _("Nobody writes to this address any more."))


@router.post("/{event}/settle")
def settle_one(session: Writing, now: Now, me: Watcher, event: int) -> Response:
    inbox.settle(session, [event], now=now, actor=actor(me))
    return pages.done(f"{PATH}/{event}", _("Looked at: it stays as it is."))


@router.post("/{event}/reopen")
def reopen(session: Writing, now: Now, me: Watcher, event: int) -> Response:
    inbox.reopen(session, event, now=now, actor=actor(me))
    return pages.done(f"{PATH}/{event}", _("It waits for a person again."))


def scope(session: Session, code: str) -> suppressions.Scope:
    """Return what a form's answer means: "" everywhere, else the publication of that code.

    :raises Refused: there is no such publication
    """
    if not code:
        return suppressions.EVERYWHERE
    found = issues.publication_by_code(session, code)
    if found is None:
        raise Refused({"scope": _("Please choose one from the list.")})
    return suppressions.Scope(publication_id=found.id)


def scopes(session: Session) -> list[tuple[str, str]]:
    """Return how far a suppression may reach besides everywhere, as ``macros.select`` takes it."""
    return [
        (each.code, publications.voice(session, each.id, i18n.current()).name)
        for each in issues.publications(session)
    ]


def instant(day: date | None) -> datetime | None:
    """Return the end of a day that a form names, in UTC; None: none is named."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else None


def _asked(query: Any) -> tuple[Wanted, Refused | None]:
    try:
        return forms.read(Wanted, query), None
    except Refused as error:
        return Wanted(), error


def _filter(session: Session, wanted: Wanted) -> Filter:
    """Return what an address asks for, names and codes looked up; what is not there is asked for in vain."""
    campaign = store.campaign_by_public_id(session, wanted.campaign) if wanted.campaign else None
    partner = people.partner_by_code(session, wanted.partner) if wanted.partner else None
    provider = "" if wanted.provider == NOBODY_KNOWN else wanted.provider or None
    return Filter(
        waiting=wanted.view == "waiting", kind=wanted.kind or "", category=wanted.category or "",
        provider=provider, action=wanted.action, rule_id=wanted.rule, words=wanted.search,
        partner_id=partner.id if partner else -1 if wanted.partner else None,
        campaign_id=campaign.id if campaign else -1 if wanted.campaign else None,
        since=datetime.combine(wanted.since, time(), UTC) if wanted.since else None,
        until=instant(wanted.until),
    )  # fmt: skip


def _choices(session: Session) -> dict[str, Any]:
    rows = store.campaigns(session)
    return {
        "kinds": KINDS,
        "categories": list(Category),
        "providers": inbox.providers(session),
        "actions": [*Action, inbox.UNDONE],
        "partners": directory.partners(session),
        "campaigns": {each.row.id: each for each in known(session, [row for row in rows if row.launched_at])},
        "nobody_known": NOBODY_KNOWN,
    }


def _case(session: Session, event: int, now: datetime) -> Mapping[str, Any]:
    row = inbox.get(session, event)
    raw = _mail(session, row)
    campaign = store.campaign(session, row.case.campaign_id)
    replies = answered.of_letter(session, row.case.campaign_id, row.case.n)
    return {
        "row": row,
        "campaign": known(session, [campaign])[0] if campaign else None,
        "mail": shown.read(raw) if raw is not None else None,
        "answered": [(seen(session, each), _answer(session, each)) for each in replies],
        "grounds": grounds.read(row.case.reason),
        "suppressed": suppressions.of_address(session, row.person.address_hash, now),
        "of_partners": reports.partners_of(session, row.person.id),
        "undoable": bool(row.case.judges) or _undoable(row.decision),
        "scopes": scopes(session),
    }


def _undoable(decision: Decision | None) -> bool:
    return decision is not None and decision.undone_at is None and decision.action != Action.NONE


def _answer(session: Session, row: Answer) -> shown.Shown | None:
    """Return what a reader has answered; None: it is not kept any more."""
    raw = feedback.mail_content(session, row.mail_id)
    return shown.read(raw) if raw is not None else None


def _mail(session: Session, row: Row) -> bytes | None:
    """Return the mail that told of a case; None: it was told otherwise, or is not kept any more."""
    return feedback.mail_content(session, row.event.mail_id) if row.event.mail_id else None
