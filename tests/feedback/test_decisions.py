"""Every decision tells what led to it and can be undone by a person who says why."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.store import Suppression
from mailer.audience.suppressions import NoReason, NoSuppression
from mailer.database import Database
from mailer.feedback import decisions, policy, record
from mailer.feedback.decisions import NoDecision, NothingToUndo, UndoneAlready
from mailer.feedback.store import Decision, mail_content
from tests.feedback.samples import GONE, dsn, return_path
from tests.make import KEYS, NOON, Make

ANN = Actor(None, "ann@example.org")


def heard(database: Database, make: Make, said: str = GONE) -> int:
    """A returned mail about a letter to ann@example.org, decided about; return its event's id."""
    delivery = make.delivery("ann@example.org")
    with database.write() as session:
        told = record.hear(
            session,
            raw=dsn(("ann@example.org", said)),
            envelope_to=return_path(delivery),
            now=NOON,
            keys=KEYS,
        )
        policy.apply_pending(session, now=NOON)
    return told.events[0]


def undo(database: Database, event_id: int, why: str = "she telephoned") -> Decision:
    with database.write() as session:
        return decisions.undo(session, event_id, why=why, now=NOON, actor=ANN)


def test_a_suppression_leads_back_to_the_mail(database: Database, make: Make) -> None:
    """Suppression, decision, event, mail: what the provider wrote, as it came."""
    event_id = heard(database, make)
    with database.read() as session:
        suppression_id = session.scalars(select(Suppression.id)).one()
        told = decisions.why(session, suppression_id)
        [step] = told.steps
        assert (told.address, told.file) == ("ann@example.org", None)
        assert (step.event.id, step.decision.action) == (event_id, "suppress")
        assert b"no such user here" in (mail_content(session, step.event.mail_id or 0) or b"")
        with pytest.raises(NoSuppression):
            decisions.why(session, 99)


def test_undoing_releases_the_address_and_names_the_person(database: Database, make: Make) -> None:
    """Who, when and why, on the decision, on the suppression and in the audit log."""
    event_id = heard(database, make)
    undone = undo(database, event_id)
    assert (undone.undone_at, undone.undone_by, undone.undone_why) == (NOON, ANN.name, "she telephoned")
    with database.read() as session:
        made = session.scalars(select(Suppression)).one()
        assert (made.released_at, made.released_by, made.released_why) == (NOON, ANN.name, "she telephoned")
        assert {it.action for it in audit.entries(session)} >= {"decision.undo", "suppression.release"}


def test_undoing_is_done_once_with_a_reason_and_where_there_is_something(
    database: Database, make: Make
) -> None:
    """Each of these says what is wrong and changes nothing."""
    event_id = heard(database, make)
    with pytest.raises(NoReason):
        undo(database, event_id, " ")
    undo(database, event_id)
    with pytest.raises(UndoneAlready):
        undo(database, event_id)
    with pytest.raises(NoDecision):
        undo(database, 99)


def test_what_changed_nothing_cannot_be_undone(database: Database, make: Make) -> None:
    """Words about us."""
    event_id = heard(database, make, "554 5.7.1 Message rejected due to poor reputation of sending IP")
    with pytest.raises(NothingToUndo):
        undo(database, event_id)


def test_one_that_was_released_by_hand_can_still_be_undone(database: Database, make: Make) -> None:
    """The release stays as it was."""
    event_id = heard(database, make)
    bob = Actor(None, "bob@example.org")
    with database.write() as session:
        suppressions.release(session, session.scalars(select(Suppression.id)).one(), NOON, bob)
    undo(database, event_id)
    with database.read() as session:
        assert session.scalars(select(Suppression.released_by)).all() == ["bob@example.org"]
