"""The launch: how the ledger is numbered, batches cut, times and lanes chosen, and what it never holds up."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from mailer.audience import segments
from mailer.delivery import campaigns, lanes, launch, sweep
from mailer.delivery.campaigns import NoHour
from mailer.delivery.pace import Limit
from mailer.delivery.store import Batch, BatchState, Campaign, CampaignState, MailDomain
from mailer.delivery.windows import BadWindow
from mailer.issues import publications
from tests.delivery.desk import MINUTE, SHELL, Desk, now

PEKING = "Asia/Shanghai"  # the zone of the publication
MORNING = datetime(2026, 12, 1, 9, tzinfo=ZoneInfo(PEKING))


def cut(desk: Desk, size: int) -> list[Batch]:
    """Write the ledger of a campaign to everyone and cut it into batches of ``size``."""
    campaign = desk.approved()
    with desk.database.write() as session:
        publication = desk.make.publication().id
        query = launch.candidates(
            publication_id=publication,
            condition=segments.condition(segments.parse("everyone"), now=now(), publication_id=publication),
            languages=["en"], fallback=True, now=now(),
        )  # fmt: skip
        launch.write_ledger(session, campaign, query, due_at=lambda _zone: MORNING, batch=size)
    return desk.batches(campaign)


# -- numbers, lanes, batches --


@pytest.mark.parametrize("size", [1, 2, 3, 7, 500])
def test_batches_hold_every_number_once_and_each_has_one_lane(desk: Desk, size: int) -> None:
    """None above the size, none empty; numbers are dense and go lane by lane."""
    for n in range(7):
        desk.readers(f"reader{n}@gmail.com", f"reader{n}@example.org")
    desk.readers("one@qq.com")
    made = cut(desk, size)
    ledger = desk.ledger(made[0].campaign_id)
    assert sorted(n for batch in made for n in range(batch.first, batch.last + 1)) == list(range(1, 16))
    assert sorted(ledger) == list(range(1, 16))
    for batch in made:
        assert 1 <= batch.size == batch.last - batch.first + 1 <= size
        names = {ledger[n].provider for n in range(batch.first, batch.last + 1)}
        assert names == {batch.lane}
    assert Counter({lane: sum(b.size for b in made if b.lane == lane) for lane in ("", "gmail", "qq")}) == {
        "": 7, "gmail": 7, "qq": 1,
    }  # fmt: skip


def test_batches_go_round_the_lanes(desk: Desk) -> None:
    """Taken in order of their ids they give every destination its letters evenly, not one after the other."""
    for n in range(6):
        desk.readers(f"reader{n}@gmail.com", f"reader{n}@example.org")
    desk.readers("one@qq.com", "two@qq.com")
    order = [batch.lane for batch in sorted(cut(desk, 2), key=lambda batch: batch.id)]
    assert order == ["", "gmail", "qq", "", "gmail", "", "gmail"]


def test_who_answers_for_a_domain_is_kept_with_the_letter(desk: Desk) -> None:
    """As its MX records said, else as its name says; a domain with a limit of its own is a lane."""
    with desk.database.write() as session:
        session.add(MailDomain(domain="company.example", provider="outlook", looked_up_at=now()))
        lanes.set_limit(session, "ministry.example", Limit(per_second=1), now=now(), actor=SHELL)
    campaign = desk.launched("a@company.example", "b@gmail.com", "c@ministry.example", "d@example.org")
    kept = {row.domain: row.provider for row in desk.ledger(campaign).values()}
    assert kept == {
        "company.example": "outlook",
        "gmail.com": "gmail",
        "ministry.example": "",
        "example.org": "",
    }
    assert {batch.lane for batch in desk.batches(campaign)} == {"outlook", "gmail", "ministry.example", ""}


# -- readers' own hour --


def test_every_reader_gets_it_at_the_hour_of_home(desk: Desk) -> None:
    """The subscriber's zone, else the partner's, else the publication's; where it is past, at once."""
    make = desk.make
    paris = make.partner(zone="Europe/Paris")
    make.subscriber("tokyo@example.org", zone="Asia/Tokyo", partner=paris)
    make.subscriber("paris@example.org", partner=paris)
    make.subscriber("home@example.org", partner=make.partner())
    make.subscriber("nobody@example.org")
    make.subscriber("auckland@example.org", zone="Pacific/Auckland")
    launched_at = datetime(2026, 11, 30, 21, tzinfo=UTC)  # 10:00 in Auckland
    campaign = desk.approved(scheduled_at=MORNING, local_time=True)
    desk.do(campaigns.launch, campaign, settings=desk.settings, now=launched_at)
    of_reader = {row.subscriber_id: row.n for row in desk.ledger(campaign).values()}
    assert [of_reader[id_] for id_ in (5, 1, 3, 4, 2)] == [1, 2, 3, 4, 5]  # numbered as their hours come
    due = [(batch.first, batch.last, batch.due_at.isoformat()) for batch in desk.batches(campaign)]
    assert sorted(due) == [
        (1, 1, "2026-11-30T21:00:00+00:00"),
        (2, 2, "2026-12-01T00:00:00+00:00"),
        (3, 4, "2026-12-01T01:00:00+00:00"),
        (5, 5, "2026-12-01T08:00:00+00:00"),
    ]


def test_it_is_launched_when_the_hour_begins_on_earth(desk: Desk) -> None:
    """Six hours before Peking's nine it is nine on Kiritimati; a campaign without local time waits on."""
    by_home = desk.approved("reader@example.org", scheduled_at=MORNING, local_time=True)
    plain = desk.approved(scheduled_at=MORNING)
    desk.sweep(MORNING - timedelta(hours=6) - MINUTE)
    assert desk.campaign(by_home).state == CampaignState.SCHEDULED
    desk.sweep(MORNING - timedelta(hours=6))
    assert desk.campaign(by_home).state == CampaignState.SENDING
    assert desk.campaign(plain).state == CampaignState.SCHEDULED
    assert [batch.due_at for batch in desk.batches(by_home)] == [MORNING]


