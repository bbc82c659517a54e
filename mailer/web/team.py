"""The partner's desk: who else looks after its people, and what has been done."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from limits import RateLimitItemPerDay
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.accounts import audit, sessions, team
from mailer.accounts.store import AuditEntry, User
from mailer.audience import desk
from mailer.audience.store import Partner
from mailer.web import account_mail, forms, i18n, pages, post
from mailer.web.access import actor, guard
from mailer.web.deeds import OF_PARTNERS, deed
from mailer.web.forms import Form
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.partner import Manager, Own, called, teller

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)

LINK_LASTS = timedelta(days=3)  # a colleague may be away
_INVITED = RateLimitItemPerDay(10)  # a partner's
SIZE = 50


class Colleague(Form):
    """Who is to look after the people too."""

    email: str
    name: str = ""
    language: Literal["zh", "en"] = "zh"


class Whose(Form):
    """The account a button is about."""

    email: str


@router.get("/team")
def show_team(request: Request, session: Reading, own: Own) -> Response:
    form = {"language": own.language}
    return pages.render(
        request, "partner/team.html", form=form, team=team.members(session, own.id), name=called(own)
    )


@router.post("/team")
def invite(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Manager, own: Own
) -> Response:
    everyone = team.members(session, own.id)
    with pages.again(request, "partner/team.html", form=forms.kept(form), team=everyone, name=called(own)):
        given = forms.read(Colleague, form)
        house.doorkeeper.count(_INVITED, "team", str(own.id))
        user = team.invite(
            session, partner_id=own.id, partner_code=own.code, email=given.email, name=given.name,
            language=given.language, now=now, actor=actor(me),
        )  # fmt: skip
    return _linked(request, session, house, own, user, now)


@router.post("/team/link")
def new_link(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Manager, own: Own
) -> Response:
    user = team.get(session, own.id, forms.read(Whose, form).email)
    house.doorkeeper.count(_INVITED, "team", str(own.id))
    audit.record(session, now=now, actor=actor(me), action="team.link", subject=f"user {user.id}",
                 after={"email": user.email}, partner_id=own.id)  # fmt: skip
    return _linked(request, session, house, own, user, now)


def _linked(request: Request, session: Session, house: House, own: Partner, user: User, now: Now) -> Response:
    """Mail a link; without a relay it is shown to be handed over: all the secretariat reads caught mail."""
    token = sessions.make_link(session, user_id=user.id, now=now, lasts=LINK_LASTS)
    if not house.settings.smtp_url:
        return pages.render(
            request, "partner/team.html", link=account_mail.link(house, token), invited=user,
            form={"language": own.language}, team=team.members(session, own.id), name=called(own),
        )  # fmt: skip
    done = pages.done("/partner/team", _("The sign-in link is on its way to %(to)s.", to=user.email))
    link = account_mail.link(house, token)
    done.background = BackgroundTask(_mail, house, user.email, user.language, own, link, now)
    return done


def _mail(house: House, to: str, language: str, own: Partner, link: str, now: Now) -> None:
    i18n.use(language)
    post.send(
        house,
        to=to,
        language=language,
        subject=_("Your access to the people of %(partner)s", partner=called(own)),
        text=_("You can look after the readers of %(partner)s now.", partner=called(own))
        + "\n\n" + _("This link signs you in, once and within three days:") + f"\n\n{link}\n\n"
        + _("Afterwards, sign in at %(page)s.", page=f"{house.settings.public_url}/sign-in"),
        now=now,
    )  # fmt: skip


@router.post("/team/remove")
def remove(form: Posted, session: Writing, now: Now, me: Manager, own: Own) -> Response:
    user = team.remove(
        session, partner_id=own.id, email=forms.read(Whose, form).email, now=now, actor=actor(me)
    )
    return pages.done("/partner/team", _("%(email)s can no longer sign in.", email=user.email))


@router.get("/activity")
def activity(request: Request, session: Reading, own: Own, page: pages.Number = 1) -> Response:
    """What was done with the partner's people: only actions that have words here, so nothing else shows."""
    entries, total = audit.about_partner(session, own.id, OF_PARTNERS, page, size=SIZE)
    return pages.render(
        request, "partner/activity.html", entries=entries, total=total, page=page, size=SIZE,
        who=teller(session, own), what=deed, whom=_subjects(session, own, entries), name=called(own),
    )  # fmt: skip


def _subjects(session: Session, own: Partner, entries: list[AuditEntry]) -> dict[str, tuple[str, str]]:
    """Return whom entries are about, by their subject: a name, and the page of the person; "": none now."""
    ids: dict[str, list[int]] = {"membership": [], "subscriber": []}
    for entry in entries:
        noun, _space, number = entry.subject.partition(" ")
        if noun in ids and number.isdecimal():
            ids[noun].append(int(number))
    found: dict[str, tuple[str, str]] = {}
    for row, name in desk.called(session, own.id, ids["membership"], ids["subscriber"]):
        path = "" if row.ended_at else f"/partner/people/{row.public_id}"
        found[f"membership {row.id}"] = found[f"subscriber {row.subscriber_id}"] = (name, path)
    return found
