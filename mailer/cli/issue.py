"""``mailer issue``: read an issue from a file, look at it, write it back out, compile and check it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

import click
from sqlalchemy.orm import Session

from mailer.cli import Id, Shell, now, pass_shell, say
from mailer.content import readers
from mailer.content.compile import GMAIL_CLIP, Compiled, compile_edition
from mailer.content.document import Document, Language, stats
from mailer.content.look import Look
from mailer.content.markdown import to_markdown
from mailer.content.problems import BadDocument, problems
from mailer.content.readers import Draft
from mailer.content.theme import Places
from mailer.errors import Invalid, MailerError
from mailer.issues import attachments, editions, figures, freeze, publications, store

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_language = click.option("--lang", "language", type=click.Choice(["zh", "en"]), default=None)


@click.group()
def command() -> None:
    """Issues: import, look at, export, compile, check."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--publication", "code", default=None, help="Its code; the first one when not given.")
@_language
@click.option("--issue", "issue_id", type=Id, default=None, help="Import into this issue, not a new one.")
@click.option("--number", default=None, help="The issue's number: never guessed from a text file.")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), default=None, help="The issue's date.")
@_json
@pass_shell
def import_(
    shell: Shell,
    file: Path,
    code: str | None,
    language: str | None,
    issue_id: int | None,
    number: str | None,
    day: Any,
    as_json: bool,
) -> None:
    """Import an issue from FILE (.md or .txt).

    Says what was dropped, guessed or doubted. A Markdown file is our own form: one that lacks something is
    refused. Number and date may be said later, with `mailer issue number`.
    """
    draft = _read(file, language)
    document = _named(draft.document, number, day.date() if day else None)
    if file.suffix.lower() == ".md":
        _insist(document)
    with shell.database.write() as session:
        edition = editions.take_in(
            session,
            document,
            publication=publications.get(session, code) if code else None,
            issue_id=issue_id,
            doubts=[doubt.stored() for doubt in draft.doubts],
            dropped=[dropped.stored() for dropped in draft.dropped],
            pictures=editions.pictures_beside(file, document),
            now=now(),
            actor=shell.actor,
        )
        issue = edition.issue_id
    if as_json:
        say(_account(issue, document, draft))
    else:
        _tell(issue, document, draft)


@command.command()
@click.argument("issue", type=Id)
@_language
@click.option("--out", "target", type=click.Path(path_type=Path), required=True, help="FILE.md or FILE.json")
@pass_shell
def export(shell: Shell, issue: int, language: str | None, target: Path) -> None:
    """Write an edition to a file.

    Every character of it is there; its pictures go beside a .md file.
    """
    with shell.database.read() as session:
        document = editions.document(editions.edition(session, issue, language))
        if target.suffix == ".json":
            _write(target, document.model_dump_json(indent=2) + "\n")
        elif target.suffix == ".md":
            _write(target, to_markdown(document))
            _write_figures(session, document, target.parent)
        else:
            raise Invalid(f"“{target.name}” has no known form: write to a .md or a .json file.")
    click.echo(f"Edition {document.language} of issue {issue} is in {target}.")


@command.command("compile")
@click.argument("source")
@click.option("--out", "folder", type=click.Path(path_type=Path, file_okay=False), required=True)
@_language
@_json
@pass_shell
def compile_(shell: Shell, source: str, folder: Path, language: str | None, as_json: bool) -> None:
    """Compile SOURCE to edition.mjml, .html and .txt.

    SOURCE is an issue's number in `mailer issue list`, or a file.
    """
    if _is_id(source):
        with shell.database.read() as session:
            letters, web = _compiled_issue(session, shell, int(source), language)
            document = editions.document(editions.edition(session, int(source), web.language))
            _insist(document)
            _make_folder(folder)
            _write_figures(session, document, folder)
    else:
        document = _read(Path(source), language).document
        _insist(document)
        letters, web = _compiled_file(document)
        _make_folder(folder)
        for name, content in editions.pictures_beside(Path(source), document).items():
            _place(folder, name).write_bytes(content)
    for suffix, text in (("mjml", web.mjml), ("html", web.html), ("txt", web.text)):
        _write(folder / f"edition.{suffix}", text)
    facts = {
        "out": str(folder),
        "language": web.language,
        "html_bytes": letters.html_bytes,
        "html_limit": GMAIL_CLIP,
        "text_bytes": letters.text_bytes,
        "links": len(letters.links),
        "shortened": list(letters.shortened),
    }
    if as_json:
        say(facts)
        return
    click.echo(
        f"{folder}/edition.html: {letters.html_bytes:,} bytes as a reader gets it"
        f" (Gmail cuts at {GMAIL_CLIP:,}), {len(letters.links)} links."
    )
    for headline in letters.shortened:
        click.echo(f"Shortened to a teaser that leads to the web version: {headline}")


