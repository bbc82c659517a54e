"""``mailer mailbox``: mailboxes that are read for what came back."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from dataclasses import replace

import click

from mailer.cli import Id, Shell, now, pass_shell, say
from mailer.errors import MailerError
from mailer.feedback.boxes import mailboxes, store
from mailer.feedback.boxes.account import Account
from mailer.feedback.boxes.collect import MEMORY, opened
from mailer.feedback.boxes.store import Mailbox, UnstoredMail
from mailer.feedback.boxes.watch import Reader

_json = click.option("--json", "as_json", is_flag=True, help="One object per line.")


class NotRead(MailerError):
    """A mailbox was not read."""


@click.group()
def command() -> None:
    """Mailboxes that are read for what came back.

    `mailer serve` reads them as mail comes, in production `mailer feedback listen` does.
    """


@command.command()
@click.argument("url")
@click.option("--unchecked", is_flag=True, help="Do not try whether it can be opened.")
@_json
@pass_shell
def add(shell: Shell, url: str, unchecked: bool, as_json: bool) -> None:
    """Have a mailbox read; again, to give it a new password.

    URL is imaps://user:password@host/Folder or pop3s://user:password@host. Without a password there, it is
    asked for, or read from standard input. What is done to a mail of ours once it is stored:
    ?then=move&to=Heard, mark, keep or delete for IMAP, keep or delete for POP3. Others' mail stays as it is,
    but with &alone=yes, where nobody else uses the mailbox.
    """
    account = Account.from_url(url)
    if not account.password:
        account = replace(account, password=_password())
    waiting = None if unchecked else _look(account)
    with shell.database.write() as session:
        mailbox = mailboxes.add(session, account, keys=shell.settings.keys, now=now(), actor=shell.actor)
    if as_json:
        say(_facts(mailbox) | {"mails": waiting})
    else:
        seen = "" if waiting is None else f" It holds {waiting} mails of the last {MEMORY.days} days."
        click.echo(f"Mailbox {mailbox.id} is read from now on, if a server runs: {account.url}.{seen}")


@command.command("list")
@_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List mailboxes and how reading them goes."""
    with shell.database.read() as session:
        for mailbox in store.mailboxes(session):
            if as_json:
                failed = [_named(each) for each in store.unstored(session, mailbox.id)]
                say(_facts(mailbox) | {"unstored": failed})
                continue
            click.echo(f"{mailbox.id}  {mailbox.url}  {mailbox.heard} mails, {_last(mailbox)}")
            if trouble := mailboxes.trouble_of(mailbox):
                click.echo(f"  {trouble}")
            for each in store.unstored(session, mailbox.id):
                click.echo(f"  {_failed_at(each)}")


@command.command()
@click.argument("mailbox_id", type=Id, metavar="ID")
@pass_shell
def check(shell: Shell, mailbox_id: int) -> None:
    """Tell whether a mailbox can be opened, and read nothing."""
    with shell.database.read() as session:
        account = mailboxes.account_of(mailboxes.get(session, mailbox_id), shell.settings.keys)
    click.echo(f"{account.url} opens and holds {_look(account)} mails of the last {MEMORY.days} days.")


@command.command()
@click.argument("mailbox_id", type=Id, metavar="ID")
@click.option("--again", is_flag=True, help="Also try what could not be stored before.")
@_json
@pass_shell
def read(shell: Shell, mailbox_id: int, again: bool, as_json: bool) -> None:
    """Read what is new in a mailbox, once."""
    with shell.database.write() as session:
        mailboxes.get(session, mailbox_id)
        if again:
            mailboxes.try_again(session, mailbox_id, now=now())
    collected = Reader(shell.settings, shell.database, mailbox_id, threading.Event()).run(once=True)
    with shell.database.read() as session:
        trouble = mailboxes.trouble_of(mailboxes.get(session, mailbox_id))
    if collected is None:
        raise NotRead(
            str(trouble or "Somebody else reads it just now: `mailer mailbox list` tells how it goes.")
        )
    if as_json:
        say({"stored": collected.stored, "known": collected.known, "unstored": collected.unstored})
    else:
        click.echo(f"{collected.stored} mails are stored, {collected.known} were known.")
    if trouble:
        click.echo(str(trouble), err=True)


@command.command()
@click.argument("mailbox_id", type=Id, metavar="ID")
@click.argument("uid")
@pass_shell
def dismiss(shell: Shell, mailbox_id: int, uid: str) -> None:
    """Give a mail up that could not be stored.

    It stays where it is: look at it there first.
    """
    with shell.database.write() as session:
        mailboxes.dismiss(session, mailbox_id, uid, now=now(), actor=shell.actor)
    click.echo(f"Mail {uid} of mailbox {mailbox_id} is not tried again.")


@command.command()
@click.argument("mailbox_id", type=Id, metavar="ID")
@pass_shell
def remove(shell: Shell, mailbox_id: int) -> None:
    """Read a mailbox no more and forget its password."""
    with shell.database.write() as session:
        url = mailboxes.remove(session, mailbox_id, now=now(), actor=shell.actor)
    click.echo(f"{url} is read no more.")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")


def _look(account: Account) -> int:
    """Open a mailbox and count what would be read.

    :raises MailboxTrouble:
    """
    with closing(opened(account)) as box:
        return len(box.fresh("", (now() - MEMORY).date()))


def _named(mail: UnstoredMail) -> dict[str, object]:
    return {
        "uid": mail.uid, "message_id": mail.message_id, "size": mail.size, "why": mail.why,
        "at": mail.at.isoformat(), "tries": mail.tries, "due_at": mail.due_at.isoformat(), "gone": mail.gone,
    }  # fmt: skip


def _failed_at(mail: UnstoredMail) -> str:
    where = "it is gone from there" if mail.gone else f"tried again at {mail.due_at:%Y-%m-%d %H:%M} UTC"
    name = f" {mail.message_id}" if mail.message_id else ""
    return f"not stored: UID {mail.uid}{name}, {mail.size} octets, {mail.why}, {mail.tries} times; {where}"


def _last(mailbox: Mailbox) -> str:
    if mailbox.looked_at is None:
        return "not looked at yet"
    return f"in order at {mailbox.looked_at:%Y-%m-%d %H:%M} UTC"


def _facts(mailbox: Mailbox) -> dict[str, object]:
    return {
        "id": mailbox.id,
        "url": mailbox.url,
        "heard": mailbox.heard,
        "looked_at": mailbox.looked_at.isoformat() if mailbox.looked_at else None,
        "trouble": mailboxes.trouble_of(mailbox),
        "trouble_since": mailbox.trouble_since.isoformat() if mailbox.trouble_since else None,
    }
