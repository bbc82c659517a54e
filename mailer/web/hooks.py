"""The administrator's page about webhooks: which providers tell us of letters, and what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.feedback.webhooks import hooks, store
from mailer.feedback.webhooks.hear import Outcome
from mailer.feedback.webhooks.provider import Secret
from mailer.feedback.webhooks.providers import PROVIDERS
from mailer.web import forms, pages
from mailer.web.access import actor, guard, staff
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.sending import Admin

router = APIRouter(
    prefix="/admin/sending/webhooks", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

_PATH = "/admin/sending/webhooks"
_TEMPLATE = "admin/webhooks.html"
_COUNTED = timedelta(days=30)


@router.get("")
def show(request: Request, session: Reading, house: Here, now: Now, me: Admin) -> Response:
    return pages.render(request, _TEMPLATE, **_seen(session, house, now))


class NewWebhook(Form):
    """A provider, and what it shows; "" where it shows nothing."""

    provider: str
    secret: str = ""


@router.post("")
def add(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    """The answer shows a made secret, this once: no redirect could carry it."""
    with pages.again(request, _TEMPLATE, form=forms.kept(form), **_seen(session, house, now)):
        given = forms.read(NewWebhook, form)
        row, secret = hooks.add(
            session,
            provider=given.provider,
            secret=given.secret,
            keys=house.settings.keys,
            now=now,
            actor=actor(me),
        )
    provider = PROVIDERS[row.provider]
    address = hooks.address(provider, house.settings.public_url, secret)
    token = secret if provider.secret is Secret.TOKEN else ""
    made = {"provider": provider, "address": address, "token": token}
    return pages.render(request, _TEMPLATE, made=made, **_seen(session, house, now))


class Which(Form):
    """The webhook a button is about."""

    id: int


@router.post("/remove")
def remove(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    row = hooks.remove(session, webhook_id=forms.read(Which, form).id, now=now, actor=actor(me))
    title = PROVIDERS[row.provider].title
    return pages.done(_PATH, _("%(provider)s is no longer believed by this secret.", provider=title))


def _seen(session: Session, house: House, now: datetime) -> dict[str, Any]:
    counted: dict[str, dict[str, Any]] = {}
    for row in store.counted(session, (now - _COUNTED).date()):
        counted.setdefault(row.provider, {})[row.outcome] = row
    return {
        "webhooks": hooks.listing(session),
        "providers": PROVIDERS,
        "choices": [(each.name, each.title) for each in PROVIDERS.values()],
        "counted": counted,
        "outcomes": list(Outcome),
        "address": lambda name: hooks.address(PROVIDERS[name], house.settings.public_url),
    }
