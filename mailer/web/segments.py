"""Segments: audiences built by clicking or written as text, counted while they are edited, saved by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from mailer import address as addresses
from mailer.accounts.sessions import SignedIn
from mailer.audience import codes, grammar, segments
from mailer.audience import store as audience
from mailer.audience.grammar import BadRule
from mailer.audience.rules import AllOf, AnyOf, Judgement, Not, Rule
from mailer.audience.store import Segment, Subscriber
from mailer.delivery import reach, store
from mailer.delivery.reach import Audience
from mailer.errors import MailerError
from mailer.issues import publications
from mailer.issues import store as issues
from mailer.issues.store import Publication
from mailer.web import builder, forms, i18n, pages, vocabulary
from mailer.web.access import actor, guard, may, staff
from mailer.web.builder import EVERYONE, Group, Row
from mailer.web.campaigns import Known, known, rounded
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.vocabulary import Words

router = APIRouter(
    prefix="/desk/segments", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Editor = Annotated[SignedIn, Depends(may("people.manage"))]

PATH = "/desk/segments"
SHOWN = 8  # people of the sample
_FACTS = 4  # of one condition
_FIRST = Row("language", "is", ("zh",))


# -- what the form holds -----------------------------------------------------------------------------------


class Sheet(Form):
    """The editor's form, but for the builder's own fields. ``segment``: what it changes; None: a new one.

    ``publication``: whose readers are counted; ``why``: the address of a person to be judged.
    """

    segment: int | None = None
    name: str = ""
    description: str = ""
    tab: Literal["builder", "text"] = "builder"
    rule: str = ""
    publication: str = ""
    why: str = ""
    do: str = ""


@dataclass(frozen=True)
class Draft:
    """A rule being written: as text, or as the builder's tree."""

    tab: Literal["builder", "text"]
    text: str
    tree: Group

    @property
    def rule(self) -> str:
        """The rule's text, whichever way it is written."""
        return self.text if self.tab == "text" else str(self.tree)

    def after(self, button: str) -> Draft:
        """Return the draft after a button of the builder; text that cannot be read stays text."""
        do, _, path = button.partition(" ")
        match do:
            case "add":
                return self._grown(path, _FIRST)
            case "group":
                return self._grown(path, Group("any", (_FIRST,)))
            case "remove":
                return replace(self, tree=builder.at(self.tree, path, lambda node: None))
            case "text" if self.tab == "builder":
                return Draft("text", self.rule, self.tree)
            case "builder" if self.tab == "text":
                return self._as_tree()
        return self

    def _grown(self, path: str, part: Row | Group) -> Draft:
        return replace(self, tree=builder.at(self.tree, path, lambda node: builder.grown(node, part)))

    def _as_tree(self) -> Draft:
        try:
            return Draft("builder", self.text, builder.of(segments.parse(self.text)))
        except BadRule:
            return self


def _of_rule(text: str) -> Draft:
    """Return the draft of a saved rule: built, or as text where the language has changed since."""
    return Draft("text", text, Group("all")).after("builder")


def _draft(sheet: Sheet, form: FormData) -> Draft:
    tree = builder.read(form) if sheet.tab == "builder" else Group("all")
    return Draft(sheet.tab, sheet.rule, tree)


# -- what the page shows -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """The editor as it is shown: the draft, and what it means now."""

    sheet: Sheet
    draft: Draft
    words: Words
    publications: list[Publication]
    publication: Publication
    trouble: BadRule | None
    meant: Audience | None
    people: list[Subscriber]
    why: Why | None
    asked_in_vain: str

    @property
    def mark(self) -> int:
        """How many characters the trouble stands on."""
        at = self.trouble.at if self.trouble else None
        return len(grammar.word_at(self.draft.text, at)) if at else 0

    @property
    def form(self) -> dict[str, Any]:
        """The answers to show again."""
        return self.sheet.model_dump()


@dataclass(frozen=True)
class Why:
    """Why a person is in or not."""

    person: Subscriber
    lines: list[Line]
    holds: bool


@dataclass(frozen=True)
class Line:
    """One part of a rule in a person's case. ``deep``: within how many others it stands."""

    deep: int
    holds: bool
    text: str
    facts: str


