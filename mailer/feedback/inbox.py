"""The bounce inbox: cases as a person looks through them, and their SQL.

Millions of cases are listed from indexes: what is filtered by stands in the case itself, pages begin where
the last one ended, counts stop at COUNTED, and words are looked for among SEARCHED cases at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from mailer import address
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.store import Partner, Subscriber, Suppression
from mailer.delivery.cases import SAYS_NOTHING
from mailer.delivery.store import Case, Delivery, Event
from mailer.diagnosis import Category
from mailer.errors import NotFound
from mailer.feedback.store import Decision

SIZE = 50  # cases on a page
COUNTED = 10_000  # a category with more is said to have "more than"
UNDONE = "undone"  # beside what policy does: a person has taken it back
SEARCHED = 10_000  # cases whose words are looked through for one page


class NoEvent(NotFound):
    """There is no such event any more: open the list and choose one."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases; "" and None ask for nothing.

    ``waiting``: only those that a person has to look at. ``action``: what policy decided, or "undone".
    ``words``: a reader's whole address, or what the mail system said. ``since`` is the first instant,
    ``until`` the first after the last.
    """

    waiting: bool = False
    kind: str = ""
    category: str = ""
    provider: str | None = None
    partner_id: int | None = None
    campaign_id: int | None = None
    action: str = ""
    rule_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""


class Row(NamedTuple):
    """A case with its event, whom it concerns (``person.address`` None: erased), and what it changed."""

    case: Case
    event: Event
    person: Subscriber
    partner: Partner | None
    decision: Decision | None
    suppression: Suppression | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some cases, newest first. ``next`` is the event to go on behind; None: there are no more.

    ``searched_to``: words were looked for back to this instant, and there may be older ones. None: they were
    looked for everywhere, or none were given.
    """

    rows: Sequence[Row]
    next: int | None = None
    searched_to: datetime | None = None


def listing(session: Session, wanted: Filter, *, behind: int | None = None, size: int = SIZE) -> Page:
    """Return a page of cases, newest first, from behind an event on."""
    query = _cases(session, wanted, behind)
    if wanted.words and "@" not in wanted.words:
        return _search(session, query, wanted.words, size)
    ids = list(session.scalars(_newest(query, size + 1)))
    rows = _rows(session, ids[:size])
    return Page(rows, ids[size - 1] if len(ids) > size else None)


def counts(session: Session, wanted: Filter) -> dict[str, int]:
    """Return how many cases each category has beside the rest of the filter, COUNTED + 1 at most.

    Of words and decisions nothing is counted: every case would have to be read.
    """
    if wanted.action or (wanted.words and "@" not in wanted.words):
        return {}
    categories = sorted(SAYS_NOTHING) if wanted.waiting else list(Category)
    each = [
        select(literal(category.value), _counted(_cases(session, replace(wanted, category=category.value))))
        for category in categories
    ]
    return {category: n for category, n in session.execute(union_all(*each)) if n}


def waiting(session: Session) -> int:
    """Return how many cases a person has to look at, COUNTED + 1 at most."""
    return session.scalar(select(_counted(select(Case.event_id).where(Case.open)))) or 0


def providers(session: Session) -> list[str]:
    """Return the providers that cases know, in order of name.

    Each is the first after the last, found in the index: a DISTINCT would read all of it.
    """
    found: list[str] = []
    last: str | None = None
    while True:
        later = [] if last is None else [Case.provider > last]
        last = session.scalar(select(func.min(Case.provider)).where(*later))
        if last is None:
            return found
        found.append(last)


def get(session: Session, event_id: int) -> Row:
    """Return one case; of an event that was judged anew, that of the newer judgement.

    :raises NoEvent: none has that event
    """
    anew = select(Case.event_id).where(Case.judges == event_id).order_by(Case.event_id.desc()).limit(1)
    found = _rows(session, [event_id]) or _rows(session, list(session.scalars(anew)))
    if not found:
        raise NoEvent
    return found[0]


def of_suppressions(session: Session, ids: Collection[int]) -> dict[int, int]:
    """Return the event that each of these suppressions came from; those set by people have none."""
    rows = session.execute(
        select(Decision.suppression_id, func.max(Decision.event_id))
        .where(Decision.suppression_id.in_(ids))
        .group_by(Decision.suppression_id)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}


