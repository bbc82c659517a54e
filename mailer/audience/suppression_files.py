"""Files of suppressions: taken in with a verdict per row, undone as a whole, and given out again.

A file is a table with a column of addresses, and columns for reason, note, publication, sender and end, in
Chinese or English; or a bare list of addresses. What another system wrote about an address is kept as its
note.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer import address as addresses
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.address import BadAddress
from mailer.audience import silenced, suppressions
from mailer.audience.imports import NoImport, UndoneAlready
from mailer.audience.intake import Verdict
from mailer.audience.sheets import listed
from mailer.audience.sheets.guard import guarded
from mailer.audience.sheets.listed import Line, Listed
from mailer.audience.store import SuppressionImport
from mailer.audience.suppressions import MANUAL, REASONS, Scope, Silence
from mailer.audience.verdicts import Report, RowVerdict, Verdicts
from mailer.errors import Invalid, MailerError
from mailer.sentence import Sentence
from mailer.signing import Keyring

_ALIASES = {
    "address": "email emailaddress mail address recipient 邮箱 邮箱地址 电子邮箱 电子邮件 邮件地址 电邮",
    "reason": "reason type category 原因 类别",
    "note": "note notes remark comment description error 备注 说明",
    "publication": "publication newsletter 刊物 通讯",
    "sender": "sender from 发件人 发件地址",
    "until": "until expires end 截止 截止日期 到期",
}
_MEANING = listed.by_alias(_ALIASES)
_HEADER = ("email", "reason", "note", "publication", "sender", "since", "until")
_NOTE_LIMIT = 2_000  # characters
_KNOWN = (Verdict.ADDED, Verdict.UNCHANGED, Verdict.REFUSED)


class BadRow(Invalid):
    """This row cannot be taken in."""


def read(raw: bytes, name: str) -> Listed:
    """Read a file.

    :raises BadFile: not a table, without a column of addresses, or empty
    """
    return listed.read(
        raw, name, _MEANING, needed="address", bare=_is_address,
        missing="No column is named “email” or “邮箱” (found: {shown}): name the column of addresses so.",
    )  # fmt: skip


def take_in(session: Session, found: Listed, *, keys: Keyring, now: datetime, actor: Actor) -> Report:
    """Silence the addresses of a file, all or, with a refusal each, some; in one transaction."""
    made = SuppressionImport(
        public_id=uuid7(), file_name=found.name[:200], file_hash=found.digest, actor=actor.name, at=now,
        added=0, unchanged=0, refused=0,
    )  # fmt: skip
    session.add(made)
    session.flush()
    wanted, refusals = _judged(session, found, keys, now, actor, made.id)
    verdicts = Verdicts(_verdicts(session, wanted, refusals, now))
    suppressions.suppress_many(session, list(wanted.values()), now=now)
    report = Report(made.public_id, verdicts, _KNOWN)
    made.added, made.unchanged, made.refused = report.counts.values()
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="suppression.import", subject=f"suppression import {made.id}",
        after=dict(report.counts),
    )  # fmt: skip
    return report


def dry_run(session: Session, found: Listed, *, keys: Keyring, now: datetime, actor: Actor) -> Report:
    """Return the report that ``take_in`` would give, and write nothing."""
    wanted, refusals = _judged(session, found, keys, now, actor, None)
    return Report(None, Verdicts(_verdicts(session, wanted, refusals, now)), _KNOWN)


def listing(session: Session) -> list[SuppressionImport]:
    """Return the imports that were made, newest first."""
    return silenced.imports(session)


def undo(session: Session, public_id: UUID, *, now: datetime, actor: Actor) -> int:
    """Release what an import added and nobody has released since; return how many.

    :raises NoImport: none of that id
    :raises UndoneAlready: a second time
    """
    made = silenced.import_by_public_id(session, public_id)
    if made is None:
        raise NoImport
    if made.undone_at is not None:
        raise UndoneAlready
    made.undone_at = now
    session.flush()
    released = silenced.release_imported(session, made.id, now, actor.name)
    audit.record(
        session, now=now, actor=actor, action="suppression.import.undo",
        subject=f"suppression import {made.id}", after={"released": released},
    )  # fmt: skip
    return released


def export(session: Session, *, now: datetime) -> Iterator[str]:
    """Yield the lines of a CSV of what is in force, oldest first, read as they are asked for.

    As ``exports.as_csv``: with a byte order mark, and no cell that a spreadsheet would run. An address that
    was erased, or that was never a reader's, is not known: its cell is empty.
    """
    yield "\ufeff" + _csv(_HEADER)
    for row in silenced.export(session, now):
        yield _csv([
            guarded(cell)
            for cell in (
                row.address or "", row.reason, row.note, row.publication or "", row.sender or "",
                row.since.isoformat(timespec="seconds"),
                row.until.isoformat(timespec="seconds") if row.until else "",
            )
        ])  # fmt: skip


def _csv(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _judged(
    session: Session, found: Listed, keys: Keyring, now: datetime, actor: Actor, import_id: int | None
) -> tuple[dict[int, Silence], dict[int, Sentence]]:
    """Return what the rows want, by line, and why the others are refused."""
    publications = silenced.publication_ids(session)
    wanted: dict[int, Silence] = {}
    refusals: dict[int, Sentence] = {}
    for row in found.rows:
        try:
            wanted[row.line] = _silence(row, publications, found.name, keys, now, actor, import_id)
        except MailerError as refusal:
            refusals[row.line] = refusal.sentence
    return wanted, refusals


def _silence(
    row: Line,
    publications: Mapping[str, int],
    file_name: str,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    import_id: int | None,
) -> Silence:
    cells = row.cells
    key = addresses.parse(cells.get("address", "")).key
    reason = cells.get("reason", "").strip().lower()
    said = [cells.get("note", "")] if reason in REASONS else [cells.get("reason", ""), cells.get("note", "")]
    note = ": ".join(filter(None, said)) or f"{file_name[:150]}:{row.line}"
    return Silence(
        address_hash=keys.address_hash(key),
        reason=reason if reason in REASONS else MANUAL,
        note=note[:_NOTE_LIMIT],
        scope=_scope(cells, publications),
        until=_until(cells.get("until", ""), now),
        added_by=actor.name,
        import_id=import_id,
    )


def _scope(cells: Mapping[str, str], publications: Mapping[str, int]) -> Scope:
    code, sender = cells.get("publication", ""), cells.get("sender", "")
    if code and code not in publications:
        raise BadRow("There is no publication “{code}”: correct it, or leave the cell empty.", code=code[:40])
    return Scope(publications.get(code), addresses.parse(sender).key if sender else None)


def _until(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        until = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRow("“{text}” is no date: write it like 2027-01-31.", text=text[:40]) from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    if until <= now:
        raise BadRow("The end lies in the past: nothing is to be silenced any more.")
    return until


def _verdicts(
    session: Session, wanted: Mapping[int, Silence], refusals: Mapping[int, Sentence], now: datetime
) -> Iterator[RowVerdict]:
    hashes = list({each.address_hash for each in wanted.values()})
    known = {
        (row.address_hash, row.reason, Scope(row.publication_id, row.sender))
        for row in silenced.said(session, hashes, now)
    }
    for line in sorted([*wanted, *refusals]):
        if line in refusals:
            yield RowVerdict(line, Verdict.REFUSED, refusals[line])
        else:
            key = wanted[line].key
            yield RowVerdict(line, Verdict.UNCHANGED if key in known else Verdict.ADDED, "")
            known.add(key)


def _is_address(cell: str) -> bool:
    try:
        addresses.parse(cell)
    except BadAddress:
        return False
    return True
