"""The partner's desk: a manager looks after their own organisation's people, and sees nobody else's."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from mailer.accounts.sessions import SignedIn
from mailer.audience import desk
from mailer.audience.desk import PartnerPerson
from mailer.audience.names import Names
from mailer.audience.store import Partner
from mailer.errors import NotFound
from mailer.issues import store as issues
from mailer.web import forms, i18n, pages
from mailer.web.access import actor, guard, may
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.invitations import invite

_NAMES = tuple(Names._fields)


def _manager(me: Annotated[SignedIn, Depends(may("partner.manage"))], session: Reading) -> Partner:
    """The partner whose manager is signed in: every verb of this desk is asked with its id and no other."""
    return session.get_one(Partner, me.user.partner_id)


Manager = Annotated[SignedIn, Depends(may("partner.manage"))]
Own = Annotated[Partner, Depends(_manager)]

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)


class Person(Form):
    """What a partner says of a person."""

    language: Literal["zh", "en"]
    notes: str = ""
    name_zh: str = ""
    honorific_zh: str = ""
    given_en: str = ""
    family_en: str = ""
    honorific_en: str = ""

    def names(self) -> Names:
        """Return the names as the audience takes them."""
        return Names(**{name: getattr(self, name) for name in _NAMES if name in type(self).model_fields})


class NewPerson(Person):
    """A person to add; ``agreed`` is ticked where the partner answers for their consent."""

    address: str
    agreed: Literal["1"]


@router.get("")
def home(me: Manager) -> Response:
    return RedirectResponse("/partner/people", 303)


@router.get("/people")
def list_people(
    request: Request, session: Reading, now: Now, own: Own, search: pages.Search = "", page: pages.Number = 1
) -> Response:
    found = desk.people(session, own.id, search, page, now=now)
    return pages.render(
        request, "partner/people.html", found=found, search=search, size=desk.PAGE, name=_called(own), own=own
    )


@router.get("/people/new")
def new_person(request: Request, own: Own) -> Response:
    form = {"language": own.language}
    return pages.render(request, "partner/new.html", form=form, wording=_wording(own), name=_called(own))


@router.post("/people/new")
def add_person(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Manager, own: Own
) -> Response:
    context = {"wording": _wording(own), "name": _called(own)}
    with pages.again(request, "partner/new.html", form=forms.kept(form), **context):
        given, publication_id = forms.read(NewPerson, form), _publication(session)
        added = desk.add(
            session, partner_id=own.id, keys=house.settings.keys, now=now, actor=actor(me),
            address=given.address, names=given.names(), language=given.language, notes=given.notes,
            publication_id=publication_id, wording=_wording(own),
            origin=request.client.host if request.client else "",
        )  # fmt: skip
    done = pages.done("/partner/people", _("%(name)s has been added.", name=added.name or added.address))
    if not own.trusted:
        done.background = BackgroundTask(invite, house, added.address, publication_id, _called(own), now)
    return done


@router.get("/people/{person}")
def show_person(request: Request, session: Reading, now: Now, own: Own, person: UUID) -> Response:
    found = desk.person(session, own.id, person, now=now)
    return pages.render(request, "partner/person.html", person=found, form=_as_form(found))


@router.post("/people/{person}")
def edit_person(
    request: Request, form: Posted, session: Writing, now: Now, me: Manager, own: Own, person: UUID
) -> Response:
    found = desk.person(session, own.id, person, now=now)
    with pages.again(request, "partner/person.html", form=forms.kept(form), person=found):
        given = forms.read(Person, form)
        desk.edit(
            session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me),
            names=given.names(), language=given.language, notes=given.notes,
        )  # fmt: skip
    return pages.done(f"/partner/people/{person}", _("Saved."))


@router.post("/people/{person}/remove")
def remove_person(session: Writing, now: Now, me: Manager, own: Own, person: UUID) -> Response:
    found = desk.person(session, own.id, person, now=now)
    desk.end_membership(session, partner_id=own.id, membership_public_id=person, now=now, actor=actor(me))
    removed = _("%(name)s is no longer on your list.", name=found.name or found.address)
    return pages.done("/partner/people", removed)


def _as_form(person: PartnerPerson) -> dict[str, Any]:
    return {**person.names.columns(), "language": person.language, "notes": person.notes}


def _wording(own: Partner) -> str:
    """What the manager says about consent, kept as evidence in the words they were shown."""
    if own.trusted:
        return _("This person has agreed to receive the newsletter, and my organisation can show it.")
    return _("This person will be asked by mail whether they want the newsletter.")


def _called(own: Partner) -> str:
    return (own.name_zh or own.name_en) if i18n.current() == "zh" else (own.name_en or own.name_zh)


def _publication(session: Session) -> int:
    """The newsletter partners' people are added to: so far there is one."""
    found = issues.publications(session)
    if not found:
        raise NotFound(_("There is no newsletter yet: the secretariat has to bring in a first issue."))
    return found[0].id
