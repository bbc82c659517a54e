"""``mailer policy``: when an address is silenced, and what waits for a person to decide."""

from __future__ import annotations

from dataclasses import asdict

import click

from mailer.cli import Id, Shell, now, pass_shell, say
from mailer.feedback import decisions, dormant, policy, storms
from mailer.feedback.dormant import Answer
from mailer.feedback.policy import Setting

_DEFAULT = "default"
_WHY = click.option("--why", required=True, metavar="TEXT", help="For whoever looks later.")


@click.group()
def command() -> None:
    """When an address is silenced, and what waits for you to decide."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_shell
def show(shell: Shell, as_json: bool) -> None:
    """Show every setting, what it means and who changed it."""
    with shell.database.read() as session:
        found = policy.settings(session)
    if as_json:
        say({"settings": [{**asdict(it), "set_at": it.set_at and it.set_at.isoformat()} for it in found]})
        return
    for setting in found:
        click.echo(_line(setting))


def _line(setting: Setting) -> str:
    by = f"set by {setting.set_by}, default {setting.default}" if setting.set_by else "default"
    return f"{setting.name + '=' + str(setting.value):<26} {setting.about} ({setting.unit}; {by})"


@command.command("set")
@click.argument("changes", metavar="NAME=VALUE …", nargs=-1, required=True)
@pass_shell
def set_(shell: Shell, changes: tuple[str, ...]) -> None:
    """Change settings; NAME=default takes a change back.

    What was decided before stays decided.
    """
    values = dict(map(_change, changes))
    with shell.database.write() as session:
        policy.set_(session, values, now=now(), actor=shell.actor)
        found = [it for it in policy.settings(session) if it.name in values]
    for setting in found:
        click.echo(_line(setting))


def _change(text: str) -> tuple[str, float | None]:
    name, sign, value = text.partition("=")
    try:
        return name.strip(), None if value.strip() == _DEFAULT and sign else float(value)
    except ValueError as error:
        raise click.UsageError(f"“{text}” is no change: write it like inactive_days=30.") from error


@command.command()
@click.argument("event", type=Id)
@_WHY
@pass_shell
def undo(shell: Shell, event: int, why: str) -> None:
    """Undo what was made of an event.

    Its address may be written to again, and counting begins anew.
    """
    with shell.database.write() as session:
        decisions.undo(session, event, why=why, now=now(), actor=shell.actor)
    click.echo(f"What was made of event {event} is undone.")


@command.command("dormant")
@click.option("--decide", type=Id, metavar="NUMBER", help="The line to decide about.")
@click.option(
    "--answer", type=click.Choice([answer.value for answer in Answer]), help="What is to become of it."
)
@click.option("--why", default="", metavar="TEXT", help="For whoever looks later.")
@click.option("--search", default="", metavar="START", help="Only addresses that begin so.")
@click.option("--page", default=1, type=click.IntRange(1), help="Of fifty lines each.")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def dormant_(
    shell: Shell, decide: int | None, answer: str | None, why: str, search: str, page: int, as_json: bool
) -> None:
    """Show or settle what comes back unexplained."""
    if (decide is None) != (answer is None):
        raise click.UsageError("Say both: --decide NUMBER and --answer suppress, keep or ask.")
    if decide is not None and answer is not None:
        with shell.database.write() as session:
            dormant.decide(session, decide, Answer(answer), why=why, now=now(), actor=shell.actor)
        click.echo(f"{decide}: {answer}")
        return
    with shell.database.read() as session:
        rows, total = dormant.listing(session, search=search, page=page)
    for row, person in rows:
        facts = {"id": row.id, "address": person.address, "listed_at": row.listed_at.isoformat(),
                 "asked": row.asked_at is not None, "reason": row.reason}  # fmt: skip
        if as_json:
            say(facts)
        else:
            asked = " (its partners were asked)" if row.asked_at else ""
            click.echo(f"{row.id:>6}  {person.address}{asked}  {row.reason}")
    if not as_json:
        click.echo(f"{total} addresses wait for a decision.", err=True)


@command.command("storms")
@click.option("--release", type=Id, metavar="NUMBER", help="Silence nobody: the provider was wrong.")
@click.option("--confirm", type=Id, metavar="NUMBER", help="Silence all that is held: it was right.")
@click.option("--why", default="", metavar="TEXT", help="For whoever looks later.")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def storms_(shell: Shell, release: int | None, confirm: int | None, why: str, as_json: bool) -> None:
    """Show or settle storms of missing mailboxes.

    In a storm a provider calls far more mailboxes missing than usual, and what that silences is held.
    """
    if release is not None and confirm is not None:
        raise click.UsageError("Say one: --release or --confirm.")
    if release is not None or confirm is not None:
        verb = storms.release if release is not None else storms.confirm
        with shell.database.write() as session:
            count = verb(session, release or confirm or 0, why=why, now=now(), actor=shell.actor)
        click.echo(f"{count} suppressions {'released' if release is not None else 'confirmed'}.")
        return
    with shell.database.read() as session:
        rows = storms.listing(session)
    for storm, held in rows:
        facts = {"id": storm.id, "destination": storm.destination, "began_at": storm.began_at.isoformat(),
                 "ended_at": storm.ended_at and storm.ended_at.isoformat(), "bad": storm.bad,
                 "letters": storm.letters, "usual": storm.usual, "held": held}  # fmt: skip
        if as_json:
            say(facts)
        else:
            state = "is over" if storm.ended_at else "goes on"
            click.echo(
                f"{storm.id:>6}  {storm.destination}: {storm.bad} mailboxes called missing within an hour"
                f" from {storm.began_at:%Y-%m-%d %H:%M} UTC, {state}; {held} suppressions held"
            )
