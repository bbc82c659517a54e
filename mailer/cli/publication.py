"""``mailer publication``: newsletters and how they present themselves."""

from __future__ import annotations

import click

from mailer.audience import topics
from mailer.cli import Shell, now, pass_shell, say
from mailer.delivery import windows
from mailer.issues import publications, store
from mailer.issues.publications import Presence


@click.group()
def command() -> None:
    """Newsletters: their names, senders and zones."""


@command.command()
@click.argument("code")
@click.option("--sender", required=True, metavar="ADDRESS", help="Whom letters come from.")
@click.option("--name-zh", required=True)
@click.option("--name-en", required=True)
@click.option("--organisation-zh", required=True)
@click.option("--organisation-en", required=True)
@click.option("--address-zh", required=True, help="Postal address, Chinese.")
@click.option("--address-en", required=True, help="Postal address, English.")
@click.option("--reply-to-zh", default="")
@click.option("--reply-to-en", default="")
@click.option("--desk", default="", metavar="ADDRESS", help="Where readers' own answers go.")
@click.option("--zone", default="Asia/Shanghai", show_default=True)
@pass_shell
def add(shell: Shell, /, code: str, sender: str, desk: str, zone: str, **texts: str) -> None:
    """Make a publication."""
    presences = {
        language: Presence(
            name=texts[f"name_{language}"],
            sender_name=texts[f"organisation_{language}"],
            organisation=texts[f"organisation_{language}"],
            postal_address=texts[f"address_{language}"],
            reply_to=texts[f"reply_to_{language}"],
        )
        for language in ("zh", "en")
    }
    with shell.database.write() as session:
        publications.add(
            session,
            code=code,
            sender_address=sender,
            desk_address=desk,
            zone=zone,
            presences=presences,
            now=now(),
            actor=shell.actor,
        )
    click.echo(f"Publication “{code}” is there.")


@command.command("set")
@click.argument("code")
@click.option("--sender", metavar="ADDRESS", default=None, help="Whom letters come from.")
@click.option("--desk", metavar="ADDRESS", default=None, help="Where readers' own answers go.")
@click.option("--zone", default=None)
@click.option(
    "--window",
    default=None,
    metavar="HOURS",
    help="When letters of new campaigns may leave, e.g. 'mon-fri 08:00-18:00'; '' for always.",
)
@pass_shell
def set_(
    shell: Shell, code: str, sender: str | None, desk: str | None, zone: str | None, window: str | None
) -> None:
    """Change a publication; approvals given before are void."""
    with shell.database.write() as session:
        publications.change(
            session,
            code=code,
            sender_address=sender,
            desk_address=desk,
            zone=zone,
            window=None if window is None else str(windows.read(window)),
            now=now(),
            actor=shell.actor,
        )
    click.echo(f"Publication “{code}” is changed.")


@command.command()
@click.argument("code")
@click.argument("topic")
@click.option("--name-zh", required=True)
@click.option("--name-en", required=True)
@pass_shell
def topic(shell: Shell, code: str, topic: str, name_zh: str, name_en: str) -> None:
    """Offer readers of publication CODE a TOPIC to choose."""
    with shell.database.write() as session:
        publication = publications.get(session, code)
        topics.add(session, publication_id=publication.id, code=topic, name_zh=name_zh, name_en=name_en)
    click.echo(f"Readers of “{code}” may choose “{topic}”.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List publications."""
    with shell.database.read() as session:
        for publication in store.publications(session):
            names = {
                language: voice.name for language, voice in store.voices(session, publication.id).items()
            }
            if as_json:
                say(
                    {
                        "code": publication.code,
                        "names": names,
                        "sender": publication.sender_address,
                        "zone": publication.zone,
                        "window": publication.window,
                    }
                )
            else:
                click.echo(f"{publication.code}  {' / '.join(names.values())}  {publication.sender_address}")
