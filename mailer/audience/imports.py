"""Imports: a sheet of people is taken in, row by row with a verdict; it can be tried, resumed and undone."""

from __future__ import annotations

import gc
import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import bulk, gone, imported, partners, parts, silenced, subscribers, undoing
from mailer.audience.intake import Consent, Person, Verdict
from mailer.audience.parts import Added
from mailer.audience.sheets.foreign import Gone
from mailer.audience.sheets.people import Row
from mailer.audience.sheets.sheet import Sheet
from mailer.audience.store import Import
from mailer.audience.subscribers import Taken
from mailer.audience.verdicts import Report, RowVerdict, Verdicts
from mailer.database import Database
from mailer.errors import Conflict, MailerError, NotFound
from mailer.signing import Keyring

CHUNK = 5_000  # rows of a transaction: a third of a second, for which a sign-up may have to wait


class NoImport(NotFound):
    """There is no such import: `mailer subscribers imports` shows those that were made."""


class UndoneAlready(Conflict):
    """This import has been undone already."""


@dataclass(frozen=True, slots=True)
class Undone:
    """How many rows were put back, and how many had changed since and stay."""

    restored: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A sheet on its way in. ``partner_id``: every row is that partner's, and told to it alone."""

    sheet: Sheet
    publication_id: int
    consent: Consent
    keys: Keyring
    actor: Actor
    partner_id: int | None = None


def _nobody(session: Session, rows: int) -> None:
    """Progress that is told to nobody."""


def run(
    database: Database,
    job: Job,
    *,
    clock: Callable[[], datetime],
    told: Callable[[Session, int], None] = _nobody,
) -> Report:
    """Take a sheet in, a transaction for every ``CHUNK`` rows; stopped half-way, a second run does the rest.

    The one verb that opens transactions: what is resumed must have been committed. ``told`` hears of how many
    rows each of them takes in, and may stop it by raising.
    """
    with database.write() as session:
        import_id = begin(session, job, now=clock())
        last = imported.last_line(session, import_id)
        done = imported.lines_after(session, import_id, last)
    rows = (row for row in job.sheet.rows() if row.line > last and row.line not in done)
    with _no_garbage_looked_for():
        while chunk := list(islice(rows, CHUNK)):
            with database.write() as session:
                take(session, job, import_id, chunk, now=clock())
                told(session, len(chunk))
            del chunk  # before it is looked at: there is little else
            gc.collect()
    with database.write() as session:
        imported.analyze(session)
    with database.write() as session:
        return finish(session, import_id, now=clock(), actor=job.actor)