@command.command()
@click.argument("source")
@_language
@_json
@pass_shell
def check(shell: Shell, source: str, language: str | None, as_json: bool) -> None:
    """Say what SOURCE lacks; exit status 1 on errors.

    SOURCE is an issue's number in `mailer issue list`, or a file. Warnings are shown and change no status.
    """
    found = [
        {"language": document.language, **vars(problem)}
        for document in _documents(shell, source, language)
        for problem in problems(document)
    ]
    errors = [problem for problem in found if problem["severity"] == "error"]
    if as_json:
        say({"errors": len(errors), "warnings": len(found) - len(errors), "problems": found})
    else:
        for problem in found:
            click.echo(f"{problem['severity']}: {problem['where']}: {problem['message']}")
        click.echo(f"Errors: {len(errors)}; warnings: {len(found) - len(errors)}.")
    if errors:
        raise click.exceptions.Exit(1)


@command.command("list")
@_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List issues, newest first."""
    with shell.database.read() as session:
        found = store.issues_of(session)
        if not found and not as_json:
            click.echo("No issue yet: `mailer issue import FILE` makes one.")
        for issue in found:
            languages = editions.languages(session, issue.id)
            facts = {"issue": issue.id, "number": issue.number, "date": issue.date, "languages": languages}
            if as_json:
                say(facts)
            else:
                number = issue.number or "no number yet"
                click.echo(f"{issue.id}  {number}  {issue.date or 'no date yet'}  {', '.join(languages)}")


def _read(file: Path, language: str | None) -> Draft:
    return readers.read(file, language=cast("Language | None", language))


def _named(document: Document, number: str | None, day: date | None) -> Document:
    said = {name: value for name, value in (("number", number), ("date", day)) if value is not None}
    return document.model_copy(update={"masthead": document.masthead.model_copy(update=said)})


def _account(issue: int, document: Document, draft: Draft) -> dict[str, Any]:
    return {
        "issue": issue,
        "language": document.language,
        **stats(document),
        "body_characters": draft.body_characters,
        "dropped": [vars(dropped) for dropped in draft.dropped],
        "doubts": [vars(doubt) for doubt in draft.doubts],
        "asked": _asked(document),
    }


def _asked(document: Document) -> list[str]:
    masthead = document.masthead
    return [name for name in ("number", "date") if getattr(masthead, name) is None]


def _tell(issue: int, document: Document, draft: Draft) -> None:
    counts = stats(document)
    click.echo(f"Issue {issue}: " + ", ".join(_counted(count, name) for name, count in counts.items()) + ".")
    characters = draft.body_characters
    click.echo(f"{characters['document']:,} of {characters['source']:,} characters of the body are in it.")
    for dropped in draft.dropped:
        click.echo(f"dropped, line {dropped.line}: {dropped.text[:60]} ({dropped.why})")
    for doubt in draft.doubts:
        click.echo(f"look at line {doubt.line}: {doubt.what}")
    if asked := _asked(document):
        options = " ".join(f"--{name} …" for name in asked)
        click.echo(f"Its {' and '.join(asked)} must be said: `mailer issue number {issue} {options}`.")


def _counted(count: int, things: str) -> str:
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


@command.command("number")
@click.argument("issue", type=Id)
@click.option("--number", default=None, help="As readers see it.")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), default=None)
@pass_shell
def number_(shell: Shell, issue: int, number: str | None, day: Any) -> None:
    """Say an issue's number and date."""
    if number is None and day is None:
        raise click.UsageError("Give --number, --date or both.")
    with shell.database.write() as session:
        said = editions.name_and_date(
            session,
            issue_id=issue,
            number=number,
            date=day.date() if day else None,
            now=now(),
            actor=shell.actor,
        )
        click.echo(f"Issue {issue}: number {said.number or 'not said yet'}, {said.date or 'no date yet'}.")


