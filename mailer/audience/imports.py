"""Imports: a sheet of people is taken in, row by row with a verdict; it can be tried, resumed and undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import bulk, partners, subscribers
from mailer.audience.intake import Consent, Person, Verdict
from mailer.audience.sheet import Row, Sheet
from mailer.audience.store import Import, Membership, Subscriber, Subscription
from mailer.audience.subscribers import CHUNK, Taken
from mailer.database import Database
from mailer.errors import Conflict, MailerError, NotFound
from mailer.signing import Keyring


class NoImport(NotFound):
    """There is no such import: `mailer subscribers imports` shows those that were made."""


class UndoneAlready(Conflict):
    """This import has been undone already."""


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """What became of a row; ``message`` is a sentence where there is something to say."""

    line: int
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. ``id`` None: a dry run, nothing was written."""

    id: UUID | None
    verdicts: tuple[RowVerdict, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows there are of each verdict, none left out."""
        found = Counter(row.verdict for row in self.verdicts)
        return {verdict: found[verdict] for verdict in Verdict}


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


def run(database: Database, job: Job, *, clock: Callable[[], datetime]) -> Report:
    """Take a sheet in, a transaction per 2,000 rows; stopped half-way, a second run does the rest.

    The one verb that opens transactions: what is resumed must have been committed.
    """
    with database.write() as session:
        import_id = begin(session, job, now=clock())
        done = bulk.imported_lines(session, import_id)
    rows = [row for row in job.sheet.rows if row.line not in done]
    for start in range(0, len(rows), CHUNK):
        with database.write() as session:
            take(session, job, import_id, rows[start : start + CHUNK], now=clock())
    with database.write() as session:
        return finish(session, import_id, now=clock(), actor=job.actor)


def dry_run(session: Session, job: Job, *, now: datetime) -> Report:
    """Return the report that ``run`` would give, and write nothing."""
    savepoint = session.begin_nested()
    verdicts = [verdict for verdict, _ in _decide(session, job, job.sheet.rows, now)]
    savepoint.rollback()
    session.expire_all()
    return Report(None, tuple(verdicts))


def begin(session: Session, job: Job, *, now: datetime) -> int:
    """Return the id of the import: the same file's unfinished one, else a new one."""
    unfinished = bulk.unfinished_import(session, job.sheet.digest, job.publication_id, job.partner_id)
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
    """Take rows in and keep their verdicts."""
    written = [
        {
            "import_id": import_id, "line": verdict.line, "verdict": verdict.verdict,
            "message": verdict.message, "subscriber_id": taken.subscriber_id if taken else None,
            "before": _plain(taken.before) if taken and taken.after else None,
            "after": _plain(taken.after) if taken and taken.after else None,
        }
        for verdict, taken in _decide(session, job, rows, now)
    ]  # fmt: skip
    bulk.insert_import_rows(session, written)


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
    return bulk.imports(session, partner_id)


def undo(session: Session, public_id: UUID, *, now: datetime, actor: Actor) -> Undone:
    """Put back what an import wrote, row by row, where nobody has changed it since.

    A person who has left, chosen or confirmed meanwhile keeps what they did.

    :raises NoImport: none of that id
    :raises UndoneAlready: a second time
    """
    done = _get(session, public_id)
    if done.undone_at is not None:
        raise UndoneAlready
    done.undone_at = now
    restored = kept = 0
    for row in bulk.written_rows(session, done.id):
        subscriber_id, row.subscriber_id = row.subscriber_id, None
        session.flush()
        if _restore(session, subscriber_id or 0, done.publication_id, row.before or {}, row.after or {}):
            restored += 1
        else:
            kept += 1
    audit.record(
        session, now=now, actor=actor, action="import.undo", subject=f"import {public_id}",
        after={"restored": restored, "kept": kept}, partner_id=done.partner_id,
    )  # fmt: skip
    return Undone(restored, kept)


def _get(session: Session, public_id: UUID) -> Import:
    found = bulk.import_by_public_id(session, public_id)
    if found is None:
        raise NoImport
    return found


def _report(session: Session, done: Import) -> Report:
    rows = bulk.import_verdicts(session, done.id)
    return Report(
        done.public_id, tuple(RowVerdict(line, Verdict(word), message) for line, word, message in rows)
    )


def _decide(
    session: Session, job: Job, rows: Sequence[Row], now: datetime
) -> Iterable[tuple[RowVerdict, Taken | None]]:
    """Take in what can be; yield a verdict for every row, and what was written."""
    refusals: dict[int, str] = {}
    people: list[tuple[int, Person]] = []
    for row in rows:
        try:
            if row.person is None:
                refusals[row.line] = row.refusal
            else:
                people.append((row.line, replace(row.person, partner_id=_partner_of(session, job, row))))
        except MailerError as refusal:
            refusals[row.line] = refusal.sentence
    taken = subscribers.take_in(
        session, [person for _, person in people], keys=job.keys, now=now, actor=job.actor,
        publication_id=job.publication_id, consent=job.consent,
    )  # fmt: skip
    found = {line: result for (line, _), result in zip(people, taken, strict=True)}
    for line, person in people:
        if "membership" in found[line].after:  # undoing must know whose
            found[line].after["membership"]["partner_id"] = person.partner_id
    for row in rows:
        result = found.get(row.line)
        if result is None:
            yield RowVerdict(row.line, Verdict.REFUSED, refusals[row.line]), None
        else:
            message = result.refusal.sentence if result.refusal else result.note
            yield RowVerdict(row.line, result.verdict, message), result


def _partner_of(session: Session, job: Job, row: Row) -> int | None:
    if job.partner_id is not None or not row.partner:
        return job.partner_id
    return partners.get(session, row.partner).id


def _restore(
    session: Session,
    subscriber_id: int,
    publication_id: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> bool:
    """Put one row back; False when something of it has changed since and stays."""
    places: list[tuple[str, Subscription | Membership | Subscriber | None]] = []
    if "subscription" in after:
        places.append(("subscription", session.get(Subscription, (publication_id, subscriber_id))))
    if "membership" in after:
        partner_id = after["membership"]["partner_id"]
        places.append(("membership", bulk.find_membership(session, partner_id, subscriber_id)))
    if "subscriber" in after:
        places.append(("subscriber", session.get(Subscriber, subscriber_id)))
    back = [_put_back(session, row, before.get(table), after[table]) for table, row in places]
    return all(back)  # each is tried, whatever became of the others


def _put_back(
    session: Session,
    row: Subscription | Membership | Subscriber | None,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
) -> bool:
    if row is None or any(getattr(row, column) != value for column, value in _typed(after).items()):
        return False
    if before is None:
        return _delete(session, row)
    for column, value in _typed(before).items():
        setattr(row, column, value)
    session.flush()
    return True


def _delete(session: Session, row: Subscription | Membership | Subscriber) -> bool:
    """Delete a row; False when others lean on it: a letter was sent, another partner holds the person."""
    savepoint = session.begin_nested()
    try:
        session.delete(row)
        session.flush()
    except IntegrityError:
        savepoint.rollback()
        return False
    savepoint.commit()
    return True


def _plain(tables: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return columns as JSON keeps them; ``_typed`` reads them back."""
    return {
        table: columns and {column: _json(value) for column, value in columns.items()}
        for table, columns in tables.items()
    }


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column: datetime.fromisoformat(value) if column.endswith(("_at", "_until")) and value else value
        for column, value in columns.items()
    }
