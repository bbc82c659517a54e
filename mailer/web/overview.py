"""The secretariat's home: what waits for whoever looks, what is on its way, how the last issue fared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.accounts.users import may as allows
from mailer.audience import requests
from mailer.delivery import store
from mailer.delivery.store import Campaign, CampaignState
from mailer.feedback import alerts, dormant, inbox
from mailer.issues import store as issues
from mailer.reports import campaign as reports
from mailer.web import pages
from mailer.web.access import guard, may, staff
from mailer.web.campaigns import Known, known
from mailer.web.house import Reading
from mailer.web.i18n import _, ngettext

router = APIRouter(prefix="/desk", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Reader = Annotated[SignedIn, Depends(may("report.read"))]

_UNDER_WAY = (CampaignState.SENDING, CampaignState.SCHEDULED)
_WAITING = (CampaignState.DRAFT, CampaignState.REVIEW, CampaignState.APPROVED, CampaignState.PAUSED)
_QUICK = 200_000  # letters of which figures are counted while somebody waits for the page


class Task(NamedTuple):
    """Something that waits for a person: what it is, and the page where it is done."""

    text: str
    path: str
    label: str


@router.get("")
def home(request: Request, session: Reading, me: Reader) -> Response:
    found = known(session, store.campaigns(session, *_UNDER_WAY, *_WAITING))
    launched = store.campaigns(session, CampaignState.SENDING, CampaignState.SENT)
    newest = max(launched, key=lambda each: each.launched_at or each.created_at, default=None)
    last = known(session, [newest])[0] if newest else None
    return pages.render(
        request, "desk/home.html", last=last,
        tasks=[*_of_campaigns(found, me), *_of_people(session, me), *_of_bounces(session, me)],
        under_way=[each for each in found if each.row.state in _UNDER_WAY],
        figures=_figures(session, last.row) if last else None,
        is_new=last is None and not found and not issues.issues_of(session),
    )  # fmt: skip


def _figures(session: Session, last: Campaign) -> reports.Report | None:
    """Return the figures of a campaign; None where counting takes long: its own page has them."""
    return reports.report(session, last.id) if (last.candidates or 0) <= _QUICK else None


def _of_campaigns(found: list[Known], me: SignedIn) -> Iterator[Task]:
    for each in found:
        title, email = each.of.title, me.user.email
        match each.row.state:
            case CampaignState.REVIEW if _may(me, "campaign.approve") and each.row.created_by != email:
                yield Task(_("“%(title)s” waits for your approval.", title=title), each.path, _("Look at it"))
            case CampaignState.APPROVED if _may(me, "campaign.launch"):
                yield Task(
                    _("“%(title)s” is approved and can be launched.", title=title), each.path, _("Look at it")
                )
            case CampaignState.PAUSED if _may(me, "campaign.launch"):
                yield Task(_("“%(title)s” is paused.", title=title), each.path, _("Look at it"))
            case CampaignState.DRAFT if _may(me, "campaign.create"):
                yield Task(
                    _("A campaign of “%(title)s” is a draft: nobody was asked to approve it.", title=title),
                    each.path, _("Go on"),
                )  # fmt: skip


def _of_people(session: Session, me: SignedIn) -> Iterator[Task]:
    if _may(me, "people.manage") and (n := requests.waiting(session)):
        text = ngettext("%(num)s request of a partner is open.", "%(num)s requests of partners are open.", n)
        yield Task(text, "/admin/requests", _("Answer"))


def _of_bounces(session: Session, me: SignedIn) -> Iterator[Task]:
    if not _may(me, "event.read"):
        return
    if n := len(alerts.standing(session)):
        text = ngettext("%(num)s warning about sending stands.", "%(num)s warnings about sending stand.", n)
        yield Task(text, "/admin/feedback", _("Look at them"))
    if n := inbox.waiting(session):
        text = ngettext("%(num)s bounce was not understood.", "%(num)s bounces were not understood.", n)
        yield Task(text, "/admin/feedback", _("Look at them"))
    if n := dormant.listing(session, size=1)[1]:
        text = ngettext(
            "Letters to %(num)s address keep coming back unexplained.",
            "Letters to %(num)s addresses keep coming back unexplained.", n,
        )  # fmt: skip
        yield Task(text, "/admin/dormant", _("Decide"))


def _may(me: SignedIn, action: str) -> bool:
    return allows(me.user.role, action)