@command.command()
@click.argument("issue", type=Id)
@click.argument("file", type=click.Path(path_type=Path))
@_language
@pass_shell
def attach(shell: Shell, issue: int, file: Path, language: str | None) -> None:
    """Have FILE travel with every letter of ISSUE.

    With --lang, of that edition only.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MailerError(
            "“{file}” cannot be read ({why}): check its name.", file=file, why=error.strerror
        ) from error
    with shell.database.write() as session:
        attached = attachments.add(
            session,
            issue_id=issue,
            file_name=file.name,
            content=content,
            language=language,
            now=now(),
            actor=shell.actor,
        )
        click.echo(f"Attached to issue {issue}: {attached.file_name}, file {attached.id}.")


@command.command()
@click.argument("issue", type=Id)
@click.argument("attachment", type=Id)
@pass_shell
def detach(shell: Shell, issue: int, attachment: int) -> None:
    """Take an attached file off ISSUE's letters."""
    with shell.database.write() as session:
        attachments.remove(session, issue_id=issue, attachment_id=attachment, now=now(), actor=shell.actor)


def _is_id(source: str) -> bool:
    return source.isascii() and source.isdigit()


def _insist(document: Document) -> None:
    """Send back a document that lacks something; its number and date are asked for elsewhere.

    :raises BadDocument: the message names the block
    """
    named = _named(document, document.masthead.number or "1", document.masthead.date or date.min)
    wrong = [problem for problem in problems(named) if problem.severity == "error"]
    if wrong:
        raise BadDocument(wrong)


def _documents(shell: Shell, source: str, language: str | None) -> Sequence[Document]:
    if not _is_id(source):
        return [_read(Path(source), language).document]
    with shell.database.read() as session:
        found = editions.get(session, int(source))
        chosen = [language] if language else editions.languages(session, found.id)
        return [editions.document(editions.edition(session, int(source), each)) for each in chosen]


def _compiled_issue(
    session: Session, shell: Shell, issue: int, language: str | None
) -> tuple[Compiled, Compiled]:
    chosen = editions.edition(session, issue, language).language
    _, letters = freeze.blueprint_of(session, issue, chosen, settings=shell.settings)
    return letters, freeze.compile_web(session, issue, chosen, settings=shell.settings, local=True)


def _compiled_file(document: Document) -> tuple[Compiled, Compiled]:
    """Compile a file that belongs to no publication yet: its issuer is the organisation."""
    look = Look(organisation=document.masthead.issuer or document.masthead.title, address="")
    places = Places(base="", figures={it.src: it.src for it in editions.figures_of(document)})
    return compile_edition(document, look=look, places=places), compile_edition(
        document, look=look, places=places, personal=False
    )


def _write_figures(session: Session, document: Document, folder: Path) -> None:
    for figure in editions.figures_of(document):
        _place(folder, figure.src).write_bytes(figures.get(session, figure.src).content)


def _place(folder: Path, name: str) -> Path:
    """Return where a picture goes: inside ``folder``, whatever its name says."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Invalid(f"The picture “{name}” lies outside its issue: name it without “..”.")
    _make_folder(path.parent)
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MailerError(f"“{folder}” cannot be made ({error.strerror}): choose another --out.") from error


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MailerError(
            f"“{target}” cannot be written ({error.strerror}): choose another --out."
        ) from error
