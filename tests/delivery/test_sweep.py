"""Every second the sweep does in rows what no bell can be trusted to do (law 1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from mailer import queue
from mailer.audience.store import Subscriber
from mailer.database import clock
from mailer.delivery import batches, campaigns, sweep
from mailer.delivery.store import Batch, BatchState, CampaignState, Delivery
from tests.delivery.desk import MINUTE, Desk, now
from tests.smtphost import SmtpHost


def leased(desk: Desk, campaign: int, **facts: object) -> None:
    """Have a worker elsewhere hold the campaign's batch."""
    held = {"state": BatchState.LEASED, "owner": "elsewhere/worker-1", **facts}
    with desk.database.write() as session:
        session.execute(update(Batch).where(Batch.campaign_id == campaign).values(**held))


def test_a_scheduled_campaign_goes_out_at_its_time_and_once(desk: Desk, host: SmtpHost) -> None:
    """Not before; a second sweep finds it launched."""
    campaign = desk.approved("one@example.org", scheduled_at=now() + timedelta(hours=1))
    desk.sweep()
    assert desk.campaign(campaign).state == CampaignState.SCHEDULED
    desk.sweep(now() + timedelta(hours=2))
    desk.sweep(now() + timedelta(hours=2))
    assert desk.campaign(campaign).state == CampaignState.SENDING
    assert len(desk.batches(campaign)) == 1


def test_one_campaign_that_cannot_be_launched_holds_up_no_other(desk: Desk) -> None:
    """It goes back to the desk and says why; the next one is launched in the same sweep."""
    empty = desk.approved(audience="domain = example.net", scheduled_at=now() - MINUTE)
    other = desk.approved("one@example.org", scheduled_at=now())
    desk.sweep()
    assert desk.campaign(empty).state == CampaignState.DRAFT
    assert "audience is empty" in desk.campaign(empty).trouble
    assert desk.campaign(other).state == CampaignState.SENDING


def test_a_launch_that_fails_unexpectedly_holds_up_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays scheduled, says so, and is tried again after 1, 2, 4 … 60 minutes until it works."""
    start = now()
    broken = desk.approved("one@example.org", scheduled_at=start - MINUTE)
    other = desk.approved("two@example.org", scheduled_at=start)
    with desk.database.write() as session:  # where its ledger belongs, a row stands that nobody expects
        person = session.scalars(select(Subscriber.id)).first()
        session.add(
            Delivery(campaign_id=broken, n=1, subscriber_id=person, language="en", domain="", salutation="")
        )
    desk.sweep(start)
    assert desk.campaign(other).state == CampaignState.SENDING
    assert desk.campaign(broken).state == CampaignState.SCHEDULED
    assert "failed (IntegrityError) and is tried again by itself after 1 min" in desk.campaign(broken).trouble
    assert [record.getMessage().split("\n")[0] for record in caplog.records] == [
        f"campaign {broken} was not launched: IntegrityError"
    ]
    assert "example.org" not in caplog.text

    at = start
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        assert desk.campaign(broken).launch_after == at + timedelta(minutes=minutes)
        desk.sweep(at + timedelta(minutes=minutes, seconds=-1))
        at += timedelta(minutes=minutes)
        desk.sweep(at)

    with desk.database.write() as session:
        session.execute(delete(Delivery).where(Delivery.campaign_id == broken))
    desk.sweep(at + timedelta(hours=1))
    launched = desk.campaign(broken)
    assert (launched.state, launched.trouble, launched.launch_failures) == (CampaignState.SENDING, "", 0)


def test_a_dead_machines_batch_is_freed_but_for_the_slice_it_had_begun(desk: Desk, host: SmtpHost) -> None:
    """The rest goes out at once; the slice waits for its journal, or for a person who declares it lost."""
    campaign = desk.launched(*[f"reader{n}@example.org" for n in range(1, 9)])
    with desk.database.read() as session:
        past = clock(session) - MINUTE
    leased(desk, campaign, done_to=2, begun_to=5, lease_until=past)
    desk.sweep()
    (orphan,) = desk.batches(campaign, BatchState.ORPHANED)
    assert orphan.owner == "elsewhere/worker-1"
    (free,) = desk.batches(campaign, BatchState.WAITING)
    assert free.numbers == [6, 7, 8]
    desk.work()
    assert desk.counts(campaign) == {"ACCEPTED": 3, "WAITING": 5}
    assert desk.campaign(campaign).state == CampaignState.SENDING


def test_a_lease_that_runs_is_left_alone(desk: Desk) -> None:
    """Judged by the database's clock, whatever a worker's own says."""
    campaign = desk.launched("one@example.org")
    with desk.database.read() as session:
        later = clock(session) + MINUTE
    leased(desk, campaign, lease_until=later)
    desk.sweep(now() + timedelta(days=1))
    assert [batch.state for batch in desk.batches(campaign)] == [BatchState.LEASED]


def test_a_campaign_ends_only_when_nothing_waits(desk: Desk, host: SmtpHost) -> None:
    """A deferred letter keeps it open; a sweep more or less changes nothing."""
    host.answers_rcpt("451 4.3.0 Later", times=1)
    campaign = desk.launched("one@example.org")
    sender = desk.work()
    desk.sweep()
    assert desk.campaign(campaign).state == CampaignState.SENDING
    desk.hurry(campaign)
    desk.work(sender)
    finished = desk.campaign(campaign)
    desk.sweep()
    assert finished.state == CampaignState.SENT
    assert desk.campaign(campaign).finished_at == finished.finished_at


def test_what_a_worker_gives_back_after_a_cancel_is_withdrawn(desk: Desk) -> None:
    """The worker had looked before the cancel was committed."""
    campaign = desk.launched("one@example.org")
    leased(desk, campaign)
    desk.do(campaigns.cancel, campaign)
    assert desk.counts(campaign) == {"WAITING": 1}
    with desk.database.write() as session:
        session.execute(update(Batch).values(state=BatchState.WAITING, owner=None))
    desk.sweep()
    assert desk.counts(campaign) == {"WITHDRAWN": 1}
    assert desk.batches(campaign, BatchState.WAITING) == []


def test_workers_are_woken_while_anything_is_with_a_worker(desk: Desk) -> None:
    """Else the last slice of a dead one would wait for ever: nothing would be due."""
    campaign = desk.launched("one@example.org")
    leased(desk, campaign)
    with desk.database.read() as session:
        assert not batches.due(session, now())
        assert batches.owned(session)


def test_a_sweep_whose_clock_is_behind_rings_all_the_same(desk: Desk) -> None:
    """What is due is due by the database's clock; with bells lost, letters would wait for the machine's."""
    desk.launched("one@example.org")
    with desk.database.write() as session:
        sweep.sweep(session, now=now() - timedelta(hours=2))
        assert session.info["rung"] == {queue.WORK}


def test_small_campaigns_and_idle_ones_come_first(desk: Desk) -> None:
    """A test of three is not kept waiting by ten thousand."""
    large = desk.launched(*[f"reader{n}@example.org" for n in range(4)], "ann@example.net")
    small = desk.launched(audience="domain = example.net")
    with desk.database.write() as session:
        until = clock(session) + MINUTE
        order = [
            batch.campaign_id
            for _ in range(3)
            if (batch := batches.lease(session, owner="m/w", now=now(), until=until))
        ]
    assert order == [small, large]


def test_the_sweep_tells_that_a_server_runs(desk: Desk) -> None:
    """A shell that launches asks this, to say when nobody will send."""
    with desk.database.read() as session:
        assert not sweep.running(session)
    desk.sweep()
    with desk.database.read() as session:
        assert sweep.running(session)
