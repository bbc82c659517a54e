"""The partner's desk: a manager looks after their own organisation's people, and sees nobody else's.

``joining`` brings people in and corrects addresses, ``ours`` is the delivery report, ``team`` the colleagues.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts import team
from mailer.accounts.sessions import SignedIn
from mailer.audience import desk, requests, topics
from mailer.audience.desk import Profile
from mailer.audience.members import Order, Standing, Wanted
from mailer.audience.names import Names
from mailer.audience.store import Partner, RequestState
from mailer.errors import NotFound
from mailer.issues import store as issues
from mailer.issues.store import Publication
from mailer.reports import partner as reports
from mailer.web import advice, forms, i18n, pages, titles
from mailer.web.access import actor, guard, may
from mailer.web.forms import Form, Named
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _

LONG = timedelta(days=7)  # to wait for an answer
FEW = 10  # removed people who are shown unasked
ALL = "all"  # of them are asked for
NEWS = timedelta(days=14)  # an answer of the secretariat's is shown on the home page


def _manager(me: Annotated[SignedIn, Depends(may("partner.manage"))], session: Reading) -> Partner:
    """The partner whose manager is signed in: every verb of this desk is asked with its id and no other."""
    return session.get_one(Partner, me.user.partner_id)


Manager = Annotated[SignedIn, Depends(may("partner.manage"))]
Own = Annotated[Partner, Depends(_manager)]
Word = Annotated[str, Query(max_length=40)]

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)


class Person(Named):
    """What a partner says of a person."""

    language: Literal["zh", "en"]
    notes: str = ""
    topics: tuple[str, ...] = ()
    name_en: str = ""

    def names(self, known: Names = Names()) -> Names:
        """Return the names as the audience takes them; parts that the form does not ask for stay as known."""
        given = {**self.given_names(), "name_en": self.name_en}
        if self.given_en or self.family_en:
            given["name_en"] = ""  # it is made of the parts
        if self.name_zh == known.name_zh:
            given |= {"family_zh": known.family_zh, "given_zh": known.given_zh}
        return Names(**given)


@router.get("")
def home(request: Request, session: Reading, now: Now, me: Manager, own: Own) -> Response:
    """What there is, what came of the last issue, and what needs doing."""
    last = reports.last(session, own.id)
    asked = requests.of_partner(session, own.id)
    return pages.render(
        request,
        "partner/home.html",
        own=own,
        name=called(own),
        found=desk.overview(session, own, now=now),
        late=desk.late(session, own.id, now - LONG, now=now),
        news=[each for each in asked if each.answered_at and each.answered_at > now - NEWS],
        open=[each for each in asked if each.state == RequestState.OPEN],
        alone=len(team.members(session, own.id)) < 2,
        last=last,
        title=title_of(session, last.campaign.issue_id) if last else "",
    )


@router.get("/people")
def list_people(
    request: Request, session: Reading, now: Now, own: Own,
    search: pages.Search = "", language: Word = "", state: Word = "", topic: Word = "", sort: Word = "",
    waiting: Word = "", removed: Word = "", page: pages.Number = 1,
) -> Response:  # fmt: skip
    wanted = Wanted(
        search, language, Standing(state) if state in set(Standing) else None, topic,
        now - LONG if waiting == "long" else None,
    )  # fmt: skip
    order = Order(sort) if sort in set(Order) else Order.ADDRESS
    most = None if removed == ALL else FEW
    gone = desk.removed(session, own.id, now=now, most=most and most + 1)
    counts = desk.overview(session, own, now=now)
    return pages.render(
        request, "partner/people.html", own=own, name=called(own), size=desk.PAGE,
        found=desk.people(session, own.id, wanted, order, page, now=now, counts=counts), overview=counts,
        wanted=wanted, order=order, topics=offered(session), standings=Standing,
        gone=gone[:most], others_gone=len(gone) > len(gone[:most]), all_gone=removed == ALL,
        just=[each for each in gone if str(each.id) == removed],
    )  # fmt: skip


@router.get("/bounced")
def list_bounced(request: Request, session: Reading, now: Now, own: Own, page: pages.Number = 1) -> Response:
    """The addresses that need mending, those that came back first on top."""
    wanted = Wanted(standing=Standing.BOUNCED)
    found = desk.people(session, own.id, wanted, Order.BOUNCED, page, now=now)
    return pages.render(
        request, "partner/bounced.html", found=found, size=desk.PAGE, name=called(own), told=advice.told
    )


@router.get("/people/{person}")
def show_person(request: Request, session: Reading, now: Now, own: Own, person: UUID) -> Response:
    found = desk.profile(session, own.id, person, now=now)
    return pages.render(request, "partner/person.html", form=_as_form(found), **_opened(session, own, found))


@router.post("/people/{person}")
def edit_person(
    request: Request, form: Posted, session: Writing, now: Now, me: Manager, own: Own, person: UUID
) -> Response:
    found = desk.profile(session, own.id, person, now=now)
    with pages.again(request, "partner/person.html", form=forms.kept(form), **_opened(session, own, found)):
        given = forms.read(Person, form)
        desk.edit(
            session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me),
            names=given.names(found.person.names), language=given.language, notes=given.notes,
            chosen_topics=given.topics, publication_id=publication(session).id,
        )  # fmt: skip
    return pages.done(f"/partner/people/{person}", _("Saved."))


class Pause(Form):
    """The day on which letters start again."""

    until: date


@router.post("/people/{person}/pause")
def pause_person(
    request: Request, form: Posted, session: Writing, now: Now, me: Manager, own: Own, person: UUID
) -> Response:
    found = desk.profile(session, own.id, person, now=now)
    kept = {**_as_form(found), **forms.kept(form)}
    with pages.again(request, "partner/person.html", form=kept, **_opened(session, own, found)):
        until = datetime.combine(forms.read(Pause, form).until, time(), ZoneInfo(zone_of(session, own)))
        desk.pause(
            session, partner_id=own.id, membership_public_id=person, until=until.astimezone(UTC), now=now,
            actor=actor(me),
        )  # fmt: skip
    return pages.done(
        f"/partner/people/{person}", _("Paused. Letters start again by themselves on that day.")
    )


@router.post("/people/{person}/resume")
def resume_person(session: Writing, now: Now, me: Manager, own: Own, person: UUID) -> Response:
    desk.resume(session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me))
    return pages.done(f"/partner/people/{person}", _("Letters go on from the next issue."))


@router.post("/people/{person}/remove")
def remove_person(session: Writing, now: Now, me: Manager, own: Own, person: UUID) -> Response:
    found = desk.person(session, own.id, person, now=now)
    desk.end_membership(session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me))
    gone = _("%(name)s is no longer on your list.", name=found.name or found.address)
    return pages.done(f"/partner/people?removed={person}", gone)


@router.post("/people/{person}/restore")
def restore_person(session: Writing, now: Now, me: Manager, own: Own, person: UUID) -> Response:
    found = desk.restore(session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me))
    back = _("%(name)s is on your list again.", name=found.name or found.address)
    return pages.done(f"/partner/people/{person}", back)


def _opened(session: Session, own: Partner, found: Profile) -> dict[str, Any]:
    letters = reports.of_person(session, own.id, found.person.id)
    return {
        "profile": found,
        "person": found.person,
        "letters": letters,
        "titles": titles_of(session, [each.campaign_id for each in letters]),
        "zone": zone_of(session, own),
        "topics": offered(session),
        "told": advice.told,
        "who": teller(session, own),
    }


def _as_form(found: Profile) -> dict[str, Any]:
    person = found.person
    return {
        **person.names.columns(), "language": person.language, "notes": person.notes,
        "topics": list(found.topics),
    }  # fmt: skip


# What the desk's other pages need too


def called(own: Partner) -> str:
    """Return the partner's name in the request's language."""
    return (own.name_zh or own.name_en) if i18n.current() == "zh" else (own.name_en or own.name_zh)


def publication(session: Session) -> Publication:
    """Return the newsletter partners' people are added to: so far there is one."""
    found = issues.publications(session)
    if not found:
        raise NotFound(_("There is no newsletter yet: the secretariat has to bring in a first issue."))
    return found[0]


