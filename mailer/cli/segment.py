"""``mailer segment``: audiences saved under a name."""

from __future__ import annotations

import click

from mailer.audience import segments
from mailer.cli import Shell, choose, now, pass_shell, say


@click.group()
def command() -> None:
    """Audiences: rules saved under a name.

    For example `partner.kind = ministry and language = zh`.
    """


@command.command()
@click.argument("name")
@click.argument("rule")
@pass_shell
def save(shell: Shell, name: str, rule: str) -> None:
    """Keep RULE under NAME; one kept there before is replaced."""
    with shell.database.write() as session:
        segment = segments.save(session, name=name, rule=rule, now=now(), actor=shell.actor)
    click.echo(f"Segment “{segment.name}”: {segment.rule}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List saved segments."""
    with shell.database.read() as session:
        for segment in segments.listing(session):
            if as_json:
                say({"name": segment.name, "rule": segment.rule})
            else:
                click.echo(f"{segment.name}: {segment.rule}")


@command.command()
@click.argument("segment", metavar="NAME|RULE")
@click.option("--publication", metavar="CODE", default=None, help="Default: the first one.")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def count(shell: Shell, segment: str, publication: str | None, as_json: bool) -> None:
    """Count the people of an audience who would get a letter now."""
    with shell.database.read() as session:
        found = choose.publication(session, publication)
        rule = segments.resolve(session, segment)
        people = segments.count(session, rule, found.id, now())
    if as_json:
        say({"rule": str(rule), "publication": found.code, "people": people})
    else:
        click.echo(f"{people} people: {rule}")


@command.command()
@click.argument("name")
@pass_shell
def remove(shell: Shell, name: str) -> None:
    """Forget a segment; campaigns keep the rule they have."""
    with shell.database.write() as session:
        segments.remove(session, name=name, now=now(), actor=shell.actor)
    click.echo(f"Segment “{name}” is gone.")
