"""``mailer bench``: how fast letters are made and sent, on a throw-away ground."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mailer.bench import classify as reading
from mailer.bench import compile as compiling
from mailer.bench import faults as breaking
from mailer.bench import imports as importing
from mailer.bench import lists as listing
from mailer.bench import send as sending
from mailer.bench.issue import LANGUAGE
from mailer.cli import Shell, pass_shell, say

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Measure mailer on a throw-away ground.

    It is a schema, a database of the broker and a folder of their own, gone afterwards.
    """


@command.command("send")
@click.option("--recipients", type=click.IntRange(1, 10_000_000), default=20_000, show_default=True)
@click.option(
    "--wire-kb", type=click.IntRange(20, 200), default=60, show_default=True, help="A letter's size."
)
@click.option("--connections", type=click.IntRange(1, 1000), default=20, show_default=True, help="In all.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option("--relay", default="", metavar="HOST:PORT", help="Where letters go; else to a sink of its own.")
@click.option("--script", type=click.Choice(sorted(LANGUAGE)), default="latin", show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--against",
    type=click.Choice(sending.BASELINES),
    multiple=True,
    help="Compare in turns; may be repeated.",
)
@click.option("--dkim", type=click.Choice(sorted(sending.DKIM)), help="Sign every letter.")
@click.option("--delay-ms", type=click.IntRange(0, 10_000), default=0, help="The own sink answers so late.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@pass_shell
def send(shell: Shell, /, as_json: bool, delay_ms: int, **wishes: Any) -> None:
    """Send campaigns through real workers; how fast?"""
    _check_address(wishes["relay"])
    plan = sending.Plan(**wishes, delay=delay_ms / 1000)
    with _stopped_in_order():
        figures = sending.run(shell.settings, plan, _tell)
    say(figures) if as_json else _show(figures)


@command.command("compile")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@pass_shell
def compile_(shell: Shell, as_json: bool) -> None:
    """Assemble letters; how long does one take?

    They have 64 KB of HTML, in both scripts; what is told is processor time.
    """
    with _stopped_in_order():
        figures = compiling.run(shell.settings)
    if as_json:
        say(figures)
        return
    for script, told in figures.items():
        click.echo(
            f"{script:<8} {told['letter_us']:,} µs to fill the slots, {told['composed_us']:,} µs with tokens"
            f" ({told['html_bytes']:,} bytes of HTML, {told['text_bytes']:,} of text, {told['slots']} slots)"
        )


@command.command("faults")
@click.option("--letters", type=click.IntRange(100, 10_000_000), default=100_000, show_default=True)
@click.option("--only", metavar="NAME", multiple=True, help="One scenario; may be repeated. Else all.")
@click.option(
    "--database", type=click.Choice([*breaking.DATABASES, "both"]), default="both", show_default=True
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each scenario, one per line.")
def faults(letters: int, only: tuple[str, ...], database: str, seed: int, as_json: bool) -> None:
    """Break things while letters are sent.

    Exit status 1 when one is lost or sent twice.

    Workers, beat, Redis and PostgreSQL are killed, stopped, restarted and filled up, and a relay of its own
    breaks its word at every step. Everything that is broken is the bench's own.
    """
    databases = breaking.DATABASES if database == "both" else (database,)
    scenarios, failed = breaking.choose(only), []
    with _stopped_in_order():
        for result in breaking.run(letters, scenarios, databases=databases, seed=seed, say=_tell):
            say(result) if as_json else click.echo(breaking.line(result))
            failed += [result["name"]] if result["broken"] else []
    if failed:
        raise breaking.PromiseBroken("Promises are broken under {faults}.", faults=", ".join(failed))


@command.command("classify")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--labels", required=True, type=_FILE, metavar="FILE", help="What each mail is, tab-separated.")
@click.option("--replies", type=_FILE, metavar="FILE", help="Judge SMTP replies too.")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=7, show_default=True, help="Readings of each mail."
)
@click.option(
    "--copies",
    type=click.IntRange(0, 1_000_000),
    default=5_000,
    show_default=True,
    help="Damaged at random and read.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the damage.")
@click.option("--wrong", is_flag=True, help="List what was judged otherwise than its label.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def classify(wrong: bool, as_json: bool, **wishes: Any) -> None:
    """Read labelled returned mail; how well, how fast?

    Times are told beside flufl.bounce's on the same mails. Stores nothing, needs no database.
    """
    with _stopped_in_order():
        figures = reading.run(reading.Plan(**wishes))
    say(figures) if as_json else _show_reading(figures, wrong)


@command.command("import")
@click.option("--rows", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True)
@click.option("--partner", is_flag=True, help="The people are a partner's, and get memberships.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the names.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@pass_shell
def import_(shell: Shell, /, as_json: bool, **wishes: Any) -> None:
    """Import a file of people; how fast, in how much memory?

    Told beside a bare COPY of the same file (executemany on SQLite) into a table with the same indexes.
    """
    with _stopped_in_order():
        figures = importing.run(shell.settings, importing.Plan(**wishes))
    if as_json:
        say(figures)
        return
    click.echo(
        f"{figures['rows']:,} rows in {figures['seconds']:,} s ({figures['rows_per_second']:,} a second),"
        f" {figures['ratio']:.2f} times a bare write ({figures['bare_seconds']:,} s),"
        f" {figures['peak_rss_mb']:,.0f} MiB"
    )


@command.command("lists")
@click.option("--rows", type=click.IntRange(1_000, 10_000_000), default=100_000, show_default=True)
@click.option(
    "--letters", type=click.IntRange(0, 50), default=3, show_default=True, help="Campaigns sent before."
)
@click.option(
    "--times", type=click.IntRange(1, 1_000), default=60, show_default=True, help="Of each question."
)
@click.option("--only", default="", metavar="TEXT", help="Questions whose name holds it.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@pass_shell
def lists(shell: Shell, /, as_json: bool, **wishes: Any) -> None:
    """Look for people among many; how long does a page take?

    Lists, filters, searches, segments and partners' desks of a crowd with past letters, each many times,
    through the application. Told are the median and the 95th percentile in milliseconds.
    """
    with _stopped_in_order():
        figures = listing.run(shell.settings, listing.Plan(**wishes), _tell)
    if as_json:
        say(figures)
        return
    for each in figures["questions"]:
        told = f"{each['p50_ms']:>9,.1f} {each['p95_ms']:>9,.1f} ms"
        click.echo(f"{each['name']:<55} {told}  {_reached(each)}")


def _show_reading(figures: dict[str, Any], wrong: bool) -> None:
    for line in figures["bars"]:
        share = "-" if line["share"] is None else f"{line['share']:.2%}"
        counted = f"{line['count']:,} of {line['of']:,}"
        click.echo(f"{line['name']:<32} {counted:>12} {share:>8}  {line['bar']:<12} {_reached(line)}")
        for one in line["wrong"] if wrong else ():
            click.echo(f"    {json.dumps(one, ensure_ascii=False)}")
    times, any_input = figures["times"], figures["any_input"]
    click.echo(f"{'time of a mail':<32} {_us(times['mailer'])}")
    if times["mean_ratio"] is None:
        click.echo(f"{'against flufl.bounce':<32} not installed")
    else:
        ratios = f"mean {times['mean_ratio']:.2f} times, p99 {times['p99_ratio']:.2f} times"
        click.echo(
            f"{'against flufl.bounce':<32} {ratios} its {_us(times['flufl.bounce'])} {_reached(times)}"
        )
    costs = f"{any_input['slowest_seconds']:.2f} s, {any_input['peak_mb']:,.0f} MiB"
    click.echo(f"{'any input':<32} {len(any_input['faults'])} faults, at most {costs} {_reached(any_input)}")


def _us(times: dict[str, float]) -> str:
    return f"{times['mean_us']:,} µs mean, {times['p99_us']:,} µs p99, {times['worst_us']:,} µs worst"


def _reached(line: dict[str, Any]) -> str:
    return {None: "", True: "reached", False: "NOT REACHED"}[line["reached"]]


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address and not (host and port.isdigit()):
        raise click.BadParameter("write HOST:PORT, such as 127.0.0.1:2525", param_hint="--relay")


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """SIGTERM ends a bench like Ctrl-C: nothing of it stays behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(figures: dict[str, Any]) -> None:
    share = ", ".join(f"{name} {part:.0%}" for name, part in figures["share"].items())
    taken = figures["sink_received"]
    counted = "" if taken is None else f"; the sink counted {taken:,}"
    cpu = ", ".join(f"{name} {took:,} µs" for name, took in figures["cpu_us"].items() if took is not None)
    for name, told in (
        ("letters", f"{figures['letters']:,} of {figures['wire_bytes']:,} bytes{counted}"),
        ("letters a second", f"{figures['per_second']:,}"),
        ("processor time", f"{figures['cpu_us_per_letter']:,} µs a letter ({cpu})"),
        ("peak memory", f"{figures['peak_rss_mb']:,} MiB, the largest worker process"),
        ("workers' time", share),
        ("launch", f"{figures['launch_seconds']:,} s"),
        *((f"against {name}", _compared(told)) for name, told in figures["against"].items()),
    ):
        click.echo(f"{name:<20} {told}")


def _compared(told: dict[str, Any]) -> str:
    if told["ratio"] is None:
        return str(told["missing"])
    return f"{told['ratio']:.2f} times its {told['per_second']:,} letters a second"
