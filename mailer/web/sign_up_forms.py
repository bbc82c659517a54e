"""Sign-up forms for other sites: what is copied into a page, and whether new readers get a welcome."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.audience import topics
from mailer.audience.store import ConsentKind
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.issues.store import Publication
from mailer.web import consent, forms, i18n, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]


@router.get("/forms")
def list_forms(request: Request, house: Here, session: Reading, me: Steward) -> Response:
    shown = [
        {
            "code": each.code,
            "name": publications.voice(session, each.id, i18n.current()).name,
            "welcomes": each.welcomes,
            "address": f"{house.settings.public_url}/join/{each.code}",
            "frame": _frame(house, each),
            "html": _html(session, house, each),
        }
        for each in issues.publications(session)
    ]
    return pages.render(request, "admin/forms.html", shown=shown, sites=house.settings.embed_sites.split())


class Welcome(Form):
    """Whether a publication greets new readers by mail."""

    welcomes: bool = False


@router.post("/forms/{code}")
def change_welcome(form: Posted, session: Writing, now: Now, me: Steward, code: str) -> Response:
    publications.change(
        session, code=code, welcomes=forms.read(Welcome, form).welcomes, now=now, actor=actor(me)
    )
    return pages.done("/admin/forms", _("Saved."))


def _frame(house: House, publication: Publication) -> str:
    address = f"{house.settings.public_url}/embed/{publication.code}.html?lang={i18n.current()}"
    title = escape(_("Subscribe"))
    return f'<iframe src="{address}" title="{title}" width="100%" height="640"></iframe>'


def _html(session: Session, house: House, publication: Publication) -> str:
    """Return a form for another site: what it posts is looked over here before anything is mailed."""
    language = i18n.current()
    lines = [
        f'<form method="post" action="{house.settings.public_url}/join/{publication.code}">',
        f'  <input type="hidden" name="page_language" value="{language}">',
        f'  <input type="hidden" name="language" value="{language}">',
        f'  <label>{escape(_("Email address"))} <input name="address" type="email" required></label>',
        *(
            f'  <label><input type="checkbox" name="topics" value="{escape(topic.code)}">'
            f" {escape(topic.name_zh if language == 'zh' else topic.name_en)}</label>"
            for topic in topics.listing(session, publication.id)
        ),
        '  <label><input type="checkbox" name="agreed" value="1" required>'
        f" {escape(consent.said(session, publication.id, ConsentKind.SIGN_UP))}</label>",
        f"  <button>{escape(_('Subscribe'))}</button>",
        "</form>",
    ]
    return "\n".join(lines)
