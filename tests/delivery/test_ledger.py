"""The ledger adds up after whatever happens, and news told twice changes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from mailer.database import Database
from mailer.delivery import batches, campaigns, ledger, slices
from mailer.delivery.journal import Begun, Leftover
from mailer.delivery.smtp import Kind, Outcome
from mailer.delivery.states import WrongMoment
from mailer.delivery.store import (
    Batch,
    BatchState,
    CampaignState,
    Delivery,
    DeliveryState,
    EventKind,
    about,
)
from tests.delivery.desk import MINUTE, Desk, now
from tests.make import NOON, Make
from tests.smtphost import SmtpHost

REPLIES = {
    Kind.ACCEPTED: (250, "2.0.0", "2.0.0 Queued", "BODY"),
    Kind.DEFERRED: (451, "4.3.0", "4.3.0 Try again later", "RCPT"),
    Kind.REJECTED: (550, "5.1.1", "5.1.1 No such user", "RCPT"),
    Kind.UNCERTAIN: (None, None, "The relay closed the connection.", ""),
    Kind.UNSENT: (None, None, "sending was halted", ""),
}


def said(n: int, kind: Kind) -> Outcome:
    code, status, text, command = REPLIES[kind]
    return Outcome(n, kind, code, status, text, command, "relay.test:25")


def people(count: int) -> list[str]:
    return [f"reader{n}@example.org" for n in range(1, count + 1)]


def record(desk: Desk, campaign: int, *outcomes: Outcome, attempt: int = 1, at: object = NOON) -> None:
    facts = {"campaign_id": campaign, "attempt": attempt, "lane": "", "outcomes": outcomes, "now": at}
    with desk.database.write() as session:
        ledger.record(session, **facts)  # type: ignore[arg-type]


def told(desk: Desk, campaign: int) -> tuple[object, ...]:
    """All that stands about a campaign's letters."""
    return (
        {n: (row.state, row.reason) for n, row in desk.ledger(campaign).items()},
        sorted((each.n, each.attempt, each.state, each.reply) for each in desk.attempts(campaign)),
        sorted((each.n, each.kind, each.detail) for each in desk.events(campaign)),
        sorted((each.attempt, each.numbers or []) for each in desk.batches(campaign)),
    )


def lease_all(desk: Desk, campaign: int) -> list[Batch]:
    """Lease every batch that waits: what others put off from now on joins none of them."""
    with desk.database.write() as session:
        session.execute(
            update(Batch)
            .where(Batch.campaign_id == campaign, Batch.state == BatchState.WAITING)
            .values(state=BatchState.LEASED)
        )
    return desk.batches(campaign, BatchState.LEASED)


_domains = count(1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.lists(st.sampled_from(list(Kind)), min_size=4, max_size=4), max_size=4))
def test_sums_add_up_after_any_sequence_of_outcomes(desk: Desk, rounds: list[list[Kind]]) -> None:
    """Each letter is in one state; those that wait are in exactly one waiting batch; twice is once."""
    domain = f"{next(_domains)}.example.org"
    campaign = desk.launched(*[f"r{n}@{domain}" for n in range(4)], audience=f"domain = {domain}")
    for kinds in rounds:
        for batch in lease_all(desk, campaign):
            outcomes = [said(n, kinds[n - 1]) for n in batches.numbers(batch)]
            unsent = [outcome.key for outcome in outcomes if outcome.kind is Kind.UNSENT]
            record(desk, campaign, *outcomes, attempt=batch.attempt)
            with desk.database.write() as session:
                found = session.get_one(Batch, batch.id)
                found.begun_to = found.size
                batches.release(found, unsent=unsent, due_at=NOON)
            before = told(desk, campaign)
            record(desk, campaign, *outcomes, attempt=batch.attempt)
            assert told(desk, campaign) == before
    assert sum(desk.counts(campaign).values()) == 4
    waiting = Counter(n for each in desk.batches(campaign, BatchState.WAITING) for n in batches.numbers(each))
    open_ = {n for n, row in desk.ledger(campaign).items() if row.state in slices.OPEN}
    assert waiting == dict.fromkeys(open_, 1)
    for n, row in desk.ledger(campaign).items():
        tries = [each for each in desk.attempts(campaign) if each.n == n]
        assert not tries or max(tries, key=lambda each: each.attempt).state == row.state


