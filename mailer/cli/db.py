"""``mailer db``: the schema of the database."""

from __future__ import annotations

import click

from mailer import migrations
from mailer.cli import Shell, pass_shell
from mailer.database import Database
from mailer.errors import MailerError


class NoHeartbeat(MailerError):
    """Nobody sweeps this database: start `mailer serve`, or in production beat and a worker."""


@click.group("db")
def command() -> None:
    """The database's schema: bring it up to date, check it."""


@command.command()
@pass_shell
def upgrade(shell: Shell) -> None:
    """Bring the database to this version's schema. Every other command does so as well."""
    migrations.check(shell.database)
    click.echo(f"The database is at revision {migrations.head()}.")


@command.command()
@pass_shell
def check(shell: Shell) -> None:
    """Check the schema and change nothing.

    Exit status 1 when the database is not at this version's schema.
    """
    _current(shell)
    click.echo(f"The database is at revision {migrations.head()}.")


@command.command()
@pass_shell
def heartbeat(shell: Shell) -> None:
    """Tell whether beat and a worker are alive.

    Exit status 0 if they have swept the database within the last 15 seconds.
    """
    from mailer.delivery import sweep  # the other commands need no stage

    with _current(shell).read() as session:
        if not sweep.running(session):
            raise NoHeartbeat


def _current(shell: Shell) -> Database:
    """Return the database as it is; ``shell.database`` would upgrade it.

    :raises OlderSchema: it is not at this version's schema, or not there at all
    """
    if not shell.settings.database_url and not (shell.settings.data / "mailer.db").exists():
        raise migrations.OlderSchema  # opening it would make the file
    database = Database(shell.settings.database)
    migrations.check(database)
    return database
