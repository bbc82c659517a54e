"""Workers keep to the pace of destinations and relays, and hold nobody else up by it."""

from __future__ import annotations

import threading
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import update

from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from mailer.delivery import batches, campaigns, lanes, store
from mailer.delivery.meter import Meter
from mailer.delivery.pace import Limit
from mailer.delivery.store import BatchState, CampaignState, DeliveryState, Slowdown
from mailer.settings import Settings
from tests import servers
from tests.delivery.desk import MINUTE, Desk, now
from tests.make import Make
from tests.smtphost import SmtpHost


def limit(desk: Desk, lane: str, **parts: int) -> None:
    with desk.database.write() as session:
        lanes.set_limit(session, lane, Limit(**parts), now=now(), actor=SYSTEM)


def at(domain: str, count: int) -> list[str]:
    return [f"reader{n}@{domain}" for n in range(1, count + 1)]


def accepted(desk: Desk, campaign: int) -> dict[str, int]:
    """How many letters were accepted for each domain."""
    rows = [row for row in desk.ledger(campaign).values() if row.state == DeliveryState.ACCEPTED]
    return {domain: sum(row.domain == domain for row in rows) for domain in {row.domain for row in rows}}


def slowdowns(desk: Desk) -> list[tuple[str, int, str]]:
    with desk.database.read() as session:
        return [(row.lane, row.strikes, row.said) for row in lanes.slowdowns(session)]


def test_a_limit_keeps_its_destination_back_and_nobody_else(desk: Desk, host: SmtpHost) -> None:
    """An hour's 60 letters to Gmail begin with one; all others go at once, and the rest when it is time."""
    limit(desk, "gmail", per_hour=60)
    campaign = desk.launched(*at("gmail.com", 5), *at("example.org", 5))
    sender = desk.work()
    assert accepted(desk, campaign) == {"gmail.com": 1, "example.org": 5}
    (waiting,) = desk.batches(campaign, BatchState.WAITING)
    assert waiting.lane == "gmail"
    assert timedelta() < waiting.due_at - now() <= MINUTE
    desk.hurry(campaign)
    assert not sender.work(seconds=0.2)  # the bucket is empty still, whatever the row says
    assert accepted(desk, campaign)["gmail.com"] == 1


def test_who_waits_for_long_asks_again_every_minute(desk: Desk, host: SmtpHost) -> None:
    """A letter in an hour: when somebody lifts that limit, the rest does not wait for the hour's end."""
    limit(desk, "gmail", per_hour=1)
    campaign = desk.launched(*at("gmail.com", 3))
    desk.work()
    (waiting,) = desk.batches(campaign, BatchState.WAITING)
    assert timedelta() < waiting.due_at - now() <= MINUTE


def test_a_domain_may_have_a_pace_of_its_own(desk: Desk, host: SmtpHost) -> None:
    """A ministry's small server is spared, and its neighbours in the same lane of nobody are not."""
    limit(desk, "ministry.example", per_hour=60)
    campaign = desk.launched(*at("ministry.example", 3), *at("agency.example", 3))
    desk.work()
    assert accepted(desk, campaign) == {"ministry.example": 1, "agency.example": 3}


def test_letters_that_pause_for_their_pace_go_on_by_themselves(desk: Desk, host: SmtpHost) -> None:
    """Ten a second: twenty letters need more than one look, and no sweep."""
    limit(desk, "gmail", per_second=10)
    campaign = desk.launched(*at("gmail.com", 20))
    desk.work()
    assert accepted(desk, campaign) == {"gmail.com": 20}
    assert desk.campaign(campaign).state == CampaignState.SENT


def test_a_destination_uses_no_more_connections_than_it_is_given(desk: Desk, host: SmtpHost) -> None:
    """The relay would take four; Gmail's letters come by one, two at most on each."""
    limit(desk, "gmail", connections=1, letters=2)
    host.delay = 0.01
    campaign = desk.launched(*at("gmail.com", 6))
    desk.work()
    assert accepted(desk, campaign) == {"gmail.com": 6}
    assert host.most_at_once == 1
    assert host.connections >= 3


def test_a_destination_that_asks_for_fewer_is_left_alone_and_nobody_else(desk: Desk, host: SmtpHost) -> None:
    """421 4.7.0 closes its lane for a minute; after its rest it has the rest, and is forgiven."""
    host.answers_rcpt("421 4.7.0 Try again later, closing connection", address="reader1@gmail.com", times=1)
    host.answers_rcpt("450 4.7.1 Too fast", address="reader2@gmail.com", times=1)
    desk.settings = desk.settings.model_copy(update={"smtp_url": host.url_with(connections=1)})
    limit(desk, "gmail", letters=1)
    campaign = desk.launched(*at("gmail.com", 150), *at("example.org", 5))
    sender = desk.work()
    assert accepted(desk, campaign)["example.org"] == 5
    assert accepted(desk, campaign)["gmail.com"] < 100  # the slice under way, and no other
    assert slowdowns(desk) == [("gmail", 1, "4.7.1 Too fast")]
    desk.hurry(campaign)
    sent = accepted(desk, campaign)["gmail.com"]
    assert not sender.work(seconds=0.2)
    assert accepted(desk, campaign)["gmail.com"] == sent
    with desk.database.write() as session:
        session.execute(update(Slowdown).values(until=now() - MINUTE))
    desk.work()  # another worker: this one looks at the rows again within seconds
    desk.hurry(campaign)
    desk.work()
    assert accepted(desk, campaign) == {"gmail.com": 150, "example.org": 5}
    assert slowdowns(desk) == []


