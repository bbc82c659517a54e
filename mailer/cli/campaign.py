"""``mailer campaign``: send an issue to an audience."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
from sqlalchemy.orm import Session

from mailer.cli import Id, Shell, now, pass_shell, say
from mailer.delivery import campaigns, ledger, store, sweep, trial
from mailer.delivery.store import Campaign, CampaignState
from mailer.errors import Invalid
from mailer.issues import editions
from mailer.issues.store import Publication
from mailer.reports import campaign as reports
from mailer.settings import Settings


class BadTime(Invalid):
    """The time cannot be read: write it like 2026-05-01T08:00 (publication's zone) or with +08:00."""


@click.group()
def command() -> None:
    """Send an issue to an audience: create, approve, launch, watch."""


_IDLE = "No server is running on this database: start one with `mailer serve`, and it goes out."
_NEED_A_SERVER = (CampaignState.SCHEDULED, CampaignState.SENDING)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command.command()
@click.argument("issue", type=Id)
@click.option("--audience", default="everyone", show_default=True, help="A rule, e.g. 'language = zh'.")
@click.option("--at", default="", metavar="TIME", help="When to launch by itself; empty: `campaign launch`.")
@click.option(
    "--lang",
    "languages",
    type=click.Choice(["zh", "en"]),
    multiple=True,
    help="Editions to send, in order of fallback.",
)
@click.option("--no-fallback", is_flag=True, help="Readers without an edition in their language get none.")
@click.option(
    "--window",
    default=None,
    metavar="HOURS",
    help="When letters may leave, e.g. 'mon-fri 08:00-18:00', in the publication's zone; '' for always."
    " The publication's own when not given.",
)
@click.option("--local-time", is_flag=True, help="Each reader gets it at the hour of --at in their own zone.")
@_json
@pass_shell
def create(
    shell: Shell,
    issue: int,
    audience: str,
    at: str,
    languages: tuple[str, ...],
    no_fallback: bool,
    window: str | None,
    local_time: bool,
    as_json: bool,
) -> None:
    """Make a campaign of ISSUE and ask for approval.

    What is asked about is frozen: any later edit voids the approval.
    """
    with shell.database.write() as session:
        owner = session.get_one(Publication, editions.get(session, issue).publication_id)
        made = campaigns.create(
            session,
            issue_id=issue,
            audience=audience,
            languages=languages,
            fallback=not no_fallback,
            scheduled_at=read_time(at, owner.zone) if at else None,
            window=window,
            local_time=local_time,
            now=now(),
            actor=shell.actor,
        )
        campaigns.ask(session, campaign_id=made.id, settings=shell.settings, now=now(), actor=shell.actor)
        _show(_facts(session, made), as_json)


def _moves(name: str, verb: Callable[..., Campaign], help_: str) -> None:
    @command.command(name, help=help_)
    @click.argument("campaign", type=Id)
    @_json
    @pass_shell
    def move(shell: Shell, campaign: int, as_json: bool) -> None:
        with shell.database.write() as session:
            moved = verb(session, campaign_id=campaign, now=now(), actor=shell.actor, settings=shell.settings)
            _show(_facts(session, moved), as_json)
            idle = moved.state in _NEED_A_SERVER and not sweep.running(session)
        if idle:
            click.echo(_IDLE, err=True)


def _plain(verb: Callable[..., Campaign]) -> Callable[..., Campaign]:
    """Drop ``settings`` for a verb that has no use for it."""

    def without(session: Session, *, settings: Settings, **rest: Any) -> Campaign:
        return verb(session, **rest)

    return without


_moves("approve", _plain(campaigns.approve), "Approve what was frozen.")
_moves("launch", campaigns.launch, "Write the ledger and begin to send.")
_moves("pause", _plain(campaigns.pause), "Stop sending for now.")
_moves("resume", _plain(campaigns.resume), "Go on sending.")
_moves("cancel", _plain(campaigns.cancel), "Stop for good; what waits is withdrawn.")


@command.command()
@click.argument("campaign", type=Id)
@_json
@pass_shell
def status(shell: Shell, campaign: int, as_json: bool) -> None:
    """Show where a campaign stands."""
    with shell.database.read() as session:
        _show(_facts(session, campaigns.get(session, campaign)), as_json)


@command.command("list")
@_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """List campaigns, newest first."""
    with shell.database.read() as session:
        found = [_facts(session, campaign) for campaign in store.campaigns(session)]
    if not found and not as_json:
        click.echo("No campaign yet: `mailer campaign create ISSUE` makes one.")
    for facts in found:
        if as_json:
            say(facts)
        else:
            at = facts["scheduled_at"] or ""
            click.echo(
                f"{facts['campaign']}  issue {facts['issue']}  {facts['state']}  {facts['audience']}  {at}"
            )


@command.command()
@click.argument("campaign", type=Id)
@_json
@pass_shell
def report(shell: Shell, campaign: int, as_json: bool) -> None:
    """Report what arrived, what did not, and why."""
    with shell.database.read() as session:
        campaigns.get(session, campaign)
        _show(reports.report(session, campaign).as_dict(), as_json)


@command.command()
@click.argument("campaign", type=Id)
@click.option("--to", required=True, metavar="ADDRESS", help="The colleague who gets it.")
@click.option("--lang", "language", default=None, help="Edition; the campaign's first when not given.")
@_json
@pass_shell
def test(shell: Shell, campaign: int, to: str, language: str | None, as_json: bool) -> None:
    """Send a real letter to a colleague, outside the ledger's sums."""
    with shell.database.read() as session:
        outcome = trial.send(
            session, campaign_id=campaign, to=to, language=language, settings=shell.settings, now=now()
        )
    _show({"campaign": campaign, "to": to, "reply": f"{outcome.code} {outcome.text}"}, as_json)


@command.command()
@click.argument("campaign", type=Id)
@click.option("--resend", is_flag=True, help="Send them again: some may get two.")
@click.option("--accept", is_flag=True, help="Take them as sent: some may get none.")
@click.option("--lost", is_flag=True, help="Declare a dead machine's journal lost.")
@_json
@pass_shell
def uncertain(shell: Shell, campaign: int, resend: bool, accept: bool, lost: bool, as_json: bool) -> None:
    """List letters whose fate is not known, or decide about them."""
    if resend + accept + lost > 1:
        raise click.UsageError("Give one of --resend, --accept and --lost.")
    if not (resend or accept or lost):
        _list_uncertain(shell, campaign, as_json)
        return
    with shell.database.write() as session:
        campaigns.get(session, campaign)
        count = (
            ledger.declare_lost(session, campaign_id=campaign, now=now())
            if lost
            else campaigns.settle_uncertain(
                session, campaign_id=campaign, resend=resend, now=now(), actor=shell.actor
            )
        )
        idle = resend and count and not sweep.running(session)
    if idle:
        click.echo(_IDLE, err=True)
    decision = "lost" if lost else "resend" if resend else "accept"
    _show({"campaign": campaign, "decision": decision, "letters": count}, as_json)


def _list_uncertain(shell: Shell, campaign: int, as_json: bool) -> None:
    with shell.database.read() as session:
        campaigns.get(session, campaign)
        count = reports.report(session, campaign).uncertain
        pages = range(1, -(-count // reports.PAGE_SIZE) + 1)
        rows = [row for page in pages for row in reports.rows(session, campaign, "uncertain", page=page)]
    for row in rows:
        _show(row.as_dict(), as_json)
    if not rows and not as_json:
        click.echo("The fate of every letter is known.")


def read_time(text: str, zone: str) -> datetime:
    """Read an instant; without an offset it is meant in the publication's ``zone``. ``now``: at once.

    :raises BadTime: not a time
    """
    if text == "now":
        return now()
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadTime from error
    return read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))


def _facts(session: Session, campaign: Campaign) -> dict[str, Any]:
    zone = ZoneInfo(session.get_one(Publication, campaign.publication_id).zone)
    at, opens = campaign.scheduled_at, campaigns.opens(session, campaign, now())
    return {
        "campaign": campaign.id,
        "issue": campaign.issue_id,
        "state": str(campaign.state),
        "audience": campaign.audience,
        "languages": campaign.languages,
        "scheduled_at": at.astimezone(zone).isoformat(timespec="minutes") if at else None,
        "local_time": campaign.local_time,
        "window": campaign.window,
        "opens_at": opens.astimezone(zone).isoformat(timespec="minutes") if opens else None,
        "candidates": campaign.candidates,
        "trouble": campaign.trouble,
    }


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if value not in (None, "", False, {}, []):
            click.echo(f"{name:<{width}}  {_plainly(value)}")


def _plainly(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