def _page(session: Session, sheet: Sheet, draft: Draft, now: datetime) -> Page:
    """:raises NoPublication: there is none to count for"""
    every = issues.publications(session)
    if not every:
        raise publications.NoPublication
    publication = next((each for each in every if each.code == sheet.publication), every[0])
    words = vocabulary.words(session, publication.id)
    settled = replace(draft, tree=builder.mapped(draft.tree, lambda row: vocabulary.settled(row, words, now)))
    rule = _read(session, settled.rule)
    good = None if isinstance(rule, BadRule) else rule
    why, in_vain = _why(session, good, sheet.why, publication, words, now)
    return Page(
        sheet=sheet,
        draft=settled,
        words=words,
        publications=every,
        publication=publication,
        trouble=rule if isinstance(rule, BadRule) else None,
        meant=_glance(session, good, publication, now) if good else None,
        people=_people(session, good, publication, now) if good else [],
        why=why,
        asked_in_vain=in_vain,
    )


def _read(session: Session, text: str) -> Rule | BadRule:
    try:
        return segments.read(session, text)
    except BadRule as error:
        return error


def _glance(session: Session, rule: Rule, publication: Publication, now: datetime) -> Audience | None:
    try:
        return reach.glance(
            session, publication_id=publication.id, rule=rule, languages=codes.LANGUAGES, now=now
        )
    except reach.CannotSay:
        return None


def _people(session: Session, rule: Rule, publication: Publication, now: datetime) -> list[Subscriber]:
    return reach.people(session, publication_id=publication.id, rule=rule, now=now, limit=SHOWN)


def _why(
    session: Session, rule: Rule | None, address: str, publication: Publication, words: Words, now: datetime
) -> tuple[Why | None, str]:
    if rule is None or not address:
        return None, ""
    person = audience.subscriber_by_key(session, addresses.key_of(address))
    if person is None:
        return None, _("Nobody here has the address %(address)s.", address=address)
    judged = segments.why(session, rule, person.id, now=now, publication_id=publication.id)
    return Why(person, list(_lines(judged, words, publication.zone, 0)), judged.holds), ""


def _lines(judged: Judgement, words: Words, zone: str, deep: int) -> Iterator[Line]:
    """Yield a judgement and, further in, its parts, as a person reads them."""
    node = builder.part(judged.rule)
    if isinstance(node, Row):
        seen = [words.called(node, fact, zone) for fact in judged.facts[:_FACTS]]
        more = ["…"] if len(judged.facts) > _FACTS else []
        nothing = "" if node.field == EVERYONE else _("nothing known")
        yield Line(deep, judged.holds, words.spoken(node), i18n.listed([*seen, *more]) or nothing)
        return
    yield Line(deep, judged.holds, vocabulary.join_word(node.join), "")
    inner = judged.parts
    if isinstance(judged.rule, Not) and isinstance(judged.rule.rule, AllOf | AnyOf):
        inner = inner[0].parts  # "none of" and "not all of" speak of what is inside
    for part in inner:
        yield from _lines(part, words, zone, deep + 1)


def wrong_with(row: Row) -> str:
    """Say what is wrong with a row; "" for nothing."""
    if vocabulary.kind(row) != "none" and not row.values:
        return _("Choose or write a value.")
    try:
        segments.parse(str(row))
    except BadRule as error:
        return i18n.tell(error.sentence)
    return ""


# -- routes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """A saved segment, the campaigns that took their audience from it, and how many it means."""

    row: Segment
    used: list[Known]


@router.get("")
def list_segments(request: Request, session: Reading, me: Editor) -> Response:
    rows = segments.listing(session)
    used = _used(session, [row.id for row in rows])
    return pages.render(
        request, "desk/segments.html", segments=[Listed(row, used.get(row.id, [])) for row in rows]
    )


def _used(session: Session, ids: list[int]) -> dict[int, list[Known]]:
    found: dict[int, list[Known]] = {}
    for each in known(session, store.campaigns_of_segments(session, ids)):
        found.setdefault(each.row.segment_id or 0, []).append(each)
    return found


