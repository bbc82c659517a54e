"""``mailer user``: accounts and what they may do."""

from __future__ import annotations

import sys

import click

from mailer.accounts import devices, second, sessions, store, users
from mailer.accounts.store import Role
from mailer.cli import Shell, now, pass_shell, say


@click.group()
def command() -> None:
    """Accounts and what they may do."""


@command.command()
@click.argument("email")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--partner", metavar="CODE", default=None, help="The partner this account manages.")
@click.option("--name", default="")
@click.option("--language", type=click.Choice(["zh", "en"]), default="en", show_default=True)
@click.option("--password", "ask", is_flag=True, help="Give it a password, read from standard input.")
@pass_shell
def add(
    shell: Shell, email: str, role: str, partner: str | None, name: str, language: str, ask: bool
) -> None:
    """Make an account.

    Without a password it signs in by links: `mailer user link EMAIL`.
    """
    password = _password() if ask else None
    with shell.database.write() as session:
        user = users.add(
            session,
            email=email,
            role=role,
            partner_code=partner,
            name=name,
            language=language,
            password=password,
            now=now(),
            actor=shell.actor,
        )
    click.echo(f"{user.email} is {role} now.")


@command.command()
@click.argument("email")
@pass_shell
def link(shell: Shell, email: str) -> None:
    """Print a link that signs in once, within an hour."""
    with shell.database.write() as session:
        user_id = users.get(session, email).id
        token = sessions.make_link(session, user_id=user_id, now=now(), actor=shell.actor)
    click.echo(f"{shell.settings.public_url}/sign-in/{token}")


@command.command()
@click.argument("email")
@pass_shell
def password(shell: Shell, email: str) -> None:
    """Set a password and sign the account out everywhere.

    The password is read from standard input.
    """
    given = _password()
    with shell.database.write() as session:
        user_id = users.get(session, email).id
        users.set_password(session, user_id=user_id, password=given, now=now(), actor=shell.actor)
    click.echo("The password is set.")


@command.command()
@click.argument("email")
@pass_shell
def disable(shell: Shell, email: str) -> None:
    """Close an account and sign it out everywhere."""
    with shell.database.write() as session:
        users.disable(session, user_id=users.get(session, email).id, now=now(), actor=shell.actor)
    click.echo(f"{email} can no longer sign in.")


@command.command()
@click.argument("email")
@pass_shell
def enable(shell: Shell, email: str) -> None:
    """Open a closed account again."""
    with shell.database.write() as session:
        users.enable(session, user_id=users.get(session, email).id, now=now(), actor=shell.actor)
    click.echo(f"{email} can sign in again.")


@command.command()
@click.argument("email")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.option("--partner", metavar="CODE", default=None, help="The partner this account manages.")
@pass_shell
def role(shell: Shell, email: str, role: str, partner: str | None) -> None:
    """Give an account another role and sign it out everywhere."""
    with shell.database.write() as session:
        user = users.get(session, email)
        users.change(
            session, user_id=user.id, role=role, partner_code=partner, name=user.name, now=now(),
            actor=shell.actor,
        )  # fmt: skip
    click.echo(f"{email} is {role} now.")


@command.command("totp-reset")
@click.argument("email")
@pass_shell
def totp_reset(shell: Shell, email: str) -> None:
    """Switch codes off for who lost the phone.

    The account is signed out everywhere.
    """
    with shell.database.write() as session:
        second.reset(session, user_id=users.get(session, email).id, now=now(), actor=shell.actor)
    click.echo(f"{email} signs in without a code now.")


@command.command("sessions")
@click.argument("email")
@click.option("--revoke", is_flag=True, help="Sign the account out everywhere.")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def sessions_(shell: Shell, email: str, revoke: bool, as_json: bool) -> None:
    """List an account's signed-in browsers.

    With --revoke they are signed out.
    """
    with shell.database.write() as session:
        user_id = users.get(session, email).id
        found = sessions.listing(session, user_id, now())
        if revoke:
            sessions.revoke_all(session, user_id=user_id, now=now(), actor=shell.actor)
    for each in found:
        if as_json:
            say(_told(each))
        else:
            click.echo("{since:%Y-%m-%d %H:%M}  {origin:<39} {device}".format_map(_told(each)))
    if revoke:
        click.echo(f"{email} has been signed out.", err=as_json)


def _told(row: store.UserSession) -> dict[str, object]:
    device = (devices.browser(row.agent), devices.system(row.agent))
    return {
        "since": row.created_at, "seen": row.seen_at or row.created_at, "origin": row.origin, "how": row.how,
        "device": " on ".join(filter(None, device)) or "unknown",
    }  # fmt: skip


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List accounts."""
    with shell.database.read() as session:
        for user in users.listing(session):
            if as_json:
                say({"email": user.email, "role": user.role, "disabled": user.disabled_at is not None})
            else:
                click.echo(f"{user.email:<40} {user.role}{'  (disabled)' if user.disabled_at else ''}")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
