"""Import pages: a file of people is looked at, tried, taken in and, within a day, put back.

The same pages for the secretariat and for a partner, under two addresses: a partner's deal with its own
people and its own files alone. Long work is a worker's; a page says how far it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from limits import RateLimitItemPerHour
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from mailer import queue
from mailer.accounts import users
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import Role
from mailer.audience.intake import Consent, Verdict
from mailer.audience.sheets import columns
from mailer.audience.sheets.columns import Layout
from mailer.audience.sheets.guard import guarded
from mailer.audience.sheets.source import LARGEST
from mailer.audience.sheets.workbook import ChooseTab
from mailer.audience.store import ConsentKind, Import, Partner
from mailer.audience.uploads import steps, store
from mailer.audience.uploads.packing import Told
from mailer.audience.uploads.store import Step, Upload
from mailer.errors import Forbidden, NotFound
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.web import consent, forms, i18n, invitations, pages, words
from mailer.web.access import Me, actor, guard
from mailer.web.consent import Words
from mailer.web.forms import Refused
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _

SECRETARIAT = "/admin/subscribers/import"
PARTNER = "/partner/import"
SIZE = 50  # rows of a page
_UPLOADS = RateLimitItemPerHour(60)  # of one person
_REFRESH = "4"  # seconds, for browsers without our script

Filter = Literal["", "added", "updated", "unchanged", "refused", "kept_away", "noted"]


@dataclass(frozen=True)
class Desk:
    """Whose import pages these are. ``own`` None: the secretariat's."""

    path: str
    me: SignedIn
    own: Partner | None

    @property
    def partner_id(self) -> int | None:
        """The partner whose people come in; None: nobody's."""
        return self.own.id if self.own else None

    @property
    def home(self) -> str:
        """The page of the people."""
        return "/partner/people" if self.own else "/admin/subscribers"


def _desk(request: Request, me: Me, session: Reading) -> Desk:
    """Return whose pages were asked for.

    :raises NotFound: a partner manager asks for the secretariat's
    :raises Forbidden: a role that looks after nobody
    """
    partners = request.url.path.startswith(f"{PARTNER}/") or request.url.path == PARTNER
    if not partners and me.user.role == Role.PARTNER:
        raise NotFound
    if not users.may(me.user.role, "partner.manage" if partners else "people.manage"):
        raise Forbidden
    if not partners:
        return Desk(SECRETARIAT, me, None)
    return Desk(PARTNER, me, session.get_one(Partner, me.user.partner_id))


At = Annotated[Desk, Depends(_desk)]


def choose_file(request: Request, session: Reading, now: Now, desk: At) -> Response:
    return pages.render(request, "imports/choose.html", **_start(session, desk))


def take_file(request: Request, form: Posted, session: Writing, house: Here, now: Now, desk: At) -> Response:
    house.doorkeeper.count(_UPLOADS, "import", str(desk.me.user.id))
    with pages.again(request, "imports/choose.html", form=forms.kept(form), **_start(session, desk)):
        name, raw = forms.one_file(form, "file")
        upload = steps.keep(
            session, content=raw, name=name, publication_id=_publication(session, form),
            consent=_default(desk), now=now, actor=actor(desk.me), partner_id=desk.partner_id,
        )  # fmt: skip
        _check(session, upload, house, now)
    return pages.done(f"{desk.path}/{upload.public_id}")


def show_upload(
    request: Request, session: Reading, now: Now, desk: At, upload: UUID, show: Filter = "",
    page: pages.Number = 1, edit: bool = False,
) -> Response:  # fmt: skip
    found = steps.get(session, upload, partner_id=desk.partner_id)
    if found.step == Step.DONE:
        done = session.get_one(Import, found.import_id)
        return pages.done(f"{desk.path}/done/{done.public_id}")
    if found.step in store.AT_WORK:
        waiting = pages.render(request, "imports/progress.html", desk=desk, upload=found)
        waiting.headers["Refresh"] = _REFRESH
        return waiting
    if found.step == Step.CHECKED and not edit:
        return pages.render(request, "imports/checked.html", **_checked(session, desk, found, show, page))
    return pages.render(request, "imports/columns.html", **_columns(desk, found))


def progress(session: Reading, desk: At, upload: UUID) -> Response:
    """What the progress page asks for every second."""
    found = steps.get(session, upload, partner_id=desk.partner_id)
    return JSONResponse({
        "state": found.step, "progress": found.done,
        "figures": {"done": i18n.number(found.done), "rows": i18n.number(found.rows)},
    })  # fmt: skip


def lay_out(
    request: Request, form: Posted, session: Writing, house: Here, now: Now, desk: At, upload: UUID
) -> Response:
    """Which sheet is read, and what its columns mean."""
    found = steps.get(session, upload, partner_id=desk.partner_id)
    tab = str(form.get("tab", ""))
    steps.lay_out(session, found, Layout(_chosen(form), tab))
    _check(session, found, house, now)
    return pages.done(f"{desk.path}/{upload}")


