"""The administrator's own rules of what mail systems mean: written, tried on the past, saved, taken back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.diagnosis import Category, providers
from mailer.feedback import inbox, rulebook, tryout
from mailer.feedback.rulebook import Draft
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext
from mailer.web.words import destination, word

router = APIRouter(
    prefix="/admin/rules", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("rule.manage"))]

PATH = "/admin/rules"
_TOLD = (Category.COMPLAINT, Category.AUTO_REPLY)  # no reply means these


class Written(Form):
    """A rule as the form asks for it. ``number``: the rule it changes; ``event``: what it was made from."""

    words: str = ""
    provider: str = ""
    code: str = ""
    status: str = ""
    category: Category
    dead: bool = False
    note: str = ""
    number: int | None = None
    event: int | None = None

    def draft(self) -> Draft:
        """Return it as the rulebook takes it."""
        given = self.model_dump(exclude={"number", "event", "provider"})
        return Draft(provider=self.provider or None, **given)


@router.get("")
def list_rules(request: Request, session: Reading, me: Admin) -> Response:
    return pages.render(request, "admin/rules.html", rules=rulebook.listing(session))


@router.get("/new")
def new_rule(
    request: Request, session: Reading, me: Admin, event: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    form = _from_event(session, event) if event else {}
    return pages.render(request, "admin/rule.html", form=form, **_choices(session, form))


@router.post("/try")
def try_rule(request: Request, form: Posted, session: Reading, me: Admin) -> Response:
    """Show what the rule would change. Nothing is kept but what is in the form."""
    kept = forms.kept(form)
    with pages.again(request, "admin/rule.html", form=kept, **_choices(session, kept)):
        given = forms.read(Written, form)
        tried = tryout.on_past(session, given.draft().as_rule(), place=given.number)
    return pages.render(request, "admin/rule.html", form=kept, **{**_choices(session, kept), "tried": tried})


@router.post("")
def save_rule(request: Request, form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    kept = forms.kept(form)
    with pages.again(request, "admin/rule.html", form=kept, **_choices(session, kept)):
        given = forms.read(Written, form)
        if given.number is None:
            number = rulebook.add(session, given.draft(), now=now, actor=actor(me))
        else:
            number = given.number
            rulebook.edit(session, number, given.draft(), now=now, actor=actor(me))
    return pages.done(f"{PATH}/{number}", _("Saved: within half a minute every reply is asked by it."))


@router.get("/{rule}")
def show_rule(request: Request, session: Reading, me: Admin, rule: int) -> Response:
    row = rulebook.get(session, rule)
    form = {name: getattr(row, name) or "" for name in Draft.__dataclass_fields__} | {"number": rule}
    return pages.render(request, "admin/rule.html", form=form, **_choices(session, form))


class Switch(Form):
    """Whether a rule is asked."""

    on: bool = False


@router.post("/{rule}/switch")
def switch(form: Posted, session: Writing, now: Now, me: Admin, rule: int) -> Response:
    given = forms.read(Switch, form)
    rulebook.switch(session, rule, on=given.on, now=now, actor=actor(me))
    return pages.done(
        f"{PATH}/{rule}",
        _("The rule is asked again.") if given.on else _("The rule is switched off: nothing is asked by it."),
    )


@router.post("/{rule}/judge")
def judge(session: Writing, now: Now, me: Admin, rule: int) -> Response:
    """Judge by it what was not understood before; policy then decides about each as about any other."""
    n = tryout.judge_anew(session, rule, now=now, actor=actor(me))
    return pages.done(
        f"{PATH}/{rule}",
        ngettext("%(num)s case is judged anew.", "%(num)s cases are judged anew.", n),
    )


class Why(Form):
    """Why it is taken back."""

    why: str


@router.post("/{rule}/undo")
def undo(request: Request, form: Posted, session: Writing, now: Now, me: Admin, rule: int) -> Response:
    row = rulebook.get(session, rule)
    shown = {name: getattr(row, name) or "" for name in Draft.__dataclass_fields__} | {"number": rule}
    with pages.again(request, "admin/rule.html", form=shown, **_choices(session, shown)):
        n = tryout.undo_all(session, rule, why=forms.read(Why, form).why, now=now, actor=actor(me))
    return pages.done(
        f"{PATH}/{rule}", ngettext("%(num)s case stands as before.", "%(num)s cases stand as before.", n)
    )


def _from_event(session: Session, event: int) -> dict[str, Any]:
    """Return a form that begins with what an event said."""
    row = inbox.get(session, event)
    said = tryout.said(row.event)
    return {
        "words": tryout.words_of(said.text), "provider": row.case.provider, "code": said.code or "",
        "status": said.status, "category": "", "event": row.case.event_id,
    }  # fmt: skip


def _choices(session: Session, form: dict[str, Any]) -> dict[str, Any]:
    number, event = str(form.get("number", "")), str(form.get("event", ""))
    saved = rulebook.get(session, int(number)) if number.isdecimal() else None
    return {
        "saved": saved,
        "judged": rulebook.judged_by(session, saved.id) if saved else 0,
        "origin": inbox.get(session, int(event)) if event.isdecimal() else None,
        "categories": [(each.value, word(each)) for each in Category if each not in _TOLD],
        "providers": [(each, destination(each)) for each in providers()],
        "tried": None,
        "most": tryout.LOOKED_AT,
    }
