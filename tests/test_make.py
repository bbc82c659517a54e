"""The builders of the tests: each makes rows that both databases accept."""

from __future__ import annotations

from sqlalchemy import func, select

from mailer.accounts.store import Role
from mailer.database import Database
from mailer.delivery.store import Campaign, Delivery, EventInbox
from tests.make import Make


def test_every_builder_makes_a_row(database: Database, make: Make) -> None:
    """A builder that forgets a column fails here, not in somebody's test."""
    assert make.user(Role.PARTNER).partner_id is not None
    reader = make.subscriber("Ann@Example.org", partner=make.partner())
    make.topic("water", reader)
    make.segment("everyone")
    make.suppression("ann@example.org")
    letter = make.delivery(subscriber=reader)
    make.attempt(letter)
    make.event(letter, applied=False)
    make.batch(make.campaign(), 1, 1)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EventInbox)) == 1


def test_letters_of_a_campaign_are_numbered_from_one(make: Make) -> None:
    """The ledger's n is dense; two campaigns count apart."""
    first, second = make.campaign(), make.campaign()
    assert [make.delivery(campaign=first).n for _ in range(3)] == [1, 2, 3]
    assert make.delivery(campaign=second).n == 1


def test_builders_within_a_transaction_leave_it_open(database: Database, make: Make) -> None:
    """What is made within a session goes with it."""
    with database.read() as session:  # rolls back
        assert make.within(session).delivery().n == 1
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Campaign, Delivery)]
    assert counts == [0, 0]
