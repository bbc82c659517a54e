"""The secretariat's desk: campaigns are made, approved, launched and followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.audience import codes, segments
from mailer.audience.store import Segment
from mailer.delivery import campaigns, pace, reach, states, store, trial
from mailer.delivery.relay import BadRelay, Relay
from mailer.delivery.states import Move
from mailer.delivery.store import Campaign
from mailer.errors import Invalid
from mailer.issues import store as issues
from mailer.reports import campaign as reports
from mailer.reports import waiting
from mailer.settings import Settings
from mailer.web import forms, i18n, pages, waits
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext, number
from mailer.web.titles import Titled, find_issue, titled
from mailer.web.words import figure_word, word

router = APIRouter(prefix="/desk", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Reader = Annotated[SignedIn, Depends(may("report.read"))]
Maker = Annotated[SignedIn, Depends(may("campaign.create"))]
Approver = Annotated[SignedIn, Depends(may("campaign.approve"))]
Launcher = Annotated[SignedIn, Depends(may("campaign.launch"))]


@dataclass(frozen=True)
class Known:
    """A campaign with the issue it sends."""

    row: Campaign
    of: Titled

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"/desk/campaigns/{self.row.public_id}"

    @property
    def zone(self) -> str:
        """The zone its times are shown in."""
        return self.of.publication.zone

    def allows(self, move: str) -> bool:
        """Tell whether a button for ``move`` makes sense now."""
        return states.allows(self.row.state, Move(move))


def find(session: Session, campaign: UUID) -> Known:
    """:raises NoCampaign: none of that id"""
    row = store.campaign_by_public_id(session, campaign)
    if row is None:
        raise campaigns.NoCampaign
    return known(session, [row])[0]


def known(session: Session, rows: list[Campaign]) -> list[Known]:
    """Return campaigns with their issues."""
    found = titled(session, [session.get_one(issues.Issue, each) for each in {row.issue_id for row in rows}])
    return [Known(row, found[row.issue_id]) for row in rows]


def of_issue(session: Session, issue: Titled) -> list[Known]:
    """Return an issue's campaigns, newest first."""
    return [Known(row, issue) for row in store.campaigns(session) if row.issue_id == issue.issue.id]


@router.get("/campaigns")
def list_campaigns(request: Request, session: Reading, me: Reader) -> Response:
    return pages.render(request, "desk/campaigns.html", campaigns=known(session, store.campaigns(session)))


class Plan(Form):
    """What a campaign sends, to whom and when. ``day`` None: it is launched by hand.

    ``segment``: the saved audience that counts in place of ``audience``.
    """

    audience: str = "everyone"
    segment: int | None = None
    languages: list[Literal["zh", "en"]]
    fallback: bool = False
    day: date | None = None
    hour: time = time(9)
    zone: str = "UTC"
    window: str = ""
    local_time: bool = False

    def meant(self, session: Session) -> str:
        """Return the audience as campaigns take it: a rule, or the name of a segment.

        :raises NoSegment: it is gone
        """
        return self.audience if self.segment is None else segments.by_id(session, self.segment).name

    def scheduled_at(self) -> datetime | None:
        """Return the instant meant.

        :raises BadCode: no such zone
        """
        zone = ZoneInfo(codes.zone(self.zone))
        return datetime.combine(self.day, self.hour, zone) if self.day else None


@router.get("/issues/{issue}/campaign")
def new_campaign(request: Request, session: Reading, me: Maker, issue: UUID) -> Response:
    found = find_issue(session, issue)
    form = {
        "audience": "everyone",
        "languages": list(found.languages),
        "fallback": "1",
        "hour": "09:00",
        "zone": found.publication.zone,
        "window": found.publication.window,
    }
    return pages.render(request, "desk/plan.html", form=form, **_planning(session, found))


