"""The secretariat's directory of partners: found, edited, merged, let go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts import users
from mailer.accounts.sessions import SignedIn
from mailer.audience import directory, partners
from mailer.audience.changes import journal, organisations, rows
from mailer.audience.directory import Order, Wanted
from mailer.audience.store import Partner, PartnerKind
from mailer.feedback import inbox
from mailer.reports import lately
from mailer.web import forms, i18n, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.campaigns import known
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/partners", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]
Admin = Annotated[SignedIn, Depends(may("user.manage"))]

PATH = "/admin/partners"
_FIRST = 20  # people shown on a partner's page


@router.get("")
def list_partners(
    request: Request,
    session: Reading,
    me: Steward,
    search: pages.Search = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    country: Annotated[str, Query(max_length=2)] = "",
    group: Annotated[str, Query(max_length=40)] = "",
    trusted: Literal["", "yes", "no"] = "",
    closed: bool = False,
    order: Order = Order.NAME,
    page: pages.Number = 1,
) -> Response:
    wanted = Wanted(search, kind, country, group, {"yes": True, "no": False}.get(trusted), closed, order)
    return pages.render(request, "admin/partners.html", **_list(session, wanted, page))


class NewPartner(Form):
    """A new partner organisation."""

    code: str
    name_zh: str = ""
    name_en: str = ""
    kind: PartnerKind
    country: str
    language: Literal["zh", "en"] = "en"
    trusted: bool = False


@router.post("")
def add_partner(request: Request, form: Posted, session: Writing, now: Now, me: Steward) -> Response:
    with pages.again(request, "admin/partners.html", form=forms.kept(form), **_list(session, Wanted(), 1)):
        given = forms.read(NewPartner, form)
        partner = partners.add(session, now=now, actor=actor(me), **given.model_dump())
    return pages.done(f"{PATH}/{partner.code}", _("%(code)s has been added.", code=partner.code))


@router.get("/{code}")
def show_partner(
    request: Request, session: Reading, now: Now, me: Steward, code: str, page: pages.Number = 1
) -> Response:
    partner = partners.get(session, code)
    return pages.render(request, "admin/partner.html", **_partner(session, partner, now, page))


class Facts(Form):
    """What the directory says of a partner; ``groups`` by commas, ``seats`` empty: no limit."""

    name_zh: str = ""
    name_en: str = ""
    kind: PartnerKind
    country: str
    language: Literal["zh", "en"]
    zone: str = ""
    seats: int | None = None
    trusted: bool = False
    groups: str = ""


@router.post("/{code}")
def edit_partner(
    request: Request, form: Posted, session: Writing, now: Now, me: Steward, code: str
) -> Response:
    partner = partners.get(session, code)
    shown = _partner(session, partner, now, 1) | {"form": forms.kept(form)}
    with pages.again(request, "admin/partner.html", **shown):
        given = forms.read(Facts, form).model_dump()
        groups = [each for each in given.pop("groups").replace("，", ",").split(",") if each.strip()]
        partners.edit(session, partner_id=partner.id, groups=groups, now=now, actor=actor(me), **given)
    return pages.done(f"{PATH}/{code}", _("Saved."))


@router.get("/{code}/close")
def preview_closing(request: Request, session: Reading, me: Admin, code: str) -> Response:
    partner = partners.get(session, code)
    foreseen = organisations.foresee_closing(session, partner.id)
    return pages.render(request, "admin/partner_close.html", partner=partner, foreseen=foreseen)


@router.post("/{code}/close")
def close_partner(session: Writing, now: Now, me: Admin, code: str) -> Response:
    partner = partners.get(session, code)
    organisations.close(session, partner_id=partner.id, now=now, actor=actor(me))
    return pages.done(f"{PATH}/{code}", _("%(name)s has left.", name=called(partner)))


@router.get("/{code}/merge")
def preview_merging(request: Request, session: Reading, me: Admin, code: str, into: str = "") -> Response:
    """Choose the entry that stays, then see what would happen."""
    gone = partners.get(session, code)
    others = [each for each in directory.open_partners(session) if each.id != gone.id]
    kept = partners.get(session, into) if into else None
    foreseen = organisations.foresee_merging(session, gone_id=gone.id, kept_id=kept.id) if kept else None
    return pages.render(
        request, "admin/partner_merge.html", partner=gone, others=others, kept=kept, foreseen=foreseen,
        form={"into": into},
    )  # fmt: skip


class Into(Form):
    """The entry that stays."""

    into: str


@router.post("/{code}/merge")
def merge_partner(form: Posted, session: Writing, now: Now, me: Admin, code: str) -> Response:
    gone, kept = partners.get(session, code), partners.get(session, forms.read(Into, form).into)
    organisations.merge(session, gone_id=gone.id, kept_id=kept.id, now=now, actor=actor(me))
    said = _("%(gone)s is part of %(kept)s now.", gone=called(gone), kept=called(kept))
    return pages.done(f"{PATH}/{kept.code}", said)


def called(partner: Partner) -> str:
    """Return a partner's name in the language of the page, else in the other one."""
    zh, en = partner.name_zh, partner.name_en
    return (zh or en) if i18n.current() == "zh" else (en or zh)


def _list(session: Session, wanted: Wanted, page: int) -> dict[str, Any]:
    found, total = directory.listing(session, wanted, language=i18n.current(), page=page)
    return {
        "found": found, "total": total, "wanted": wanted, "page": page, "size": directory.SIZE,
        "kinds": list(PartnerKind), "orders": list(Order), **directory.offered(session),
    }  # fmt: skip


def _partner(session: Session, partner: Partner, now: Now, page: int) -> dict[str, Any]:
    people, total = directory.people(session, partner.id, page=page, size=_FIRST)
    groups = directory.groups_of(session, [partner.id]).get(partner.id, [])
    sent = lately.last_campaigns(session, partner.id)
    subject = f"partner {partner.code}"
    changes = [
        change
        for kind in (organisations.CLOSE, organisations.MERGE)
        for change in rows.changes(session, kind, 5, subject)
        if journal.may_undo(change, now)
    ]
    return {
        "partner": partner, "people": people, "total": total, "page": page, "size": _FIRST,
        "managers": users.listing(session, partner_id=partner.id),
        "sent": sent,
        "campaigns": {each.row.id: each for each in known(session, [row.campaign for row in sent])},
        "bounces": inbox.listing(session, inbox.Filter(partner_id=partner.id), size=5).rows,
        "changes": changes, "form": _as_form(partner, groups), "kinds": list(PartnerKind),
    }  # fmt: skip


def _as_form(partner: Partner, groups: list[str]) -> Mapping[str, Any]:
    facts = ("name_zh", "name_en", "kind", "country", "language")
    return {name: getattr(partner, name) for name in facts} | {
        "zone": partner.zone or "",
        "seats": "" if partner.seats is None else partner.seats,
        "trusted": "1" if partner.trusted else "",
        "groups": ", ".join(groups),
    }