@contextmanager
def _no_garbage_looked_for() -> Iterator[None]:
    """Have the garbage collector look at new objects only, and when it is told to: millions come and go."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def dry_run(session: Session, job: Job, *, now: datetime) -> Report:
    """Return the report that ``run`` would give, and write nothing.

    Each row is judged by what the database holds: one whose address stood further up under another partner
    is judged as if it stood there alone.
    """
    seats = subscribers.Seats(session)
    found = Verdicts()
    for chunk in _chunks(job.sheet.rows()):
        for verdict, _ in _decide(session, job, chunk, now, seats):
            found.add(verdict.line, verdict.verdict, verdict.message)
    return Report(None, found)


def begin(session: Session, job: Job, *, now: datetime) -> int:
    """Return the id of the import: the same file's unfinished one, else a new one."""
    unfinished = imported.unfinished_import(session, job.sheet.digest, job.publication_id, job.partner_id)
    if unfinished is not None:
        return unfinished.id
    made = Import(
        public_id=uuid7(), publication_id=job.publication_id, partner_id=job.partner_id,
        file_name=job.sheet.name[:200], file_hash=job.sheet.digest, actor=job.actor.name, started_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made.id


def take(session: Session, job: Job, import_id: int, rows: Sequence[Row], *, now: datetime) -> None:
    """Take rows in, the next of the file, and keep their verdicts."""
    added, written = [], []
    for verdict, taken in _decide(session, job, rows, now, import_id=import_id):
        if taken and taken.born and taken.subscriber_id and not verdict.message:
            added.append(_added(verdict.line, taken.subscriber_id, *taken.born))
        else:
            written.append(_row(import_id, verdict, taken))
    imported.insert_rows(session, written)
    imported.insert_part(session, import_id, rows[-1].line, parts.packed(added), now)


def _added(
    line: int, subscriber_id: int, subscriber: Mapping[str, Any], membership: Mapping[str, Any] | None
) -> Added:
    tie = parts.membership_digest(membership) if membership else parts.NO_MEMBERSHIP
    return Added(line, subscriber_id, parts.subscriber_digest(subscriber), tie)


def _row(import_id: int, verdict: RowVerdict, taken: Taken | None) -> dict[str, Any]:
    """Return a row that keeps a verdict, and what undoing restores where something was written."""
    after = taken.after if taken else {}
    return {
        "import_id": import_id, "line": verdict.line, "verdict": verdict.verdict.value,
        "message": verdict.message, "subscriber_id": taken.subscriber_id if taken and after else None,
        "before": undoing.stored(taken.before) if taken and after else None,
        "after": undoing.stored(after) if after else None,
    }  # fmt: skip


def finish(session: Session, import_id: int, *, now: datetime, actor: Actor) -> Report:
    """Close an import and return what it did."""
    done = session.get_one(Import, import_id)
    done.finished_at = now
    session.flush()
    found = _report(session, done)
    audit.record(
        session, now=now, actor=actor, action="import.finish", subject=f"import {done.public_id}",
        after=dict(found.counts), partner_id=done.partner_id,
    )  # fmt: skip
    return found


def report(session: Session, public_id: UUID) -> Report:
    """:raises NoImport: none of that id"""
    return _report(session, _get(session, public_id))


def listing(session: Session, *, partner_id: int | None = None) -> list[Import]:
    """Return imports, newest first; with ``partner_id``, only that partner's."""
    return imported.imports(session, partner_id)


def ask_undo(session: Session, public_id: UUID, *, now: datetime, actor: Actor) -> Import:
    """Have what an import wrote put back little by little (``undo_step``), where nobody changed it since.

    Asked again while that goes on, nothing changes. ``audience.undoing`` has the rules.

    :raises NoImport: none of that id
    :raises UndoneAlready: it is put back
    """
    done = imported.hold(session, public_id)
    if done is None:
        raise NoImport
    if done.undone_at is not None:
        raise UndoneAlready
    if done.undo_asked_at is None:
        done.undo_asked_at, done.undo_asked_by = now, actor.name
        done.to_undo = imported.count_to_undo(session, done.id) + silenced.count_with_people(session, done.id)
        audit.record(
            session, now=now, actor=actor, action="import.undo", subject=f"import {public_id}",
            after={"rows": done.to_undo}, partner_id=done.partner_id,
        )  # fmt: skip
    return done


def undo_step(session: Session, done: Import, *, now: datetime) -> bool:
    """Put back the next rows of an import that is held; False when it is undone with that."""
    bulk.one_intake_at_a_time(session)
    tally = undoing.put_back_next(session, done)
    if tally is not None:
        done.restored, done.kept = done.restored + tally[True], done.kept + tally[False]
        return True
    released = silenced.release_with_people(session, done.id, now, done.undo_asked_by)
    done.restored += released
    done.kept += silenced.count_with_people(session, done.id) - released
    done.undone_at = now
    audit.record(
        session, now=now, actor=Actor(None, done.undo_asked_by), action="import.undone",
        subject=f"import {done.public_id}", after={"restored": done.restored, "kept": done.kept},
        partner_id=done.partner_id,
    )  # fmt: skip
    return False


def undo_waiting(database: Database, *, clock: Callable[[], datetime], seconds: float = 2.0) -> bool:
    """Go on with imports that are to be undone for about so many seconds; False when none waits."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with database.write() as session:
            done = imported.hold_next_to_undo(session)
            if done is None:
                return False
            undo_step(session, done, now=clock())
    return True


def undo(database: Database, public_id: UUID, *, clock: Callable[[], datetime], actor: Actor) -> Undone:
    """Put back all that an import wrote, a transaction for some thousand rows; stopped, workers do the rest.

    :raises NoImport: none of that id
    :raises UndoneAlready: a second time
    """
    with database.write() as session:
        ask_undo(session, public_id, now=clock(), actor=actor)
    while True:
        with database.write() as session:
            done = imported.hold(session, public_id)
            assert done is not None, "imports are not deleted"
            if done.undone_at is not None or not undo_step(session, done, now=clock()):
                return Undone(done.restored, done.kept)


def _get(session: Session, public_id: UUID) -> Import:
    found = imported.import_by_public_id(session, public_id)
    if found is None:
        raise NoImport
    return found


def _report(session: Session, done: Import) -> Report:
    whole = (
        RowVerdict(person.line, Verdict.ADDED, "")
        for people in imported.parts(session, done.id)
        for person in parts.unpacked(people)
    )
    others = (
        RowVerdict(line, Verdict(word), message)
        for line, word, message in imported.verdicts(session, done.id)
    )
    return Report(done.public_id, Verdicts(heapq.merge(whole, others, key=lambda row: row.line)))


def _decide(
    session: Session,
    job: Job,
    rows: Sequence[Row],
    now: datetime,
    dry: subscribers.Seats | None = None,
    import_id: int | None = None,
) -> Iterator[tuple[RowVerdict, Taken | None]]:
    """Take in what can be, or only judge it; yield a verdict for every row, and what was written."""
    judged: dict[int, RowVerdict] = {}
    people: list[Person] = []
    left: dict[int, Gone] = {}
    partner_of = _Partners(session, job)
    for row in rows:
        if row.person is None:
            if row.gone and job.partner_id is None:  # a partner's file silences nobody for others
                left[row.line] = row.gone
            judged[row.line] = RowVerdict(row.line, Verdict.REFUSED, row.refusal)
            continue
        try:
            people.append(partner_of.given(row.person, row.partner))
        except MailerError as refusal:
            judged[row.line] = RowVerdict(row.line, Verdict.REFUSED, refusal.sentence)
    found = subscribers.take_in(
        session, people, keys=job.keys, now=now, actor=job.actor, publication_id=job.publication_id,
        consent=job.consent, dry=dry,
    )  # fmt: skip
    if left:
        judged |= gone.remember(
            session, left, import_id=import_id, publication_id=job.publication_id, by=job.actor.name,
            keys=job.keys, now=now,
        )  # fmt: skip
    taken = iter(found)
    for row in rows:
        if row.line in judged:
            yield judged[row.line], None
            continue
        result = next(taken)
        message = result.refusal.sentence if result.refusal else row.note
        yield RowVerdict(row.line, result.verdict, message), result


class _Partners:
    """Whose the people of a sheet are: the job's partner's, or what their rows say."""

    def __init__(self, session: Session, job: Job) -> None:
        self._session, self._partner_id = session, job.partner_id
        self._ids: dict[str, int] = {}

    def given(self, person: Person, code: str) -> Person:
        """Return the person with their partner.

        :raises NoPartner: none has that code
        """
        if self._partner_id is not None:
            return person._replace(partner_id=self._partner_id)
        if not code:
            return person
        if code not in self._ids:
            self._ids[code] = partners.get(self._session, code).id
        return person._replace(partner_id=self._ids[code])


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
