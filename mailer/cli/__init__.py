"""The command line: parse, one verb, render. One module per noun (``mailer issue …`` is ``cli/issue.py``).

Errors go to standard error as one sentence, exit status 1; wrong usage exits with 2. ``--json`` prints
one object on standard output and nothing else; progress goes to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from mailer import __version__, migrations, settings
from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.errors import MailerError
from mailer.settings import Settings


@dataclass
class Shell:
    """What every command starts from: settings, the database at its current schema, and who acts.

    ``data`` and ``email`` are what ``--data`` and ``--as`` said; None: nothing was said.
    """

    data: Path | None = None
    email: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        return settings.load(data=self.data)

    @cached_property
    def database(self) -> Database:
        """The database, brought to the current schema on first use."""
        database = Database(self.settings.database)
        migrations.upgrade(database)
        return database

    def close(self) -> None:
        """Give back the database's connections."""
        if "database" in self.__dict__:
            self.database.close()

    @cached_property
    def actor(self) -> Actor:
        """Who acts, for the audit log: the account named by ``--as``, else the shell."""
        if self.email is None:
            return Actor(None, "shell")
        with self.database.read() as session:
            return Actor.named(session, self.email)


pass_shell = click.make_pass_decorator(Shell, ensure=True)
Id = click.IntRange(1, 2**63 - 1)  # what a row's number can be on both databases


def said(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that keeps an option's value in the shell, wherever on the line it stands."""

    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Shell), name, value)

    return keep


def _everywhere() -> list[click.Option]:
    """Return the options that every command takes, before its name or after it."""
    return [
        click.Option(
            ["--data"],
            type=click.Path(path_type=Path, file_okay=False),
            callback=said("data"),
            expose_value=False,
            help="Data folder (MAILER_DATA).",
        ),
        click.Option(
            ["--as"],
            metavar="EMAIL",
            callback=said("email"),
            expose_value=False,
            help="The account that acts, for the audit log.",
        ),
    ]


def _equip(command: click.Command) -> click.Command:
    """Give a command, or each below it, the options that are taken everywhere."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _equip(below)
    elif not any("--data" in option.opts for option in command.params):
        command.params += _everywhere()
    return command


def log_to_terminal() -> None:
    """Show what happens on standard error: for commands that run until they are stopped."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True)


def now() -> datetime:
    """Return the instant the command acts at: the command line is where the clock is read."""
    return datetime.now(UTC)


def say(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


class _Commands(click.Group):
    """Finds a noun's module when it is asked for: starting stays fast."""

    nouns = (
        "bench", "campaign", "db", "demo", "dkim", "doctor", "feedback", "issue", "mailbox", "pace",
        "partner", "policy", "publication", "retention", "segment", "serve", "subscribers", "suppressions",
        "user", "webhook",
    )  # fmt: skip

    def list_commands(self, ctx: click.Context) -> list[str]:
        here = Path(__file__).parent
        return [noun for noun in self.nouns if (here / f"{noun}.py").exists()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module = __import__(f"mailer.cli.{name}", fromlist=["command"])
        return _equip(module.command)


@click.group(cls=_Commands, params=_everywhere(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailer")
@click.pass_context
def cli(context: click.Context) -> None:
    """mailer: a coalition's newsletter, from the written issue to the report of what arrived."""
    context.call_on_close(context.ensure_object(Shell).close)


def main() -> None:
    """Run the command line; a person's error is one sentence and status 1."""
    logging.getLogger().addHandler(logging.NullHandler())  # `log_to_terminal` for those that run on
    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(_sorry("stopped."))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MailerError as error:
        sys.exit(_sorry(str(error)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at its end
        sys.exit(1)
    except OSError as error:
        sys.exit(_sorry(_about_file(error)))
    sys.exit(status)  # None: all is well; a command's own status comes back as a number


def _sorry(sentence: str) -> int:
    click.echo(f"mailer: {sentence}", err=True)
    return 1


def _about_file(error: OSError) -> str:
    where = f"“{error.filename}”" if error.filename else "A file or a connection"
    return f"{where} cannot be used ({error.strerror or error}): see to it, `mailer doctor` helps."
