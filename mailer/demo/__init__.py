"""The demonstration: the main job on a sample issue, end to end, over real sockets.

Invented partners and readers, a campaign approved and launched, every letter over SMTP to the built-in
listener, which refuses, defers and later reports as real mail systems do, and readers who click and leave.
Every figure of the summary is read from the database afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.orm import Session

from mailer import migrations
from mailer.accounts import sessions, users
from mailer.accounts.audit import Actor
from mailer.audience import directory, partners, subscribers, subscriptions, suppressions, topics
from mailer.audience.intake import Consent, Person
from mailer.audience.store import ConsentKind, Subscriber
from mailer.content import readers as files
from mailer.content.document import Document
from mailer.content.problems import BadDocument, problems
from mailer.content.readers import Draft
from mailer.database import Database
from mailer.delivery import campaigns, store
from mailer.delivery.relay import Relay, is_loopback
from mailer.delivery.transport import Transport
from mailer.demo import people, world
from mailer.demo.people import Fate, Reader
from mailer.errors import Conflict, Invalid
from mailer.feedback.outbox import Outbox
from mailer.issues import editions, publications
from mailer.issues import store as issues
from mailer.issues.editions import MissingFigure
from mailer.issues.publications import Presence
from mailer.issues.store import Publication
from mailer.reports import campaign as reports
from mailer.settings import Settings, templates

_PATIENCE = 120.0  # seconds without any progress after which a demonstration gives up
_LOOK = 0.1  # seconds between looks at the ledger
_OUTSIDE = (Fate.BOUNCES, Fate.OVERFLOWS, Fate.DISABLED, Fate.DELAYED, Fate.AWAY, Fate.COMPLAINS)
_VISITORS = (Fate.OPENS, Fate.CLICKS, Fate.LEAVES)


class Used(Conflict):
    """This database is in use already: give the demonstration one of its own with --data."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            "MAILER_DATABASE_URL names a database in use: give the demonstration an empty one, or unset it."
            if settings.database_url
            else f"“{settings.data}” is in use: give the demonstration a folder of its own with --data."
        )


class FarAway(Invalid):
    """The demonstration writes to this machine only: give --smtp an address like smtp://127.0.0.1:2525."""


class Stuck(Conflict):
    """The demonstration does not get on: see what `mailer doctor` says about the relay."""


class Progress(Protocol):
    """Shows how far a step is."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Source:
    """An edition's file, read: what it says and the pictures beside it, by name."""

    draft: Draft
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Told:
    """What the demonstration works with: made once the server runs."""

    settings: Settings
    database: Database
    outbox: Outbox | None
    readers: list[Reader]
    progress: Progress


def manners(count: int) -> tuple[list[Reader], world.Manners]:
    """Return the readers and how the listener treats them."""
    readers = list(people.readers(count))
    return readers, world.Manners({reader.address.casefold(): reader.fate for reader in readers})


def sources(issue_file: Path | None) -> list[Source]:
    """Read the sample's two editions, or the one of a file given. Nothing is stored.

    :raises MailerError: a file or a picture cannot be read, or an edition cannot go out as it is
    """
    sample = templates() / "sample"
    files = [issue_file] if issue_file else [sample / "issue-zh.md", sample / "issue-en.md"]
    return [_source(file) for file in files]


def check(settings: Settings) -> None:
    """See that the demonstration may run with these settings. Nothing is stored.

    :raises FarAway: a demonstration may not write to another machine
    :raises RelayUnavailable: nobody answers there
    :raises Used: the database holds something
    """
    if settings.smtp_url:
        relay = Relay.from_url(settings.smtp_url)
        if not is_loopback(relay.host):
            raise FarAway
        with Transport(relay) as transport:
            transport.check()
    if not settings.database_url and not (settings.data / "mailer.db").exists():
        return  # opening it would make the file
    database = Database(settings.database)
    try:
        if migrations.current(database) not in (None, migrations.head()) or _holds_anything(database):
            raise Used(settings)
    finally:
        database.close()


def prepare(told: Told, issue: list[Source]) -> tuple[int, int]:
    """Put issue, partners, readers and accounts in place; return the issue's and the campaign's id."""
    with told.database.write() as session:
        now = _now()
        for email, role in _ACCOUNTS.items():
            users.add(session, email=email, role=role, name=role.title(), now=now, actor=_SHELL)
        publication_id = _publication(session, now)
        issue_id = _take_in(session, issue, publication_id, now)
        for code, (name_zh, name_en) in people.TOPICS.items():
            topics.add(session, publication_id=publication_id, code=code, name_zh=name_zh, name_en=name_en)
        _partners(session, now)
        _bring_in(session, told, publication_id, now)
    with told.database.write() as session:
        editor = Actor.named(session, "editor@secretariat.example")
        campaign = campaigns.create(session, issue_id=issue_id, audience="everyone", now=_now(), actor=editor)
        campaigns.ask(session, campaign_id=campaign.id, settings=told.settings, now=_now(), actor=editor)
        return issue_id, campaign.id


