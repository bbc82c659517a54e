"""``mailer feedback``: what came back, from files, a pipe or the wire."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mailer import queue
from mailer.cli import Shell, log_to_terminal, now, pass_shell, say
from mailer.diagnosis import diagnose_reply
from mailer.errors import MailerError
from mailer.feedback import attribution, policy, record
from mailer.feedback.listener import Listener
from mailer.feedback.message import addresses_to, classify

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
_files = click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR…")


class Unreadable(MailerError):
    """A file cannot be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be read ({error.strerror}): name a mail file or a folder of them.")


@click.group()
def command() -> None:
    """What came back: read it, judge it, put it against its letter."""


@command.command(name="classify")
@_files
@_json
def classify_(paths: tuple[str, ...], as_json: bool) -> None:
    """Say what each mail is and whom it speaks of.

    Stores nothing, needs no database.
    """
    for name, raw in _mails(paths):
        returned = classify(raw)
        _show(
            {
                "file": name,
                "kind": returned.kind,
                "recipients": [
                    {
                        "address": recipient.address,
                        "category": recipient.category,
                        "status": recipient.status,
                        "permanent": recipient.permanent,
                        "dead": recipient.dead,
                        "diagnostic": recipient.diagnostic,
                        "remote_mta": recipient.remote_mta,
                    }
                    for recipient in returned.recipients
                ],
                "token": attribution.token_in(addresses_to(raw)),
            },
            as_json,
        )


@command.command()
@_json
def diagnose(as_json: bool) -> None:
    """Judge SMTP replies.

    They are read from standard input, one a line: provider-mx TAB reply.
    """
    for line in sys.stdin.buffer:
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        provider_mx, tab, reply = text.partition("\t")
        found = diagnose_reply(reply if tab else text, provider_mx if tab else None)
        _show(
            {
                "category": found.category,
                "status": found.status,
                "permanent": found.permanent,
                "dead": found.dead,
                "provider": found.provider,
            },
            as_json,
        )


@command.command()
@_files
@click.option("--to", "envelope_to", default="", metavar="RETURN_PATH", help="The address they came to.")
@_json
@pass_shell
def ingest(shell: Shell, paths: tuple[str, ...], envelope_to: str, as_json: bool) -> None:
    """Store mails, match them to letters, apply them.

    FILE - reads one from a pipe.
    """
    keys = shell.settings.keys
    for name, raw in _mails(paths):
        with shell.database.write() as session:
            heard = record.hear(session, raw=raw, envelope_to=envelope_to, now=now(), keys=keys)
            policy.apply_pending(session, now=now())
        campaign, n = heard.delivery or (None, None)
        facts = {"file": name, "kind": heard.kind, "campaign": campaign, "n": n}
        _show({**facts, "events": len(heard.events), "known": heard.mail_id is None}, as_json)


@command.command()
@pass_shell
def listen(shell: Shell) -> None:
    """Hear what comes back over SMTP, until told to stop.

    Takes mail to return paths and leave addresses, and refuses all else.
    """
    log_to_terminal()
    queue.connect(shell.settings)
    listener = Listener(shell.settings, shell.database, outbox=None)
    host = shell.settings.listener_host
    listener.serve_forever(lambda port: click.echo(f"Listening on {host}:{port}.", err=True))


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(facts)
    else:
        click.echo("  ".join(_plain(value) for value in facts.values()))


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one['address']}: {one['category']} {one['status']}".strip() for one in value)
    return "-" if value is None else str(value) if isinstance(value, str) else json.dumps(value)


def _mails(paths: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield each mail with its name, relative to the folder that was given; folders are walked in order.

    :raises Unreadable: a path is no file, or may not be read
    """
    for given in paths:
        if given == "-":
            yield "-", sys.stdin.buffer.read()
            continue
        root = Path(given)
        files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
        for path in files:
            name = path.relative_to(root).as_posix() if path != root else path.name
            try:
                yield name, path.read_bytes()
            except OSError as error:
                raise Unreadable(path, error) from error