@router.post("/issues/{issue}/campaign")
def make_campaign(
    request: Request, form: Posted, session: Writing, now: Now, me: Maker, issue: UUID
) -> Response:
    found = find_issue(session, issue)
    with pages.again(request, "desk/plan.html", form=forms.kept(form), **_planning(session, found)):
        plan = forms.read(Plan, form)
        made = campaigns.create(
            session, issue_id=found.issue.id, audience=plan.meant(session), languages=plan.languages,
            fallback=plan.fallback, scheduled_at=plan.scheduled_at(), window=plan.window,
            local_time=plan.local_time, now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(
        f"/desk/campaigns/{made.public_id}", _("The campaign is a draft. Next: ask for approval.")
    )


@router.get("/campaigns/{campaign}/plan")
def plan_page(request: Request, session: Reading, me: Maker, campaign: UUID) -> Response:
    found = find(session, campaign)
    form = _as_form(found, segments.listing(session))
    return pages.render(request, "desk/plan.html", form=form, **_planning(session, found.of, found))


@router.post("/campaigns/{campaign}/plan")
def revise(request: Request, form: Posted, session: Writing, now: Now, me: Maker, campaign: UUID) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/plan.html", form=forms.kept(form), **_planning(session, found.of, found)):
        plan = forms.read(Plan, form)
        campaigns.revise(
            session, campaign_id=found.row.id, audience=plan.meant(session), languages=plan.languages,
            fallback=plan.fallback, scheduled_at=plan.scheduled_at(), window=plan.window,
            local_time=plan.local_time, now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(found.path, _("Saved. An approval given before is void."))


def _planning(session: Session, issue: Titled, found: Known | None = None) -> dict[str, Any]:
    return {"titled": issue, "campaign": found, "segments": segments.listing(session)}


def _as_form(found: Known, saved: list[Segment]) -> dict[str, Any]:
    """Return a campaign as its form; its segment is chosen while that still says what the campaign does."""
    row = found.row
    same = [each.id for each in saved if each.id == row.segment_id and each.rule == row.audience]
    local = row.scheduled_at and row.scheduled_at.astimezone(ZoneInfo(found.zone))
    return {
        "audience": row.audience,
        "segment": same[0] if same else "",
        "languages": row.languages,
        "fallback": "1" if row.fallback else "",
        "day": local.date().isoformat() if local else "",
        "hour": f"{local:%H:%M}" if local else "09:00",
        "zone": found.zone,
        "window": row.window,
        "local_time": "1" if row.local_time else "",
    }


@router.get("/issues/{issue}/count")
def count(
    session: Reading,
    now: Now,
    me: Maker,
    issue: UUID,
    audience: Annotated[str, Query(max_length=2000)] = "everyone",
    languages: Annotated[list[Literal["zh", "en"]], Query()] = [],  # noqa: B006  FastAPI copies it
    fallback: bool = False,
    segment: Annotated[str, Query(pattern="^[0-9]{0,9}$")] = "",
) -> Response:
    """How many an audience means, while it is being written: half a rule is no error of the page."""
    found = find_issue(session, issue)
    try:
        named = segments.by_id(session, int(segment)).rule if segment else audience
        meant = reach.glance(
            session, publication_id=found.publication.id, rule=segments.resolve(session, named),
            languages=languages or list(found.languages), fallback=fallback, now=now,
        )  # fmt: skip
    except (Invalid, reach.CannotSay) as error:
        return JSONResponse({"error": i18n.tell(error.sentence)})
    return JSONResponse({"total": meant.total, "message": in_words(meant)})


def rounded(value: int, meant: campaigns.Audience) -> str:
    """Return a number of people, "about 12,000" where a sample told it."""
    if meant.about == 1:
        return number(value)
    if value == 0:
        return _("fewer than %(n)s", n=number(3 * meant.about))  # 95 %: the rule of three
    return _("about %(n)s", n=number(value))


def in_words(meant: campaigns.Audience) -> str:
    """Say how many letters there would be, in which languages, and who gets none."""
    letters = ngettext("%(num)s letter", "%(num)s letters", meant.total)
    if meant.about > 1:
        letters = _("about %(n)s", n=letters)
    by_language = i18n.listed(f"{word(language)} {number(n)}" for language, n in meant.letters.items())
    none = i18n.listed(f"{word(reason)} {number(n)}" for reason, n in meant.excluded.items())
    text = f"{letters} · {by_language}" if by_language else letters
    return text + (" · " + _("no letter: %(reasons)s", reasons=none) if none else "")


@router.get("/campaigns/{campaign}")
def show(request: Request, session: Reading, house: Here, now: Now, me: Reader, campaign: UUID) -> Response:
    return pages.render(
        request, "desk/campaign.html", **_opened(session, find(session, campaign), now, house.settings)
    )


def _opened(session: Session, found: Known, now: datetime, settings: Settings) -> dict[str, Any]:
    launched = found.row.launched_at is not None
    return {
        "campaign": found,
        "frozen": store.frozen_editions(session, found.row.id),
        "report": reports.report(session, found.row.id) if launched else None,
        "figures": figures,
        "meant": None if launched else _glanced(session, found, now),
        "rounded": rounded,
        "waits": _waits(session, found, now, settings),
    }


def _waits(session: Session, found: Known, now: datetime, settings: Settings) -> list[str]:
    """Say why letters wait: what a worker told last, then what the rows tell."""
    try:
        relay = Relay.from_url(settings.relay_urls[0]).limit_on(
            now.date()
        )  # the next one is for its failures
    except BadRelay:  # the workers tell that
        relay = pace.NONE
    reasons = waits.told(waiting.waits(session, found.row, now, relay), now=now, zone=found.zone)
    return [text for text in (i18n.tell(found.row.trouble), *reasons) if text]


def _glanced(session: Session, found: Known, now: datetime) -> campaigns.Audience | None:
    """Count at once, if need be about; None: not even that."""
    row = found.row
    try:
        return reach.glance(
            session, publication_id=row.publication_id, rule=segments.parse(row.audience),
            languages=row.languages, fallback=row.fallback, now=now,
        )  # fmt: skip
    except reach.CannotSay:
        return None


def _meant(session: Session, found: Known, now: datetime) -> campaigns.Audience:
    row = found.row
    return campaigns.preview(
        session, publication_id=row.publication_id, audience=row.audience, languages=row.languages,
        fallback=row.fallback, now=now,
    )  # fmt: skip


@router.post("/campaigns/{campaign}/ask")
def ask(request: Request, session: Writing, house: Here, now: Now, me: Maker, campaign: UUID) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/campaign.html", form={}, **_opened(session, found, now, house.settings)):
        campaigns.ask(session, campaign_id=found.row.id, settings=house.settings, now=now, actor=actor(me))
    return pages.done(found.path, _("Frozen. A colleague can approve it now."))


class Trial(Form):
    """Who gets a test letter."""

    to: str


@router.post("/campaigns/{campaign}/test")
def test_letter(
    request: Request, form: Posted, session: Reading, house: Here, now: Now, me: Maker, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(
        request, "desk/campaign.html", form=forms.kept(form), **_opened(session, found, now, house.settings)
    ):
        to = forms.read(Trial, form).to
        for language in found.row.languages:
            trial.send(
                session, campaign_id=found.row.id, to=to, language=language, settings=house.settings, now=now
            )
    return pages.done(found.path, _("The test letter is on its way to %(to)s.", to=to))


@router.post("/campaigns/{campaign}/approve")
def approve(
    request: Request, session: Writing, house: Here, now: Now, me: Approver, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/campaign.html", form={}, **_opened(session, found, now, house.settings)):
        campaigns.approve(session, campaign_id=found.row.id, now=now, actor=actor(me))
    return pages.done(found.path, _("Approved."))


class Objection(Form):
    """What has to change before it can be approved."""

    why: str = ""


@router.post("/campaigns/{campaign}/reject")
def send_back(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Approver, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(
        request, "desk/campaign.html", form=forms.kept(form), **_opened(session, found, now, house.settings)
    ):
        why = forms.read(Objection, form).why
        campaigns.send_back(session, campaign_id=found.row.id, why=why, now=now, actor=actor(me))
    return pages.done(found.path, _("Sent back. Its author reads why on this page."))


@router.get("/campaigns/{campaign}/launch")
def confirm_launch(request: Request, session: Reading, now: Now, me: Launcher, campaign: UUID) -> Response:
    found = find(session, campaign)
    states.after(found.row.state, Move.LAUNCH)
    return pages.render(request, "desk/launch.html", campaign=found, meant=_meant(session, found, now))


class Steer(Form):
    """What is wanted of a campaign on its way."""

    move: Literal["pause", "resume", "cancel"]


@router.post("/campaigns/{campaign}/launch")
def launch(
    request: Request, session: Writing, house: Here, now: Now, me: Launcher, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/campaign.html", form={}, **_opened(session, found, now, house.settings)):
        campaigns.launch(session, campaign_id=found.row.id, settings=house.settings, now=now, actor=actor(me))
    return pages.done(found.path, _("On its way."))


@router.post("/campaigns/{campaign}/steer")
def steer(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Launcher, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/campaign.html", form={}, **_opened(session, found, now, house.settings)):
        verb = {"pause": campaigns.pause, "resume": campaigns.resume, "cancel": campaigns.cancel}
        verb[forms.read(Steer, form).move](session, campaign_id=found.row.id, now=now, actor=actor(me))
    return pages.done(found.path)


class Uncertain(Form):
    """What a person decides about letters whose fate nobody saw."""

    decision: Literal["resend", "accept"]


@router.post("/campaigns/{campaign}/uncertain")
def settle_uncertain(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Launcher, campaign: UUID
) -> Response:
    found = find(session, campaign)
    with pages.again(request, "desk/campaign.html", form={}, **_opened(session, found, now, house.settings)):
        resend = forms.read(Uncertain, form).decision == "resend"
        settled = campaigns.settle_uncertain(
            session, campaign_id=found.row.id, resend=resend, now=now, actor=actor(me)
        )
    return pages.done(found.path, ngettext("%(num)s letter settled.", "%(num)s letters settled.", settled))


@router.get("/campaigns/{campaign}/progress")
def progress(session: Reading, house: Here, now: Now, me: Reader, campaign: UUID) -> Response:
    """The figures and why letters wait, as words, for the page that follows a campaign on its way."""
    found = find(session, campaign)
    report = reports.report(session, found.row.id)
    return JSONResponse(
        {
            "state": found.row.state,
            "progress": report.progress,
            "waits": _waits(session, found, now, house.settings),
            "figures": {name: number(value) for name, value in figures(report).items()},
        }
    )


_PLAIN_FIGURES = (
    "accepted", "waiting", "deferred", "rejected", "uncertain",
    "delayed", "complaints", "left", "opened", "clicked",
)  # fmt: skip


def figures(report: reports.Report) -> dict[str, int]:
    """Return the figures that move while letters are sent, by the names the page gives them."""
    return {
        "done": report.deliveries - report.waiting - report.deferred,
        "deliveries": report.deliveries,
        "withdrawn": sum(report.withdrawn.values()),
        "bounced": report.bounced_total,
        **{name: getattr(report, name) for name in _PLAIN_FIGURES},
    }


@router.get("/campaigns/{campaign}/report/{figure}")
def report_rows(
    request: Request, session: Reading, me: Reader, campaign: UUID, figure: str, page: pages.Number = 1
) -> Response:
    """The rows behind a figure; ``figure`` may name a part of it, such as ``bounced:mailbox_full``."""
    found = find(session, campaign)
    name, _colon, part = figure.partition(":")
    return pages.render(
        request,
        "desk/rows.html",
        campaign=found,
        figure=figure,
        label=figure_word(name) + (f": {word(part)}" if part else ""),
        rows=reports.rows(session, found.row.id, figure, page=page, language=i18n.current()),
        total=reports.count(session, found.row.id, figure),
        page=page,
        size=reports.PAGE_SIZE,
    )
