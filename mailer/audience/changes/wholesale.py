"""Bulk changes: to everybody of a selection; previewed, made by workers in chunks, taken back at need."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import bulk, codes, selection
from mailer.audience.changes import journal, kinds, rows, targets
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.kinds import Kind, Plan, Room, Target
from mailer.audience.changes.store import Change, Verdict
from mailer.audience.selection import Selection
from mailer.audience.store import Partner, Subscriber, Topic
from mailer.database import Database
from mailer.errors import Invalid

BULK = "bulk"  # the kind of change
COUNTED = 20_000  # people a preview judges; beyond, it says so
SHOWN = 10  # people a preview shows of each verdict


class BadPlan(Invalid):
    """Something is missing: say what is to be changed, and to what."""


@dataclass
class Preview:
    """What a bulk change would do. ``counted``: how many of ``total`` people were judged."""

    total: int
    counted: int = 0
    counts: Counter[Verdict] = field(default_factory=Counter)
    first: dict[Verdict, list[tuple[Subscriber, str]]] = field(default_factory=dict)


def check(session: Session, plan: Plan, now: datetime) -> Plan:
    """Return the plan with its values in their stored form.

    :raises BadPlan: something it needs is missing, or a pause that is over already
    :raises BadCode: no such language, country or zone
    """
    value = plan.value.strip()
    match plan.kind:
        case Kind.LANGUAGE:
            value = codes.language(value)
        case Kind.COUNTRY:
            value = codes.country(value) if value else ""
        case Kind.ZONE:
            value = codes.zone(value) if value else ""
        case Kind.ADD_TOPIC | Kind.REMOVE_TOPIC:
            _needs(plan.topic_id is not None and session.get(Topic, plan.topic_id))
        case Kind.ADD_TO_PARTNER | Kind.REMOVE_FROM_PARTNER:
            _needs(plan.partner_id is not None and session.get(Partner, plan.partner_id))
            _needs(plan.kind is Kind.REMOVE_FROM_PARTNER or plan.note.strip())
        case Kind.PAUSE:
            _needs(plan.until is not None and plan.until > now)
        case Kind.UNSUBSCRIBE | Kind.SUPPRESS:
            _needs(plan.note.strip())
    return Plan(
        plan.kind, plan.publication_id, value, " ".join(plan.note.split()), plan.partner_id, plan.topic_id,
        plan.until,
    )  # fmt: skip


def _needs(given: object) -> None:
    if not given:
        raise BadPlan


def preview(session: Session, wanted: Selection, plan: Plan, *, now: datetime) -> Preview:
    """Say what would become of everybody, the first ones by name. Writes nothing.

    :raises BadRule, BadPlan, BadCode: the selection or the plan cannot be used
    """
    plan = check(session, plan, now)
    found = Preview(selection.count(session, wanted, now))
    room = _room(session, plan)
    for chunk in _people(session, wanted, now, 0, None):
        for target in targets.look_up(session, chunk, plan, now):
            verdict, message = kinds.judge(plan, target, room)
            if verdict is Verdict.CHANGES and room is not None and room.seats is not None:
                room.seats -= 1
            found.counts[verdict] += 1
            first = found.first.setdefault(verdict, [])
            if len(first) < SHOWN:
                first.append((target.subscriber, message))
        found.counted += len(chunk)
        if found.counted >= COUNTED:
            break
    return found


def begin(session: Session, wanted: Selection, plan: Plan, *, now: datetime, actor: Actor) -> Change:
    """Open a bulk change to everybody who is there now; workers make it.

    :raises BadRule, BadPlan, BadCode: the selection or the plan cannot be used
    """
    plan = check(session, plan, now)
    total = selection.count(session, wanted, now)
    what: dict[str, Any] = {"selection": wanted.stored(), "do": plan.stored(), "total": total, "counts": {}}
    change = journal.begin(session, BULK, plan=what, now=now, actor=actor, up_to=targets.last_id(session))
    audit.record(
        session,
        now=now,
        actor=actor,
        action="change.begin",
        subject=f"change {change.id}",
        after=_told(change),
    )
    return change


def work(database: Database, *, clock: Callable[[], datetime], seconds: float = 2.0) -> bool:
    """Go on with bulk changes for about so many seconds; False when none is left to be made."""
    until = time.monotonic() + seconds
    while True:
        with database.write() as session:
            more = step(session, now=clock())
        if not more or time.monotonic() >= until:
            return more


def step(session: Session, *, now: datetime) -> bool:
    """Make a bulk change to the next chunk of people; False when there is none to be made."""
    change = rows.unfinished(session, BULK)
    if change is None:
        return False
    bulk.one_intake_at_a_time(session)  # two may not give the last seat away
    wanted, plan = Selection.restored(change.plan["selection"]), Plan.restored(change.plan["do"])
    chunk = next(_people(session, wanted, change.at, change.cursor, change.up_to), [])
    counts = Counter(change.plan["counts"])
    room, actor = _room(session, plan), Actor(None, change.actor)
    for target in targets.look_up(session, chunk, plan, now):
        counts[_make(session, change, plan, target, room, now, actor)] += 1
    change.plan = {**change.plan, "counts": dict(counts)}
    if chunk:
        change.cursor = chunk[-1].id
    if len(chunk) < journal.CHUNK:
        _finish(session, change, now, actor)
    session.flush()
    return True


def counts(change: Change) -> dict[Verdict, int]:
    """Return how many people had each verdict so far."""
    return {verdict: change.plan["counts"].get(verdict, 0) for verdict in Verdict}


def _make(
    session: Session,
    change: Change,
    plan: Plan,
    target: Target,
    room: Room | None,
    now: datetime,
    actor: Actor,
) -> str:
    verdict, message = kinds.judge(plan, target, room)
    pen = Pen(session)
    if verdict is Verdict.CHANGES:
        kinds.write(pen, plan, target, room, now=now, actor=actor)
    if verdict is not Verdict.ALREADY:  # nothing happened: counted, and not kept
        own = target.subscriber.id
        journal.note(session, change, own, verdict=verdict, message=message, subscriber_id=own, pen=pen)
    return verdict


def _finish(session: Session, change: Change, now: datetime, actor: Actor) -> None:
    change.finished_at = now
    audit.record(
        session,
        now=now,
        actor=actor,
        action="change.finish",
        subject=f"change {change.id}",
        after=_told(change),
    )


def _told(change: Change) -> dict[str, Any]:
    """What the audit log says of a change: a search may hold an address and stays out of it."""
    chosen = {
        name: value for name, value in change.plan["selection"].items() if name not in ("search", "rule")
    }
    return {**change.plan, "selection": chosen}


def _room(session: Session, plan: Plan) -> Room | None:
    if plan.kind is not Kind.ADD_TO_PARTNER or plan.partner_id is None:
        return None
    partner = session.get_one(Partner, plan.partner_id)
    taken = bulk.people_of(session, [partner.id])[partner.id]
    return Room(partner, None if partner.seats is None else partner.seats - taken)


def _people(
    session: Session, wanted: Selection, now: datetime, after: int, up_to: int | None
) -> Iterator[Sequence[Subscriber]]:
    where = selection.everybody(session, wanted, now)
    while chunk := targets.people(session, where, after, up_to, journal.CHUNK):
        yield chunk
        after = chunk[-1].id