class Answer(Words):
    """How consent came about. ``consent``: a partner's choice; the rest is the secretariat's."""

    consent: Literal["vouched", "invited"] | None = None
    how: str = ""


def run(request: Request, form: Posted, session: Writing, now: Now, desk: At, upload: UUID) -> Response:
    found = steps.get(session, upload, partner_id=desk.partner_id)
    context = _checked(session, desk, found, "", 1)
    with pages.again(request, "imports/checked.html", **{**context, "form": forms.kept(form)}):
        given = _default(desk)
        if context["brings"] or desk.own:  # else nobody comes in whose consent is to be kept
            given = _consent(session, desk, found, forms.read(Answer, form), now)
        steps.start(session, found, given, _invitation(session, desk, found, given))
    queue.ring(session, queue.IMPORT)
    return pages.done(f"{desk.path}/{upload}")


def download_check(session: Reading, desk: At, upload: UUID) -> Response:
    found = steps.get(session, upload, partner_id=desk.partner_id)
    return _download(found.file_name, steps.checked(found))


def show_import(
    request: Request, session: Reading, now: Now, desk: At, file: UUID, show: Filter = "",
    page: pages.Number = 1,
) -> Response:  # fmt: skip
    done = steps.find_import(session, file, partner_id=desk.partner_id)
    if done.undo_asked_at and not done.undone_at:
        waiting = pages.render(request, "imports/undoing.html", desk=desk, done=done)
        waiting.headers["Refresh"] = _REFRESH
        return waiting
    return pages.render(
        request, "imports/report.html", desk=desk, done=done, until=_until(done, now),
        **_page(steps.reported(session, done), show, page),
    )  # fmt: skip


def download_report(session: Reading, desk: At, file: UUID) -> Response:
    done = steps.find_import(session, file, partner_id=desk.partner_id)
    return _download(done.file_name, steps.reported(session, done))


def undo(session: Writing, now: Now, desk: At, file: UUID) -> Response:
    """A worker puts it back; a second click changes nothing."""
    steps.undo(session, file, partner_id=desk.partner_id, now=now, actor=actor(desk.me))
    queue.ring(session, queue.IMPORT)
    return pages.done(f"{desk.path}/done/{file}")


def undo_progress(session: Reading, desk: At, file: UUID) -> Response:
    """What the page of an import that is being undone asks for every second."""
    done = steps.find_import(session, file, partner_id=desk.partner_id)
    looked_at = done.restored + done.kept
    return JSONResponse({
        "state": "undone" if done.undone_at else "undoing", "progress": looked_at,
        "figures": {"done": i18n.number(looked_at), "rows": i18n.number(done.to_undo)},
    })  # fmt: skip


def _check(session: Session, upload: Upload, house: Here, now: Now) -> None:
    steps.check(session, upload, keys=house.settings.keys, now=now)
    if upload.step in store.AT_WORK:
        queue.ring(session, queue.IMPORT)


def _start(session: Session, desk: Desk) -> dict[str, Any]:
    return {
        "desk": desk, "most": LARGEST // 1_000_000, "publications": _publications(session, desk),
        "imports": [(done, whose) for done, whose in store.imports(session, desk.partner_id)],
        "undo_until": steps.undo_until,
    }  # fmt: skip


def _publications(session: Session, desk: Desk) -> list[tuple[str, str]]:
    """Return the newsletters to choose from; none where there is nothing to choose."""
    found = issues.publications(session)
    if desk.own is not None or len(found) < 2:
        return []
    return [(each.code, publications.voice(session, each.id, i18n.current()).name) for each in found]


def _publication(session: Session, form: FormData) -> int:
    """:raises NotFound: there is none yet"""
    found, code = issues.publications(session), str(form.get("publication", ""))
    if not found:
        raise NotFound(_("There is no newsletter yet: the secretariat has to bring in a first issue."))
    return next((each.id for each in found if each.code == code), found[0].id)


def _default(desk: Desk) -> Consent:
    """The kind of consent a check goes by, before anybody said more."""
    if desk.own is None:
        return Consent(ConsentKind.IMPORTED)
    return Consent(ConsentKind.VOUCHED if desk.own.trusted else ConsentKind.INVITED)


def _consent(session: Session, desk: Desk, upload: Upload, given: Answer, now: Now) -> Consent:
    """:raises Refused: it was not said how consent came about"""
    own, publication_id = desk.own, upload.publication_id
    if own is None:
        words = consent.chosen(session, publication_id, given, now, actor(desk.me))
        if not given.how:
            raise Refused({"how": _("Please fill this in.")})
        return Consent(ConsentKind.IMPORTED, words, given.how[: consent.LONGEST_ORIGIN])
    if own.trusted and given.consent is None:
        raise Refused({"consent": _("Please choose one.")})
    ask = not own.trusted or given.consent == "invited"
    kind = ConsentKind.INVITED if ask else ConsentKind.VOUCHED
    return Consent(kind, consent.said(session, publication_id, kind))


