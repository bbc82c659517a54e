"""``mailer suppressions``: addresses that must not be written to, and why."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from mailer import address as addresses
from mailer.audience import suppression_files as files
from mailer.audience import suppressions
from mailer.audience.silenced import State
from mailer.audience.store import Suppression
from mailer.audience.suppressions import MANUAL, REASONS, Scope
from mailer.cli import Id, Shell, choose, now, pass_shell, say
from mailer.cli.subscribers import Unwritable, content
from mailer.feedback import decisions


@click.group()
def command() -> None:
    """Addresses that must not be written to."""


@command.command()
@click.argument("address")
@click.option("--why", required=True, metavar="TEXT", help="For whoever looks later.")
@click.option("--reason", type=click.Choice(REASONS), default=MANUAL, show_default=True)
@click.option("--publication", metavar="CODE", help="Only for this one. Default: everywhere.")
@click.option("--sender", metavar="ADDRESS", help="Only for publications with this sender.")
@click.option("--until", type=click.DateTime(), help="UTC. Default: until it is released.")
@pass_shell
def add(
    shell: Shell,
    address: str,
    why: str,
    reason: str,
    publication: str | None,
    sender: str | None,
    until: datetime | None,
) -> None:
    """Silence an address."""
    with shell.database.write() as session:
        scope = Scope(
            choose.publication(session, publication).id if publication else None,
            addresses.parse(sender).key if sender else None,
        )
        made = suppressions.add(
            session, address=address, keys=shell.settings.keys, scope=scope, reason=reason, note=why,
            until=until.replace(tzinfo=UTC) if until else None, now=now(), actor=shell.actor,
        )  # fmt: skip
    click.echo(f"Suppression {made}.")


@command.command()
@click.argument("number", type=Id)
@click.option("--why", default="", metavar="TEXT", help="For whoever looks later.")
@pass_shell
def release(shell: Shell, number: int, why: str) -> None:
    """Let an address be written to again.

    NUMBER is the suppression's, as `list` shows it.
    """
    with shell.database.write() as session:
        suppressions.release(session, number, now(), shell.actor, why)
    click.echo(f"Suppression {number} is released.")


@command.command("list")
@click.argument("search", default="")
@click.option("--reason", type=click.Choice(REASONS), default=None)
@click.option(
    "--state",
    type=click.Choice([state.value for state in State]),
    default=State.IN_FORCE.value,
    show_default=True,
)
@click.option("--page", default=1, type=click.IntRange(1), help="Of fifty lines each.")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, search: str, reason: str | None, state: str, page: int, as_json: bool) -> None:
    """List suppressions, newest first.

    SEARCH is a whole address, or the beginning of a reader's.
    """
    with shell.database.read() as session:
        found, total = suppressions.listing(
            session, now=now(), search=search, keys=shell.settings.keys, reason=reason or "",
            state=State(state), page=page,
        )  # fmt: skip
        known = suppressions.addresses(session, found)
    for row in found:
        facts = {**_facts(row), "address": known.get(row.address_hash)}
        say(facts) if as_json else click.echo(_line(row, facts["address"]))
    if not as_json:
        click.echo(f"{total} suppressions.", err=True)


@command.command()
@click.argument("number", type=Id)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_shell
def why(shell: Shell, number: int, as_json: bool) -> None:
    """Tell what led to a suppression: events, decisions, mail."""
    with shell.database.read() as session:
        told = decisions.why(session, number)
    if as_json:
        say({**_facts(told.suppression), "address": told.address, "steps": [_step(it) for it in told.steps]})
        return
    click.echo(_line(told.suppression, told.address))
    if told.file is not None:
        click.echo(f"  from {told.file.file_name}, taken in {told.file.at:%Y-%m-%d %H:%M} UTC")
    for step in told.steps:
        mail = f", mail {step.event.mail_id}" if step.event.mail_id else ""
        click.echo(
            f"  event {step.event.id} of letter {step.event.campaign_id}/{step.event.n}{mail}:"
            f" {step.decision.reason} “{step.event.detail}”"
        )


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_shell
def import_(shell: Shell, file: Path, dry_run: bool, as_json: bool) -> None:
    """Silence the addresses of a CSV file, a verdict per row."""
    read = files.read(content(file), file.name)
    verb = files.dry_run if dry_run else files.take_in
    with shell.database.write() as session:
        report = verb(session, read, keys=shell.settings.keys, now=now(), actor=shell.actor)
    counts = {verdict.value: count for verdict, count in report.counts.items()}
    if as_json:
        rows = [{"line": row.line, "verdict": row.verdict, "message": row.message} for row in report.verdicts]
        say({"import": str(report.id) if report.id else None, **counts, "verdicts": rows})
        return
    for row in report.verdicts:
        if row.message:
            click.echo(f"line {row.line}: {row.verdict}. {row.message}", err=True)
    done = "Nothing written, it would be" if report.id is None else f"Import {report.id}"
    click.echo(f"{done}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}.")


@command.command("imports")
@pass_shell
def imports_(shell: Shell) -> None:
    """List the files that were taken in, newest first."""
    with shell.database.read() as session:
        for made in files.listing(session):
            state = "undone" if made.undone_at else f"{made.added} added"
            click.echo(f"{made.public_id}  {made.at:%Y-%m-%d %H:%M} UTC  {made.file_name}  {state}")


@command.command()
@click.argument("import_id", metavar="IMPORT", type=click.UUID)
@pass_shell
def undo(shell: Shell, import_id: UUID) -> None:
    """Release what an import added."""
    with shell.database.write() as session:
        released = files.undo(session, import_id, now=now(), actor=shell.actor)
    click.echo(f"{released} suppressions released.")


@command.command()
@click.option("--out", required=True, type=click.Path(path_type=Path))
@pass_shell
def export(shell: Shell, out: Path) -> None:
    """Write what is in force into a CSV file, safe in a spreadsheet."""
    part = out.with_name(f".{out.name}.part")
    try:
        with shell.database.read() as session, part.open("w", encoding="utf-8", newline="") as file:
            lines = sum(bool(file.write(line)) for line in files.export(session, now=now()))
        os.replace(part, out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Unwritable from error
    click.echo(f"{lines - 1} suppressions written to {out}.")


def _facts(row: Suppression) -> dict[str, Any]:
    return {
        "id": row.id, "reason": row.reason, "note": row.note, "publication": row.publication_id,
        "sender": row.sender, "since": row.since.isoformat(), "until": row.until and row.until.isoformat(),
        "added_by": row.added_by, "released_at": row.released_at and row.released_at.isoformat(),
        "released_by": row.released_by,
    }  # fmt: skip


def _step(step: decisions.Step) -> dict[str, Any]:
    event, decision = step.event, step.decision
    return {
        "event": event.id, "campaign": event.campaign_id, "n": event.n, "at": event.at.isoformat(),
        "kind": event.kind, "category": event.category, "status": event.status, "said": event.detail,
        "mail": event.mail_id, "action": decision.action, "reason": decision.reason,
        "undone_at": decision.undone_at and decision.undone_at.isoformat(), "undone_by": decision.undone_by,
    }  # fmt: skip


def _line(row: Suppression, address: str | None) -> str:
    until = f" until {row.until:%Y-%m-%d}" if row.until else ""
    over = f", released by {row.released_by}" if row.released_at else ""
    return f"{row.id:>6}  {address or '(address not kept)'}  {row.reason}{until}{over}: {row.note}"
