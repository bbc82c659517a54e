"""``mailer subscribers``: people come in from files and go out into them."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy.orm import Session

from mailer.audience import exports, imports, partners, segments
from mailer.audience.imports import Job
from mailer.audience.intake import Consent, Verdict
from mailer.audience.sheets import sheet
from mailer.audience.sheets.columns import MEANINGS, Layout
from mailer.audience.sheets.sheet import Sheet
from mailer.audience.sheets.workbook import ChooseTab
from mailer.audience.store import ConsentKind, Import
from mailer.audience.verdicts import Report
from mailer.cli import Shell, choose, now, pass_shell, say
from mailer.content.readers.pages import has_chinese
from mailer.delivery import behaviour as behaviour  # a segment may speak of opens and clicks
from mailer.errors import MailerError
from mailer.issues import consent, publications


class Unreadable(MailerError):
    """The file cannot be read: check its name and that you may open it."""


class Unwritable(MailerError):
    """The file cannot be written: choose another place for it."""


@click.group()
def command() -> None:
    """The people who read: from a file, into a file."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--publication", metavar="CODE", default=None, help="Default: the first one.")
@click.option("--partner", metavar="CODE", default=None, help="The partner whose people these are.")
@click.option(
    "--map",
    "mapped",
    metavar="COLUMN=MEANING,…",
    default="",
    help="What columns mean, where their names do not say it; nothing after = leaves one out: "
    + f"{', '.join(MEANINGS)}.",
)
@click.option("--sheet", "tab", metavar="NAME", default="", help="The sheet of a workbook that has several.")
@click.option(
    "--wording",
    "--consent",
    "wording",
    metavar="TEXT|VERSION",
    default="",
    help="What the people agreed to: words, kept as a version if new, or a version's number (zh:2).",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen and change nothing.")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def import_(
    shell: Shell,
    file: Path,
    publication: str | None,
    partner: str | None,
    mapped: str,
    tab: str,
    wording: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import people from a file, a verdict per row.

    CSV, TSV, Excel workbooks, and what listmonk, Mailchimp and Mailman export.

    Stopped half-way, run it again: it goes on.
    """
    try:
        read = sheet.read(readable(file), file.name, Layout(_meanings(mapped), tab))
    except ChooseTab as choose:
        raise Unreadable(f"{choose} Name it with --sheet.") from choose
    with shell.database.write() as session:
        attempt = session.begin_nested()  # a dry run on an empty database leaves it empty
        publication_id = _publication(shell, session, publication)
        job = Job(
            sheet=read,
            publication_id=publication_id,
            consent=Consent(ConsentKind.IMPORTED, _words(shell, session, publication_id, wording)),
            keys=shell.settings.keys,
            actor=shell.actor,
            partner_id=partners.get(session, partner).id if partner else None,
        )
        report = imports.dry_run(session, job, now=now()) if dry_run else None
        if dry_run:
            attempt.rollback()
    report = report or imports.run(shell.database, job, clock=now)
    _say_json(report) if as_json else _tell(report, read)


def _meanings(mapped: str) -> dict[str, str]:
    """Read ``E-post=address,Namn=name``; a name that holds a comma is quoted as in a CSV.

    :raises UsageError: a part without "="
    """
    found = {}
    for part in next(csv.reader([mapped], skipinitialspace=True), []):
        label, equals, meaning = part.rpartition("=")
        if not equals:
            raise click.UsageError(f"--map: “{part}” says no meaning: write it like “E-post=address”.")
        found[label.strip()] = meaning.strip()
    return found


@command.command("imports")
@pass_shell
def imports_(shell: Shell) -> None:
    """List the imports that were made, newest first."""
    with shell.database.read() as session:
        for done in imports.listing(session):
            state = _state(done)
            click.echo(f"{done.public_id}  {done.started_at:%Y-%m-%d %H:%M} UTC  {done.file_name}  {state}")


def _state(done: Import) -> str:
    if done.undone_at:
        return "undone"
    if done.undo_asked_at:
        return "being undone"
    return "finished" if done.finished_at else "stopped half-way"


@command.command()
@click.argument("import_id", metavar="IMPORT", type=click.UUID)
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def undo(shell: Shell, import_id: UUID, as_json: bool) -> None:
    """Put back what an import wrote.

    Rows that somebody has changed since stay as they are.
    """
    undone = imports.undo(shell.database, import_id, clock=now, actor=shell.actor)
    if as_json:
        say({"import": str(import_id), "restored": undone.restored, "kept": undone.kept})
    else:
        click.echo(f"{undone.restored} rows put back; {undone.kept} had changed since and stay.")


@command.command()
@click.option("--segment", metavar="NAME|RULE", default="everyone", show_default=True)
@click.option("--publication", metavar="CODE", default=None, help="Default: the first one.")
@click.option("--out", required=True, type=click.Path(path_type=Path))
@pass_shell
def export(shell: Shell, segment: str, publication: str | None, out: Path) -> None:
    """Write people into a CSV file or a workbook.

    A workbook where its name ends in .xlsx; both are safe to open in a spreadsheet.
    """
    part = out.with_name(f".{out.name}.part")
    with shell.database.read() as session:
        found = choose.publication(session, publication)
        rule = segments.resolve(session, segment)
        where = [segments.condition(rule, now=now(), publication_id=found.id)]
    try:
        with shell.database.read() as session, part.open("wb") as file:
            people = exports.rows(session, where, found.id)
            if out.suffix.lower() == ".xlsx":
                written = exports.as_workbook(people, file)
            else:
                written = sum(bool(file.write(line.encode())) for line in exports.as_csv(people)) - 1
        os.replace(part, out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Unwritable from error
    click.echo(f"{written} people written to {out}.")


def _publication(shell: Shell, session: Session, code: str | None) -> int:
    """The chosen one; people may come in before the first issue names the newsletter."""
    if code is not None:
        return choose.publication(session, code).id
    return publications.default(session, name="Newsletter", issuer="", now=now(), actor=shell.actor).id


def _words(shell: Shell, session: Session, publication_id: int, wording: str) -> str:
    """Return the words of consent that an option says or names; "" says nothing."""
    named = re.fullmatch(r"(?:(zh|en):)?(\d{1,6})", wording.strip())
    if named:
        return consent.version(session, publication_id, int(named[2]), named[1])
    if not wording.strip():
        return ""
    language = "zh" if any(has_chinese(char) for char in wording) else "en"
    return consent.kept(
        session, publication_id, wording, language=language, now=now(), actor=shell.actor
    )  # fmt: skip


def readable(file: Path) -> Path:
    """:raises Unreadable: it cannot be opened"""
    try:
        file.open("rb").close()
    except OSError as error:
        raise Unreadable(
            f"{file.name} cannot be read ({error.strerror}): check its name and that you may open it."
        ) from error
    return file


def content(file: Path) -> bytes:
    """:raises Unreadable: it cannot be read"""
    return readable(file).read_bytes()


def _say_json(report: Report) -> None:
    """Print one object, row by row: a million of them are never held at once."""
    counts = {verdict.value: count for verdict, count in report.counts.items()}
    shown = str(report.id) if report.id else None
    head = json.dumps({"import": shown, "rows": len(report.verdicts), **counts}, ensure_ascii=False)
    click.echo(f'{head[:-1]}, "verdicts": [', nl=False)
    for place, row in enumerate(report.verdicts):
        told = {"line": row.line, "verdict": row.verdict, "message": row.message}
        click.echo(f"{', ' if place else ''}{json.dumps(told, ensure_ascii=False)}", nl=False)
    click.echo("]}")


def _tell(report: Report, read: Sheet) -> None:
    for remark in read.remarks:
        click.echo(remark, err=True)
    for row in report.verdicts:
        if row.message or row.verdict is Verdict.REFUSED:
            click.echo(f"line {row.line}: {row.verdict}. {row.message}", err=True)
    if read.unread:
        click.echo(f"Columns left out: {', '.join(read.unread)}.", err=True)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())
    click.echo(f"{'Nothing written, it would be' if report.id is None else f'Import {report.id}'}: {counts}.")
