"""``mailer retention``: how long things are kept, and forgetting them when their time has come."""

from __future__ import annotations

import click

from mailer.cli import Shell, now, pass_shell, say
from mailer.retention import store, sweep


@click.group()
def command() -> None:
    """How long things are kept, and forgetting them."""


@command.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One object per kind.")
@pass_shell
def run(shell: Shell, dry_run: bool, as_json: bool) -> None:
    """Forget what is due now. A server does so every hour by itself."""
    for done in sweep.run(shell.database, settings=shell.settings, now=now(), dry=dry_run):
        if as_json:
            say({"key": done.key, "before": done.before.isoformat(), "forgotten": done.forgotten,
                 "more": done.more, "dry_run": dry_run})  # fmt: skip
        else:
            more = " and more" if done.more else ""
            click.echo(f"{done.key:<12} before {done.before:%Y-%m-%d}: {done.forgotten}{more}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per kind.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """Show what is kept for how long, and how much has gone so far."""
    with shell.database.read() as session:
        gone = store.forgotten(session)
        for rule in sweep.in_force(session, shell.settings):
            if as_json:
                say({"key": rule.key, "days": rule.days, "least": rule.least,
                     "forgotten": gone.get(rule.key, 0)})  # fmt: skip
            else:
                kept = "without end" if rule.days is None else f"{rule.days} days"
                click.echo(f"{rule.key:<12} {kept:>12}  {gone.get(rule.key, 0):>9} forgotten")


@command.command("set")
@click.argument("key")
@click.argument("days")
@pass_shell
def set_(shell: Shell, key: str, days: str) -> None:
    """Set how many DAYS things of a KEY are kept.

    "forever" keeps them without end.
    """
    if days != "forever" and not days.isdecimal():
        raise click.BadParameter("give a number of days, or “forever”", param_hint="DAYS")
    with shell.database.write() as session:
        sweep.set_period(
            session, key=key, days=None if days == "forever" else int(days), settings=shell.settings,
            now=now(), actor=shell.actor,
        )  # fmt: skip
    click.echo(f"{key}: {days if days == 'forever' else f'{days} days'}.")