def send(told: Told, campaign_id: int) -> None:
    """Approve, launch and wait until every letter was tried."""
    with told.database.write() as session:
        approver = Actor.named(session, "approver@secretariat.example")
        campaigns.approve(session, campaign_id=campaign_id, now=_now(), actor=approver)
    with told.database.write() as session:
        sender = Actor.named(session, "sender@secretariat.example")
        campaigns.launch(session, campaign_id=campaign_id, settings=told.settings, now=_now(), actor=sender)

    def tried() -> tuple[int, int]:
        with told.database.read() as session:
            counts = reports.report(session, campaign_id)
        return counts.deliveries - counts.waiting, counts.deliveries

    _wait(told, "Letters sent", tried)


def hear_back(told: Told, campaign_id: int) -> None:
    """Have the outside world answer: reports, complaints, absences, then readers' visits."""
    if told.outbox is None or told.settings.smtp_url:
        return  # the letters went to a server that is not ours to speak for
    fates = {reader.address.casefold(): reader.fate for reader in told.readers}
    letters = [
        (letter, fates.get(letter.rcpt_to.casefold(), Fate.READS)) for letter in world.caught(told.outbox)
    ]
    answers = [(letter, fate) for letter, fate in letters if fate in _OUTSIDE]
    transport = Transport(
        Relay.from_url(f"smtp://{told.settings.listener_host}:{told.settings.listener_port}")
    )
    for done, (letter, fate) in enumerate(answers, 1):
        envelope = world.answer(letter, told.outbox.letter(letter.id), fate, _now())
        if envelope is not None:
            list(transport.send([envelope]))
        told.progress("Reports returned", done, len(answers))
    transport.close()
    visits = [(letter, fate) for letter, fate in letters if fate in _VISITORS]
    for done, (letter, fate) in enumerate(visits, 1):
        parts = told.outbox.parts(letter.id)
        head = message_from_bytes(told.outbox.letter(letter.id))
        world.visit(parts.html or "", {name.lower(): value for name, value in head.items()}, fate)
        told.progress("Readers' visits", done, len(visits))

    def applied() -> tuple[int, int]:
        with told.database.read() as session:
            waiting = store.unapplied(session)
        return (0, 1) if waiting else (1, 1)

    _wait(told, "Reports applied", applied)


def summary(told: Told, issue_id: int, campaign_id: int, started: float) -> dict[str, Any]:
    """Return the figures, all read from the database and the listener's own record."""
    with told.database.read() as session:
        report = reports.report(session, campaign_id)
        frozen = store.frozen_editions(session, campaign_id)
    counted = report.as_dict()
    names = (
        "candidates exclusions deliveries accepted deferred rejected uncertain complaints left opened clicked"
        " suppressed withdrawn"
    )
    received = told.outbox.count() if told.outbox is not None and not told.settings.smtp_url else None
    return {
        "issue": issue_id,
        "campaign": campaign_id,
        "editions": {
            language: {
                "html_bytes": edition.html_bytes,
                "text_bytes": edition.text_bytes,
                "links": len(edition.links),
            }
            for language, edition in frozen.items()
        },
        **{name: counted[name] for name in names.split()},
        "bounced": report.bounced_total,
        "bounced_by": report.bounced,
        "delayed": report.delayed,
        "listener_received": received,
        "per_second": round(report.rate, 1),
        "seconds": round(time.monotonic() - started, 2),
    }


def login_links(told: Told) -> dict[str, str]:
    """Return links that sign in once: the administrator, and the manager of one partner."""
    managed = next(it for it in people.PARTNERS if it.language == "en")
    who = {
        "as the administrator": "admin@secretariat.example",
        f"as the manager of a partner, the {managed.name_en}": f"manager@{managed.domain}",
    }
    with told.database.write() as session:
        return {words: _login_link(session, told.settings, email) for words, email in who.items()}


def _login_link(session: Session, settings: Settings, email: str) -> str:
    token = sessions.make_link(session, user_id=users.get(session, email).id, now=_now())
    return f"{settings.public_url}/sign-in/{token}"


_SHELL = Actor(None, "shell")
_ACCOUNTS = {
    f"{role}@secretariat.example": role for role in ("admin", "editor", "approver", "sender", "viewer")
}


def _now() -> datetime:
    return datetime.now(UTC)


def _wait(told: Told, step: str, look: Callable[[], tuple[int, int]]) -> None:
    before, since = -1, time.monotonic()
    while True:
        done, total = look()
        told.progress(step, done, total)
        if done >= total:
            return
        if done != before:
            before, since = done, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            raise Stuck
        time.sleep(_LOOK)


