"""``mailer feedback``: what came back, from files, a pipe or the wire."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mailer import queue
from mailer.cli import Id, Shell, log_to_terminal, now, pass_shell, say
from mailer.database import Unreachable
from mailer.diagnosis import diagnose_reply
from mailer.errors import MailerError, NotFound
from mailer.feedback import answered, attribution, folders, policy, record, store
from mailer.feedback import answers as readers_answers
from mailer.feedback.boxes.watch import Watcher
from mailer.feedback.listener import SIZE_LIMIT, Listener
from mailer.feedback.message import take_in
from mailer.sentence import Sentence

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a mail server keeps the mail and comes again
_files = click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR…")


class Unreadable(MailerError):
    """A file cannot be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be read ({error.strerror}): name a mail file or a folder of them.")


class NoMail(NotFound):
    """There is no such mail, or it is no longer kept: `mailer feedback answers` shows ids."""


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
        mail = take_in(raw)
        _show(
            {
                "file": name,
                "kind": mail.returned.kind,
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
                    for recipient in mail.returned.recipients
                ],
                "token": attribution.token_in(mail.addresses),
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
def ingest(shell: Shell, paths: tuple[str, ...], envelope_to: str, as_json: bool) -> int:
    """Store mails, match them to letters, apply them.

    Takes mails, mbox files, Maildirs and other folders; FILE - reads one mail from a pipe, as a mail server's
    transport gives it. Exit status 75, try again later: nothing of the mail it came to was stored, for the
    database is away; from a pipe, whatever went wrong.
    """
    try:
        for name, raw in _to_ingest(paths):
            _ingest(shell, name, raw, envelope_to, as_json)
    except Unreachable as error:
        click.echo(f"mailer: {error}", err=True)
        return _TRY_AGAIN
    except Exception as error:  # a mail server takes any other status for a last word, and the mail is lost
        if "-" not in paths:
            raise
        known = error if isinstance(error, MailerError) else type(error).__name__
        click.echo(f"mailer: the mail was not stored, it should come again: {known}", err=True)
        return _TRY_AGAIN
    return 0


def _ingest(shell: Shell, name: str, raw: bytes, envelope_to: str, as_json: bool) -> None:
    with shell.database.write() as session:
        heard = record.hear(session, raw=raw, envelope_to=envelope_to, now=now(), keys=shell.settings.keys)
        policy.apply_pending(session, now=now())
    campaign, n = heard.delivery or (None, None)
    facts = {"file": name, "kind": heard.kind, "campaign": campaign, "n": n}
    _show({**facts, "events": len(heard.events), "known": heard.mail_id is None}, as_json)


@command.command()
@pass_shell
def listen(shell: Shell) -> None:
    """Hear what comes back, until told to stop.

    Takes mail to return paths and leave addresses over SMTP, and LMTP if it is set, and refuses all else.
    Reads the mailboxes of `mailer mailbox list`.
    """
    log_to_terminal()
    queue.connect(shell.settings)
    listener = Listener(shell.settings, shell.database, outbox=None)
    watcher = Watcher(shell.settings, shell.database)
    host = shell.settings.listener_host

    def started(port: int) -> None:
        watcher.start()
        if listener.lmtp_port is not None:
            click.echo(f"Listening for LMTP on {host}:{listener.lmtp_port}.", err=True)
        click.echo(f"Listening on {host}:{port}.", err=True)

    listener.serve_forever(started)
    watcher.stop()


@command.command()
@click.option("--all", "every", is_flag=True, help="Those too that were passed on.")
@_json
@pass_shell
def answers(shell: Shell, every: bool, as_json: bool) -> None:
    """List readers' answers that were not passed on.

    `mailer feedback show ID` shows one, `mailer feedback pass-on ID` passes it on.
    """
    states = (
        list(readers_answers.State) if every else [readers_answers.State.KEPT, readers_answers.State.WAITING]
    )
    with shell.database.read() as session:
        for answer in answered.in_states(session, *states):
            why = Sentence.restored(answer.said) if answer.said else None
            facts = {"id": answer.mail_id, "at": answer.at.isoformat(), "state": answer.state}
            _show(
                {
                    **facts,
                    "campaign": answer.campaign_id,
                    "n": answer.n,
                    "why": why,
                    "to": answer.passed_to or None,
                },
                as_json,
            )


@command.command()
@click.argument("mail_id", type=Id, metavar="ID")
@pass_shell
def show(shell: Shell, mail_id: int) -> None:
    """Print a mail that came back, as it came."""
    with shell.database.read() as session:
        raw = store.mail_content(session, mail_id)
    if raw is None:
        raise NoMail
    click.echo(raw, nl=False)


@command.command("pass-on")
@click.argument("mail_id", type=Id, metavar="ID")
@pass_shell
def pass_on(shell: Shell, mail_id: int) -> None:
    """Have a reader's answer passed on to the desk that was kept."""
    with shell.database.write() as session:
        readers_answers.again(session, mail_id, now=now(), actor=shell.actor)
    click.echo("It goes to the desk within half a minute, if a server runs.")


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


def _to_ingest(paths: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield each mail as ``_mails`` does, those of an mbox file one by one.

    :raises Unreadable: a path is no file, or may not be read
    """
    for given in paths:
        if given == "-":
            raw = sys.stdin.buffer.read(SIZE_LIMIT)
            while sys.stdin.buffer.read(65_536):
                pass  # of what is too long the beginning is kept; a mail server waits for its end to be read
            yield "-", raw
            continue
        try:
            yield from folders.mails(Path(given))
        except OSError as error:
            raise Unreadable(Path(error.filename or given), error) from error