def test_a_refusal_is_kept_in_the_relays_words_with_its_diagnosis(desk: Desk) -> None:
    """The attempt has the reply, the event what it means."""
    campaign = desk.launched(*people(1))
    record(desk, campaign, said(1, Kind.REJECTED))
    (attempt,) = desk.attempts(campaign)
    assert (attempt.code, attempt.status, attempt.category) == (550, "5.1.1", "bad_mailbox")
    (bounce,) = desk.events(campaign)
    assert (bounce.kind, bounce.permanent, bounce.dead) == (EventKind.BOUNCE, True, True)
    assert bounce.detail == "RCPT: 550 5.1.1 No such user"


def test_a_letter_deferred_for_four_days_is_given_up_without_blaming_the_address(desk: Desk) -> None:
    """RFC 5321 §4.5.4.1; it may be tried again with the next campaign."""
    campaign = desk.launched(*people(1))
    record(desk, campaign, said(1, Kind.DEFERRED))
    assert [batch.due_at for batch in desk.batches(campaign) if batch.attempt == 2] == [NOON + 30 * MINUTE]
    record(desk, campaign, said(1, Kind.DEFERRED), attempt=2, at=NOON + timedelta(days=4))
    assert desk.counts(campaign) == {"REJECTED": 1}
    (bounce,) = desk.events(campaign)
    assert (bounce.permanent, bounce.dead) == (False, False)


def test_words_of_our_own_say_nothing_of_the_address(desk: Desk) -> None:
    """No relay was asked: nothing may be learnt from our own refusal."""
    campaign = desk.launched(*people(1))
    ours = Outcome(
        1, Kind.REJECTED, 553, "5.6.7", "The relay takes no SMTPUTF8 addresses.", "", "relay.test:25"
    )
    record(desk, campaign, ours)
    (bounce,) = desk.events(campaign)
    assert (bounce.category, bounce.dead) == ("technical", False)


def test_a_reply_with_bytes_no_database_takes_is_kept(desk: Desk) -> None:
    """A relay may say anything."""
    campaign = desk.launched(*people(1))
    record(
        desk, campaign, said(1, Kind.ACCEPTED)._replace(text="2.0.0 tab\tback\\slash nul\x00 \ud800 line\n")
    )
    (attempt,) = desk.attempts(campaign)
    assert attempt.reply == "2.0.0 tab\tback\\slash nul ? line\n"


# -- settling --


def orphan(desk: Desk, campaign: int, owner: str = "m/worker-1") -> Batch:
    """Have the campaign's batch lie with a dead worker who had begun all of it."""
    with desk.database.write() as session:
        session.execute(
            update(Batch)
            .where(Batch.campaign_id == campaign)
            .values(state=BatchState.ORPHANED, owner=owner, begun_to=Batch.size)
        )
    (batch,) = desk.batches(campaign)
    return batch


def settle(desk: Desk, leftover: Leftover, *, trusted: bool = True, owner: str = "m/worker-1") -> int:
    with desk.database.write() as session:
        return ledger.settle(session, owner=owner, leftover=leftover, trusted=trusted, now=NOON)


@pytest.mark.parametrize(
    ("trusted", "left"),
    [(True, {"ACCEPTED": 1, "UNCERTAIN": 1, "WAITING": 2}), (False, {"ACCEPTED": 1, "UNCERTAIN": 3})],
)
def test_a_journal_settles_its_slice_and_twice_is_once(
    desk: Desk, trusted: bool, left: dict[str, int]
) -> None:
    """One reply, one begin without a reply, two letters unknown: never begun, if no line can be missing."""
    campaign = desk.launched(*people(4))
    batch = orphan(desk, campaign)
    letters = [Begun(campaign, batch.id, 1, n) for n in (1, 2)]
    leftover = Leftover((letters[1],), ((letters[0], said(1, Kind.ACCEPTED)),))
    assert settle(desk, leftover, trusted=trusted) == left["UNCERTAIN"]
    assert desk.counts(campaign) == left
    before = told(desk, campaign)
    assert settle(desk, leftover, trusted=trusted) == 0
    assert told(desk, campaign) == before