def test_a_relay_at_its_limit_is_waited_for(desk: Desk, host: SmtpHost) -> None:
    """A letter a minute: the worker gives the rest back and does not spin."""
    campaign = desk.launched(*at("example.org", 5))
    worker = desk.sender(smtp_url=host.url_with(per_hour=60))
    assert not worker.work(seconds=0.5)
    assert accepted(desk, campaign) == {"example.org": 1}
    (waiting,) = desk.batches(campaign, BatchState.WAITING)
    assert waiting.due_at > now()
    assert desk.campaign(campaign).trouble == ""


def test_a_worker_without_a_seat_puts_no_letters_off_for_the_others(
    desk: Desk, host: SmtpHost, redis_server: str
) -> None:
    """Seats are first come, first served: who gets none is idle, and the letters go by who has them."""
    campaign = desk.launched(*at("example.org", 5))
    elsewhere = Meter(redis_server, holder="elsewhere", workers=lambda: 2)
    assert elsewhere.seats(f"relay:127.0.0.1:{host.port}", 1, 1) == 1
    facts = {"smtp_url": host.url_with(total=1), "redis_url": redis_server}
    desk.sender(**facts).work(seconds=1)
    assert desk.counts(campaign) == {"WAITING": 5}
    assert [batch.due_at <= now() for batch in desk.batches(campaign, BatchState.WAITING)] == [True]
    elsewhere.close()
    desk.sender(**facts).work(seconds=1)
    assert desk.counts(campaign) == {"ACCEPTED": 5}


def test_a_worker_whose_relays_rest_puts_no_letters_off_for_the_others(desk: Desk, host: SmtpHost) -> None:
    """It learnt that for itself, and the others may be well: all but what it had in hand goes at once."""
    first = desk.launched(*at("example.org", 5))
    second = desk.launched()
    cut_off = desk.sender(smtp_url=f"smtp://127.0.0.1:{servers.free_port()}")
    cut_off.work(seconds=1)
    cut_off.work(seconds=1)
    assert desk.counts(second) == {"WAITING": 5}
    desk.sender().work(seconds=1)
    assert (desk.counts(first), desk.counts(second)) == ({"WAITING": 5}, {"ACCEPTED": 5})


def test_outside_its_window_a_campaign_takes_no_batch_and_others_go_on(desk: Desk, host: SmtpHost) -> None:
    """The one that waits keeps its letters; its window is half a day away."""
    hour = (now() + timedelta(hours=12)).astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H")
    waits = desk.launched(*at("example.org", 2), window=f"{hour}:00-{hour}:30")
    goes = desk.launched()
    desk.work()
    assert desk.counts(waits) == {"WAITING": 2}
    assert desk.counts(goes) == {"ACCEPTED": 2}


def test_uncertain_letters_go_again_down_their_own_lane(desk: Desk, host: SmtpHost) -> None:
    """What a person sends again keeps to the pace of its destination, too."""
    limit(desk, "gmail", per_hour=3600)
    host.drops("KEEP", address="reader1@gmail.com", times=1)
    campaign = desk.launched(*at("gmail.com", 1), *at("example.org", 1))
    desk.work()
    assert desk.counts(campaign) == {"UNCERTAIN": 1, "ACCEPTED": 1}
    assert desk.do(campaigns.settle_uncertain, campaign, resend=True) == 1
    assert [batch.lane for batch in desk.batches(campaign, BatchState.WAITING)] == ["gmail"]


def test_a_cancel_waits_for_no_worker_that_puts_letters_off(
    postgres_database: Database, settings: Settings, host: SmtpHost
) -> None:
    """Else the two would make a circle when that worker has something to say on the campaign."""
    desk = Desk(
        postgres_database, settings.model_copy(update={"smtp_url": host.url}), Make(postgres_database)
    )
    campaign = desk.launched(*at("example.org", 2))
    (waiting,) = desk.batches(campaign, BatchState.WAITING)
    with postgres_database.write() as worker:
        batches.add(worker, campaign, [2], attempt=1, lane="", due_at=waiting.due_at)
        cancelling = threading.Thread(target=desk.do, args=(campaigns.cancel, campaign))
        cancelling.start()
        cancelling.join(10)
        assert not cancelling.is_alive()
        store.tell_trouble(worker, "nothing to say", campaign)
    assert desk.campaign(campaign).state == CampaignState.CANCELLED
    desk.sweep()
    assert desk.counts(campaign) == {"WITHDRAWN": 2}
