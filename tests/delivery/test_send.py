"""Workers send each letter once, whatever dies, stops or breaks on the way (laws 1, 2, 4)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, update

from mailer.audience import subscriptions
from mailer.audience.store import Subscriber
from mailer.database import Database, clock
from mailer.delivery import campaigns, sweep
from mailer.delivery.journal import Journal
from mailer.delivery.store import Batch, BatchState, CampaignState
from mailer.feedback import policy
from tests import servers
from tests.delivery.desk import MINUTE, Desk, now, until
from tests.smtphost import SmtpHost, self_signed


def people(count: int) -> list[str]:
    return [f"reader{n}@example.org" for n in range(1, count + 1)]


def received(host: SmtpHost) -> list[str]:
    return sorted(letter.recipient for letter in host.letters)


def test_every_letter_is_sent_and_the_campaign_ends(desk: Desk, host: SmtpHost) -> None:
    """More than a slice and than a batch; each reader once."""
    campaign = desk.launched(*people(130))
    desk.work()
    assert received(host) == sorted(people(130))
    assert desk.counts(campaign) == {"ACCEPTED": 130}
    assert desk.campaign(campaign).state == CampaignState.SENT
    assert {attempt.relay for attempt in desk.attempts(campaign)} == {f"127.0.0.1:{host.port}"}


def test_a_full_mailbox_is_tried_again_in_half_an_hour(desk: Desk, host: SmtpHost) -> None:
    """452 4.2.2 speaks of today, not of the address: the row holds the time, no task does."""
    host.answers_rcpt("452 4.2.2 Mailbox full", address="ann@example.org", times=1)
    campaign = desk.launched("ann@example.org", "bob@example.org")
    sender = desk.work()
    assert desk.counts(campaign) == {"DEFERRED": 1, "ACCEPTED": 1}
    (waiting,) = desk.batches(campaign, BatchState.WAITING)
    assert waiting.attempt == 2
    assert 29 * MINUTE < waiting.due_at - now() <= 31 * MINUTE
    assert desk.campaign(campaign).state == CampaignState.SENDING
    desk.hurry(campaign)
    desk.work(sender)
    assert desk.counts(campaign) == {"ACCEPTED": 2}
    assert received(host) == ["ann@example.org", "bob@example.org"]
    assert desk.campaign(campaign).state == CampaignState.SENT


def test_a_dead_mailbox_gets_no_further_campaign_and_a_full_one_does(desk: Desk, host: SmtpHost) -> None:
    """Said to our face: the one is suppressed, the other only counted."""
    host.answers_rcpt("550 5.1.1 No such user", address="dead@example.org")
    host.answers_rcpt("552 5.2.2 Mailbox full", address="full@example.org", times=1)
    first = desk.launched("dead@example.org", "full@example.org", "ann@example.org")
    sender = desk.work()
    assert desk.counts(first) == {"REJECTED": 2, "ACCEPTED": 1}
    with desk.database.write() as session:
        assert policy.apply_pending(session, now=now()) == 2
    second = desk.launched()
    desk.work(sender)
    assert desk.counts(second) == {"ACCEPTED": 2}
    assert received(host) == ["ann@example.org", "ann@example.org", "full@example.org"]


def test_who_may_not_be_written_to_any_more_is_withdrawn_with_the_reason(desk: Desk, host: SmtpHost) -> None:
    """Between launch and sending one leaves, one is silenced, one is erased."""
    campaign = desk.launched(*people(4))
    left, silenced, _, _ = people(4)
    desk.make.suppression(silenced, since=now() - MINUTE)
    ledger = desk.ledger(campaign)
    with desk.database.write() as session:
        gone = session.get_one(Subscriber, ledger[1].subscriber_id)
        assert gone.address == left
        subscriptions.leave(
            session, subscriber_id=gone.id, publication_id=desk.campaign(campaign).publication_id, now=now()
        )
        session.get_one(Subscriber, ledger[3].subscriber_id).address = None
    desk.work()
    assert received(host) == people(4)[3:]
    assert desk.state(campaign, left) == ("WITHDRAWN", "left")
    assert desk.state(campaign, silenced) == ("WITHDRAWN", "suppressed")
    assert (desk.ledger(campaign)[3].state, desk.ledger(campaign)[3].reason) == (5, "erased")
    assert desk.campaign(campaign).state == CampaignState.SENT


def test_a_pause_is_heard_within_two_seconds_and_resuming_loses_nobody(desk: Desk, host: SmtpHost) -> None:
    """A slow relay, one connection: letters on their way arrive, no other begins."""
    host.delay = 0.1
    campaign = desk.launched(*people(60))
    sender = desk.sender(smtp_url=host.url_with(connections=1))
    thread = desk.working(sender)
    until(lambda: host.letters)
    desk.do(campaigns.pause, campaign)
    paused = time.monotonic()
    thread.join(10)
    assert time.monotonic() - paused < 2
    assert 0 < len(host.letters) < 40
    assert desk.counts(campaign) == {"ACCEPTED": len(host.letters), "WAITING": 60 - len(host.letters)}
    host.delay = 0
    desk.do(campaigns.resume, campaign)
    desk.work(sender)
    assert received(host) == sorted(people(60))
    assert desk.counts(campaign) == {"ACCEPTED": 60}


def test_cancelling_while_letters_leave_withdraws_the_rest(desk: Desk, host: SmtpHost) -> None:
    """What was on its way is recorded, a deferred letter is not kept for later, and the ledger adds up."""
    host.delay = 0.1
    host.answers_rcpt("451 4.7.1 Greylisted", address="reader1@example.org")
    campaign = desk.launched(*people(60))
    sender = desk.sender(smtp_url=host.url_with(connections=1))
    thread = desk.working(sender)
    until(lambda: host.letters)
    desk.do(campaigns.cancel, campaign)
    thread.join(10)
    desk.sweep()
    sent = len(host.letters)
    assert desk.counts(campaign) == {"ACCEPTED": sent, "WITHDRAWN": 60 - sent}
    assert not desk.batches(campaign, BatchState.WAITING, BatchState.LEASED, BatchState.ORPHANED)


def test_a_turn_that_ends_gives_the_rest_back_in_one_batch(desk: Desk, host: SmtpHost) -> None:
    """Batches do not crumble when a relay is slow."""
    host.delay = 0.1
    campaign = desk.launched(*people(40))
    sender = desk.sender(smtp_url=host.url_with(connections=1))
    assert sender.work(seconds=1.5)  # a busy machine needs some of it until the first letter
    assert 0 < len(host.letters) < 40
    (waiting,) = desk.batches(campaign)
    assert waiting.size == 40 - len(host.letters)
    host.delay = 0
    desk.work(sender)
    assert received(host) == sorted(people(40))


def test_a_relay_out_of_reach_is_told_on_the_campaign_until_letters_go_out(
    desk: Desk, host: SmtpHost
) -> None:
    """Letters wait, no attempt is counted."""
    nowhere = f"smtp://127.0.0.1:{servers.free_port()}"
    campaign = desk.launched("ann@example.org")
    assert not desk.sender(smtp_url=nowhere).work(seconds=5)
    assert "cannot be reached" in desk.campaign(campaign).trouble
    assert desk.counts(campaign) == {"WAITING": 1}
    assert desk.attempts(campaign) == []
    (waiting,) = desk.batches(campaign)
    assert waiting.due_at - now() <= timedelta(seconds=30)
    desk.close()
    desk.hurry(campaign)
    desk.work()
    assert desk.campaign(campaign).trouble == ""
    assert received(host) == ["ann@example.org"]


def test_a_relays_url_that_cannot_be_used_is_told_on_the_campaign(desk: Desk) -> None:
    """Else letters would wait and nobody would know why."""
    campaign = desk.launched("ann@example.org")
    assert not desk.sender(smtp_url="ftp://mail.example.org").work(seconds=5)
    assert "relay's URL cannot be read" in desk.campaign(campaign).trouble


def test_the_next_relay_is_used_with_tls_and_a_password(desk: Desk, tmp_path: Path) -> None:
    """The first relay is down; the second wants STARTTLS and AUTH."""
    certificate = self_signed(tmp_path)
    with SmtpHost(starttls=True, certificate=certificate, user="news", password="secret") as second:
        urls = (
            f"smtp://127.0.0.1:{servers.free_port()} {second.url_with(starttls='required', ca=certificate)}"
        )
        campaign = desk.launched(*people(3))
        desk.work(desk.sender(smtp_url=urls))
        assert {(letter.tls, letter.user) for letter in second.letters} == {(True, "news")}
        desk.close()
    assert desk.counts(campaign) == {"ACCEPTED": 3}
    assert desk.campaign(campaign).trouble == ""


def test_a_letter_under_which_connections_break_is_deferred_and_holds_nobody_up(
    desk: Desk, host: SmtpHost
) -> None:
    """It may be the letter: it is tried again later, and given up in the end like any other."""
    host.drops("RCPT", address="poison@example.org")
    campaign = desk.launched("poison@example.org", *people(2))
    sender = desk.sender(smtp_url=host.url_with(connections=1))
    desk.work(sender)
    desk.hurry(campaign)
    desk.work(sender)
    assert desk.state(campaign, "poison@example.org")[0] == "DEFERRED"
    assert received(host) == people(2)


@pytest.mark.parametrize("offers", [("PIPELINING", "8BITMIME"), ("PIPELINING", "8BITMIME", "SMTPUTF8")])
def test_an_address_beyond_ascii_works_where_the_relay_can_and_is_refused_with_a_reason_where_not(
    desk: Desk, host: SmtpHost, offers: tuple[str, ...]
) -> None:
    """RFC 6531; the refusal is ours, so it silences nobody."""
    host.offers = offers
    campaign = desk.launched("张三@example.org", "ann@example.org")
    desk.work()
    if "SMTPUTF8" in offers:
        assert received(host) == ["ann@example.org", "张三@example.org"]
    else:
        assert desk.counts(campaign) == {"ACCEPTED": 1, "REJECTED": 1}
        (told,) = [attempt for attempt in desk.attempts(campaign) if attempt.code != 250]
        assert "SMTPUTF8" in told.reply
        (bounce,) = desk.events(campaign)
        assert not bounce.dead


# -- death and its like --

_WORK_UNTIL_KILLED = """
from mailer import settings
from mailer.database import Database
from mailer.delivery.send import Sender
chosen = settings.load()
Sender(chosen, Database(chosen.database)).work(seconds=120)
"""


@contextmanager
def another_worker(desk: Desk, host: SmtpHost) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own."""
    given = {
        "MAILER_DATA": str(desk.settings.data), "MAILER_SECRET": desk.settings.secret,
        "MAILER_DATABASE_URL": desk.database.engine.url.render_as_string(hide_password=False),
        "MAILER_SMTP_URL": host.url, "PATH": os.environ["PATH"],
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", _WORK_UNTIL_KILLED], env=given)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_worker_loses_nothing_and_sends_nothing_twice(desk: Desk, host: SmtpHost) -> None:
    """kill -9 in the middle of a slice; its lease still runs, but its lock is free."""
    host.delay = 0.02
    campaign = desk.launched(*people(250))
    with another_worker(desk, host) as process:
        until(lambda: len(host.letters) > 120)
        process.send_signal(signal.SIGKILL)
        process.wait()
    host.delay = 0
    desk.work()
    counts = desk.counts(campaign)
    assert counts.get("UNCERTAIN", 0) <= 4  # one for each connection
    assert counts["ACCEPTED"] + counts.get("UNCERTAIN", 0) == 250
    assert max(Counter(received(host)).values()) == 1
    accepted = {n for n, row in desk.ledger(campaign).items() if row.state == 2}
    assert len(host.letters) >= len(accepted)


def test_a_journal_that_vanished_makes_its_slice_uncertain_and_no_more(desk: Desk, host: SmtpHost) -> None:
    """At most 100 letters, none of them sent again by itself; the rest goes out."""
    host.delay = 0.02
    campaign = desk.launched(*people(250))
    with another_worker(desk, host) as process:
        until(lambda: len(host.letters) > 120)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for journal in desk.settings.journal.glob("*.journal"):
        journal.unlink()
    host.delay = 0
    _expire_leases(desk)
    desk.sweep()
    desk.work()
    counts = desk.counts(campaign)
    assert 0 < counts["UNCERTAIN"] <= 100
    assert counts["ACCEPTED"] + counts["UNCERTAIN"] == 250
    assert max(Counter(received(host)).values()) == 1
    assert desk.campaign(campaign).state == CampaignState.SENT


def _expire_leases(desk: Desk) -> None:
    with desk.database.write() as session:
        session.execute(
            update(Batch).where(Batch.state == BatchState.LEASED).values(lease_until=clock(session) - MINUTE)
        )


@pytest.mark.parametrize("state", [BatchState.LEASED, BatchState.ORPHANED])
def test_an_empty_journal_says_that_the_slice_was_never_begun(
    desk: Desk, host: SmtpHost, state: BatchState
) -> None:
    """Its owner died between moving the cursor and the first letter: all go out."""
    dead = Journal(desk.settings.journal, "worker-0")
    dead.close()
    campaign = desk.launched(*people(3))
    with desk.database.write() as session:
        lost = {"state": state, "owner": dead.owner, "begun_to": 3, "lease_until": clock(session) + MINUTE}
        session.execute(update(Batch).values(**lost))
    desk.work()
    assert received(host) == people(3)
    assert desk.counts(campaign) == {"ACCEPTED": 3}


def test_a_stopped_worker_that_wakes_after_its_lease_harms_nobody(desk: Desk, host: SmtpHost) -> None:
    """Its begun slice stayed its own, the rest went to another; each reader gets one letter."""
    host.delay = 0.1  # it must be stopped in its first slice, outside of any transaction
    campaign = desk.launched(*people(250))
    with another_worker(desk, host) as process:
        until(lambda: host.letters)
        process.send_signal(signal.SIGSTOP)
        host.delay = 0
        _expire_leases(desk)
        with desk.database.write() as session:
            assert sweep.free_expired(session) == 1
        desk.work()
        assert desk.counts(campaign)["WAITING"] > 0
        (orphan,) = desk.batches(campaign, BatchState.ORPHANED)
        assert orphan.begun_to - orphan.done_to == 100
        process.send_signal(signal.SIGCONT)
        until(lambda: not desk.batches(campaign, BatchState.ORPHANED))
        until(lambda: process.poll() is not None)
    desk.work()
    assert desk.counts(campaign) == {"ACCEPTED": 250}
    assert received(host) == sorted(people(250))


def test_a_slice_that_takes_longer_than_a_lease_keeps_it(desk: Desk, host: SmtpHost) -> None:
    """A slow relay is no dead worker: who still sends says so in time."""
    host.delay = 0.08
    campaign = desk.launched(*people(100))
    working = desk.working(desk.sender(lease_seconds=2))
    until(lambda: host.letters)
    while working.is_alive():
        with desk.database.write() as session:
            assert sweep.free_expired(session) == 0
        time.sleep(0.1)
    assert len(host.letters) == 100
    assert desk.counts(campaign) == {"ACCEPTED": 100}


def test_a_database_that_fails_once_costs_no_letter_and_doubles_none(
    desk: Desk, host: SmtpHost, database: Database
) -> None:
    """The slice's results are in the journal: the worker's next shift reads them there."""
    campaign = desk.launched(*people(150))
    broken: list[object] = []

    def fail_once(connection: object) -> None:
        if host.letters and not broken:
            broken.append(connection)
            raise ConnectionResetError("the server went away")

    event.listen(database.engine, "commit", fail_once)
    sender = desk.sender()
    with pytest.raises(ConnectionResetError):
        sender.work(seconds=5)
    assert desk.counts(campaign) == {"WAITING": 150}
    desk.work(sender)
    assert desk.counts(campaign) == {"ACCEPTED": 150}
    assert received(host) == sorted(people(150))


def test_a_worker_that_is_told_to_leave_begins_no_further_letter(desk: Desk, host: SmtpHost) -> None:
    """Closing waits for answers on their way, not for the batch."""
    host.delay = 0.1
    campaign = desk.launched(*people(60))
    sender = desk.sender(smtp_url=host.url_with(connections=1))
    thread = desk.working(sender)
    until(lambda: host.letters)
    sender.close()
    thread.join(5)
    sent = len(host.letters)
    assert sent < 40
    assert desk.counts(campaign) == {"ACCEPTED": sent, "WAITING": 60 - sent}
    assert not desk.batches(campaign, BatchState.LEASED, BatchState.ORPHANED)
