"""The steps of an upload: kept, laid out, checked, taken in, undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts.audit import Actor
from mailer.audience import imports
from mailer.audience.imports import Job, NoImport
from mailer.audience.intake import Consent
from mailer.audience.sheets import columns, sheet
from mailer.audience.sheets.columns import FOUND, Layout
from mailer.audience.sheets.sheet import Sheet, Table
from mailer.audience.sheets.source import BadFile
from mailer.audience.sheets.workbook import ChooseTab
from mailer.audience.store import Import
from mailer.audience.uploads import packing, store
from mailer.audience.uploads.packing import Told
from mailer.audience.uploads.store import Step, Upload
from mailer.audience.verdicts import RowVerdict
from mailer.database import Database
from mailer.errors import Conflict, MailerError, NotFound
from mailer.sentence import Sentence
from mailer.signing import Keyring

KEPT_FOR = timedelta(hours=23)  # the content of a file; whoever tidies comes every hour
KNOWN_FOR = timedelta(days=7)  # that there was one
UNDO_WITHIN = timedelta(hours=24)  # after an import's end
AT_ONCE = 2_000  # rows that are checked while a person waits
_LEASE = timedelta(minutes=10)  # the longest that a worker says nothing: a check of a million rows


class NoUpload(NotFound):
    """This file is not here any more: files are kept for a day. Send it again."""


class NotNow(Conflict):
    """This file is at another step already: reload the page."""


class TooLate(Conflict):
    """An import can be undone within 24 hours: change or remove the people one by one."""


class _LeaseLost(MailerError):
    """Another worker has taken over."""


def keep(
    session: Session,
    *,
    content: bytes,
    name: str,
    publication_id: int,
    consent: Consent,
    now: datetime,
    actor: Actor,
    partner_id: int | None = None,
) -> Upload:
    """Keep a file that came over the web.

    :raises BadFile: nothing that a person can say would make people of it
    """
    kept = Upload(
        public_id=uuid7(), partner_id=partner_id, publication_id=publication_id, user_id=actor.user_id,
        actor=actor.name, file_name=name[:200], content=content, layout=FOUND.stored(),
        consent_kind=consent.kind, wording=consent.wording, uploaded_at=now, step=Step.KEPT,
        trouble="", rows=0, done=0, told={"remarks": [], "unread": []}, lease="",
    )  # fmt: skip
    with suppress(ChooseTab):
        look(kept)
    session.add(kept)
    session.flush()
    return kept


def get(session: Session, public_id: UUID, *, partner_id: int | None) -> Upload:
    """:raises NoUpload: none of that id with this partner, None: with the secretariat"""
    found = store.find(session, public_id, partner_id)
    if found is None:
        raise NoUpload
    return found


def look(upload: Upload, layout: Layout | None = None) -> Table:
    """Look at the file: its columns, and what they would be taken for.

    :raises BadFile: not a table; ChooseTab: a workbook of several sheets
    :raises NoUpload: its content has been erased
    """
    return sheet.look(_content(upload), upload.file_name, layout or Layout.restored(upload.layout))


def lay_out(session: Session, upload: Upload, layout: Layout) -> None:
    """Say how the file is to be read.

    :raises NotNow: it is being taken in, or was
    """
    if upload.step not in (Step.KEPT, Step.CHECKED, Step.FAILED):
        raise NotNow
    upload.layout, upload.step, upload.trouble, upload.verdicts = layout.stored(), Step.KEPT, "", None
    session.flush()


def check(session: Session, upload: Upload, *, keys: Keyring, now: datetime) -> None:
    """Say what an import would do: at once for a short file, else a worker does.

    A file that cannot be read as people so far keeps its ``trouble``, for a person to say how.

    :raises NotNow: it is being taken in, or was
    """
    if upload.step not in (Step.KEPT, Step.CHECKED, Step.FAILED):
        raise NotNow
    upload.trouble = ""
    try:
        read = sheet.read_through(look(upload))
    except (BadFile, columns.NoSuchColumn) as trouble:
        upload.trouble, upload.step = trouble.sentence, Step.KEPT
        session.flush()
        return
    upload.rows = read.count
    upload.told = {"remarks": [each.stored() for each in read.remarks], "unread": list(read.unread)}
    upload.step = Step.CHECKING
    if read.count <= AT_ONCE:
        _check(session, upload, _job(upload, read, keys), now)
    session.flush()


def start(
    session: Session,
    upload: Upload,
    consent: Consent,
    invitation: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Have a file taken in by a worker, once its check was seen and it was said how consent came about.

    ``invitation``: subject and text by language of the mail by which each new person is then asked, little by
    little (``delivery.inviting``); its ``{link}`` becomes theirs.

    :raises NotNow: it was not checked, or has been begun
    """
    if upload.step != Step.CHECKED:
        raise NotNow
    upload.step, upload.done = Step.RUNNING, 0
    upload.consent_kind, upload.wording, upload.origin = consent.kind, consent.wording, consent.origin
    upload.invitation = dict(invitation) if invitation else None
    session.flush()