def _publication(session: Session, now: datetime) -> int:
    made = publications.add(
        session,
        code="observer",
        sender_address="newsletter@secretariat.example",
        desk_address="desk@secretariat.example",
        presences={
            "zh": Presence(
                name="绿色伙伴观察",
                sender_name="绿色伙伴联盟秘书处",
                organisation="绿色伙伴联盟秘书处",
                postal_address="示例市湖滨路1号绿色大厦，邮编 000000",
            ),
            "en": Presence(
                name="Green Partners Observer",
                sender_name="Green Partners Coalition Secretariat",
                organisation="Secretariat of the Green Partners Coalition",
                postal_address="Green House, 1 Lakeside Road, Example City 000000",
            ),
        },
        now=now,
        actor=_SHELL,
    )
    return made.id


def _source(file: Path) -> Source:
    draft = files.read(file)
    document = _numbered(draft.document, _now())
    wrong = [problem for problem in problems(document) if problem.severity == "error"]
    if wrong:
        raise BadDocument(wrong)
    pictures = editions.pictures_beside(file, document)
    for figure in editions.figures_of(document):
        if figure.src not in pictures:
            raise MissingFigure(f"The picture “{figure.src}” is not there: put it beside “{file.name}”.")
    return Source(replace(draft, document=document), pictures)


def _holds_anything(database: Database) -> bool:
    """Tell whether a database has readers, accounts or a publication; one without a schema has none."""
    if migrations.current(database) is None:
        return False
    with database.read() as session:
        return bool(
            subscribers.listing(session, size=1)[1] or users.listing(session) or issues.publications(session)
        )


def _take_in(session: Session, issue: list[Source], publication_id: int, now: datetime) -> int:
    editor = Actor.named(session, "editor@secretariat.example")
    issue_id: int | None = None
    for source in issue:
        edition = editions.take_in(
            session,
            source.draft.document,
            publication=session.get_one(Publication, publication_id),
            issue_id=issue_id,
            doubts=[doubt.stored() for doubt in source.draft.doubts],
            dropped=[dropped.stored() for dropped in source.draft.dropped],
            pictures=source.pictures,
            now=now,
            actor=editor,
        )
        issue_id = edition.issue_id
    assert issue_id is not None
    return issue_id


def _numbered(document: Document, now: datetime) -> Document:
    """A demonstration cannot ask: an issue without number and date goes out as number 1 of today."""
    masthead = document.masthead
    said = {"number": masthead.number or "1", "date": masthead.date or now.date()}
    return document.model_copy(update={"masthead": masthead.model_copy(update=said)})


def _partners(session: Session, now: datetime) -> None:
    for it in people.PARTNERS:
        partners.add(
            session,
            code=it.code,
            name_zh=it.name_zh,
            name_en=it.name_en,
            kind=it.kind,
            country=it.country,
            language=it.language,
            trusted=it.trusted,
            now=now,
            actor=_SHELL,
        )
        users.add(
            session,
            email=f"manager@{it.domain}",
            role="partner",
            name=f"{it.name_en} desk",
            language=it.language,
            partner_code=it.code,
            now=now,
            actor=_SHELL,
        )


def _bring_in(session: Session, told: Told, publication_id: int, now: datetime) -> None:
    """Bring the readers in, then let some of them have left, not confirmed, or be suppressed."""
    ids = {partner.code: partner.id for partner in directory.partners(session)}
    for kind, some in (
        (ConsentKind.IMPORTED, [it for it in told.readers if it.fate is not Fate.PENDING]),
        (ConsentKind.INVITED, [it for it in told.readers if it.fate is Fate.PENDING]),
    ):
        subscribers.add_many(
            session,
            people=_persons(some, ids),
            keys=told.settings.keys,
            publication_id=publication_id,
            consent=Consent(kind, wording="Invented for the demonstration.", origin="demo"),
            actor=_SHELL,
            now=now,
        )
    for reader in told.readers:
        if reader.fate in _BEFORE:
            subscriber = subscribers.by_address(session, reader.address)
            _BEFORE[reader.fate](session, subscriber, publication_id, now)


def _persons(readers: list[Reader], ids: Mapping[str, int]) -> Iterator[Person]:
    for reader in readers:
        yield Person(
            address=reader.address,
            names=reader.names,
            language=reader.language,
            country=reader.country,
            partner_id=ids[reader.partner],
        )


def _left(session: Session, subscriber: Subscriber, publication_id: int, now: datetime) -> None:
    subscriptions.leave(
        session, subscriber_id=subscriber.id, publication_id=publication_id, now=now, reason="demo"
    )


def _silenced(session: Session, subscriber: Subscriber, publication_id: int, now: datetime) -> None:
    suppressions.suppress(
        session,
        address_hash=subscriber.address_hash,
        reason="bad_mailbox",
        note="refused in an earlier demonstration",
        now=now,
    )


_BEFORE = {Fate.LEFT: _left, Fate.SILENCED: _silenced}
