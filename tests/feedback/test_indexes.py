"""What is looked at every half minute is found by an index, however many events there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from mailer.database import Database
from mailer.delivery.store import CampaignState
from mailer.feedback import storms, tallies
from mailer.feedback.watch import watch
from tests.make import NOON, Make

YEAR = 20_000  # events of a campaign that is sent slowly, one in 26 minutes

_EVENTS = """
INSERT INTO events (campaign_id, n, kind, at, source, category, permanent, dead, detail)
SELECT :campaign, :n, 'bounce', CAST(:now AS timestamptz) - number * interval '26 minutes', 'dsn',
       CASE WHEN number % 2 = 0 THEN 'policy' ELSE 'bad_mailbox' END, true, true, ''
FROM generate_series(1, :count) AS number
"""
_CASES = """
INSERT INTO cases (event_id, kind, at, campaign_id, n, category, provider, reason, open)
SELECT id, kind, at, campaign_id, n, category, '', '', false FROM events
"""
_SILENCED = """
INSERT INTO suppressions (address_hash, reason, note, since)
SELECT substr(md5(id::text), 1, 32), 'bad_mailbox', '', at FROM events WHERE category = 'bad_mailbox'
"""
_DECISIONS = """
INSERT INTO decisions (event_id, at, action, reason, suppression_id)
SELECT event.id, event.at, CASE WHEN silence.id IS NULL THEN 'none' ELSE 'suppress' END, '', silence.id
FROM events AS event LEFT JOIN suppressions AS silence ON silence.address_hash = md5(event.id::text)
"""


@pytest.fixture
def year(postgres_database: Database) -> Database:
    """A database with a year of events."""
    make = Make(postgres_database)
    campaign = make.campaign(state=CampaignState.SENDING)
    delivery = make.delivery(campaign=campaign, provider="gmail", domain="gmail.com")
    given = {"campaign": campaign.id, "n": delivery.n, "now": NOON, "count": YEAR}
    with postgres_database.write() as session:
        for statement in (_EVENTS, _CASES, _SILENCED, _DECISIONS):
            session.execute(text(statement), given)
        session.execute(text("ANALYZE"))
    return postgres_database


@pytest.fixture
def plans(year: Database) -> Iterator[list[str]]:
    """How PostgreSQL finds the rows of every SELECT."""
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            with cursor.connection.cursor() as other:
                other.execute(f"EXPLAIN {statement}", given)
                found.append("\n".join(row[0] for row in other.fetchall()))

    event.listen(year.engine, "before_cursor_execute", explain)
    yield found
    event.remove(year.engine, "before_cursor_execute", explain)


def test_refusals_of_an_hour_are_found_among_those_of_a_year(year: Database, plans: list[str]) -> None:
    """And the year is not read for it."""
    with year.write() as session:
        watch(session, now=NOON)
    assert any("ix_cases_campaign" in plan for plan in plans)
    assert not [plan for plan in plans if any(f"Seq Scan on {name}" in plan for name in ("cases", "events"))]


def test_what_a_storm_takes_back_is_found_among_what_was_decided_in_a_year(
    year: Database, plans: list[str]
) -> None:
    """By when it was decided."""
    with year.write() as session:
        storms._hold_back(
            session, "gmail", since=NOON - tallies.HOUR, until=NOON + timedelta(days=1), now=NOON
        )
    [plan] = [plan for plan in plans if "suppressions" in plan]
    assert "ix_decisions_silenced" in plan
    assert "Seq Scan" not in plan.replace("Seq Scan on deliveries", "")  # of which there is one
