"""``mailer serve``: the web app, and with it everything an embedded installation needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from mailer import settings as settings_module
from mailer.cli import Shell, log_to_terminal, pass_shell
from mailer.server import Server


@click.command()
@click.option("--host", default=None, help="Address to listen on (MAILER_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on (MAILER_PORT).")
@pass_shell
def command(shell: Shell, host: str | None, port: int | None) -> None:
    """Serve the web app; embedded, also send and listen. Stop with Ctrl-C."""
    log_to_terminal()
    with running(Server(settings_module.load(data=shell.data, host=host, port=port))) as server:
        click.echo(f"mailer is served at {server.url}", err=True)
        if server.settings.embedded and not server.settings.smtp_url:
            click.echo("Letters do not leave this machine: see them on the Outbox page.", err=True)
        server.wait()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server; SIGTERM ends it in order, like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
