"""The command line: parse, one verb, render. One module per noun (``mailer issue …`` is ``cli/issue.py``).

Errors go to standard error as one sentence, exit status 1; wrong usage exits with 2. ``--json`` prints
one object on standard output and nothing else; progress goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mailer import __version__, migrations, settings
from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.errors import MailerError


class Shell:
    """What every command starts from: settings, the database at its current schema, and who acts."""

    def __init__(self, data: Path | None = None, actor: str | None = None) -> None:
        self.settings = settings.load(data=data)
        self._actor = actor
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """The database, brought to the current schema on first use."""
        if self._database is None:
            self._database = Database(self.settings.database)
            migrations.upgrade(self._database)
        return self._database

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit log: the account named by ``--as``, else the shell."""
        if self._actor is None:
            return Actor(None, "shell")
        with self.database.read() as session:
            return Actor.named(session, self._actor)


pass_shell = click.make_pass_decorator(Shell)


def now() -> datetime:
    """Return the instant the command acts at: the command line is where the clock is read."""
    return datetime.now(UTC)


def say(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


class _Commands(click.Group):
    """Finds a noun's module when it is asked for: starting stays fast."""

    nouns = (
        "bench", "campaign", "db", "demo", "doctor", "feedback", "issue", "partner", "publication",
        "segment", "serve", "subscribers", "user",
    )  # fmt: skip

    def list_commands(self, ctx: click.Context) -> list[str]:
        here = Path(__file__).parent
        return [noun for noun in self.nouns if (here / f"{noun}.py").exists()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module = __import__(f"mailer.cli.{name}", fromlist=["command"])
        found: click.Command = module.command
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailer")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data folder (MAILER_DATA).")
@click.option(
    "--as", "actor", metavar="EMAIL", default=None, help="The account that acts, for the audit log."
)
@click.pass_context
def cli(ctx: click.Context, data: Path | None, actor: str | None) -> None:
    """mailer: a coalition's newsletter, from the written issue to the report of what arrived."""
    ctx.obj = Shell(data, actor)


def main() -> None:
    """Run the command line; a person's error is one sentence and status 1."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MailerError as error:
        click.echo(f"mailer: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
