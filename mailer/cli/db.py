"""``mailer db``: the schema of the database."""

from __future__ import annotations

import click

from mailer import migrations
from mailer.cli import Shell, pass_shell
from mailer.database import Database


@click.group("db")
def command() -> None:
    """Bring the database to this version's schema, or check that it is there."""


@command.command()
@pass_shell
def upgrade(shell: Shell) -> None:
    """Bring the database to this version's schema. Every other command does so as well."""
    migrations.check(shell.database)
    click.echo(f"The database is at revision {migrations.head()}.")


@command.command()
@pass_shell
def check(shell: Shell) -> None:
    """Say whether the database is at this version's schema; change nothing. Exit status 1 when it is not."""
    migrations.check(Database(shell.settings.database))
    click.echo(f"The database is at revision {migrations.head()}.")
