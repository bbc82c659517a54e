"""``mailer serve``: the web app, and with it everything an embedded installation needs."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from mailer import settings as settings_module
from mailer.cli import Shell, pass_shell
from mailer.server import Server


@click.command()
@click.option("--host", default=None, help="Address to listen on (MAILER_HOST).")
@click.option("--port", type=int, default=None, help="Port to listen on (MAILER_PORT).")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data folder (MAILER_DATA).")
@pass_shell
def command(shell: Shell, host: str | None, port: int | None, data: Path | None) -> None:
    """Serve the web app; embedded, also send and listen. Stop with Ctrl-C."""
    chosen = settings_module.load(data=data or shell.settings.data, host=host, port=port)
    server = Server(chosen)
    signal.signal(signal.SIGTERM, interrupt)
    server.start()
    click.echo(f"mailer is served at {server.url}", err=True)
    if chosen.embedded and not chosen.smtp_url:
        click.echo("Letters do not leave this machine: see them on the Outbox page.", err=True)
    try:
        server.wait()
    finally:
        server.stop()


def interrupt(number: int, frame: FrameType | None) -> None:
    """Make SIGTERM end like Ctrl-C, in order."""
    raise KeyboardInterrupt
