"""``mailer demo``: the main job on the sample issue, end to end, then the web app."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from mailer import demo
from mailer import settings as settings_module
from mailer.cli import Shell, pass_shell, say
from mailer.cli.serve import running
from mailer.server import Server, free_port
from mailer.settings import Settings


@click.command()
@click.option(
    "--issue", "issue_file", type=click.Path(path_type=Path), default=None, help="Another issue (.md, .txt)."
)
@click.option("--smtp", default=None, metavar="URL", help="Send to another SMTP server on this machine.")
@click.option("--no-serve", is_flag=True, help="End after the summary.")
@click.option("--recipients", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@pass_shell
def command(
    shell: Shell,
    issue_file: Path | None,
    smtp: str | None,
    no_serve: bool,
    recipients: int,
    as_json: bool,
) -> None:
    """Show the whole job on a sample issue, then serve it.

    Imports the issue, invents partners and readers, approves and launches a campaign, sends every letter
    over SMTP to a listener on this machine, hears what comes back, and reports. Nothing leaves the machine.
    Without --data everything goes into a new folder; with MAILER_DATABASE_URL into that database, which must
    be empty.
    """
    issue = demo.sources(issue_file)
    with _folder(shell.data) as data:
        settings = _settings(shell.settings, data, smtp)
        demo.check(settings)
        readers, manners = demo.manners(recipients)
        started = time.monotonic()
        with running(Server(settings, manners)) as server:
            with _Bars() as bars:
                told = demo.Told(server.settings, server.database, server.outbox, readers, bars)
                issue_id, campaign_id = demo.prepare(told, issue)
                demo.send(told, campaign_id)
                demo.hear_back(told, campaign_id)
            figures = demo.summary(told, issue_id, campaign_id, started)
            say(figures) if as_json else _show(figures)
            if not no_serve:
                _invite(demo.login_links(told), as_json)
                server.wait()
    if not settings.database_url:
        click.echo(f"It is kept in {data}: see it again with `mailer serve --data {data}`.", err=True)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Give the folder named, or a new one that goes away with whatever error ends the demonstration."""
    data = given or Path(tempfile.mkdtemp(prefix="mailer-demo-"))
    try:
        yield data
    except BaseException:
        if given is None:
            shutil.rmtree(data, ignore_errors=True)
        raise


def _settings(given: Settings, data: Path, smtp: str | None) -> Settings:
    """Settings of an embedded installation in a folder of its own, with ports that are free."""
    return settings_module.load(
        data=data,
        port=free_port(given.host, given.port),
        listener_port=free_port(given.listener_host, given.listener_port),
        smtp_url=smtp or "",
        redis_url="",
        base_url="",
    )


class _Bars:
    """Progress bars on standard error, one a step."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(file=sys.stderr),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        self._progress.start()
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)


def _show(figures: dict[str, Any]) -> None:
    for language, edition in figures["editions"].items():
        click.echo(
            f"Edition {language}: {edition['html_bytes']:,} bytes of HTML (Gmail cuts at 102,400),"
            f" {edition['text_bytes']:,} of text, {edition['links']} links."
        )
    excluded, withdrawn = figures["exclusions"], figures["withdrawn"]
    received = figures["listener_received"]
    counted = "" if received is None else f" (the listener itself counted {received:,})"
    for count, words in (
        (figures["candidates"], "people in the audience"),
        (sum(excluded.values()), f"of them get no letter{_parts(excluded)}"),
        (figures["deliveries"], "letters in the ledger, of which"),
        (figures["accepted"], f"  accepted by the mail server{counted}"),
        (figures["deferred"], "  put off by it: they will be tried again"),
        (figures["rejected"], "  refused by it for good"),
        (figures["uncertain"], "  of unknown fate"),
        (sum(withdrawn.values()), f"  taken out before sending{_parts(withdrawn)}"),
        (figures["bounced"], f"accepted letters came back{_parts(figures['bounced_by'])}"),
        (figures["complaints"], "reported as spam"),
        (figures["left"], "readers left with one click"),
        (figures["opened"], "opened their letter, as far as can be told"),
        (figures["clicked"], "followed a link"),
        (figures["suppressed"], "addresses silenced by what was heard"),
    ):
        click.echo(f"{count:>9,}  {words}")
    click.echo(f"{figures['per_second']:,} letters a second; {figures['seconds']} seconds in all.")


def _parts(counts: dict[str, int]) -> str:
    return ": " + ", ".join(f"{count} {reason}" for reason, count in counts.items()) if counts else ""


def _invite(links: dict[str, str], as_json: bool) -> None:
    click.echo(
        "\nEvery letter is on the Outbox page, the figures and the rows behind them in the report.", err=True
    )
    click.echo("Sign in (each link works once, for an hour):", err=as_json)
    for who, link in links.items():
        click.echo(f"  {who}: {link}", err=as_json)
    click.echo("Stop with Ctrl-C.", err=True)
