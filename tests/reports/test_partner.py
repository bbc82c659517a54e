"""A partner's own report counts the letters that left while its own memberships were in force."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.audience import desk
from mailer.audience.store import Membership, MembershipGap, Subscriber
from mailer.delivery.events import MACHINE
from mailer.delivery.store import DeliveryState, EventKind
from mailer.reports import partner as reports
from mailer.reports.ours import Fate
from mailer.reports.partner import NoLetters
from tests.make import NOON

DAY = timedelta(days=1)


@pytest.fixture
def moe(make):
    """A partner."""
    return make.partner("moe")


@pytest.fixture
def sea(make):
    """Another; its id is the greater, so that deliveries of both name the first."""
    return make.partner("sea")


@pytest.fixture
def sent(make, moe):
    """A letter to one of moe's people, in a campaign of its own or the one given."""

    def sent(campaign, partner=moe, state=DeliveryState.ACCEPTED, **membership):
        reader = make.subscriber()
        facts = {"joined_at": NOON - DAY, **membership}
        tie = make.membership(partner, reader, **facts)
        return make.delivery(campaign=campaign, subscriber=reader, partner=partner, state=state), tie

    return sent


def figures(database, partner, campaign):
    with database.read() as session:
        found = reports.figures(session, partner.id, campaign)
    return found.letters, found.arrived, found.returned, found.underway, found.uncertain


def test_every_letter_has_one_of_four_fates(database, make, moe, sent):
    """Those that were taken out before a try are none: a person may have left."""
    campaign = make.campaign()
    for state in DeliveryState:
        sent(campaign, state=state)
    back, _tie = sent(campaign)
    make.event(back, EventKind.BOUNCE, category="bad_mailbox", detail="550 5.1.1 no such user")
    assert figures(database, moe, campaign) == (6, 1, 2, 2, 1)


def test_a_person_of_two_partners_counts_for_both(database, make, moe, sea, sent):
    """The delivery names the least partner only; each sees its own person, and not the other's."""
    campaign = make.campaign()
    shared, _tie = sent(campaign)
    make.membership(sea, make_reader(database, shared), joined_at=NOON - DAY)
    sent(campaign)
    assert figures(database, moe, campaign)[0] == 2
    assert figures(database, sea, campaign)[0] == 1


def make_reader(database, delivery):
    with database.read() as session:
        return session.get(Subscriber, delivery.subscriber_id)


@pytest.mark.parametrize(
    "out_of_force",
    [
        {"confirmed_at": None},
        {"joined_at": NOON + DAY},
        {"ended_at": NOON - DAY / 2},
    ],
)
def test_letters_at_another_time_were_not_the_partners(database, make, moe, sent, out_of_force):
    """Not answered yet, joined later, removed before: such a letter came through somebody else."""
    campaign = make.campaign()
    sent(campaign, **out_of_force)
    with pytest.raises(NoLetters):
        figures(database, moe, campaign)
    with database.read() as session:
        assert reports.last(session, moe.id) is None
        assert reports.report(session, moe.id) == ([], 0)


def test_a_letter_during_a_pause_came_through_somebody_else(database, make, moe, sent):
    """Before and after it, letters are the partner's."""
    early, campaign = make.campaign(launched_at=NOON - DAY / 2), make.campaign()
    delivery, tie = sent(early)
    make.delivery(campaign=campaign, subscriber=make_reader(database, delivery))
    with database.write() as session:
        desk.pause(
            session, partner_id=moe.id, membership_public_id=tie.public_id, until=NOON + DAY,
            now=NOON - DAY / 4, actor=SYSTEM,
        )  # fmt: skip
        assert session.query(MembershipGap).count() == 1
    assert figures(database, moe, early)[0] == 1
    with pytest.raises(NoLetters):
        figures(database, moe, campaign)


def test_a_removed_person_keeps_their_letters_in_the_report(database, make, moe, sent):
    """What went out then went to the partner's people; there is no page to open any more."""
    campaign = make.campaign()
    sent(campaign, ended_at=NOON + DAY)
    with database.read() as session:
        [letter] = reports.letters(session, moe.id, campaign)
        assert (letter.person, letter.fate) == (None, Fate.ARRIVED)


def test_shares_of_readers_leave_machines_out_and_are_not_told_of_a_few(database, make, moe, sent):
    """Of four letters a share would point at people."""
    campaign, few = make.campaign(), make.campaign()
    opened = [sent(campaign)[0] for _ in range(5)]
    make.event(opened[0], EventKind.OPEN)
    make.event(opened[0], EventKind.OPEN, at=NOON + DAY)
    make.event(opened[0], EventKind.CLICK)
    make.event(opened[1], EventKind.OPEN, detail=f"{MACHINE}scanner")
    make.event(sent(few)[0], EventKind.OPEN)
    with database.read() as session:
        found = reports.figures(session, moe.id, campaign)
        assert (found.opened, found.clicked) == (1, 1)
        assert reports.figures(session, moe.id, few).opened is None


def test_rows_are_what_the_figures_count_and_say_why(database, make, moe, sent):
    """Each fate opens into as many letters; one that came back tells the mail system's words."""
    campaign = make.campaign()
    full, _tie = sent(campaign, state=DeliveryState.REJECTED)
    make.attempt(full, category="mailbox_full", reply="452 4.2.2 full")
    back, _tie = sent(campaign)
    make.attempt(back, reply="250 ok")
    make.event(back, EventKind.BOUNCE, category="bad_mailbox", detail="550 5.1.1 no such user")
    sent(campaign)
    with database.read() as session:
        rows = reports.letters(session, moe.id, campaign, Fate.RETURNED)
        assert {(each.category, each.words) for each in rows} == {
            ("mailbox_full", "452 4.2.2 full"),
            ("bad_mailbox", "550 5.1.1 no such user"),
        }
        assert len(list(reports.every_letter(session, moe.id, campaign))) == 3
        for fate in Fate:
            rows = reports.letters(session, moe.id, campaign, fate)
            assert len(rows) == reports.figures(session, moe.id, campaign).of(fate)


def test_a_persons_letters_are_those_of_this_membership(database, make, moe, sea, sent):
    """Newest first; another partner's id of the same person opens none."""
    first, second = make.campaign(launched_at=NOON - DAY / 2), make.campaign()
    delivery, tie = sent(first)
    reader = make_reader(database, delivery)
    make.delivery(campaign=second, subscriber=reader)
    with database.read() as session:
        found = reports.of_person(session, moe.id, tie.public_id)
        assert [each.campaign_id for each in found] == [second.id, first.id]
        assert reports.of_person(session, sea.id, tie.public_id) == []
        assert session.query(Membership).count() == 1