@router.get("/new")
def new_segment(
    request: Request,
    session: Reading,
    now: Now,
    me: Editor,
    rule: Annotated[str, Query(max_length=5000)] = "",
) -> Response:
    return _rendered(request, session, _page(session, Sheet(), _of_rule(rule), now))


@router.get("/look")
def look_anew(me: Editor) -> Response:
    """The draft went with the form that was posted here: who changes the page's language starts anew."""
    return pages.done(f"{PATH}/new")


@router.post("/look")
def look(request: Request, form: Posted, session: Reading, now: Now, me: Editor) -> Response:
    """Show the editor as it is filled in, after one of its buttons: what it means now. Nothing is kept."""
    sheet = forms.read(Sheet, form)
    return _rendered(request, session, _page(session, sheet, _draft(sheet, form).after(sheet.do), now))


@router.post("")
def save_segment(request: Request, form: Posted, session: Writing, now: Now, me: Editor) -> Response:
    sheet = forms.read(Sheet, form)
    draft = _draft(sheet, form)
    with _again(request, session, sheet, draft, now):
        given = {"name": sheet.name, "rule": draft.rule, "description": sheet.description}
        if sheet.segment is None:
            row = segments.add(session, **given, now=now, actor=actor(me))
        else:
            row = segments.change(session, segment_id=sheet.segment, **given, now=now, actor=actor(me))
    return pages.done(f"{PATH}/{row.id}", _("“%(name)s” is saved.", name=row.name))


@contextmanager
def _again(request: Request, session: Session, sheet: Sheet, draft: Draft, now: datetime) -> Iterator[None]:
    """Show the editor again, everything kept, when what is inside refuses it."""
    try:
        yield
    except MailerError as error:
        if error.http_status in (403, 404):
            raise
        page = _page(session, sheet, draft, now)
        code = 422 if error.http_status == 400 else error.http_status
        raise pages.Again(_rendered(request, session, page, code, error)) from error


@router.get("/{segment}")
def show_segment(request: Request, session: Reading, now: Now, me: Editor, segment: int) -> Response:
    row = segments.by_id(session, segment)
    sheet = Sheet(segment=row.id, name=row.name, description=row.description)
    return _rendered(request, session, _page(session, sheet, _of_rule(row.rule), now))


def _rendered(
    request: Request, session: Session, page: Page, code: int = 200, error: MailerError | None = None
) -> Response:
    number = page.sheet.segment
    row = session.get(Segment, number) if number is not None else None
    return pages.render(
        request, "desk/segment.html", code, page=page, form=page.form, row=row, error=error, v=vocabulary,
        used=_used(session, [row.id]).get(row.id, []) if row else [], wrong_with=wrong_with, rounded=rounded,
    )  # fmt: skip


@router.get("/{segment}/count")
def count(session: Reading, now: Now, me: Editor, segment: int) -> Response:
    """How many a saved segment means, for the list."""
    row = segments.by_id(session, segment)
    rule, every = _read(session, row.rule), issues.publications(session)
    if isinstance(rule, BadRule) or not every:
        return JSONResponse({"message": "–"})
    meant = _glance(session, rule, every[0], now)
    return JSONResponse({"message": rounded(meant.total, meant) if meant else "–"})


@router.post("/{segment}/copy")
def copy(session: Writing, now: Now, me: Editor, segment: int) -> Response:
    row = segments.by_id(session, segment)
    made = segments.add(
        session, name=_free_name(session, row.name), rule=row.rule, description=row.description, now=now,
        actor=actor(me),
    )  # fmt: skip
    return pages.done(f"{PATH}/{made.id}", _("This is the copy: give it a name of its own."))


def _free_name(session: Session, name: str) -> str:
    taken = {each.name for each in segments.listing(session)}
    names = (f"{name[:90]} ({number})" for number in range(2, len(taken) + 3))
    return next(each for each in names if each not in taken)


@router.post("/{segment}/delete")
def delete(session: Writing, now: Now, me: Editor, segment: int) -> Response:
    name = segments.by_id(session, segment).name
    segments.remove(session, segment_id=segment, now=now, actor=actor(me))
    return pages.done(PATH, _("“%(name)s” is gone; campaigns keep the rule they have.", name=name))
