"""``mailer segment``: audiences saved under a name."""

from __future__ import annotations

from typing import Any

import click

from mailer import address as addresses
from mailer.audience import segments, store
from mailer.audience.rules import Fact, Judgement, Occasion
from mailer.audience.store import Segment
from mailer.cli import Shell, choose, now, pass_shell, say
from mailer.delivery import behaviour as behaviour  # rules may speak of opens and clicks
from mailer.errors import NotFound

_SHOWN = 3  # facts of one comparison in a line


class NobodyThere(NotFound):
    """Nobody has that address: look it up with `mailer subscribers export`."""


@click.group()
def command() -> None:
    """Audiences: rules saved under a name.

    For example `partner.kind = ministry and opened in last 90 days`.
    """


@command.command()
@click.argument("name")
@click.argument("rule")
@click.option("--description", default=None, help="What it is for. Default: as it was.")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def save(shell: Shell, name: str, rule: str, description: str | None, as_json: bool) -> None:
    """Keep RULE under NAME; one kept there before is replaced."""
    with shell.database.write() as session:
        segment = segments.save(
            session, name=name, rule=rule, description=description, now=now(), actor=shell.actor
        )
    if as_json:
        say(_row(segment))
    else:
        click.echo(f"Segment “{segment.name}”: {segment.rule}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List saved segments."""
    with shell.database.read() as session:
        for segment in segments.listing(session):
            if as_json:
                say(_row(segment))
            else:
                click.echo(f"{segment.name}: {segment.rule}")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def show(shell: Shell, name: str, as_json: bool) -> None:
    """Show a segment: its rule and what it is for."""
    with shell.database.read() as session:
        segment = segments.get(session, name)
    if as_json:
        say(_row(segment))
    else:
        click.echo("\n".join(filter(None, (segment.name, segment.description, segment.rule))))


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
@click.argument("segment", metavar="NAME|RULE")
@click.argument("address")
@click.option("--publication", metavar="CODE", default=None, help="Default: the first one.")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def why(shell: Shell, segment: str, address: str, publication: str | None, as_json: bool) -> None:
    """Say why the person of ADDRESS is in an audience, or not."""
    with shell.database.read() as session:
        found = choose.publication(session, publication)
        person = store.subscriber_by_key(session, addresses.key_of(address))
        if person is None:
            raise NobodyThere
        rule = segments.resolve(session, segment)
        judged = segments.why(session, rule, person.id, now=now(), publication_id=found.id)
    if as_json:
        say({"publication": found.code, **_judged(judged)})
    else:
        _tell(judged, 0)


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def remove(shell: Shell, name: str, as_json: bool) -> None:
    """Forget a segment; campaigns keep the rule they have."""
    with shell.database.write() as session:
        segment = segments.get(session, name)
        segments.remove(session, segment_id=segment.id, now=now(), actor=shell.actor)
    if as_json:
        say({"removed": segment.name})
    else:
        click.echo(f"Segment “{segment.name}” is gone.")


def _row(segment: Segment) -> dict[str, str]:
    return {"name": segment.name, "rule": segment.rule, "description": segment.description}


def _judged(judged: Judgement) -> dict[str, Any]:
    return {
        "rule": str(judged.rule),
        "in": judged.holds,
        "facts": [_fact(fact) for fact in judged.facts],
        "parts": [_judged(part) for part in judged.parts],
    }


def _fact(fact: Fact) -> Any:
    if isinstance(fact, Occasion):
        return {"campaign": fact.campaign, "at": fact.at.isoformat() if fact.at else None}
    return fact if isinstance(fact, (str, bool, int)) else fact.isoformat()


def _tell(judged: Judgement, deep: int) -> None:
    """Print a judgement and, further in, its parts."""
    facts = [_in_words(fact) for fact in judged.facts]
    more = ", …" if len(facts) > _SHOWN else ""
    seen = "" if judged.parts else f"  [{', '.join(facts[:_SHOWN])}{more}]"
    click.echo(f"{'  ' * deep}{'✓' if judged.holds else '✗'} {judged.rule}{seen}")
    for part in judged.parts:
        _tell(part, deep + 1)


def _in_words(fact: Fact) -> str:
    if isinstance(fact, Occasion):
        return f"campaign {fact.campaign}" + (f" at {fact.at:%Y-%m-%d %H:%M} UTC" if fact.at else "")
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return str(fact)
