"""Events are decided about once, with all that is known of the reader; settings are kept and audited."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from mailer.audience.store import Subscriber, Suppression
from mailer.database import Database
from mailer.delivery.store import Delivery, DeliveryState, Event, EventInbox, EventKind
from mailer.feedback import policy
from mailer.feedback.store import Decision
from tests.make import NOON, Make

DAY = timedelta(days=1)


def apply(database: Database, at: datetime = NOON, limit: int = 500) -> int:
    with database.write() as session:
        return policy.apply_pending(session, now=at, limit=limit)


def decisions(database: Database) -> list[tuple[str, int | None]]:
    with database.read() as session:
        rows = session.execute(select(Decision.action, Decision.suppression_id).order_by(Decision.event_id))
        return [(action, suppression) for action, suppression in rows]


def suppressed(database: Database) -> list[tuple[str, int | None]]:
    with database.read() as session:
        return [(row.reason, row.publication_id) for row in session.scalars(select(Suppression))]


def gone(make: Make, delivery: Delivery, **given: object) -> Event:
    said = {"category": "bad_mailbox", "status": "5.1.1", "dead": True, "permanent": True, "applied": False}
    return make.event(delivery, detail="no such user", **{**said, **given})


def test_a_dead_mailbox_is_silenced_everywhere_with_the_reason(database: Database, make: Make) -> None:
    """The decision says why in plain words, the suppression keeps the mail system's."""
    delivery = make.delivery("ann@example.org")
    gone(make, delivery)
    assert apply(database) == 1
    with database.read() as session:
        suppression = session.scalars(select(Suppression)).one()
        reader = session.scalars(select(Subscriber)).one()
        decision = session.scalars(select(Decision)).one()
    assert (suppression.address_hash, suppression.publication_id) == (reader.address_hash, None)
    assert (suppression.reason, suppression.note) == ("bad_mailbox", "no such user")
    assert decision.suppression_id == suppression.id
    assert "no such mailbox" in decision.reason


def test_a_full_mailbox_is_not_silenced_by_one_bounce(database: Database, make: Make) -> None:
    """It will be emptied."""
    make.event(make.delivery(), category="mailbox_full", status="5.2.2", permanent=True, applied=False)
    apply(database)
    assert decisions(database) == [("count", None)]
    assert suppressed(database) == []


def test_a_complaint_silences_the_publication_it_was_about(database: Database, make: Make) -> None:
    """Other publications go on."""
    delivery = make.delivery()
    make.event(delivery, EventKind.COMPLAINT, category="complaint", source="arf", applied=False)
    apply(database)
    assert suppressed(database) == [("complaint", make.publication().id)]


def test_events_are_decided_once_and_in_portions(database: Database, make: Make) -> None:
    """The inbox empties with the transaction that decides; run again, it finds nothing."""
    for _ in range(5):
        gone(make, make.delivery())
    assert [apply(database, limit=3) for _ in range(3)] == [3, 2, 0]
    assert len(decisions(database)) == len(suppressed(database)) == 5


def test_a_transaction_that_fails_leaves_the_inbox_as_it_was(database: Database, make: Make) -> None:
    """No decision without its suppression, no suppression without its decision."""
    gone(make, make.delivery())

    def apply_and_fail() -> None:
        with database.write() as session:
            policy.apply_pending(session, now=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        apply_and_fail()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EventInbox)) == 1
    assert decisions(database) == suppressed(database) == []


def full_for_months(make: Make, reader: Subscriber) -> list[Delivery]:
    """Five monthly letters that came back from a full mailbox; the last bounce waits for policy."""
    letters = []
    for month in range(5):
        sent = NOON - 30 * DAY * (4 - month)
        delivery = make.delivery(subscriber=reader)
        make.attempt(delivery, at=sent)
        make.event(delivery, category="mailbox_full", at=sent + DAY, applied=month < 4)
        letters.append(delivery)
    return letters


def test_a_mailbox_full_for_months_is_silenced(database: Database, make: Make) -> None:
    """Five letters in a row, over a hundred days and more."""
    full_for_months(make, make.subscriber())
    apply(database, NOON + 2 * DAY)
    assert suppressed(database) == [("mailbox_full", None)]


@pytest.mark.parametrize("sign", ["click", "letter"])
def test_a_click_or_a_letter_that_came_through_resets_the_count(
    database: Database, make: Make, sign: str
) -> None:
    """In between, the mailbox took mail."""
    reader = make.subscriber()
    letters = full_for_months(make, reader)
    between = NOON - 45 * DAY
    if sign == "click":
        make.event(letters[2], EventKind.CLICK, at=between, source="web")
    else:
        make.attempt(make.delivery(subscriber=reader), at=between)
    apply(database, NOON + 2 * DAY)
    assert decisions(database) == [("count", None)]


def test_a_scanners_click_or_a_letter_still_under_way_is_no_sign_of_life(
    database: Database, make: Make
) -> None:
    """A machine follows links for the dead as well, and a bounce may still come."""
    reader = make.subscriber()
    letters = full_for_months(make, reader)
    make.event(letters[2], EventKind.CLICK, at=NOON - 45 * DAY, source="web", detail="machine: scanner")
    make.attempt(make.delivery(subscriber=reader), at=NOON)
    make.attempt(make.delivery(subscriber=reader, state=DeliveryState.DEFERRED), at=NOON - 45 * DAY)
    apply(database, NOON + 2 * DAY)
    assert decisions(database) == [("suppress", decisions(database)[0][1])]
