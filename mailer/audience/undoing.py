"""Undoing: what an import wrote is put back, in sets, where nobody has changed it since.

A person who has left, chosen or confirmed meanwhile keeps what they did. Rows are gone through from the
last to the first, so that what was written on top is taken off first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailer.audience import bulk, imported, parts
from mailer.audience.bulk import Columns
from mailer.audience.intake import STATE
from mailer.audience.parts import Added
from mailer.audience.store import Import, ImportPart

Stored = Mapping[str, Any]
"""Columns as ``ImportRow`` keeps them in JSON."""


def put_back_next(session: Session, done: Import) -> Counter[bool] | None:
    """Put back the last of what an import wrote and that is not put back; None when nothing is left.

    Returns of how many rows all was put back, and of how many not.
    """
    tally: Counter[bool] = Counter()
    if rows := imported.rows_to_undo(session, done.id):
        people = [(row.subscriber_id or 0, row.before or {}, row.after) for row in rows if row.after]
        imported.let_go(session, done.id, [row.line for row in rows])
        for each in _different(people):
            tally.update(_Rows(session, done.publication_id).undo(each))
    elif part := imported.next_part_to_undo(session, done.id):
        tally.update(_take_out(session, done.publication_id, part))
        part.undone = True
        session.flush()
    else:
        return None
    session.expire_all()
    return tally


def stored(tables: Mapping[str, Columns | None]) -> dict[str, Any]:
    """Return columns as JSON keeps them; ``_typed`` reads them back."""
    return {
        table: columns and {column: _json(value) for column, value in columns.items()}
        for table, columns in tables.items()
    }


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(columns: Stored) -> Columns:
    return {
        column: datetime.fromisoformat(value) if column.endswith(("_at", "_until")) and value else value
        for column, value in columns.items()
    }


# Rows of their own

_Row = tuple[int, Stored, Stored]  # subscriber, before, after


def _different(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Yield runs of rows in which nobody stands twice: what is below must be there when it is compared."""
    run: dict[int, _Row] = {}
    for row in rows:
        if row[0] in run:
            yield list(run.values())
            run = {}
        run[row[0]] = row
    if run:
        yield list(run.values())


@dataclass
class _Work:
    """What is to be deleted and changed in one table, by its ids."""

    gone: list[int] = field(default_factory=list)
    changed: list[tuple[int, Columns]] = field(default_factory=list)

    def plan(self, row_id: int, now_there: Columns | None, before: Stored | None, after: Stored) -> bool:
        """Plan what undoes a row of the table; False when somebody has changed it since."""
        if now_there is None or any(now_there[name] != value for name, value in _typed(after).items()):
            return False
        if before is None:
            self.gone.append(row_id)
        else:
            self.changed.append((row_id, _typed(before)))
        return True


class _Rows:
    """Rows about different people, undone together."""

    def __init__(self, session: Session, publication_id: int) -> None:
        self._session, self._publication_id = session, publication_id
        self._subscribers, self._memberships, self._subscriptions = _Work(), _Work(), _Work()

    def undo(self, rows: Collection[_Row]) -> list[bool]:
        """Put back all that is as it was written; say of each row whether that is all of it."""
        ids = [row[0] for row in rows]
        people = bulk.subscribers_by_id(self._session, ids)
        standing = bulk.subscriptions(self._session, ids, self._publication_id)
        ties = {
            (row["partner_id"], row["subscriber_id"]): row for row in bulk.memberships(self._session, ids)
        }
        whole: dict[int, bool] = {}
        for own, before, after in rows:
            tried = []
            if "subscription" in after:
                found = standing.get(own)
                tried.append(
                    self._subscriptions.plan(own, found, before.get("subscription"), after["subscription"])
                )
            if "membership" in after:
                tie = ties.get((after["membership"]["partner_id"], own))
                tied = tie["id"] if tie else 0
                tried.append(self._memberships.plan(tied, tie, before.get("membership"), after["membership"]))
            if "subscriber" in after:
                person = people.get(own)
                tried.append(
                    self._subscribers.plan(own, person, before.get("subscriber"), after["subscriber"])
                )
            whole[own] = all(tried)
        stay = self._write()
        return [own not in stay and whole[own] for own in ids]

    def _write(self) -> set[int]:
        """Write what was planned; return who was to go and stays."""
        session, pub = self._session, self._publication_id
        bulk.delete_memberships(session, self._memberships.gone)
        bulk.update_memberships(session, self._memberships.changed)
        bulk.delete_subscriptions(session, pub, self._subscriptions.gone)
        bulk.update_subscriptions(session, pub, self._subscriptions.changed)
        bulk.update_subscribers(session, self._subscribers.changed)
        return set(self._subscribers.gone) - bulk.delete_subscribers(session, self._subscribers.gone)


# People who came whole


def _take_out(session: Session, publication_id: int, part: ImportPart) -> list[bool]:
    """Take people out whom nobody has changed since; say of each whether nothing is left."""
    people = list(parts.unpacked(part.people))
    ids = [person.subscriber_id for person in people]
    tied = _untouched_memberships(session, people, part.at)
    standing = {
        own
        for own, row in bulk.subscriptions(session, ids, publication_id).items()
        if row["changed_at"] == row["consent_at"] == part.at and row["state"] == STATE[row["consent_kind"]]
    }
    bulk.delete_memberships(session, list(tied.values()))
    bulk.delete_subscriptions(session, publication_id, standing)
    gone = bulk.delete_subscribers(session, _untouched(session, people, part.at))
    return [
        own in gone and own in standing and (own in tied or membership == parts.NO_MEMBERSHIP)
        for _, own, _, membership in people
    ]


def _untouched(session: Session, people: Collection[Added], at: datetime) -> list[int]:
    rows = bulk.subscribers_by_id(session, [person.subscriber_id for person in people])
    return [
        own
        for _, own, digest, _ in people
        if (row := rows.get(own))
        and row["created_at"] == at
        and row["chosen_at"] is None
        and parts.subscriber_digest(row) == digest
    ]


def _untouched_memberships(session: Session, people: Collection[Added], at: datetime) -> dict[int, int]:
    """Return the ids of memberships that are as they were written, by subscriber."""
    digests = {
        person.subscriber_id: person.membership
        for person in people
        if person.membership != parts.NO_MEMBERSHIP
    }
    return {
        row["subscriber_id"]: row["id"]
        for row in bulk.memberships(session, list(digests))
        if row["joined_at"] == at
        and row["ended_at"] is None
        and parts.membership_digest(row) == digests[row["subscriber_id"]]
    }