def test_readers_own_hour_needs_an_hour(desk: Desk) -> None:
    """There is nothing to wait for at home otherwise."""
    with pytest.raises(NoHour):
        desk.draft(local_time=True)


# -- windows --


def test_a_campaign_keeps_to_the_publications_window_unless_it_has_its_own(desk: Desk) -> None:
    """As it was when the campaign was made; "" is a window too: at any hour."""
    desk.make.publication()
    with desk.database.write() as session:
        publications.change(session, code="observer", window="mon-fri 08:00-18:00", now=now(), actor=SHELL)
    assert desk.campaign(desk.draft()).window == "mon-fri 08:00-18:00"
    assert desk.campaign(desk.draft(window="8:00-20:00")).window == "08:00-20:00"
    assert desk.campaign(desk.draft(window="")).window == ""
    with pytest.raises(BadWindow):
        desk.draft(window="office hours")


def test_a_campaign_outside_its_window_says_when_it_opens(desk: Desk) -> None:
    """By the publication's clock: Saturday noon in Peking waits for Monday morning."""
    campaign = desk.launched("reader@example.org", window="mon-fri 08:00-18:00")
    saturday = datetime(2026, 12, 5, 4, tzinfo=UTC)
    with desk.database.read() as session:
        found = campaigns.get(session, campaign)
        opens = campaigns.opens(session, found, saturday)
        assert opens == datetime(2026, 12, 7, 0, tzinfo=UTC)
        assert campaigns.opens(session, found, opens) is None
    desk.do(campaigns.pause, campaign)
    with desk.database.read() as session:
        assert campaigns.opens(session, campaigns.get(session, campaign), saturday) is None


@pytest.mark.parametrize("change", [{"window": "22:00-06:00"}, {"local_time": True}], ids=str)
def test_hours_are_a_part_of_what_is_approved(desk: Desk, change: dict[str, object]) -> None:
    """Changed behind the approval's back, nothing is launched; so, too, when the publication moves."""
    given = {"scheduled_at": now(), "window": "08:00-20:00"}
    changed, moved = (desk.approved(f"reader{n}@example.org", **given) for n in range(2))
    with desk.database.write() as session:
        session.execute(update(Campaign).where(Campaign.id == changed).values(**change))
        publications.change(session, code="observer", zone="Europe/Paris", now=now(), actor=SHELL)
    for campaign in (changed, moved):
        with pytest.raises(campaigns.NotApproved):
            desk.do(campaigns.launch, campaign, settings=desk.settings)


# -- what it never holds up --


def test_another_sweep_passes_over_a_campaign_that_is_being_launched(desk: Desk) -> None:
    """It launches the next one meanwhile, finishes a third, and frees leases."""
    if desk.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: a second sweep waits its turn")
    million = desk.approved("one@example.org", scheduled_at=now() - 2 * MINUTE)
    other = desk.approved(scheduled_at=now() - MINUTE)
    done = desk.launched()
    with desk.database.write() as session:
        session.execute(update(Batch).where(Batch.campaign_id == done).values(state=BatchState.DONE))
    with desk.database.write() as session:
        campaigns.launch(session, campaign_id=million, settings=desk.settings, now=now(), actor=SHELL)
        desk.sweep()
        assert desk.campaign(done).state == CampaignState.SENT
        assert desk.campaign(other).state == CampaignState.SENDING
        assert desk.campaign(million).state == CampaignState.SCHEDULED
    desk.sweep()
    assert len(desk.batches(million)) == 1


def test_a_launch_holds_up_nobody_who_learns_domains_or_launches_to_the_same_readers(desk: Desk) -> None:
    """Two launches at once to the same people, at domains that were never learnt."""
    if desk.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    first = desk.approved("one@gmail.com", "two@new.example")
    second = desk.approved()
    with desk.database.write() as session:
        campaigns.launch(session, campaign_id=first, settings=desk.settings, now=now(), actor=SHELL)
        with desk.database.write() as beside:
            lanes.learn(beside, ["gmail.com", "new.example"])
        desk.do(campaigns.launch, second, settings=desk.settings)
    assert len(desk.ledger(first)) == len(desk.ledger(second)) == 2


def test_the_sweep_says_how_many_it_launched(desk: Desk) -> None:
    """One that goes back to the desk is not counted."""
    desk.approved(audience="domain = example.net", scheduled_at=now())
    desk.approved("one@example.org", scheduled_at=now())
    assert sweep.launch_due(desk.database, settings=desk.settings, now=now()) == 1


def test_cancelling_a_large_campaign_is_said_at_once_and_the_sweep_withdraws_the_rest(desk: Desk) -> None:
    """Workers see the word when it is committed, and it is committed before a million rows are written."""
    letters = campaigns.WITHDRAWN_AT_ONCE + 3
    for n in range(letters):
        desk.readers(f"reader{n}@example.org")
    campaign = cut(desk, 1)[0].campaign_id
    with desk.database.write() as session:
        session.execute(update(Campaign).values(state=CampaignState.SENDING))
    desk.do(campaigns.cancel, campaign)
    assert desk.counts(campaign) == {"WITHDRAWN": campaigns.WITHDRAWN_AT_ONCE, "WAITING": 3}
    desk.sweep()
    assert desk.counts(campaign) == {"WITHDRAWN": letters}
