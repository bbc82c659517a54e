"""``mailer partner``: the organisations that look after their own people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mailer.audience import partner_files, partners
from mailer.audience.intake import Verdict
from mailer.audience.partner_files import Report
from mailer.audience.store import PartnerKind
from mailer.cli import Shell, now, pass_shell, say
from mailer.cli.subscribers import content


@click.group()
def command() -> None:
    """The organisations that look after their own people."""


@command.command()
@click.argument("code")
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in PartnerKind]))
@click.option("--country", required=True, help="Two letters, or the country's name.")
@click.option("--language", default="en", show_default=True)
@click.option("--name-zh", default="")
@click.option("--name-en", default="")
@click.option("--zone", default=None, help="Time zone, such as Asia/Shanghai.")
@click.option("--seats", type=click.IntRange(min=0), default=None, help="Most people it may have.")
@click.option("--trusted", is_flag=True, help="It may vouch for its people's consent.")
@pass_shell
def add(
    shell: Shell,
    code: str,
    kind: str,
    country: str,
    language: str,
    name_zh: str,
    name_en: str,
    zone: str | None,
    seats: int | None,
    trusted: bool,
) -> None:
    """Make a partner."""
    with shell.database.write() as session:
        partners.add(
            session,
            code=code,
            kind=kind,
            country=country,
            language=language,
            name_zh=name_zh,
            name_en=name_en,
            zone=zone,
            seats=seats,
            trusted=trusted,
            now=now(),
            actor=shell.actor,
        )
    click.echo(f"Partner “{code}” is there.")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen and change nothing.")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def import_(shell: Shell, file: Path, dry_run: bool, as_json: bool) -> None:
    """Bring the directory in from a file, whole or not at all.

    Columns of the CSV or workbook: code, name_zh, name_en, kind, country, language, zone, seats, trusted,
    groups, manager. Partners that are here are changed only where the file says something.
    """
    found = partner_files.read(content(file), file.name)
    with shell.database.write() as session:
        do = partner_files.dry_run if dry_run else partner_files.take_in
        report = do(session, found, now=now(), actor=shell.actor)
    _tell(report, found.unread, as_json)
    if report.counts[Verdict.REFUSED]:
        raise click.exceptions.Exit(1)


def _tell(report: Report, unread: Sequence[str], as_json: bool) -> None:
    counts = {verdict.value: n for verdict, n in report.counts.items()}
    if as_json:
        rows = [{"line": row.line, "verdict": row.verdict, "message": row.message} for row in report.verdicts]
        say({"written": report.written, **counts, "managers": list(report.managers), "verdicts": rows})
        return
    for row in report.verdicts:
        if row.message:
            click.echo(f"line {row.line}: {row.verdict}. {row.message}", err=True)
    if unread:
        click.echo(f"Columns left out: {', '.join(unread)}.", err=True)
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    click.echo(f"{'Written' if report.written else 'Nothing written, it would be'}: {told}.")
    if report.written and report.managers:
        click.echo(f"New managers, who ask for a link at /sign-in/link: {len(report.managers)}.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List partners and how many people each has."""
    with shell.database.read() as session:
        for partner, people in partners.listing(session):
            name = partner.name_en or partner.name_zh
            if as_json:
                say({"code": partner.code, "kind": partner.kind, "country": partner.country,
                     "name_zh": partner.name_zh, "name_en": partner.name_en, "people": people})  # fmt: skip
            else:
                click.echo(f"{partner.code:<20} {partner.kind:<10} {partner.country}  {people:>7}  {name}")
