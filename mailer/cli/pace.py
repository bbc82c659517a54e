"""``mailer pace``: how fast letters may go to each destination."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import click
from sqlalchemy.orm import Session

from mailer.cli import Shell, now, pass_shell, say
from mailer.delivery import lanes, pace
from mailer.delivery.pace import Limit
from mailer.delivery.relay import Relay
from mailer.delivery.store import Slowdown
from mailer.settings import Settings

_LIFTED = math.inf  # what an option says to lift a limit; None: it was not given


class _Number(click.ParamType[float]):
    """A number, or ``none`` to lift a limit."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value in ("none", _LIFTED):
            return _LIFTED
        try:
            return float(value) if param and param.name == "per_second" else int(value)
        except ValueError:
            self.fail(f"“{value}” is not a number; write “none” to lift the limit.", param, ctx)


_NUMBER = _Number()


@click.group()
def command() -> None:
    """How fast letters may go to providers and domains.

    A provider (gmail, outlook, yahoo, qq, exmail, netease, alimail …) has a default that can be replaced; a
    single domain has a limit when one is set.
    """


@command.command("set")
@click.argument("destination")
@click.option("--per-second", type=_NUMBER, metavar="N", help="Letters a second, such as 20 or 0.5.")
@click.option("--per-hour", type=_NUMBER, metavar="N", help="Letters an hour.")
@click.option("--connections", type=_NUMBER, metavar="N", help="Connections at once, from all workers.")
@click.option("--letters", type=_NUMBER, metavar="N", help="Letters on one connection.")
@pass_shell
def set_(shell: Shell, /, destination: str, **numbers: float | None) -> None:
    """Limit a provider or a domain.

    What is not named stays as it is; “none” lifts a limit. Campaigns launched before keep their lanes: the
    first limit of a domain binds those launched from now on.
    """
    given: dict[str, Any] = {
        name: None if n == _LIFTED else n for name, n in numbers.items() if n is not None
    }
    if not given:
        raise click.UsageError("Say how fast: --per-second, --per-hour, --connections or --letters.")
    with shell.database.write() as session:
        before = lanes.limits(session).get(lanes.lane_named(destination), pace.NONE)
        limit = replace(before, **given)
        lane = lanes.set_limit(session, destination, limit, now=now(), actor=shell.actor)
    click.echo(f"{lane}: {_words(limit)}")


@command.command()
@click.argument("destination")
@pass_shell
def clear(shell: Shell, destination: str) -> None:
    """Take back what was set: a provider has its default again."""
    with shell.database.write() as session:
        lane = lanes.clear_limit(session, destination, now=now(), actor=shell.actor)
        limit = lanes.limits(session).get(lane, pace.NONE)
    click.echo(f"{lane}: {_words(limit)}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """Show limits, who asked us to slow down, and relays that warm up."""
    with shell.database.read() as session:
        limits, resting = list(_limits(session)), [_slowdown(row) for row in lanes.slowdowns(session)]
    relays = list(_warming(shell.settings))
    if as_json:
        say({"limits": limits, "slowdowns": resting, "relays": relays})
        return
    for limit in limits:
        _tell_limit(**limit)
    for slowdown in resting:
        _tell_slowdown(**slowdown)
    for relay in relays:
        _tell_relay(**relay)


def _limits(session: Session) -> Iterator[dict[str, Any]]:
    rows = {row.lane: row for row in lanes.set_limits(session)}
    for lane, limit in sorted(lanes.limits(session).items()):
        row = rows.get(lane)
        told = {"set_by": row.set_by, "set_at": row.set_at.isoformat()} if row else {}
        yield {"lane": lane, **asdict(limit), "set_by": None, "set_at": None, **told}


def _slowdown(row: Slowdown) -> dict[str, Any]:
    return {
        "lane": row.lane,
        "until": row.until.isoformat(timespec="seconds"),
        "resting": row.until > now(),
        "strikes": row.strikes,
        "said": row.said,
    }


def _warming(settings: Settings) -> Iterator[dict[str, Any]]:
    for relay in map(Relay.from_url, settings.relay_urls):
        if relay.warmup is not None:
            today = pace.warm_up(relay.warmup, now().date())
            yield {"relay": relay.name, "first_day": relay.warmup.isoformat(), "letters_today": today}


def _tell_limit(lane: str, set_by: str | None, set_at: str | None, **numbers: Any) -> None:
    by = f"set by {set_by}" if set_by else "default"
    click.echo(f"{lane:<20} {_words(Limit(**numbers))} ({by})")


def _tell_slowdown(lane: str, until: str, resting: bool, strikes: int, said: str) -> None:
    state = "rests until" if resting else "has rested until"
    click.echo(f"{lane:<20} {state} {until}, asked to slow down {strikes} times in a row: {said}")


def _tell_relay(relay: str, first_day: str, letters_today: int | None) -> None:
    state = "is warm" if letters_today is None else f"carries {letters_today:,} letters today"
    click.echo(f"{relay:<20} {state}, warming up since {first_day}")


_UNITS: dict[str, Callable[[Any], str]] = {
    "per_second": "{:g} a second".format,
    "per_hour": "{:,} an hour".format,
    "connections": "{} connections".format,
    "letters": "{} letters on each".format,
}


def _words(limit: Limit) -> str:
    parts = [_UNITS[name](value) for name, value in asdict(limit).items() if value is not None]
    return ", ".join(parts) or "without limit"
