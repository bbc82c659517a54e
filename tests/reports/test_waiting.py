"""Why letters wait is told from the rows, with how many wait and until when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from mailer.delivery import lanes, store
from mailer.delivery.pace import Limit
from mailer.delivery.store import Batch, BatchState, Campaign, CampaignState
from mailer.reports import store as reports_store
from mailer.reports import waiting
from mailer.reports.waiting import Wait, Why
from tests.make import NOON, Make

HOUR = timedelta(hours=1)


def batch(make: Make, campaign: Campaign, letters: int, **given: object) -> Batch:
    """So many letters of a campaign that wait."""
    return make.batch(campaign, 1, letters, **given)


def waits(database: Database, campaign: Campaign, *, worker: bool = True) -> list[Wait]:
    """Why a campaign's letters wait at NOON."""
    with database.write() as session:
        if worker:
            store.beat(session, worker="m/w", machine="m", now=NOON)
        return waiting.waits(session, session.get_one(Campaign, campaign.id), NOON)


def slow_down(database: Database, lane: str) -> None:
    with database.write() as session:
        lanes.slow_down(session, lane, said="421 4.7.28 too fast", now=NOON)


def test_letters_that_go_at_once_need_no_reason(make, database):
    """A lane without a limit, or few letters in one that has one."""
    campaign = make.campaign()
    batch(make, campaign, 500)
    batch(make, campaign, 9, lane="gmail")
    assert waits(database, campaign) == []


def test_a_closed_window_holds_everything_back(make, database):
    """NOON is a Friday; the zone is the publication's."""
    campaign = make.campaign(window="mon 08:00-18:00")
    batch(make, campaign, 500, done_to=100, begun_to=100)
    batch(make, campaign, 50, attempt=2, due_at=NOON + HOUR)
    [wait] = waits(database, campaign)
    assert (wait.why, wait.letters) == (Why.WINDOW, 450)
    assert wait.until is not None
    assert wait.until > NOON


def test_a_lane_that_asked_us_to_slow_down_is_told_with_its_words(make, database):
    """What is due before it opens waits with it, what is tried again later does not."""
    campaign = make.campaign()
    slow_down(database, "gmail")
    batch(make, campaign, 400, lane="gmail")
    batch(make, campaign, 30, lane="gmail", attempt=2, due_at=NOON + timedelta(seconds=50))
    batch(make, campaign, 7, lane="gmail", attempt=2, due_at=NOON + HOUR)
    rest, again = waits(database, campaign)
    assert rest == Wait(Why.REST, 430, NOON + timedelta(minutes=1), "gmail")
    assert again == Wait(Why.AGAIN, 7, NOON + HOUR)


def test_a_rest_that_is_over_holds_nothing_back(make, database):
    """The row stays until a letter is accepted."""
    campaign = make.campaign()
    with database.write() as session:
        lanes.slow_down(session, "gmail", said="421", now=NOON - HOUR)
    batch(make, campaign, 10, lane="gmail")
    assert waits(database, campaign) == []


def test_of_paced_destinations_the_slowest_is_told(make, database):
    """Gmail takes 20,000 an hour, QQ 8,000: half of Gmail's is through before."""
    campaign = make.campaign()
    batch(make, campaign, 10_000, lane="gmail")
    batch(make, campaign, 8_000, lane="qq")
    [wait] = waits(database, campaign)
    assert (wait.why, wait.lane, wait.letters) == (Why.PACE, "qq", 8_000)
    assert wait.seconds == pytest.approx(3600)


def test_campaigns_in_one_lane_take_turns(make, database):
    """A small one is through when a large one has had as many; who may not send has none."""
    small, large = make.campaign(), make.campaign()
    paused, closed = make.campaign(CampaignState.PAUSED), make.campaign(window="mon 08:00-18:00")
    for campaign, letters in ((small, 1_000), (large, 4_000), (paused, 4_000), (closed, 4_000)):
        batch(make, campaign, letters, lane="qq")
    [wait] = waits(database, small)
    assert wait.seconds == pytest.approx(2_000 * 3600 / 8_000)
    [wait] = waits(database, large)
    assert wait.seconds == pytest.approx(5_000 * 3600 / 8_000)