def test_a_journal_about_another_database_is_passed_over(desk: Desk) -> None:
    """The data folder outlived its database: the same numbers mean other people now."""
    campaign = desk.launched(*people(2))
    (batch,) = desk.batches(campaign)
    strange = Leftover((Begun(campaign, batch.id, 1, 1), Begun(999, 999, 1, 7)), ())
    assert settle(desk, strange) == 0
    assert desk.counts(campaign) == {"WAITING": 2}


def test_a_journal_that_is_declared_lost_leaves_its_slice_uncertain(desk: Desk) -> None:
    """And a machine that comes back after all changes nothing any more."""
    campaign = desk.launched(*people(3))
    batch = orphan(desk, campaign)
    assert desk.do(_declare_lost, campaign) == 3
    assert desk.counts(campaign) == {"UNCERTAIN": 3}
    assert settle(desk, Leftover((Begun(campaign, batch.id, 1, 1),), ())) == 0
    assert desk.do(_declare_lost, campaign) == 0
    assert desk.counts(campaign) == {"UNCERTAIN": 3}


def _declare_lost(session: object, *, campaign_id: int, now: object, actor: object) -> int:
    return ledger.declare_lost(session, campaign_id=campaign_id, now=now)  # type: ignore[arg-type]


# -- a person decides --


def test_uncertain_letters_are_taken_as_sent_by_a_persons_word(desk: Desk, host: SmtpHost) -> None:
    """The ledger says that it was declared, not heard."""
    host.drops("BODY", times=1)
    campaign = desk.launched(*people(1))
    desk.work()
    assert desk.counts(campaign) == {"UNCERTAIN": 1}
    assert desk.do(campaigns.settle_uncertain, campaign, resend=False) == 1
    assert desk.state(campaign, "reader1@example.org") == ("ACCEPTED", "declared")
    assert desk.do(campaigns.settle_uncertain, campaign, resend=False) == 0


def test_uncertain_letters_are_sent_again_by_a_persons_word_only(desk: Desk, host: SmtpHost) -> None:
    """As another attempt; the campaign that had ended goes on until they are through."""
    host.drops("BODY", times=1)
    campaign = desk.launched(*people(1))
    sender = desk.work()
    assert desk.campaign(campaign).state == CampaignState.SENT
    desk.work(sender)
    assert host.letters == []
    assert desk.do(campaigns.settle_uncertain, campaign, resend=True) == 1
    assert desk.campaign(campaign).state == CampaignState.SENDING
    desk.work(sender)
    assert desk.counts(campaign) == {"ACCEPTED": 1}
    assert sorted(each.attempt for each in desk.attempts(campaign)) == [1, 2]
    assert desk.campaign(campaign).state == CampaignState.SENT


def test_nothing_is_sent_again_of_a_cancelled_campaign(desk: Desk) -> None:
    """Cancelled is for good."""
    campaign = desk.launched(*people(2))
    record(desk, campaign, said(1, Kind.UNCERTAIN), at=now())
    desk.do(campaigns.cancel, campaign)
    with pytest.raises(WrongMoment):
        desk.do(campaigns.settle_uncertain, campaign, resend=True)
    assert DeliveryState(desk.ledger(campaign)[1].state) is DeliveryState.UNCERTAIN


def test_letters_are_found_by_their_keys(make: Make, database: Database) -> None:
    """Those that are asked for and no others; in the index of keys, on both databases."""
    one, two = make.campaign(), make.campaign()
    for campaign in (one, one, two, two):
        make.delivery(campaign=campaign)
    pairs = [(one.id, 1), (two.id, 2)]

    def found(letters: list[tuple[int, int]]) -> list[tuple[int, int]]:
        mine = select(Delivery).where(about(Delivery, letters)).order_by(Delivery.campaign_id)
        with database.read() as session:
            return [(row.campaign_id, row.n) for row in session.scalars(mine)]

    assert found(pairs) == pairs
    assert found([]) == []
    on_sqlite = database.dialect == "sqlite"
    with database.read() as session:
        if not on_sqlite:
            session.execute(text("SET LOCAL enable_seqscan = off"))
        mine = select(Delivery).where(about(Delivery, pairs))
        asked = mine.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = str(session.execute(text(f"EXPLAIN {'QUERY PLAN ' if on_sqlite else ''}{asked}")).all())
    assert ("SCAN deliveries" if on_sqlite else "Seq Scan") not in plan, plan
