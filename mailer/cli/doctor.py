"""``mailer doctor``: what is wrong with an installation, and how to mend it. Changes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click
from sqlalchemy.orm import Session

from mailer import migrations, queue
from mailer import settings as settings_module
from mailer.accounts import oidc
from mailer.cli import Shell, now, pass_shell, say
from mailer.database import Database, clock
from mailer.delivery import dkim_dns, dkim_keys, lanes, refresh_tokens, store, sweep
from mailer.delivery.pace import warm_up
from mailer.delivery.relay import Relay, is_loopback
from mailer.delivery.relays import Relays
from mailer.delivery.store import CampaignState
from mailer.errors import MailerError
from mailer.feedback import alerts, answered, answers
from mailer.feedback.alerts import About
from mailer.feedback.boxes import mailboxes
from mailer.feedback.boxes import store as boxes
from mailer.feedback.webhooks import hooks
from mailer.feedback.webhooks import store as webhook_rows
from mailer.feedback.webhooks.hear import Outcome
from mailer.feedback.webhooks.store import Counted
from mailer.issues.publications import UNSET_DOMAIN
from mailer.issues.store import publications
from mailer.reports import waiting
from mailer.settings import Settings

_ROOM = 500_000_000  # bytes of disk below which a campaign may fill it: caught letters, journal, database
_UNREAD = timedelta(minutes=30)  # after which a mailbox that nobody looked into is not read
_RECENT = timedelta(days=1)  # and today so far: what webhooks are judged by
_BELIEVED = (Outcome.HEARD, Outcome.REPEATED, Outcome.PASSED, Outcome.UNKNOWN, Outcome.STRAY)
_DRIFT = timedelta(seconds=5)  # between this machine's clock and the database's
_FAR_DISKS = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"}
_MOUNTS = Path("/proc/self/mounts")  # Linux

_ALERTS = {
    About.STORM: "See `mailer policy storms`.",
    About.REFUSED: "See the campaign; resume it once the reason is mended.",
    About.DORMANT: "See `mailer policy dormant`.",
}


class State(StrEnum):
    """What is found about a part."""

    OK = "ok"
    NOTE = "note"  # works as meant, and is good to know
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """A part and what was found; ``mend`` says what to do about a problem."""

    part: str
    state: State
    found: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_shell
def command(shell: Shell, as_json: bool) -> None:
    """Say what is wrong and how to mend it.

    Looks at settings, data folder, database, broker, relays, ports and the server that runs. Changes
    nothing; no secret is shown. Exit status 1 when there is a problem.
    """
    try:
        settings = shell.settings
    except MailerError as error:
        findings, shown = [Finding("settings", State.PROBLEM, "cannot be read", str(error))], {}
    else:
        findings, shown = list(examine(settings)), _shown(settings)
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    if as_json:
        say({"problems": problems, "findings": [asdict(it) for it in findings], "settings": shown})
    else:
        _tell(findings, shown)
    if problems:
        raise click.exceptions.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at every part of an installation; a part that cannot be reached is a finding, never an error."""
    yield from _folders(settings)
    yield from _outside(settings)
    yield _guarded("secret", lambda: _secret(settings))
    yield from _rows(settings)
    if settings.oidc_issuer:
        yield _guarded("sign-in provider", lambda: _provider(settings))
    yield _guarded("broker", lambda: _broker(settings))
    yield from _relays(settings)
    yield from _ports(settings)