def test_a_relay_that_is_slower_than_every_destination_is_told_in_place_of_them(make, database):
    """A warm-up of 400 letters a day, of which another campaign takes its share."""
    campaign = make.campaign()
    batch(make, campaign, 300)
    batch(make, campaign, 1_000, lane="qq")
    batch(make, make.campaign(), 200)
    with database.write() as session:
        store.beat(session, worker="m/w", machine="m", now=NOON)
        row = session.get_one(Campaign, campaign.id)
        [wait] = waiting.waits(session, row, NOON, Limit.of_day(400))
        assert (wait.why, wait.letters) == (Why.RELAY, 1_300)
        assert wait.seconds == pytest.approx(1_500 / 400 * 86_400)
        [wait] = waiting.waits(session, row, NOON, Limit(per_second=50))
        assert wait.why == Why.PACE


def test_readers_own_hours_and_tries_to_come_are_told_with_the_first(make, database):
    """Over all lanes."""
    campaign = make.campaign()
    batch(make, campaign, 20, due_at=NOON + 3 * HOUR)
    batch(make, campaign, 10, due_at=NOON + 2 * HOUR, lane="gmail")
    batch(make, campaign, 3, due_at=NOON + HOUR, attempt=2)
    assert waits(database, campaign) == [
        Wait(Why.HOUR, 30, NOON + 2 * HOUR),
        Wait(Why.AGAIN, 3, NOON + HOUR),
    ]


def test_letters_of_a_worker_that_is_gone_wait_for_its_journal(make, database):
    """A worker's death is no reason for what it had not begun."""
    campaign = make.campaign()
    batch(make, campaign, 500, done_to=100, begun_to=160, state=BatchState.ORPHANED, owner="m/w")
    batch(make, campaign, 500, state=BatchState.DONE, done_to=500, begun_to=500)
    assert waits(database, campaign) == [Wait(Why.LOST, 60)]


def test_a_pause_and_absent_workers_are_told(make, database):
    """Before anything about destinations."""
    paused = make.campaign(CampaignState.PAUSED)
    batch(make, paused, 500, lane="qq")
    assert waits(database, paused, worker=False) == [Wait(Why.PAUSED, 500)]
    sending = make.campaign()
    batch(make, sending, 5)
    assert waits(database, sending, worker=False) == [Wait(Why.NOBODY, 5)]
    assert waits(database, make.campaign(CampaignState.SENT)) == []


def test_destinations_show_limits_letters_and_rests_of_all_campaigns(make, database):
    """Those with most letters first; a default says that nobody has set it."""
    campaign, paused = make.campaign(), make.campaign(CampaignState.PAUSED)
    closed = make.campaign(window="mon 08:00-18:00")
    batch(make, campaign, 60, lane="city.example")
    batch(make, campaign, 40, lane="city.example", due_at=NOON + HOUR)
    batch(make, paused, 30, lane="city.example")
    batch(make, closed, 20, lane="gmail")
    slow_down(database, "gmail")
    with database.write() as session:
        lanes.set_limit(session, "city.example", Limit(per_hour=120), now=NOON, actor=SYSTEM)
        found = {each.lane: each for each in waiting.destinations(session, NOON)}
    assert next(iter(found)) == "city.example"
    city, gmail = found["city.example"], found["gmail"]
    assert (city.ready, city.later, city.next_at, city.paused) == (60, 40, NOON + HOUR, 30)
    assert (city.seconds, city.set_by, city.set_at) == (pytest.approx(1800), SYSTEM.name, NOON)
    assert (gmail.ready, gmail.later, gmail.set_by) == (0, 20, None)
    assert gmail.next_at is not None
    assert gmail.next_at > NOON + HOUR
    assert gmail.rests_until == NOON + timedelta(minutes=1)
    assert found["yahoo"].letters == 0


pieces = st.builds(
    dict,
    size=st.integers(1, 500),
    attempt=st.integers(1, 3),
    lane=st.sampled_from(["", "gmail", "qq"]),
    due_at=st.integers(-120, 7200).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    state=st.sampled_from(BatchState),
    done=st.floats(0, 1),
    begun=st.floats(0, 1),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=8))
def test_every_letter_without_a_fate_is_counted_once(make, database, found):
    """Whatever state its batch is in: those beyond the cursor, and of an orphan the begun ones."""
    campaign, expected = make.campaign(), 0
    for piece in map(dict, found):
        done, begun = sorted(int(piece.pop(name) * piece["size"]) for name in ("done", "begun"))
        make.batch(campaign, 1, done_to=done, begun_to=begun, last=piece["size"], **piece)
        if piece["state"] in (BatchState.WAITING, BatchState.LEASED):
            expected += piece["size"] - done
        elif piece["state"] == BatchState.ORPHANED:
            expected += begun - done
    with database.read() as session:
        rows = [row for row in reports_store.waiting(session, NOON) if row.campaign_id == campaign.id]
    assert sum(row.ready + row.later + row.again + row.lost for row in rows) == expected