def _invitation(session: Session, desk: Desk, upload: Upload, given: Consent) -> Any:
    """Return the mail by which people are asked; None where they are not."""
    if desk.own is None or given.kind is not ConsentKind.INVITED:
        return None
    zh, en = desk.own.name_zh, desk.own.name_en
    return invitations.letters(session, upload.publication_id, {"zh": zh or en, "en": en or zh})


def _columns(desk: Desk, upload: Upload) -> dict[str, Any]:
    """Return what the page needs on which a person says what the columns mean."""
    shown: dict[str, Any] = {"desk": desk, "upload": upload, "table": None, "tabs": (), "meanings": ()}
    try:
        table = steps.look(upload)
    except ChooseTab as choose:
        return {**shown, "tabs": choose.tabs}
    meanings = [each for each in columns.MEANINGS if desk.own is None or each != "partner"]
    return {**shown, "table": table, "meanings": meanings, "tab": upload.layout["tab"]}


def _chosen(form: FormData) -> dict[str, str]:
    """Return what a person said each column means, by its label."""
    labels = [str(each) for each in form.getlist("label")]
    return {label: str(form.get(f"column-{n}", "")) for n, label in enumerate(labels)}


def _checked(session: Session, desk: Desk, upload: Upload, show: Filter, page: int) -> dict[str, Any]:
    return {
        "desk": desk, "upload": upload, "remarks": steps.remarks(upload), "unread": upload.told["unread"],
        **_words(session, desk, upload), **_page(steps.checked(upload), show, page),
    }  # fmt: skip


def _words(session: Session, desk: Desk, upload: Upload) -> dict[str, Any]:
    """Return the words of consent that the page offers."""
    if desk.own is None:
        return {"words": consent.choices(session, upload.publication_id)}
    return {"wordings": consent.of_partners(session, upload.publication_id)}


def _page(rows: Iterable[Told], show: Filter, page: int) -> dict[str, Any]:
    """Return a page of verdicts, and how many there are of each."""
    counts: dict[str, int] = {verdict.value: 0 for verdict in Verdict} | {"noted": 0}
    found = []
    for row in rows:
        counts[row.verdict.value] += 1
        noted = bool(row.message) and row.verdict not in (Verdict.REFUSED, Verdict.AWAY)
        counts["noted"] += noted
        if show in ("", row.verdict.value) or (show == "noted" and noted):
            found.append(row)
    shown = list(islice(found, (page - 1) * SIZE, page * SIZE))
    return {
        "rows": shown, "total": len(found), "counts": counts, "show": show, "page": page, "size": SIZE,
        "all": sum(counts.values()) - counts["noted"],
        "brings": counts[Verdict.ADDED] + counts[Verdict.UPDATED],
    }  # fmt: skip


def _until(done: Import, now: Now) -> Any:
    until = steps.undo_until(done)
    return until if until and until >= now else None


def _download(file_name: str, rows: Iterable[Told]) -> Response:
    """Every verdict as a CSV that a spreadsheet opens safely."""
    stem = "".join(sign for sign in file_name.rpartition(".")[0] if sign.isascii() and sign.isalnum())[:40]
    name = {"Content-Disposition": f'attachment; filename="verdicts-{stem or "file"}.csv"'}
    lines = _lines(list(rows))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=name)


def _lines(rows: Iterable[Told]) -> Iterator[str]:
    yield "\ufeff" + _csv((_("Line"), _("Address"), _("Verdict"), _("Why")))
    for row in rows:
        yield _csv((str(row.line), row.address, words.word(f"row_{row.verdict}"), i18n.tell(row.message)))


def _csv(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([guarded(cell) for cell in cells])
    return out.getvalue()


def _pages(prefix: str) -> APIRouter:
    """Return the pages under an address: ``_desk`` tells by it whose they are."""
    made = APIRouter(prefix=prefix, dependencies=[Depends(guard)], include_in_schema=False)
    for method, path, page in (
        ("GET", "", choose_file),
        ("POST", "", take_file),
        ("GET", "/{upload}", show_upload),
        ("GET", "/{upload}/progress", progress),
        ("POST", "/{upload}/columns", lay_out),
        ("POST", "/{upload}/run", run),
        ("GET", "/{upload}/verdicts.csv", download_check),
        ("GET", "/done/{file}", show_import),
        ("GET", "/done/{file}/verdicts.csv", download_report),
        ("POST", "/done/{file}/undo", undo),
        ("GET", "/done/{file}/progress", undo_progress),
    ):
        made.add_api_route(path, page, methods=[method])
    return made


routers = (_pages(SECRETARIAT), _pages(PARTNER))
