"""``mailer serve``: the web app, and with it everything an embedded installation needs."""

from __future__ import annotations

import signal
from types import FrameType

import click

from mailer import settings as settings_module
from mailer.cli import Shell, pass_shell
from mailer.server import Server


@click.command()
@click.option("--host", default=None, help="Address to listen on (MAILER_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on (MAILER_PORT).")
@pass_shell
def command(shell: Shell, host: str | None, port: int | None) -> None:
    """Serve the web app; embedded, also send and listen. Stop with Ctrl-C."""
    chosen = settings_module.load(data=shell.data, host=host, port=port)
    server = Server(chosen)
    signal.signal(signal.SIGTERM, interrupt)
    server.start()
    chosen = server.settings  # a port given as 0 is known now
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