def zone_of(session: Session, own: Partner) -> str:
    """Return the zone whose days the partner means."""
    found = issues.publications(session)
    return own.zone or (found[0].zone if found else "UTC")


def offered(session: Session) -> list[tuple[str, str]]:
    """Return the topics there are, by code, with their names in the request's language."""
    found = issues.publications(session)
    chinese = i18n.current() == "zh"
    return [
        (each.code, each.name_zh if chinese else each.name_en)
        for publication in found[:1]
        for each in topics.listing(session, publication.id)
    ]


def title_of(session: Session, issue_id: int) -> str:
    """Return what people call an issue."""
    return titles.titled(session, [session.get_one(issues.Issue, issue_id)])[issue_id].title


def titles_of(session: Session, campaign_ids: list[int]) -> dict[int, str]:
    """Return what people call the issues of campaigns, by campaign."""
    found = reports.issues_of(session, set(campaign_ids))
    names = titles.titled(session, found.values())
    return {campaign: names[issue.id].title for campaign, issue in found.items()}


class Teller:
    """Says who did something, as a partner may know: colleagues by name, everybody else by their office."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def __call__(self, actor: str) -> str:
        """Return what to call the ``actor`` of an audit entry or of a consent."""
        if actor in self._names:
            return self._names[actor] or actor
        return {"reader": _("the person"), "system": _("the system")}.get(actor, _("the secretariat"))


def teller(session: Session, own: Partner) -> Teller:
    """Return who tells of the partner's own managers, those who have left too."""
    return Teller({user.email: user.name for user in team.ever(session, own.id)})
