"""What holds for every command: its help, its options, its exit status."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mailer.cli import cli
from tests.shell import Person


def _commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


COMMANDS = dict(_commands(cli))
LEAVES = [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does_in_a_line(path: tuple[str, ...]) -> None:
    """The list of commands is read in a terminal: a line that is cut tells nothing."""
    shown = CliRunner().invoke(cli, [*path[:-1], "--help"], terminal_width=80).output
    [line] = [line for line in shown.splitlines() if line.startswith(f"  {path[-1]} ")]
    assert line.split(maxsplit=1)[1]
    assert not line.endswith("...")


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_takes_a_data_folder_and_an_actor(path: tuple[str, ...]) -> None:
    """Scripts may write them last, where a person adds them."""
    names = {name for option in COMMANDS[path].params for name in option.opts}
    assert {"--data", "--as"} <= names


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_an_unknown_option_is_wrong_usage(path: tuple[str, ...]) -> None:
    """Exit status 2, and nothing is done."""
    done = CliRunner().invoke(cli, [*path, "--no-such-option"])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["campaign", "status", "one"],
        ["campaign", "status", "99999999999999999999"],
        ["campaign", "uncertain", "1", "--resend", "--accept"],
        ["issue", "number", "1"],
        ["issue", "export", "1"],
        ["demo", "--recipients", "0"],
        ["serve", "--port", "70000"],
        ["campaing"],
        ["campaign", "lunch", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_apart_from_failure(mailer: Person, words: list[str]) -> None:
    """Status 2 says that the words were wrong; nothing was touched."""
    said = mailer(*words)
    assert (said.status, said.out, mailer.data.exists()) == (2, "", False)
    assert "Usage:" in said.err


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_actor_is_checked_wherever_it_is_named(mailer: Person, before: bool) -> None:
    """An audit log that names nobody is worth nothing."""
    words = ["user", "add", "ann@example.org", "--role", "admin"]
    actor = ["--as", "nobody@example.org"]
    said = mailer(*actor, *words) if before else mailer(*words, *actor)
    assert "account" in said.sentence
    assert mailer("user", "list").out == ""


def test_the_data_folder_may_be_named_before_or_after(mailer: Person) -> None:
    """Both name the same folder."""
    mailer("user", "add", "ann@example.org", "--role", "admin", "--data", "other")
    assert "ann@example.org" in mailer("--data", "other", "user", "list").out
    assert not mailer.data.exists()


def test_lists_say_when_they_are_empty_and_what_to_do(mailer: Person) -> None:
    """With --json an empty list is no line at all."""
    assert "mailer issue import" in mailer("issue", "list").out
    assert "mailer campaign create" in mailer("campaign", "list").out
    assert mailer("issue", "list", "--json").out == ""


def test_a_reader_that_goes_away_is_no_fault(mailer: Person) -> None:
    """``mailer … | head`` ends without a traceback."""
    with mailer.runs("--help", out=subprocess.PIPE) as running:
        assert running.process.stdout
        running.process.stdout.close()
        running.process.wait(30)
    assert running.lines == []


def test_the_command_is_the_same_as_a_process(mailer: Person) -> None:
    """Other tests run it in their own process; here is the real one."""
    assert "no such issue" in mailer.process("issue", "export", 1, "--out", "x.md").sentence
    assert mailer.process("campaign", "status").status == 2
    assert mailer.process("db", "upgrade").status == 0
