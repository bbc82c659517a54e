"""The secretariat's desk: issues come in, are edited and looked at."""

from __future__ import annotations

import datetime as dt
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.content import markdown, readers
from mailer.content.document import Document, stats
from mailer.content.problems import problems
from mailer.issues import attachments, editions, freeze
from mailer.issues import store as issues
from mailer.web import campaigns, forms, letters, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.titles import Titled, find_issue, titled

router = APIRouter(prefix="/desk", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Reader = Annotated[SignedIn, Depends(may("report.read"))]
Editor = Annotated[SignedIn, Depends(may("issue.write"))]


@router.get("/issues")
def list_issues(request: Request, session: Reading, me: Reader) -> Response:
    return pages.render(
        request, "desk/issues.html", issues=titled(session, issues.issues_of(session)).values()
    )


class Upload(Form):
    """Number and date of an uploaded issue, where its file does not say them."""

    number: str = ""
    date: dt.date | None = None


@router.get("/issues/new")
def new_issue(request: Request, session: Reading, me: Editor) -> Response:
    return pages.render(request, "desk/upload.html", titled=None)


@router.post("/issues/new")
def upload_issue(request: Request, form: Posted, session: Writing, now: Now, me: Editor) -> Response:
    with pages.again(request, "desk/upload.html", form=forms.kept(form), titled=None):
        edition = _take_in(session, form, now=now, me=me, issue_id=None)
    issue = editions.get(session, edition.issue_id)
    return pages.done(
        f"/desk/issues/{issue.public_id}",
        _("The issue is in. Look at what was guessed, then at the preview."),
    )


@router.get("/issues/{issue}/add")
def new_edition(request: Request, session: Reading, me: Editor, issue: UUID) -> Response:
    return pages.render(request, "desk/upload.html", titled=find_issue(session, issue))


@router.post("/issues/{issue}/add")
def upload_edition(
    request: Request, form: Posted, session: Writing, now: Now, me: Editor, issue: UUID
) -> Response:
    found = find_issue(session, issue)
    with pages.again(request, "desk/upload.html", form=forms.kept(form), titled=found):
        _take_in(session, form, now=now, me=me, issue_id=found.issue.id)
    return pages.done(
        f"/desk/issues/{issue}", _("The edition is in. Look at what was guessed, then at the preview.")
    )


def _take_in(session: Session, form: Any, *, now: Now, me: SignedIn, issue_id: int | None) -> issues.Edition:
    given = forms.read(Upload, form)
    name, content = forms.one_file(form, "file")
    draft = readers.read(content, name)
    masthead = draft.document.masthead
    said = {"number": given.number or masthead.number, "date": given.date or masthead.date}
    return editions.take_in(
        session,
        draft.document.model_copy(update={"masthead": masthead.model_copy(update=said)}),
        now=now,
        actor=actor(me),
        issue_id=issue_id,
        doubts=[doubt.stored() for doubt in draft.doubts],
        dropped=[dropped.stored() for dropped in draft.dropped],
        pictures=_pictures(draft.document, forms.files(form, "pictures")),
    )


def _pictures(document: Document, uploaded: dict[str, bytes]) -> dict[str, bytes]:
    """Return pictures by the name the document gives them; browsers send file names without folders."""
    named = {figure.src: PurePosixPath(figure.src).name for figure in editions.figures_of(document)}
    return {src: uploaded[name] for src, name in named.items() if name in uploaded}


@router.get("/issues/{issue}")
def show_issue(request: Request, session: Reading, me: Reader, issue: UUID) -> Response:
    return pages.render(request, "desk/issue.html", **_opened(session, find_issue(session, issue)))


def _opened(session: Session, found: Titled) -> dict[str, Any]:
    written = issues.editions(session, found.issue.id)
    documents = {language: editions.document(edition) for language, edition in written.items()}
    return {
        "titled": found,
        "editions": written,
        "documents": documents,
        "stats": {language: stats(document) for language, document in documents.items()},
        "problems": {language: problems(document) for language, document in documents.items()},
        "campaigns": campaigns.of_issue(session, found),
        "attachments": issues.attachments(session, found.issue.id),
    }


@router.post("/issues/{issue}/number")
def number_issue(
    request: Request, form: Posted, session: Writing, now: Now, me: Editor, issue: UUID
) -> Response:
    found = find_issue(session, issue)
    with pages.again(request, "desk/issue.html", form=forms.kept(form), **_opened(session, found)):
        given = forms.read(Upload, form)
        editions.name_and_date(
            session,
            issue_id=found.issue.id,
            number=given.number or None,
            date=given.date,
            now=now,
            actor=actor(me),
        )
    return pages.done(f"/desk/issues/{issue}", _("Number and date are in every edition."))


class Attached(Form):
    """Which editions carry an attachment; None: all."""

    language: Literal["zh", "en"] | None = None


@router.post("/issues/{issue}/attach")
def attach(request: Request, form: Posted, session: Writing, now: Now, me: Editor, issue: UUID) -> Response:
    found = find_issue(session, issue)
    with pages.again(request, "desk/issue.html", form=forms.kept(form), **_opened(session, found)):
        name, content = forms.one_file(form, "attachment")
        attachments.add(
            session,
            issue_id=found.issue.id,
            file_name=name,
            content=content,
            language=forms.read(Attached, form).language,
            now=now,
            actor=actor(me),
        )
    return pages.done(f"/desk/issues/{issue}", _("The file travels with every letter from now on."))


class Detached(Form):
    """The attachment to take off."""

    attachment: int


@router.post("/issues/{issue}/detach")
def detach(form: Posted, session: Writing, now: Now, me: Editor, issue: UUID) -> Response:
    found = find_issue(session, issue)
    attachments.remove(
        session,
        issue_id=found.issue.id,
        attachment_id=forms.read(Detached, form).attachment,
        now=now,
        actor=actor(me),
    )
    return pages.done(f"/desk/issues/{issue}", _("The file is taken off."))


class Text(Form):
    """An edition as Markdown, and the version it was written on top of."""

    text: str
    version: int
    then: Literal["save", "preview"] = "save"


Language = Literal["zh", "en"]


@router.get("/issues/{issue}/{language}/edit")
def edit_page(request: Request, session: Reading, me: Editor, issue: UUID, language: Language) -> Response:
    found = find_issue(session, issue)
    edition = editions.edition(session, found.issue.id, language)
    form = {"text": markdown.to_markdown(editions.document(edition)), "version": edition.version}
    return pages.render(request, "desk/edit.html", titled=found, edition=edition, form=form)


@router.post("/issues/{issue}/{language}/edit")
def edit(
    request: Request, form: Posted, session: Writing, now: Now, me: Editor, issue: UUID, language: Language
) -> Response:
    found = find_issue(session, issue)
    edition = editions.edition(session, found.issue.id, language)
    with pages.again(request, "desk/edit.html", form=forms.kept(form), titled=found, edition=edition):
        given = forms.read(Text, form)
        document = markdown.from_markdown(given.text)
        editions.save(
            session, edition_id=edition.id, document=document, version=given.version, now=now, actor=actor(me)
        )
    back = f"/desk/issues/{issue}" + (f"/{language}/preview" if given.then == "preview" else "")
    return pages.done(back, _("Saved."))


@router.get("/issues/{issue}/{language}/preview")
def preview(
    request: Request,
    session: Reading,
    house: Here,
    me: Reader,
    issue: UUID,
    language: Language,
    view: letters.View = "desktop",
) -> Response:
    found = find_issue(session, issue)
    _, compiled = freeze.blueprint_of(session, found.issue.id, language, settings=house.settings)
    text = letters.sample_text(compiled)
    return pages.render(
        request, "desk/preview.html", titled=found, shown=language, compiled=compiled, view=view, text=text
    )


@router.get("/issues/{issue}/{language}/letter")
def letter(
    session: Reading, house: Here, me: Reader, issue: UUID, language: Language, dark: bool = False
) -> Response:
    found = find_issue(session, issue)
    _, compiled = freeze.blueprint_of(session, found.issue.id, language, settings=house.settings)
    return letters.framed(letters.sample(compiled), house.settings, dark=dark)
