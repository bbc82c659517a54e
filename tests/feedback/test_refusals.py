"""What is refused because of us slows or pauses the campaign, tells the admin, and silences nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from mailer.accounts.audit import Actor
from mailer.audience.store import Suppression
from mailer.database import Database
from mailer.delivery import campaigns, lanes
from mailer.delivery.store import Campaign, CampaignState, Delivery, DeliveryState
from mailer.feedback import alerts, policy
from mailer.feedback.refusals import is_too_much
from mailer.feedback.rules import DEFAULTS, changed
from mailer.feedback.watch import watch
from tests.make import NOON, Make

MINUTE = timedelta(minutes=1)
ANN = Actor(None, "ann@example.org")


@pytest.mark.parametrize(
    ("refused", "letters", "too_much"),
    [(19, 19, False), (20, 20, True), (20, 200, True), (20, 201, False), (500, 6_000, False), (20, 0, True)],
)
def test_a_handful_is_not_too_much(refused: int, letters: int, too_much: bool) -> None:
    """Twenty, and a tenth of what was answered."""
    assert is_too_much(refused=refused, letters=letters, rules=DEFAULTS) == too_much


def test_the_numbers_can_be_set() -> None:
    """A small secretariat may want to hear of three."""
    rules = changed({"refused_least": 3, "refused_percent": 50})
    assert is_too_much(refused=3, letters=6, rules=rules)
    assert not is_too_much(refused=3, letters=7, rules=rules)


# --- with rows ------------------------------------------------------------------------------------------


@pytest.fixture
def few(database: Database) -> None:
    """Four are many: fewer rows to write."""
    with database.write() as session:
        policy.set_(session, {"refused_least": 4}, now=NOON, actor=ANN)


def send(make: Make, campaign: Campaign, count: int, *, at: datetime, **given: object) -> list[Delivery]:
    facts = {"campaign": campaign, "provider": "gmail", "domain": "gmail.com", **given}
    written = [make.delivery(**facts) for _ in range(count)]
    for each in written:
        make.attempt(each, at=at)
    return written


def refuse(make: Make, deliveries: Sequence[Delivery], category: str, *, at: datetime) -> None:
    for each in deliveries:
        words = "550 5.7.1 ann@example.org: go away"
        make.event(each, category=category, permanent=True, at=at, detail=words, applied=False)


def look(database: Database, at: datetime) -> None:
    with database.write() as session:
        policy.apply_pending(session, now=at)
        watch(session, now=at)


def state(database: Database, campaign: Campaign) -> tuple[str, str]:
    with database.read() as session:
        row = session.get_one(Campaign, campaign.id)
        return row.state, str(row.trouble)


def told(database: Database) -> list[str]:
    with database.read() as session:
        return [str(alert.said) for alert in alerts.standing(session)]


def test_content_that_is_refused_pauses_the_campaign_and_says_why(
    database: Database, make: Make, few: None
) -> None:
    """The letter is the trouble: no rest would mend it."""
    campaign = make.campaign()
    refuse(make, send(make, campaign, 10, at=NOON)[:4], "content", at=NOON)
    look(database, NOON + MINUTE)
    paused, trouble = state(database, campaign)
    assert paused == CampaignState.PAUSED
    assert trouble.startswith("gmail refused 4 of 10 letters because of the letter's content")
    assert "ann@example.org" not in trouble
    assert told(database) == [trouble]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Suppression)) == 0


@pytest.mark.parametrize("category", ["reputation", "policy", "rate"])
def test_what_is_said_of_us_lets_the_lane_rest_first(
    database: Database, make: Make, few: None, category: str
) -> None:
    """Half an hour without letters; the other lanes go on."""
    campaign = make.campaign()
    refuse(make, send(make, campaign, 10, at=NOON)[:4], category, at=NOON)
    look(database, NOON + MINUTE)
    assert state(database, campaign) == (CampaignState.SENDING, "")
    with database.read() as session:
        [rest] = lanes.slowdowns(session)
    assert (rest.lane, rest.until) == ("gmail", NOON + 31 * MINUTE)
    [alert] = told(database)
    assert "none go there for 30 minutes" in alert


def test_what_goes_on_after_the_rest_pauses_the_campaign(database: Database, make: Make, few: None) -> None:
    """Letters tried before the alert do not count again; those after it do."""
    campaign = make.campaign()
    first = send(make, campaign, 10, at=NOON)
    refuse(make, first[:4], "reputation", at=NOON)
    look(database, NOON + MINUTE)
    refuse(make, first[4:9], "reputation", at=NOON + 20 * MINUTE)  # reports that come late
    look(database, NOON + 21 * MINUTE)
    assert state(database, campaign)[0] == CampaignState.SENDING
    refuse(make, send(make, campaign, 4, at=NOON + 40 * MINUTE), "reputation", at=NOON + 40 * MINUTE)
    look(database, NOON + 41 * MINUTE)
    assert state(database, campaign)[0] == CampaignState.PAUSED


def test_a_resumed_campaign_is_not_paused_for_what_was_before(
    database: Database, make: Make, few: None
) -> None:
    """Somebody has looked and decided to go on; only fresh refusals stop it again."""
    campaign = make.campaign()
    refuse(make, send(make, campaign, 10, at=NOON)[:4], "content", at=NOON)
    look(database, NOON + MINUTE)
    with database.write() as session:
        campaigns.resume(session, campaign_id=campaign.id, now=NOON + 5 * MINUTE, actor=ANN)
    look(database, NOON + 6 * MINUTE)
    assert state(database, campaign)[0] == CampaignState.SENDING
    refuse(make, send(make, campaign, 4, at=NOON + 7 * MINUTE), "content", at=NOON + 7 * MINUTE)
    look(database, NOON + 8 * MINUTE)
    assert state(database, campaign)[0] == CampaignState.PAUSED


def test_a_small_domain_has_no_lane_so_the_campaign_is_paused(
    database: Database, make: Make, few: None
) -> None:
    """All other letters share its lane and are not to wait for it unseen."""
    campaign = make.campaign()
    there = {"provider": "", "domain": "ministry.example"}
    refuse(make, send(make, campaign, 4, at=NOON, **there), "reputation", at=NOON)
    look(database, NOON + MINUTE)
    assert state(database, campaign)[0] == CampaignState.PAUSED


@pytest.mark.parametrize("category", ["mailbox_full", "bad_mailbox", "technical", "unknown"])
def test_what_is_said_of_addresses_stops_no_campaign(
    database: Database, make: Make, few: None, category: str
) -> None:
    """Ten dead mailboxes are ten dead mailboxes."""
    campaign = make.campaign()
    refuse(make, send(make, campaign, 10, at=NOON), category, at=NOON)
    look(database, NOON + MINUTE)
    assert state(database, campaign) == (CampaignState.SENDING, "")


def test_a_small_share_stops_no_campaign(database: Database, make: Make, few: None) -> None:
    """Four of fifty; and letters that are still to be tried are no answers."""
    campaign = make.campaign()
    written = send(make, campaign, 50, at=NOON)
    make.attempt(make.delivery(campaign=campaign, state=DeliveryState.DEFERRED, provider="gmail"), at=NOON)
    refuse(make, written[:4], "content", at=NOON)
    look(database, NOON + MINUTE)
    assert state(database, campaign) == (CampaignState.SENDING, "")
    assert told(database) == []
