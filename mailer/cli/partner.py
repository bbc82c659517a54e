"""``mailer partner``: the organisations that look after their own people."""

from __future__ import annotations

import click

from mailer.audience import partners
from mailer.audience.store import PartnerKind
from mailer.cli import Shell, now, pass_shell, say


@click.group()
def command() -> None:
    """The organisations that look after their own people."""


@command.command()
@click.argument("code")
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in PartnerKind]))
@click.option("--country", required=True, help="Two letters, or the country's name.")
@click.option("--language", default="en", show_default=True)
@click.option("--name-zh", default="")
@click.option("--name-en", default="")
@click.option("--zone", default=None, help="Time zone, such as Asia/Shanghai.")
@click.option("--seats", type=click.IntRange(min=0), default=None, help="Most people it may have.")
@click.option("--trusted", is_flag=True, help="It may vouch for its people's consent.")
@pass_shell
def add(
    shell: Shell,
    code: str,
    kind: str,
    country: str,
    language: str,
    name_zh: str,
    name_en: str,
    zone: str | None,
    seats: int | None,
    trusted: bool,
) -> None:
    """Make a partner."""
    with shell.database.write() as session:
        partners.add(
            session,
            code=code,
            kind=kind,
            country=country,
            language=language,
            name_zh=name_zh,
            name_en=name_en,
            zone=zone,
            seats=seats,
            trusted=trusted,
            now=now(),
            actor=shell.actor,
        )
    click.echo(f"Partner “{code}” is there.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List partners and how many people each has."""
    with shell.database.read() as session:
        for partner, people in partners.listing(session):
            name = partner.name_en or partner.name_zh
            if as_json:
                say({"code": partner.code, "kind": partner.kind, "country": partner.country,
                     "name_zh": partner.name_zh, "name_en": partner.name_en, "people": people})  # fmt: skip
            else:
                click.echo(f"{partner.code:<20} {partner.kind:<10} {partner.country}  {people:>7}  {name}")