def _guarded(part: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except MailerError as error:
        return Finding(part, State.PROBLEM, "does not work", str(error))
    except OSError as error:
        return Finding(
            part, State.PROBLEM, f"does not work: {error.strerror or error}", "Check who may use it."
        )


# --- folders and secrets --------------------------------------------------------------------------------


def _folders(settings: Settings) -> Iterator[Finding]:
    data = settings.data.resolve()
    home = next(folder for folder in (data, *data.parents) if folder.exists())
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        yield Finding(
            "data folder", State.PROBLEM, f"{data} cannot be written", "Choose another with MAILER_DATA."
        )
        return
    yield Finding("data folder", State.OK, str(data) + ("" if home == data else ", made on first use"))
    free = shutil.disk_usage(home).free
    shown = f"{free / 1e9:,.1f} GB free"
    if free < _ROOM:
        yield Finding("disk", State.PROBLEM, shown, f"Make room: less than {_ROOM / 1e9} GB may not do.")
    else:
        yield Finding("disk", State.OK, shown)
    kind = _file_system(data)
    if kind in _FAR_DISKS:
        mend = "Keep the data folder on a disk of this machine: the journal must survive the network."
        yield Finding("journal", State.PROBLEM, f"{settings.journal} is on {kind}", mend)
    else:
        left = len(list(settings.journal.glob("*.journal"))) if settings.journal.is_dir() else 0
        yield Finding("journal", State.OK, f"{settings.journal}, {left} in use or left to settle")


def _file_system(path: Path) -> str:
    """Return the kind of file system a path is on; empty where the system does not tell."""
    if not _MOUNTS.exists():
        return ""
    mounts = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
    above = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(above)[1] if above else ""


def _secret(settings: Settings) -> Finding:
    if settings.secret:
        return Finding("secret", State.OK if settings.keys else State.PROBLEM, "given in MAILER_SECRET")
    if not settings.embedded:
        mend = "Set MAILER_SECRET to the same value on every machine: `1:` and 32 random signs."
        return Finding("secret", State.PROBLEM, "each machine would make its own", mend)
    file = settings.data / "secret"
    if not file.exists():
        return Finding("secret", State.OK, "made on first use")
    if file.stat().st_mode & 0o077:
        return Finding("secret", State.PROBLEM, f"others may read {file}", f"Run `chmod 600 {file}`.")
    return Finding("secret", State.OK if settings.keys else State.PROBLEM, f"kept in {file}")


# --- what readers and other mail systems see ------------------------------------------------------------


def _outside(settings: Settings) -> Iterator[Finding]:
    far = _reaches_out(settings)
    scheme, host = _parsed(settings.public_url)
    if scheme not in ("http", "https") or not host:
        mend = "Write MAILER_BASE_URL like https://news.example.org."
        yield Finding("base URL", State.PROBLEM, "is not an address of a web site", mend)
    elif far and is_loopback(host):
        mend = "Set MAILER_BASE_URL to how readers reach the web app: links in letters lead there."
        yield Finding("base URL", State.PROBLEM, f"{settings.public_url} is this machine only", mend)
    else:
        yield Finding("base URL", State.OK, settings.public_url)
    domain = settings.bounce_domain
    if far and domain.endswith(".example"):
        mend = "Set MAILER_BOUNCE_DOMAIN to a domain of yours whose MX is the listener: bounces go there."
        yield Finding("bounce domain", State.PROBLEM, f"{domain} is a placeholder", mend)
    else:
        yield Finding("bounce domain", State.OK, domain)


def _parsed(url: str) -> tuple[str, str]:
    """Return scheme and host; both empty when it is no URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return "", ""


def _reaches_out(settings: Settings) -> bool:
    """Tell whether letters may leave this machine."""
    try:
        return any(not is_loopback(Relay.from_url(url).host) for url in settings.smtp_url.split())
    except MailerError:
        return False  # the relay's own line says what is wrong


def _relays(settings: Settings) -> Iterator[Finding]:
    if not settings.smtp_url and settings.embedded:
        yield Finding("relay", State.OK, "none set: the built-in listener catches every letter")
    elif not settings.smtp_url:
        mend = "Set MAILER_SMTP_URL: the listener of a production installation catches nothing."
        yield Finding("relay", State.PROBLEM, "none set", mend)
    for url in settings.smtp_url.split():
        yield _guarded("relay", partial(_relay, settings, url))


def _relay(settings: Settings, url: str) -> Finding:
    relay = Relay.from_url(url)
    if relay.token_url and not _is_current(settings):  # an answer may hold a token that has to be kept
        mend = "Run `mailer db upgrade`: its tokens are kept in the database."
        return Finding("relay", State.PROBLEM, f"{relay.name} is not asked", mend)
    with Relays([url], shelf=refresh_tokens.shelf(settings)) as relays:
        relays.check()
    signed_in = ["signed in"] if relay.user else []
    return Finding("relay", State.OK, ", ".join([f"{relay.name} answers", *signed_in, *_limits(relay)]))


def _is_current(settings: Settings) -> bool:
    if not settings.database_url and not (settings.data / "mailer.db").exists():
        return False
    database = Database(settings.database)
    try:
        return migrations.current(database) == migrations.head()
    finally:
        database.close()


def _limits(relay: Relay) -> Iterator[str]:
    """Say what all workers together keep to at this relay."""
    if relay.per_second is not None:
        yield f"at most {relay.per_second:g} letters a second"
    if relay.per_hour is not None:
        yield f"at most {relay.per_hour} letters an hour"
    if relay.total is not None:
        yield f"at most {relay.total} connections"
    if relay.letters is not None:
        yield f"at most {relay.letters} letters on a connection"
    if relay.warmup is not None and (ramp := warm_up(relay.warmup, now().date())) is not None:
        yield f"warming up since {relay.warmup}: {ramp} letters today"


def _broker(settings: Settings) -> Finding:
    if settings.embedded:
        return Finding("broker", State.OK, "inside `mailer serve`")
    if queue.reachable(settings):
        return Finding("broker", State.OK, "answers")
    mend = "Check MAILER_REDIS_URL and that the server is running; letters wait meanwhile, none is lost."
    return Finding("broker", State.PROBLEM, "does not answer", mend)


# --- the database and what stands in it -----------------------------------------------------------------


def _rows(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url and not (settings.data / "mailer.db").exists():
        yield Finding("database", State.OK, "SQLite, made on first use")
        return
    try:
        database = Database(settings.database)
        try:
            current = migrations.current(database)
            yield Finding("database", State.OK, f"{database.dialect} answers")
            if current != migrations.head():
                yield Finding(
                    "schema", State.PROBLEM, f"at {current or 'nothing'}", "Run `mailer db upgrade`."
                )
                return
            yield Finding("schema", State.OK, f"at {current}, as this version needs")
            with database.read() as session:
                yield from _in_session(session, settings)
        finally:
            database.close()
    except MailerError as error:
        yield Finding("database", State.PROBLEM, "cannot be used", str(error))


def _in_session(session: Session, settings: Settings) -> Iterator[Finding]:
    drift = abs(clock(session) - now())
    if drift > _DRIFT:
        mend = "Let both machines keep time by NTP: leases and schedules go by it."
        yield Finding("clock", State.PROBLEM, f"{drift.total_seconds():.0f} s from the database's", mend)
    if _reaches_out(settings):
        for publication in publications(session):
            if publication.sender_address.endswith(f"@{UNSET_DOMAIN}"):
                mend = f"Run `mailer publication set {publication.code} --sender ADDRESS`."
                yield Finding("sender", State.PROBLEM, f"“{publication.code}” has only a placeholder", mend)
    yield from _signatures(session, settings)
    yield from _destinations(session)
    for alert in alerts.standing(session):
        yield Finding("alert", State.NOTE, str(alert.said), _ALERTS[About(alert.kind)])
    yield from _mailboxes(session)
    yield from _webhooks(session, settings)
    yield from _failing(session)
    sending = store.campaigns(session, CampaignState.SENDING)
    stuck = store.campaigns(session, CampaignState.PAUSED, CampaignState.SCHEDULED)
    for campaign in (*sending, *stuck):
        if campaign.trouble:
            found = f"{campaign.id} does not get on: {campaign.trouble}"
            yield Finding("campaign", State.PROBLEM, found, "See the lines about relays.")
    if sweep.running(session):
        yield Finding("server", State.OK, "runs")
    elif sending:
        found = f"none runs, and {len(sending)} campaign(s) wait for it"
        mend = "Start `mailer serve`, or in production beat and a worker."
        yield Finding("server", State.PROBLEM, found, mend)
    else:
        yield Finding("server", State.NOTE, "none runs: `mailer serve` starts one")


def _signatures(session: Session, settings: Settings) -> Iterator[Finding]:
    """Say for every domain that publications send from whether its letters are signed."""
    for domain in dkim_keys.sender_domains(session):
        yield _guarded("DKIM", partial(_signature, session, settings, domain))


def _signature(session: Session, settings: Settings, domain: str) -> Finding:
    keys = dkim_keys.in_force(session, domain, now())
    if keys and dkim_keys.signer(session, domain, settings=settings, now=now()):  # they can be opened
        names = ", ".join(dkim_dns.record_name(key.domain, key.selector) for key in keys)
        return Finding("DKIM", State.OK, f"letters from {domain} are signed: {names}")
    made = [
        key
        for key in dkim_keys.listing(session, domain)
        if dkim_keys.state(key, now()) is not dkim_keys.State.RETIRED
    ]
    if made:
        mend = f"Publish its record, then run `mailer dkim activate {domain} {made[-1].selector}`."
    else:
        mend = f"Run `mailer dkim make {domain}`, unless the relay signs."
    return Finding("DKIM", State.NOTE, f"letters from {domain} are not signed", mend)


def _destinations(session: Session) -> Iterator[Finding]:
    """Say whose limits admins have set, and who has asked us to slow down."""
    set_ = ", ".join(row.lane for row in lanes.set_limits(session))
    yield Finding("limits", State.OK, f"set for {set_}; else the defaults" if set_ else "the defaults")
    for row in lanes.slowdowns(session):
        if row.until > now():
            found = f"{row.lane} asked us to slow down and rests until {row.until:%H:%M} UTC: {row.said}"
            mend = f"It goes on by itself; if this comes often, lower `mailer pace set {row.lane}`."
            yield Finding("destination", State.NOTE, found, mend)


def _mailboxes(session: Session) -> Iterator[Finding]:
    """Say of each mailbox whether it is read, and of readers' answers whether any waits for a person."""
    for mailbox in boxes.mailboxes(session):
        if trouble := mailboxes.trouble_of(mailbox):
            yield Finding("mailbox", State.PROBLEM, mailbox.url, str(trouble))
        elif mailbox.looked_at is None or clock(session) - mailbox.looked_at > _UNREAD:
            mend = "Start `mailer serve`, or in production `mailer feedback listen`."
            yield Finding("mailbox", State.PROBLEM, f"{mailbox.url} is not read", mend)
        else:
            yield Finding("mailbox", State.OK, f"{mailbox.url}, {mailbox.heard} mails heard")
    if kept := len(answered.in_states(session, answers.State.KEPT)):
        found = f"{kept} of readers' answers were not passed on"
        yield Finding("answers", State.NOTE, found, "`mailer feedback answers` shows them and says why.")


def _webhooks(session: Session, settings: Settings) -> Iterator[Finding]:
    """Say which providers tell us of letters, and whose posts were not believed or not kept."""
    counted = webhook_rows.counted(session, (now() - _RECENT).date())
    for name in sorted({row.provider for row in hooks.listing(session)}):
        yield _guarded("webhook", partial(_webhook, session, settings, name, counted))


def _webhook(session: Session, settings: Settings, name: str, counted: list[Counted]) -> Finding:
    hooks.secrets_of(session, name, settings.keys)  # they can be opened
    numbers = {row.outcome: row.number for row in counted if row.provider == name}
    told = ", ".join(f"{number} {outcome}" for outcome, number in numbers.items()) or "nothing yet"
    believed = sum(numbers.get(outcome, 0) for outcome in _BELIEVED)
    state, mend = State.OK, ""
    if numbers.get(Outcome.FAILED):
        state = State.PROBLEM
        mend = "What failed is told again by itself: the web app's log says why it failed."
    elif numbers.get(Outcome.REFUSED, 0) > believed:
        state = State.PROBLEM
        mend = f"Compare its secret there, or `mailer webhook add {name}` anew."
    elif numbers.get(Outcome.STALE):
        state, mend = State.NOTE, "Some were signed too long ago, or this machine's clock is wrong."
    elif numbers.get(Outcome.UNKNOWN):
        state, mend = State.NOTE, "Some words are not known to this version: they are kept for a person."
    return Finding("webhook", state, f"{name}, since yesterday: {told}", mend)


def _failing(session: Session) -> Iterator[Finding]:
    """Say which relays fail the workers that run."""
    for relay in waiting.failing(session, now()):
        rests = f", and rests until {relay.until:%H:%M} UTC" if relay.resting else ""
        found = f"{relay.name} fails {relay.workers} worker(s){rests}: {relay.why}"
        yield Finding("relay", State.PROBLEM, found, "It is tried again by itself once it has rested.")


# --- ports ----------------------------------------------------------------------------------------------


def _ports(settings: Settings) -> Iterator[Finding]:
    ours = _served(settings)
    yield _port("web port", settings.host, settings.port, ours, "MAILER_PORT")
    if settings.embedded:
        yield _port(
            "listener port", settings.listener_host, settings.listener_port, ours, "MAILER_LISTENER_PORT"
        )


def _provider(settings: Settings) -> Finding:
    """Ask the OpenID Connect provider where it answers."""
    oidc.discover(settings.oidc_issuer)
    back = f"{settings.public_url}/sign-in/provider/back"
    if not settings.oidc_client_id:
        mend = f"Set MAILER_OIDC_CLIENT_ID to what it knows mailer by; enter {back} there."
        return Finding("sign-in provider", State.PROBLEM, "answers, but knows us by no name", mend)
    oidc.installed()
    return Finding("sign-in provider", State.OK, f"{settings.oidc_issuer} answers; it leads back to {back}")


def _served(settings: Settings) -> bool:
    """Tell whether a server of this machine holds the data folder."""
    for lock in settings.data.glob("*.lock"):
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _port(part: str, host: str, port: int, ours: bool, name: str) -> Finding:
    from mailer import server  # only now: its worker reads the settings as it is imported

    if port == 0:
        return Finding(part, State.OK, "any free one")
    if ours and server.answers(host, port):
        return Finding(part, State.OK, f"{host}:{port} answers")
    if ours:
        found = f"a server runs, but not on {host}:{port}: it was started with another port"
        return Finding(part, State.NOTE, found)
    try:
        server.bound(host, port).close()
    except server.PortTaken as error:
        found = f"{host}:{port} cannot be had: {error.why}"
        return Finding(part, State.PROBLEM, found, f"Stop who uses it, or choose another with {name}.")
    return Finding(part, State.OK, f"{host}:{port} is free")


# --- what is shown --------------------------------------------------------------------------------------


def _shown(settings: Settings) -> dict[str, str]:
    """Return every setting by the name of its variable, without secrets."""
    return {
        f"MAILER_{name.upper()}": _harmless(name, getattr(settings, name))
        for name in settings_module.Settings.model_fields
    }


def _harmless(name: str, value: object) -> str:
    if name in ("secret", "oidc_client_secret"):
        return "(given, not shown)" if value else ""
    if name in ("database_url", "redis_url", "smtp_url"):
        return " ".join(_without_password(url) for url in str(value).split())
    return "" if value is None else str(value)


def _without_password(url: str) -> str:
    """Return scheme, host, port and path; nothing where a stray sign may have put the password elsewhere."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(given, not shown)"
    if "@" in parts.path + parts.query + parts.fragment or not parts.scheme:
        return "(given, not shown)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _tell(findings: list[Finding], shown: dict[str, str]) -> None:
    for name, value in shown.items():
        click.echo(f"{name:<26} {value or '(not set)'}")
    click.echo()
    for finding in findings:
        click.echo(f"{finding.state:<8} {finding.part}: {finding.found}")
        if finding.mend:
            click.echo(f"{'':<8} {finding.mend}")
