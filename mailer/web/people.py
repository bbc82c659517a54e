"""The secretariat's pages of all subscribers: found, added, one person with everything about them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.sessions import SignedIn
from mailer.audience import directory, finding, person, selection, subscribers, suppressions
from mailer.audience.changes import duplicates, journal, merging, rows
from mailer.audience.changes.store import Change
from mailer.audience.evidence import history, wordings
from mailer.audience.evidence.wordings import Wording
from mailer.audience.intake import Consent
from mailer.audience.names import Names
from mailer.audience.selection import Selection
from mailer.audience.store import ConsentKind, Subscriber, SubscriptionState
from mailer.feedback import erasure
from mailer.issues import consent as issues_consent
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.issues.store import Publication
from mailer.reports import own_data
from mailer.reports import person as reports
from mailer.web import consent, forms, i18n, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.campaigns import known
from mailer.web.consent import Words
from mailer.web.forms import NAMES, Named
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/subscribers", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]

Admin = Annotated[SignedIn, Depends(may("user.manage"))]

PATH = "/admin/subscribers"
_SIZE = 50


def wanted(
    search: pages.Search = "",
    language: Literal["", "zh", "en"] = "",
    country: Annotated[str, Query(max_length=2)] = "",
    partner: Annotated[str, Query(max_length=40)] = "",
    state: Literal["", "confirmed", "pending", "left", "none"] = "",
    suppressed: Literal["", "yes", "no"] = "",
    rule: Annotated[str, Query(max_length=2_000)] = "",
) -> Selection:
    """Read whom a page is about from its address."""
    return Selection(search, language, country, partner, state, suppressed, rule)


Wanted = Annotated[Selection, Depends(wanted)]


def choices(session: Session) -> dict[str, Any]:
    """Return what people can be looked for by."""
    return {
        "countries": selection.countries(session),
        "partners": directory.open_partners(session),
        "states": [*SubscriptionState, selection.NOWHERE],
    }


@router.get("")
def list_subscribers(
    request: Request, session: Reading, now: Now, me: Steward, wanted: Wanted, page: pages.Number = 1
) -> Response:
    page = min(page, finding.LAST_PAGE)
    shown = {
        "wanted": wanted, "page": page, "size": _SIZE, "reach": finding.LAST_PAGE * _SIZE, **choices(session)
    }  # fmt: skip
    with pages.again(request, "admin/subscribers.html", form={}, people=[], total=finding.Count(0), **shown):
        where = selection.conditions(session, wanted, now, for_a_page=True)
    people, total = subscribers.listing(session, search=wanted.search, where=where, page=page, size=_SIZE)
    return pages.render(request, "admin/subscribers.html", people=people, total=total, **shown)


class NewPerson(Named, Words):
    """Somebody whom the secretariat adds, with how it knows that they agreed."""

    address: str
    language: Literal["zh", "en"]
    publication: str
    country: str = ""
    zone: str = ""
    origin: str


@router.get("/new")
def new_person(request: Request, session: Reading, me: Steward) -> Response:
    form = {"language": i18n.current(), "new_wording_language": i18n.current()}
    return pages.render(request, "admin/subscriber_new.html", form=form, **_asked(session))


@router.post("/new")
def add_person(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Steward
) -> Response:
    with pages.again(request, "admin/subscriber_new.html", form=forms.kept(form), **_asked(session)):
        given = forms.read(NewPerson, form)
        publication = publications.get(session, given.publication)
        words = consent.chosen(session, publication.id, given, now, actor(me))
        made = subscribers.add(
            session, keys=house.settings.keys, now=now, actor=actor(me), address=given.address,
            names=Names(**given.given_names()), language=given.language, publication_id=publication.id,
            consent=Consent(ConsentKind.IMPORTED, words, given.origin), country=given.country,
            zone=given.zone,
        )  # fmt: skip
    return pages.done(f"{PATH}/{made.public_id}", _("Added."))


def _asked(session: Session) -> dict[str, Any]:
    found = newsletters(session)
    words = {each.text: each for own, _name in found for each in consent.choices(session, own.id)}
    return {"publications": found, "words": list(words.values())}


@router.get("/{person}")
def show_subscriber(request: Request, session: Reading, now: Now, me: Steward, person: UUID) -> Response:
    """Everything about one person: what they receive, on which consent, and why a letter did not arrive."""
    found = subscribers.get(session, person)
    return pages.render(request, "admin/subscriber.html", **_person(session, found, now))


class Facts(Named):
    """What the secretariat knows of a person."""

    language: Literal["zh", "en"]
    country: str = ""
    zone: str = ""


@router.post("/{person}")
def edit_subscriber(
    request: Request, form: Posted, session: Writing, now: Now, me: Steward, person: UUID
) -> Response:
    found = subscribers.get(session, person)
    shown = _person(session, found, now) | {"form": forms.kept(form)}
    with pages.again(request, "admin/subscriber.html", **shown):
        given = forms.read(Facts, form)
        subscribers.edit(
            session, subscriber_id=found.id, now=now, actor=actor(me), names=_renamed(found, given),
            language=given.language, country=given.country, zone=given.zone,
        )  # fmt: skip
    return pages.done(f"{PATH}/{person}", _("Saved."))


@router.post("/{person}/export")
def export_data(session: Writing, now: Now, me: Admin, person: UUID) -> Response:
    """All that is held about a person, for somebody who asked by letter; the log tells who took it."""
    found = subscribers.get(session, person)
    audit.record(
        session, now=now, actor=actor(me), action="subscriber.take_out", subject=f"subscriber {found.id}",
        after={"file": "JSON"},
    )  # fmt: skip
    name = {"Content-Disposition": f'attachment; filename="person-{found.id}.json"'}
    held = json.dumps(own_data.everything(session, found.id, now), ensure_ascii=False, indent=2, default=str)
    return Response(held, media_type="application/json", headers=name)


@router.get("/{person}/erase")
def preview_erasure(request: Request, session: Reading, me: Admin, person: UUID) -> Response:
    found = subscribers.get(session, person)
    return pages.render(request, "admin/subscriber_erase.html", person=found)


@router.post("/{person}/erase")
def erase_data(session: Writing, house: Here, now: Now, me: Admin, person: UUID) -> Response:
    found = subscribers.get(session, person)
    erased = erasure.erase(session, subscriber_id=found.id, now=now, actor=actor(me))
    if house.outbox is not None:
        house.outbox.forget(erased.spellings)
    return pages.done(PATH, _("Their data have been erased."))


def newsletters(session: Session) -> list[tuple[Publication, str]]:
    """Return the publications and what they are called in the language of the page."""
    found = issues.publications(session)
    return [(each, publications.voice(session, each.id, i18n.current()).name) for each in found]


def _person(session: Session, found: Subscriber, now: Now) -> dict[str, Any]:
    others = person.others(session, found.id)
    ids = [found.id, *(each.id for each in others)]
    fates = [fate for each in ids for fate in reports.fates(session, each)]
    fates.sort(key=lambda fate: fate.campaign.id, reverse=True)
    standing = history.of_person(session, ids)
    return {
        "person": found,
        "kept": person.kept(session, found),
        "suppressed": suppressions.of_address(session, found.address_hash, now),
        "memberships": person.memberships(session, found.id),
        "topics": person.topics(session, found.id),
        "paused": person.pauses(session, found.id, now),
        "others": others,
        "addresses": {each.id: each.address for each in others},
        "standing": standing,
        "partners": person.partners(session, standing),
        "publications": {each.id: name for each, name in newsletters(session)},
        "versions": _versions(session, standing),
        "fates": fates,
        "campaigns": {each.row.id: each for each in known(session, [fate.campaign for fate in fates])},
        "form": _as_form(found),
        "merges": _merges(session, found, now),
        "alike": len(duplicates.of_person(session, found.id)),
    }


def _merges(session: Session, found: Subscriber, now: Now) -> list[Change]:
    subject = f"subscriber {found.id}"
    return [each for each in rows.changes(session, merging.MERGE, 5, subject) if journal.may_undo(each, now)]


def _versions(session: Session, standing: list[history.Standing]) -> list[Wording | None]:
    """Return the version of each piece of evidence; a membership is asked for in the first newsletter's."""
    every = [each.id for each in issues.publications(session)]
    known_words = {each: issues_consent.listing(session, each) for each in every}
    found = []
    for each in standing:
        publication_id = each.publication_id or (every[0] if every else 0)
        found.append(wordings.version_of(known_words.get(publication_id, {}), each.wording, each.at))
    return found


def _renamed(found: Subscriber, given: Facts) -> Names:
    """Take over the form's names; what the form does not show goes where it contradicts it."""
    same_zh = given.name_zh == found.name_zh
    same_en = (given.given_en, given.family_en) == (found.given_en, found.family_en)
    return Names(
        family_zh=found.family_zh if same_zh else "", given_zh=found.given_zh if same_zh else "",
        name_en=found.name_en if same_en else "", **given.given_names(),
    )  # fmt: skip


def _as_form(found: Subscriber) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("language", *NAMES)} | {
        "country": found.country or "",
        "zone": found.zone or "",
    }
