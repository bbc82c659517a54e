"""The partner's desk: people are added, asked once more, and moved to an address that works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from limits import RateLimitItemPerHour
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.audience import desk, joining, lines, typos
from mailer.audience.intake import Person as Somebody
from mailer.audience.intake import Verdict
from mailer.audience.lines import Typed
from mailer.audience.store import Partner
from mailer.audience.subscribers import Taken
from mailer.issues import store as issues
from mailer.web import advice, consent, forms, pages
from mailer.web.access import actor, guard
from mailer.web.forms import Form, Refused
from mailer.web.house import Here, House, Now, Posted, Reading, Writing
from mailer.web.i18n import _, sentences, tell
from mailer.web.invitations import invite
from mailer.web.partner import Manager, Own, Person, called, publication

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)

_ASKED_AGAIN = RateLimitItemPerHour(60)  # a partner's


class Consented(Form):
    """How consent comes about: the partner answers for it, or the person is asked. None: not said."""

    consent: Literal["vouched", "invited"] | None = None

    def ask(self, own: Partner) -> bool:
        """Return whether people are to be asked.

        :raises Refused: the partner may choose and has not
        """
        if not own.trusted:
            return True
        if self.consent is None:
            raise Refused({"consent": _("Please choose one.")})
        return self.consent == "invited"


class NewPerson(Person, Consented):
    """A person to add."""

    address: str


@router.get("/people/new")
def new_person(request: Request, session: Reading, own: Own) -> Response:
    return pages.render(
        request, "partner/new.html", form={"language": own.language}, **_choices(own, session)
    )


@router.post("/people/new")
def add_person(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Manager, own: Own
) -> Response:
    with pages.again(request, "partner/new.html", form=forms.kept(form), **_choices(own, session)):
        given, publication_id = forms.read(NewPerson, form), publication(session).id
        ask = given.ask(own)
        added = joining.add(
            session, partner_id=own.id, keys=house.settings.keys, now=now, actor=actor(me),
            address=given.address, names=given.names(), language=given.language, notes=given.notes,
            publication_id=publication_id, ask=ask, **_evidence(request, session, ask),
        )  # fmt: skip
    slip = tell(typos.note(added.address))
    said = sentences(_("%(name)s has been added.", name=added.name or added.address), slip)
    done = pages.done(f"/partner/people/{added.id}" if slip else "/partner/people", said)
    return _asking(done, house, own, [added.address] if ask else [], publication_id, now)


class Several(Consented):
    """People in a box."""

    people: str
    language: Literal["zh", "en"]


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a line of the box. ``why``: what is wrong with it, or what else there is to know."""

    text: str
    verdict: Verdict
    why: str


@router.get("/people/add")
def several_people(request: Request, session: Reading, own: Own) -> Response:
    return pages.render(
        request, "partner/add.html", form={"language": own.language}, **_choices(own, session)
    )


@router.post("/people/add")
def add_several(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Manager, own: Own
) -> Response:
    """A line that is refused stops no other, and stands in the box again."""
    kept = forms.kept(form)
    with pages.again(request, "partner/add.html", form=kept, **_choices(own, session)):
        given = forms.read(Several, form)
        ask, typed, publication_id = given.ask(own), lines.read(given.people), publication(session).id
        taken = joining.add_several(
            session, [_somebody(each, own, given.language) for each in typed], partner_id=own.id,
            keys=house.settings.keys, now=now, actor=actor(me), publication_id=publication_id, ask=ask,
            **_evidence(request, session, ask),
        )  # fmt: skip
    told = [_line(each, became) for each, became in zip(typed, taken, strict=True)]
    refused = [each.text for each in told if each.verdict is Verdict.REFUSED]
    page = pages.render(
        request, "partner/add.html", form={**kept, "people": "\n".join(refused)}, told=told, ask=ask,
        **_choices(own, session),
    )  # fmt: skip
    added = [each.address for each, line in zip(typed, told, strict=True) if line.verdict is Verdict.ADDED]
    return _asking(page, house, own, added if ask else [], publication_id, now)


def _somebody(typed: Typed, own: Partner, language: str) -> Somebody:
    return Somebody(
        address=typed.address or typed.text, names=typed.names, language=language, partner_id=own.id
    )


def _line(typed: Typed, became: Taken) -> Line:
    if became.refusal is None:
        return Line(typed.text, became.verdict, tell(typos.note(typed.address)))
    return Line(typed.text, became.verdict, tell(became.refusal.sentence))


@router.post("/people/{person}/ask")
def ask_again(session: Writing, house: Here, now: Now, me: Manager, own: Own, person: UUID) -> Response:
    house.doorkeeper.count(_ASKED_AGAIN, "ask-again", str(own.id))
    address = joining.ask_again(
        session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me)
    )
    done = pages.done(f"/partner/people/{person}", _("The question is on its way to %(to)s.", to=address))
    return _asking(done, house, own, [address], publication(session).id, now)


class Address(Consented):
    """The address a person uses now."""

    address: str


@router.get("/people/{person}/address")
def correct_page(request: Request, session: Reading, now: Now, own: Own, person: UUID) -> Response:
    found = desk.person(session, own.id, person, now=now)
    return pages.render(request, "partner/correct.html", person=found, form={}, **_choices(own, session))


@router.post("/people/{person}/address")
def correct(
    request: Request,
    form: Posted,
    session: Writing,
    house: Here,
    now: Now,
    me: Manager,
    own: Own,
    person: UUID,
) -> Response:
    found = desk.person(session, own.id, person, now=now)
    with pages.again(
        request, "partner/correct.html", form=forms.kept(form), person=found, **_choices(own, session)
    ):
        given, publication_id = forms.read(Address, form), publication(session).id
        ask = given.ask(own)
        moved = joining.correct(
            session, partner_id=own.id, membership_public_id=person, keys=house.settings.keys, now=now,
            actor=actor(me), address=given.address, publication_id=publication_id, ask=ask,
            **_evidence(request, session, ask),
        )  # fmt: skip
    said = _("The address is now %(address)s.", address=moved.address)
    said = sentences(said, tell(typos.note(moved.address)))
    done = pages.done(f"/partner/people/{moved.id}", said)
    return _asking(done, house, own, [moved.address] if ask else [], publication_id, now)


def _asking(
    answer: Response, house: House, own: Partner, people: Sequence[str], publication_id: int, now: datetime
) -> Response:
    """Have people asked once the answer has left: neither its words nor its time tell anything of them."""
    if people:
        answer.background = BackgroundTask(_invite, house, people, publication_id, called(own), now)
    return answer


def _invite(house: House, people: Sequence[str], publication_id: int, partner: str, now: datetime) -> None:
    for address in people:
        invite(house, address, publication_id, partner, now)


def _choices(own: Partner, session: Session) -> dict[str, Any]:
    return {"own": own, "name": called(own), "told_of": advice.told, "wordings": _wordings(session)}


def _evidence(request: Request, session: Session, ask: bool) -> dict[str, str]:
    """What the manager says about consent, kept in the words they were shown."""
    wording = _wordings(session)["invited" if ask else "vouched"]
    return {"wording": wording, "origin": request.client.host if request.client else ""}


def _wordings(session: Session) -> dict[str, str]:
    every = issues.publications(session)
    return consent.of_partners(session, every[0].id if every else 0)
