"""``mailer webhook``: what providers need to tell us of letters, and what they have told."""

from __future__ import annotations

import sys
from datetime import timedelta

import click

from mailer.cli import Id, Shell, now, pass_shell, say
from mailer.feedback.webhooks import hooks, store
from mailer.feedback.webhooks.provider import Secret
from mailer.feedback.webhooks.providers import PROVIDERS

_COUNTED = timedelta(days=30)
_FROM_INPUT = "-"  # what stands on a command line is seen by others of this machine


@click.group()
def command() -> None:
    """What providers need to tell us of letters."""


_json = click.option("--json", "as_json", is_flag=True, help="One object per line.")


@command.command()
@click.argument("provider", type=click.Choice([*PROVIDERS]))
@click.argument("secret", default="")
@_json
@pass_shell
def add(shell: Shell, provider: str, secret: str, as_json: bool) -> None:
    """Believe a provider's posts from now on.

    SECRET is what the provider shows: of ses the ARN of the SNS topic, of sendgrid the verification key, of
    mailgun the webhook signing key, of resend the signing secret; - reads it from standard input. The others
    show none: one is made. Enter the address it prints at the provider; it is shown once.
    """
    if secret == _FROM_INPUT:
        secret = sys.stdin.readline().strip()
    with shell.database.write() as session:
        row, known = hooks.add(
            session, provider=provider, secret=secret, keys=shell.settings.keys, now=now(), actor=shell.actor
        )
    found = PROVIDERS[provider]
    address = hooks.address(found, shell.settings.public_url, known)
    token = known if found.secret is Secret.TOKEN else ""
    if as_json:
        say({"id": row.id, "provider": provider, "address": address} | ({"token": token} if token else {}))
        return
    click.echo(f"Address: {address}")
    if token:
        click.echo(f"Token:   {token}")
    click.echo(found.asks)


@command.command("list")
@_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List webhooks, and what came of their posts in 30 days."""
    with shell.database.read() as session:
        counted = store.counted(session, (now() - _COUNTED).date())
        for row in hooks.listing(session):
            numbers = {each.outcome: each.number for each in counted if each.provider == row.provider}
            address = hooks.address(PROVIDERS[row.provider], shell.settings.public_url)
            if as_json:
                facts = {"id": row.id, "provider": row.provider, "address": address}
                say(facts | {"made_at": row.made_at.isoformat(), "counted": numbers})
            else:
                told = ", ".join(f"{number} {outcome}" for outcome, number in numbers.items())
                click.echo(f"{row.id}  {row.provider}  {address}  {told or 'nothing yet'}")


@command.command()
@click.argument("webhook_id", type=Id, metavar="ID")
@pass_shell
def remove(shell: Shell, webhook_id: int) -> None:
    """Believe what a webhook's secret signs no more."""
    with shell.database.write() as session:
        row = hooks.remove(session, webhook_id=webhook_id, now=now(), actor=shell.actor)
    click.echo(f"Webhook {webhook_id} of {PROVIDERS[row.provider].title} is gone.")