def settle(session: Session, event_ids: Collection[int], *, now: datetime, actor: Actor) -> int:
    """Note that a person has looked at these cases and leaves them as they are; return how many waited."""
    done = session.scalars(
        update(Case)
        .where(Case.event_id.in_(event_ids), Case.open)
        .values(open=False, settled_by=actor.name, settled_at=now)
        .returning(Case.event_id)
        .execution_options(synchronize_session=False)
    ).all()
    for event_id in sorted(done):
        audit.record(session, now=now, actor=actor, action="event.settle", subject=f"event {event_id}",
                     before={"open": True}, after={"open": False})  # fmt: skip
    return len(done)


def reopen(session: Session, event_id: int, *, now: datetime, actor: Actor) -> None:
    """Put a settled case back among those that wait for a person.

    :raises NoEvent: there is no such case
    """
    case = session.get(Case, event_id)
    if case is None:
        raise NoEvent
    if not case.open:
        case.open, case.settled_by, case.settled_at = True, None, None
        audit.record(session, now=now, actor=actor, action="event.reopen", subject=f"event {event_id}",
                     before={"open": False}, after={"open": True})  # fmt: skip


def _cases(session: Session, wanted: Filter, behind: int | None = None) -> Select[int]:
    """Return the query of the ids of cases that a filter names, words aside."""
    query = select(Case.event_id).where(*_conditions(wanted))
    if wanted.action:
        query = query.join(Decision, Decision.event_id == Case.event_id).where(_decided(wanted.action))
    if "@" in wanted.words:
        query = query.join(Delivery, and_(Delivery.campaign_id == Case.campaign_id, Delivery.n == Case.n))
        query = query.where(Delivery.subscriber_id.in_(_persons(wanted.words)))
    last = session.get(Case, behind) if behind else None
    if last is not None:
        query = query.where(tuple_(Case.at, Case.event_id) < tuple_(last.at, last.event_id))
    return query


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    same = {
        Case.kind: wanted.kind or None,
        Case.category: wanted.category or None,
        Case.provider: wanted.provider,
        Case.partner_id: wanted.partner_id,
        Case.campaign_id: wanted.campaign_id,
        Case.rule_id: wanted.rule_id,
    }
    found: list[ColumnElement[bool]] = [
        column == value for column, value in same.items() if value is not None
    ]
    if wanted.waiting:
        found.append(and_(Case.open))
    if wanted.since:
        found.append(Case.at >= wanted.since)
    if wanted.until:
        found.append(Case.at < wanted.until)
    return found


def _decided(action: str) -> ColumnElement[bool]:
    if action == UNDONE:
        return Decision.undone_at.is_not(None)
    return and_(Decision.action == action, Decision.undone_at.is_(None))


def _persons(words: str) -> Select[int]:
    return select(Subscriber.id).where(Subscriber.address_key == address.key_of(words))


def _newest(query: Select[int], most: int) -> Select[int]:
    return query.order_by(Case.at.desc(), Case.event_id.desc()).limit(most)


def _counted(query: Select[int]) -> ColumnElement[int]:
    return select(func.count()).select_from(query.limit(COUNTED + 1).subquery()).scalar_subquery()


def _search(session: Session, query: Select[int], words: str, size: int) -> Page:
    """Look for words in the newest SEARCHED cases of a query.

    They are read before they are looked through, in the inner query: the planner would rather look through
    every event there is.
    """
    read = query.join(Event, Event.id == Case.event_id).add_columns(Case.at, Event.detail)
    window = _newest(read, SEARCHED).subquery()
    found = select(window.c.event_id).where(window.c.detail.icontains(words, autoescape=True))
    ids = list(session.scalars(found.order_by(window.c.at.desc(), window.c.event_id.desc()).limit(size + 1)))
    rows = _rows(session, ids[:size])
    if len(ids) > size:
        return Page(rows, ids[size - 1])
    last = session.execute(_newest(query.add_columns(Case.at), 1).offset(SEARCHED - 1)).first()
    return Page(rows, *last) if last else Page(rows)


def _rows(session: Session, ids: Sequence[int]) -> list[Row]:
    if not ids:
        return []
    found = session.execute(
        select(Case, Event, Subscriber, Partner, Decision, Suppression)
        .join(Event, Event.id == Case.event_id)
        .join(Delivery, and_(Delivery.campaign_id == Case.campaign_id, Delivery.n == Case.n))
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .outerjoin(Partner, Partner.id == Case.partner_id)
        .outerjoin(Decision, Decision.event_id == Case.event_id)
        .outerjoin(Suppression, Suppression.id == Decision.suppression_id)
        .where(Case.event_id.in_(ids))
    )
    rows = {row[0].event_id: Row(*row) for row in found}
    return [rows[event_id] for event_id in ids if event_id in rows]
