"""``mailer dkim``: keys that sign letters, and the DNS records they need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from mailer.cli import Shell, now, pass_shell, say
from mailer.delivery import dkim_dns, dkim_keys
from mailer.delivery.dkim import Algorithm
from mailer.delivery.dkim_dns import Finding, LookUp
from mailer.delivery.dkim_keys import State
from mailer.delivery.store import DkimKey

_KINDS = {"rsa": Algorithm.RSA, "ed25519": Algorithm.ED25519}


@click.group()
def command() -> None:
    """Keys that sign letters, and the DNS records they need."""


_json = click.option("--json", "as_json", is_flag=True, help="One object per line.")


def _asks_dns(of: Callable[..., Any]) -> Callable[..., Any]:
    port = click.option("--nameserver-port", type=click.IntRange(1, 65535), default=53, show_default=True)
    server = click.option("--nameserver", metavar="IP", default="", help="Ask this one, not the system's.")
    return server(port(of))


@command.command()
@click.argument("domain")
@click.option("--algorithm", type=click.Choice([*_KINDS]), default="rsa", show_default=True)
@click.option("--selector", default="", help="The key's name in the DNS; without it, one made of the date.")
@_json
@pass_shell
def make(shell: Shell, domain: str, algorithm: str, selector: str, as_json: bool) -> None:
    """Make a key, which signs once it is activated.

    Publish the record it shows, `check` it, then `activate` it. Letters may be signed with both algorithms.
    """
    with shell.database.write() as session:
        at = now()
        key = dkim_keys.make(
            session,
            domain=domain,
            algorithm=_KINDS[algorithm],
            selector=selector,
            keys=shell.settings.keys,
            now=at,
            actor=shell.actor,
        )
    _show(key, at, as_json)


@command.command("list")
@click.argument("domain", default="")
@_json
@pass_shell
def list_(shell: Shell, domain: str, as_json: bool) -> None:
    """List keys with their DNS records."""
    with shell.database.read() as session:
        for key in dkim_keys.listing(session, domain):
            _show(key, now(), as_json)


@command.command()
@click.argument("domain")
@click.argument("selector", default="")
@_asks_dns
@_json
@pass_shell
def check(
    shell: Shell, domain: str, selector: str, nameserver: str, nameserver_port: int, as_json: bool
) -> int:
    """Tell whether receivers find a domain's keys.

    Without a selector, every key that is not retired is looked up. Exit status 1 when one is not right.
    """
    with shell.database.read() as session:
        found = (
            [dkim_keys.get(session, domain=domain, selector=selector)]
            if selector
            else [
                key
                for key in dkim_keys.listing(session, domain)
                if dkim_keys.state(key, now()) is not State.RETIRED
            ]
        )
    if not found:
        raise dkim_keys.NoKey
    look_up = dkim_dns.resolver(nameserver, nameserver_port)
    findings = [dkim_keys.check(key, look_up) for key in found]
    for key, finding in zip(found, findings, strict=True):
        _tell(key, finding, as_json)
    return 0 if all(finding.good for finding in findings) else 1


@command.command()
@click.argument("domain")
@click.argument("selector")
@click.option("--unchecked", is_flag=True, help="Do not look whether the record is published.")
@_asks_dns
@_json
@pass_shell
def activate(
    shell: Shell, domain: str, selector: str, unchecked: bool, nameserver: str, nameserver_port: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Have a key sign, in place of the one before it.

    Of the other algorithm nothing changes. What is being sent is signed with it within a minute.
    """
    look_up = dkim_dns.resolver(nameserver, nameserver_port) if not unchecked else None
    seen = _seen(shell, domain, selector, look_up) if look_up else None
    with shell.database.write() as session:
        at = now()
        replaced = dkim_keys.activate(
            session, domain=domain, selector=selector, seen=seen, now=at, actor=shell.actor
        )
        key = dkim_keys.get(session, domain=domain, selector=selector)
    if as_json:
        say(_facts(key, at) | {"replaced": [old.selector for old in replaced]})
        return
    click.echo(f"{key.selector} signs for {key.domain}.")
    for old in replaced:
        click.echo(f"{old.selector} signs no more. {_record_stays(old, at)}")


@command.command()
@click.argument("domain")
@click.argument("selector")
@click.option("--last", is_flag=True, help="Even if letters go unsigned then.")
@_json
@pass_shell
def retire(shell: Shell, domain: str, selector: str, last: bool, as_json: bool) -> None:
    """End a key for good and erase it."""
    with shell.database.write() as session:
        at = now()
        key = dkim_keys.retire(
            session, domain=domain, selector=selector, last=last, now=at, actor=shell.actor
        )
    if as_json:
        say(_facts(key, at))
    else:
        click.echo(f"{key.selector} of {key.domain} is gone. {_record_stays(key, at)}")


def _seen(shell: Shell, domain: str, selector: str, look_up: LookUp) -> Finding:
    """Look a key up in the DNS, outside any transaction that others would wait for."""
    with shell.database.read() as session:
        key = dkim_keys.get(session, domain=domain, selector=selector)
    return dkim_keys.check(key, look_up)


def _record(key: DkimKey) -> str:
    return dkim_dns.record(Algorithm(key.algorithm), key.public)


def _facts(key: DkimKey, at: datetime) -> dict[str, Any]:
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": dkim_keys.state(key, at),
        "made_at": key.made_at.isoformat(),
        "record_until": until.isoformat() if (until := dkim_keys.record_until(key)) else None,
        "dns": {
            "name": dkim_dns.record_name(key.domain, key.selector),
            "type": "TXT",
            "value": _record(key),
            "strings": dkim_dns.strings(_record(key)),
        },
    }


def _show(key: DkimKey, at: datetime, as_json: bool) -> None:
    if as_json:
        say(_facts(key, at))
        return
    click.echo(f"{key.domain}  {key.selector}  {key.algorithm}  {dkim_keys.state(key, at)}")
    if dkim_keys.record_until(key) is not None:
        click.echo(f"  {_record_stays(key, at)}")
    click.echo(f"  {dkim_dns.record_name(key.domain, key.selector)}. IN TXT (")
    for string in dkim_dns.strings(_record(key)):
        click.echo(f'    "{string}"')
    click.echo("  )")


def _record_stays(key: DkimKey, at: datetime) -> str:
    until = dkim_keys.record_until(key)
    if until is None or until <= at:
        return "Its DNS record may be removed."
    return f"Leave its DNS record until {until:%Y-%m-%d %H:%M} UTC: letters on their way are verified late."


def _tell(key: DkimKey, finding: Finding, as_json: bool) -> None:
    if as_json:
        say(
            {"domain": key.domain, "selector": key.selector, "verdict": finding.verdict}
            | {"good": finding.good, "says": finding.says, "found": finding.records, "wanted": _record(key)}
        )
        return
    click.echo(finding.says)
    for text in finding.records if not finding.good else ():
        click.echo(f"  found:  {text}")
    if not finding.good:
        click.echo(f"  wanted: {_record(key)}")
