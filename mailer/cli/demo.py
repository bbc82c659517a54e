"""``mailer demo``: the main job on the sample issue, end to end, then the web app."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from mailer import demo
from mailer import settings as settings_module
from mailer.cli import Shell, pass_shell, say
from mailer.cli.serve import interrupt
from mailer.server import Server, free_port
from mailer.settings import Settings


@click.command()
@click.option("--issue", "issue_file", type=click.Path(path_type=Path), default=None, help="Another issue.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="An empty data folder.")
@click.option("--smtp", default=None, metavar="URL", help="Send to another SMTP server on this machine.")
@click.option("--no-serve", is_flag=True, help="End after the summary.")
@click.option("--recipients", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@pass_shell
def command(
    shell: Shell,
    issue_file: Path | None,
    data: Path | None,
    smtp: str | None,
    no_serve: bool,
    recipients: int,
    as_json: bool,
) -> None:
    """Show the main job on a sample issue: import, approve, send, hear back, report; then serve."""
    if smtp:
        demo.check_relay(smtp)
    settings = _settings(shell.settings, data, smtp)
    readers, manners = demo.manners(recipients)
    server = Server(settings, manners)
    signal.signal(signal.SIGTERM, interrupt)
    started = time.monotonic()
    server.start()
    try:
        with _Bars() as bars:
            told = demo.Told(server.settings, server.database, server.outbox, readers, bars)
            issue_id, campaign_id = demo.prepare(told, issue_file)
            demo.send(told, campaign_id)
            demo.hear_back(told, campaign_id)
        figures = demo.summary(told, issue_id, campaign_id, started)
        if as_json:
            say(figures)
        else:
            _show(figures)
        if not no_serve:
            click.echo(f"\nSign in here (works once, for an hour): {demo.login_link(told)}", err=as_json)
            click.echo("Stop with Ctrl-C.", err=True)
            server.wait()
    finally:
        server.stop()


def _settings(given: Settings, data: Path | None, smtp: str | None) -> Settings:
    """Settings of an embedded installation in a folder of its own, with ports that are free."""
    folder = data or Path(tempfile.mkdtemp(prefix="mailer-demo-"))
    return settings_module.load(
        data=folder,
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
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)


_LINES = (
    ("candidates", "people the audience means"),
    ("exclusions", "of them without a letter"),
    ("deliveries", "letters in the ledger"),
    ("accepted", "accepted by a relay"),
    ("deferred", "will be tried again"),
    ("rejected", "refused for good"),
    ("uncertain", "fate unknown"),
    ("withdrawn", "taken out before sending"),
    ("listener_received", "counted by the listener itself"),
    ("bounced", "accepted, but came back"),
    ("complaints", "reported as spam"),
    ("left", "left with one click"),
    ("opened", "opened, as far as can be told"),
    ("clicked", "followed a link"),
    ("suppressed", "addresses silenced by this campaign"),
)


def _show(figures: dict[str, Any]) -> None:
    for language, edition in figures["editions"].items():
        click.echo(
            f"Edition {language}: {edition['html_bytes']:,} bytes of HTML (Gmail cuts at 102,400),"
            f" {edition['text_bytes']:,} of text, {edition['links']} links."
        )
    for name, words in _LINES:
        value = figures[name]
        if isinstance(value, dict):
            value = ", ".join(f"{count} {reason}" for reason, count in value.items()) or 0
        if value is not None:
            click.echo(f"{words:<40} {value}")
    click.echo(f"{'letters a second':<40} {figures['per_second']}")