def work(database: Database, *, keys: Keyring, clock: Callable[[], datetime]) -> bool:
    """Undo imports for a while, or go on with one upload; False when nothing waits.

    Run twice, it does it once: leases tell.
    """
    if imports.undo_waiting(database, clock=clock):
        return True
    name = token_hex(16)
    with database.write() as session:
        upload_id = store.lease(session, name, clock(), clock() + _LEASE)
    if upload_id is None:
        return False
    try:
        _go_on(database, upload_id, name, keys, clock)
    except _LeaseLost:
        return True
    except MailerError as trouble:
        with database.write() as session:
            _failed(session.get_one(Upload, upload_id), trouble)
    return True


def checked(upload: Upload) -> Iterator[Told]:
    """Yield what would become of each row; nothing before that is known."""
    return packing.unpacked(upload.verdicts) if upload.verdicts else iter(())


def reported(session: Session, done: Import) -> Iterator[Told]:
    """Yield what became of each row, with its address while the file is known."""
    upload = store.of_import(session, done.id)
    addresses = {row.line: row.address for row in checked(upload)} if upload else {}
    for row in imports.report(session, done.public_id).verdicts:
        yield Told(row.line, row.verdict, row.message, addresses.get(row.line, ""))


def find_import(session: Session, public_id: UUID, *, partner_id: int | None) -> Import:
    """:raises NoImport: none of that id; with ``partner_id``, none of that partner's"""
    found = store.find_import(session, public_id, partner_id)
    if found is None:
        raise NoImport
    return found


def undo_until(done: Import) -> datetime | None:
    """Return until when an import can be undone on a page; None: it runs, or is being undone, or was."""
    if done.finished_at is None or done.undo_asked_at is not None:
        return None
    return done.finished_at + UNDO_WITHIN


def undo(session: Session, public_id: UUID, *, partner_id: int | None, now: datetime, actor: Actor) -> None:
    """Have a worker put back what an import wrote, within a day; asked again meanwhile, nothing changes.

    :raises NoImport: none of that id, or another partner's
    :raises TooLate: it ended longer ago
    :raises UndoneAlready: it is put back; NotNow: it still runs
    """
    done = find_import(session, public_id, partner_id=partner_id)
    if done.finished_at is None:
        raise NotNow
    if done.undo_asked_at is None and now > done.finished_at + UNDO_WITHIN:
        raise TooLate
    imports.ask_undo(session, public_id, now=now, actor=actor)


def forget(session: Session, *, now: datetime) -> None:
    """Erase files that came a day ago."""
    store.forget(session, now - KEPT_FOR, now - KNOWN_FOR)


def _content(upload: Upload) -> bytes:
    if upload.content is None:
        raise NoUpload
    return upload.content


def _job(upload: Upload, read: Sheet, keys: Keyring) -> Job:
    return Job(
        sheet=read, publication_id=upload.publication_id, consent=upload.consent, keys=keys,
        actor=Actor(upload.user_id, upload.actor), partner_id=upload.partner_id,
    )  # fmt: skip


def _check(session: Session, upload: Upload, job: Job, now: datetime) -> None:
    report = imports.dry_run(session, job, now=now)
    upload.verdicts, upload.step = packing.packed(_with_addresses(report.verdicts, job.sheet)), Step.CHECKED


def _with_addresses(verdicts: Iterable[RowVerdict], read: Sheet) -> Iterator[Told]:
    for verdict, row in zip(verdicts, read.rows(), strict=True):
        who = row.person or row.gone
        yield Told(verdict.line, verdict.verdict, verdict.message, who.address if who else "")


def _go_on(
    database: Database, upload_id: int, name: str, keys: Keyring, clock: Callable[[], datetime]
) -> None:
    with database.read() as session:
        upload = session.get_one(Upload, upload_id)
        job = _job(upload, sheet.read_through(look(upload)), keys)
        step = upload.step
        found = b""
        if step == Step.CHECKING:
            found = packing.packed(
                _with_addresses(imports.dry_run(session, job, now=clock()).verdicts, job.sheet)
            )
    if found:
        with database.write() as session:
            _mine(session, upload_id, name, clock)
            upload = session.get_one(Upload, upload_id)
            upload.verdicts, upload.step, upload.leased_until = found, Step.CHECKED, None
        return
    with database.write() as session:
        _mine(session, upload_id, name, clock)
        upload = session.get_one(Upload, upload_id)
        upload.import_id, upload.done = imports.begin(session, job, now=clock()), 0
    imports.run(
        database, job, clock=clock, told=lambda session, rows: _mine(session, upload_id, name, clock, rows)
    )
    with database.write() as session:
        upload = session.get_one(Upload, upload_id)
        upload.step, upload.done, upload.leased_until = Step.DONE, upload.rows, None
        upload.invite_at = clock() if upload.invitation else None
        upload.content = None


def _mine(session: Session, upload_id: int, name: str, clock: Callable[[], datetime], rows: int = 0) -> None:
    """:raises _LeaseLost: another worker goes on with it; this transaction is rolled back"""
    if not store.advance(session, upload_id, name, clock() + _LEASE, rows):
        raise _LeaseLost


def _failed(upload: Upload, trouble: MailerError) -> None:
    upload.step, upload.trouble, upload.leased_until = Step.FAILED, trouble.sentence, None


def remarks(upload: Upload) -> list[Sentence]:
    """Return what a person should know about how the file was understood."""
    return [Sentence.restored(each) for each in upload.told["remarks"]]
