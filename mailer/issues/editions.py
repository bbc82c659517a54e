"""Editions: documents come in from files or the browser, and are written back out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.content.document import Article, Block, Document, Figure, Section
from mailer.errors import Conflict, Invalid, NotFound
from mailer.issues import figures, publications, store
from mailer.issues.store import Edition, Issue, Publication


class NoIssue(NotFound):
    """There is no such issue: `mailer issue list` shows those that exist."""


class EditedMeanwhile(Conflict):
    """Somebody else has saved this edition since you opened it: copy your text, reload, and merge the two."""


class NumberTaken(Conflict):
    """Another issue of this publication has that number: choose another, or import into it with --issue."""


class MissingFigure(Invalid):
    """The document names a picture that was not given with it."""


def get(session: Session, issue_id: int) -> Issue:
    """:raises NoIssue: none of that id"""
    issue = session.get(Issue, issue_id)
    if issue is None:
        raise NoIssue
    return issue


def edition(session: Session, issue_id: int, language: str | None = None) -> Edition:
    """Return an issue's edition in ``language``; None: its only one, or the Chinese one of several.

    :raises NotFound: no edition in that language
    """
    found = store.editions(session, get(session, issue_id).id)
    if language is None and found:
        return next(iter(found.values()))
    if language is None or language not in found:
        raise NotFound("This issue has no edition in “{language}”: import one first.", language=language)
    return found[language]


def languages(session: Session, issue_id: int) -> list[str]:
    """Return the languages an issue has an edition in, Chinese first."""
    return list(store.editions(session, issue_id))


def document(edition: Edition) -> Document:
    """Return the document an edition holds."""
    return Document.model_validate(edition.document)


def take_in(
    session: Session,
    document: Document,
    *,
    now: datetime,
    actor: Actor,
    publication: Publication | None = None,
    issue_id: int | None = None,
    doubts: Sequence[Mapping[str, Any]] = (),
    dropped: Sequence[Mapping[str, Any]] = (),
    pictures: Mapping[str, bytes] | None = None,
) -> Edition:
    """Store a document as an edition: of ``issue_id``, else of a new issue.

    ``pictures`` maps the file names the document uses to their bytes. An edition of the same language is
    replaced and its version counted up. Number and date of the issue follow the document when it has them.

    :raises MissingFigure: a picture the document names is neither given nor stored
    :raises NumberTaken: the number belongs to another issue
    """
    document = with_stored_figures(session, document, pictures or {})
    if issue_id is not None:
        issue = get(session, issue_id)
    else:
        owner = publication or publications.default(
            session, name=document.masthead.title, issuer=document.masthead.issuer, now=now, actor=actor
        )
        issue = Issue(public_id=uuid7(), publication_id=owner.id, created_at=now, created_by=actor.name)
        session.add(issue)
    _date_and_number(session, issue, document)
    session.flush()
    existing = store.editions(session, issue.id).get(document.language)
    edition = existing or Edition(issue_id=issue.id, language=document.language, version=0)
    session.add(edition)
    edition.doubts, edition.dropped = list(doubts), list(dropped)
    return _kept(session, edition, document, "issue.import", now=now, actor=actor)


def save(
    session: Session, *, edition_id: int, document: Document, version: int, now: datetime, actor: Actor
) -> Edition:
    """Save an edit made on top of ``version``.

    :raises EditedMeanwhile: another edit came first
    """
    edition = session.get(Edition, edition_id, with_for_update=True, populate_existing=True)
    if edition is None:
        raise NoIssue
    if edition.version != version:
        raise EditedMeanwhile
    if document.language != edition.language:
        raise Invalid(
            "This edition's language is “{language}”: keep `language` as it is.", language=edition.language
        )
    document = with_stored_figures(session, document, {})
    _date_and_number(session, get(session, edition.issue_id), document)
    return _kept(session, edition, document, "issue.edit", now=now, actor=actor)


def name_and_date(
    session: Session, *, issue_id: int, number: str | None, date: date | None, now: datetime, actor: Actor
) -> Issue:
    """Say an issue's number and date; every edition's masthead follows.

    :raises NumberTaken: the number belongs to another issue
    """
    issue = get(session, issue_id)
    before = {"number": issue.number, "date": str(issue.date)}
    for edition in store.editions(session, issue_id).values():
        text = document(edition)
        masthead = text.masthead.model_copy(
            update={"number": number or text.masthead.number, "date": date or text.masthead.date}
        )
        text = text.model_copy(update={"masthead": masthead})
        _date_and_number(session, issue, text)
        _write(edition, text, now=now, actor=actor)
    session.flush()
    after = {"number": issue.number, "date": str(issue.date)}
    audit.record(
        session,
        now=now,
        actor=actor,
        action="issue.number",
        subject=f"issue {issue_id}",
        before=before,
        after=after,
    )
    return issue


def figures_of(document: Document) -> tuple[Figure, ...]:
    """Return every figure of a document in order."""
    found: list[Figure] = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Figure):
                found.append(block)
            elif isinstance(block, Article):
                found.extend(block.figures)
    return tuple(found)


def pictures_beside(file: Path, document: Document) -> dict[str, bytes]:
    """Return the pictures a document names that lie beside its file or below: never from elsewhere."""
    found: dict[str, bytes] = {}
    home = file.resolve().parent
    for figure in figures_of(document):
        path = (home / figure.src).resolve()
        if path.is_relative_to(home) and path.is_file():
            found[figure.src] = path.read_bytes()
    return found


def with_stored_figures(session: Session, document: Document, pictures: Mapping[str, bytes]) -> Document:
    """Store the pictures a document names and let it name them by content.

    :raises MissingFigure: a picture is neither given nor stored
    """
    names: dict[str, str] = {}
    for figure in figures_of(document):
        if figure.src in pictures:
            names[figure.src] = figures.add(session, pictures[figure.src]).name
        elif session.get(store.StoredFigure, figure.src) is None:
            raise MissingFigure(
                "The picture “{name}” is not there: put it beside the file or take it out of the text.",
                name=figure.src,
            )
    return renamed_figures(document, names)


def renamed_figures(document: Document, names: Mapping[str, str]) -> Document:
    """Return the document with figures' sources replaced as ``names`` says; others stay."""

    def renamed(figure: Figure) -> Figure:
        return figure.model_copy(update={"src": names.get(figure.src, figure.src)})

    def block(block: Block) -> Block:
        if isinstance(block, Figure):
            return renamed(block)
        if isinstance(block, Article):
            return block.model_copy(update={"figures": tuple(renamed(figure) for figure in block.figures)})
        return block

    def section(section: Section) -> Section:
        return section.model_copy(update={"blocks": tuple(block(each) for each in section.blocks)})

    return document.model_copy(update={"sections": tuple(section(each) for each in document.sections)})


def _date_and_number(session: Session, issue: Issue, document: Document) -> None:
    number = document.masthead.number
    if number:
        other = store.issue_by_number(session, issue.publication_id, number)
        if other is not None and other.id != issue.id:
            raise NumberTaken
        issue.number = number
    if document.masthead.date:
        issue.date = document.masthead.date


def _kept(
    session: Session, edition: Edition, document: Document, action: str, *, now: datetime, actor: Actor
) -> Edition:
    """Write the edition and note who did it."""
    before = {"language": edition.language, "version": edition.version} if edition.version else None
    _write(edition, document, now=now, actor=actor)
    session.flush()
    audit.record(
        session,
        now=now,
        actor=actor,
        action=action,
        subject=f"issue {edition.issue_id}",
        before=before,
        after={"language": edition.language, "version": edition.version},
    )
    return edition


def _write(edition: Edition, document: Document, *, now: datetime, actor: Actor) -> None:
    edition.document = document.model_dump(mode="json")
    edition.version += 1
    edition.updated_at, edition.updated_by = now, actor.name
