"""A partner asks for seats or a topic; the secretariat answers, and seats change at once."""

from __future__ import annotations

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry
from mailer.audience import requests
from mailer.audience.requests import Answered, BadRequest, BadSeats, Kind, NoAnswer, NoRequest, TooManyOpen
from mailer.audience.store import Partner
from tests.make import NOON

WHEN = {"now": NOON, "actor": SYSTEM}


@pytest.fixture
def moe(make):
    """A partner with ten seats."""
    return make.partner("moe", seats=10)


def test_granted_seats_count_at_once_and_are_audited(database, moe):
    """Before and after stand in the log, for the partner to read too."""
    with database.write() as session:
        asked = requests.ask(session, partner_id=moe.id, kind=Kind.SEATS, seats=40, **WHEN)
        requests.accept(session, request=asked.public_id, answer="welcome", **WHEN)
        assert session.get(Partner, moe.id).seats == 40
        entry = session.query(AuditEntry).filter_by(action="partner.seats").one()
        assert (entry.before, entry.after, entry.partner_id) == (10, 40, moe.id)
        with pytest.raises(Answered):
            requests.decline(session, request=asked.public_id, answer="no", **WHEN)


def test_a_refusal_says_why_and_changes_nothing(database, moe):
    """Without a word it is none."""
    with database.write() as session:
        asked = requests.ask(session, partner_id=moe.id, kind=Kind.SEATS, seats=40, **WHEN)
        with pytest.raises(NoAnswer):
            requests.decline(session, request=asked.public_id, answer=" ", **WHEN)
        requests.decline(session, request=asked.public_id, answer="next year", **WHEN)
        assert session.get(Partner, moe.id).seats == 10
        [found] = requests.of_partner(session, moe.id)
        assert (found.state, found.answer) == ("declined", "next year")


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({"kind": Kind.SEATS}, BadSeats),
        ({"kind": Kind.SEATS, "seats": 10}, BadSeats),
        ({"kind": Kind.TOPIC, "words": " "}, BadRequest),
        ({"kind": Kind.TOPIC, "words": "x" * 2001}, BadRequest),
    ],
)
def test_what_nobody_could_grant_is_refused(database, moe, given, trouble):
    """Said to the partner before the secretariat has to."""
    with database.write() as session, pytest.raises(trouble):
        requests.ask(session, partner_id=moe.id, **given, **WHEN)


def test_a_partner_withdraws_its_own_requests_only_and_asks_five_at_a_time(database, make, moe):
    """Another's looks like none at all."""
    sea = make.partner("sea")
    with database.write() as session:
        asked = [
            requests.ask(session, partner_id=moe.id, kind=Kind.TOPIC, words="Wetlands", **WHEN)
            for _ in range(5)
        ]
        with pytest.raises(TooManyOpen):
            requests.ask(session, partner_id=moe.id, kind=Kind.TOPIC, words="Wetlands", **WHEN)
        with pytest.raises(NoRequest):
            requests.withdraw(session, partner_id=sea.id, request=asked[0].public_id, **WHEN)
        requests.withdraw(session, partner_id=moe.id, request=asked[0].public_id, **WHEN)
        assert requests.open_ones(session) == 4


def test_open_requests_come_first(database, make, moe):
    """Whoever answers starts at the top, with the oldest."""
    answered = make.request(moe, state="accepted", answered_at=NOON)
    first, second = make.request(moe), make.request(moe)
    with database.read() as session:
        found, total = requests.listing(session)
        assert [each.request.id for each in found] == [first.id, second.id, answered.id]
        assert total == 3
