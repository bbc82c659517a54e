"""Decisions: what the policy made of an event, told with all that led to it, and undone by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.store import Import, Suppression, SuppressionImport
from mailer.audience.suppressions import NoReason
from mailer.delivery.store import Event
from mailer.errors import Conflict, NotFound
from mailer.feedback import dormant, store
from mailer.feedback.rules import Action
from mailer.feedback.store import Decision


class NoDecision(NotFound):
    """Nothing was decided about this event."""


class UndoneAlready(Conflict):
    """This decision has been undone already."""


class NothingToUndo(Conflict):
    """This decision has changed nothing, so there is nothing to undo."""


@dataclass(frozen=True, slots=True)
class Step:
    """A decision that led to a suppression, and the event it was about; the event names the mail."""

    decision: Decision
    event: Event


@dataclass(frozen=True, slots=True)
class Why:
    """Why an address is silenced. ``address`` None: erased, or never a reader's; no steps: a person did it.

    ``file``: the file of suppressions that brought it, ``people``: the import of people; None: none.
    """

    suppression: Suppression
    address: str | None
    steps: tuple[Step, ...]
    file: SuppressionImport | None
    people: Import | None


def why(session: Session, suppression_id: int) -> Why:
    """Return the chain from a suppression back to the mail that led to it.

    :raises NoSuppression: none of that id
    """
    found = suppressions.get(session, suppression_id)
    steps = [Step(*row) for row in store.decisions_behind(session, suppression_id)]
    file = session.get(SuppressionImport, found.import_id) if found.import_id else None
    people = session.get(Import, found.people_import_id) if found.people_import_id else None
    address = suppressions.addresses(session, [found]).get(found.address_hash)
    return Why(found, address, tuple(steps), file, people)


def of_event(session: Session, event_id: int) -> Decision | None:
    """Return what was made of an event; None: nothing yet."""
    return session.get(Decision, event_id)


def undo(session: Session, event_id: int, *, why: str, now: datetime, actor: Actor) -> Decision:
    """Say that a decision was wrong: what it silenced is released, whom it listed is off the list,
    and counting begins anew from now.

    :raises NoDecision: nothing was decided about the event
    :raises UndoneAlready: a second time
    :raises NothingToUndo: it changed nothing
    :raises NoReason: nobody says why
    """
    if not why.strip():
        raise NoReason
    store.alone(session, wait=True)  # so that no event is decided about meanwhile by what is undone here
    found = store.decision(session, event_id)
    if found is None:
        raise NoDecision
    if found.undone_at is not None:
        raise UndoneAlready
    if found.action == Action.NONE:
        raise NothingToUndo
    found.undone_at, found.undone_by, found.undone_why, found.until = now, actor.name, why.strip(), None
    session.flush()
    if found.suppression_id is not None:
        made = suppressions.get(session, found.suppression_id)
        if made.released_at is None:
            suppressions.release(session, made.id, now, actor, why.strip())
    if found.action == Action.LIST:
        dormant.keep(session, event_id, why=why, now=now, actor=actor)
    audit.record(
        session, now=now, actor=actor, action="decision.undo", subject=f"event {event_id}",
        before={"action": found.action}, after={"why": why.strip()},
    )  # fmt: skip
    return found
