"""People come to a partner's desk, answer, are asked again, and move to an address that works."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.audience import desk, joining, subscriptions, suppressions
from mailer.audience.desk import NobodyHere
from mailer.audience.intake import Person, Verdict
from mailer.audience.joining import HasAnswered, OnTheList, SameAddress, TooSoon
from mailer.audience.members import Standing
from mailer.audience.names import Names
from mailer.audience.store import ConsentKind, Membership, MembershipGap, Subscription, SubscriptionState
from tests.make import KEYS, NOON

DAY = timedelta(days=1)


class Desk:
    """A partner's desk: each act in a transaction of its own."""

    def __init__(self, database, make, partner):
        self.database, self.make, self.partner = database, make, partner
        self.facts = {"keys": KEYS, "publication_id": make.publication().id}

    def add(self, address="ann@example.org", now=NOON, **given):
        named = {"names": Names(name_en="Ann Lee"), "language": "en", **given}
        return self.do(joining.add, now=now, address=address, **named, **self.facts)

    def correct(self, person, address, now=NOON, **given):
        return self.do(joining.correct, person, now=now, address=address, **given, **self.facts)

    def do(self, verb, person=None, now=NOON, **given):
        if person is not None:
            given["membership_public_id"] = person.id
        with self.database.write() as session:
            return verb(session, partner_id=self.partner.id, now=now, actor=SYSTEM, **given)

    def see(self, person, now=NOON):
        with self.database.read() as session:
            return desk.profile(session, self.partner.id, person.id, now=now)

    def state(self):
        with self.database.read() as session:
            return [row.state for row in session.query(Subscription)]

    def confirm(self, now=NOON):
        with self.database.write() as session:
            reader = session.query(Membership).first()
            return subscriptions.confirm(
                session, subscriber_id=reader.subscriber_id, publication_id=self.facts["publication_id"],
                now=now,
            )  # fmt: skip


@pytest.fixture
def trusted(database, make):
    """The desk of a partner that may vouch."""
    return Desk(database, make, make.partner("moe", trusted=True))


@pytest.fixture
def untrusted(database, make):
    """The desk of one that may not."""
    return Desk(database, make, make.partner("ngo", trusted=False))


def test_who_is_vouched_for_is_confirmed_and_who_is_invited_waits(trusted, untrusted):
    """A partner that may vouch can ask all the same."""
    assert trusted.add().standing is Standing.CONFIRMED
    assert trusted.add("ben@example.org", ask=True).standing is Standing.WAITING
    assert untrusted.add("cat@example.org").standing is Standing.WAITING


def test_another_partners_word_confirms_nobody_on_this_list(trusted, untrusted):
    """That a person is subscribed already shows nowhere until they answer this partner's own question."""
    trusted.add()
    ann = untrusted.add()
    assert ann.standing is Standing.WAITING
    assert untrusted.confirm(now=NOON + DAY)
    assert untrusted.see(ann).person.standing is Standing.CONFIRMED
    assert untrusted.see(ann).evidence[0].confirmed_at == NOON + DAY
    assert not untrusted.confirm()


def test_who_left_is_not_confirmed_by_an_invitation(untrusted, make, database):
    """Only they themselves can come back, by signing up."""
    ann = untrusted.add()
    with database.write() as session:
        row = session.query(Subscription).one()
        row.state = SubscriptionState.LEFT
    assert not untrusted.confirm()
    assert untrusted.see(ann).person.standing is Standing.WAITING


def test_asking_again_takes_a_day_and_ends_with_the_answer(untrusted):
    """Nobody is pestered, and nobody is asked what they have answered."""
    ann = untrusted.add()
    with pytest.raises(TooSoon):
        untrusted.do(joining.ask_again, ann, now=NOON + DAY / 2)
    assert untrusted.do(joining.ask_again, ann, now=NOON + DAY) == "ann@example.org"
    with pytest.raises(TooSoon):
        untrusted.do(joining.ask_again, ann, now=NOON + DAY * 1.5)
    untrusted.confirm(now=NOON + DAY * 2)
    with pytest.raises(HasAnswered):
        untrusted.do(joining.ask_again, ann, now=NOON + DAY * 3)


def test_several_people_get_a_verdict_each(trusted):
    """One bad line stops no other; the second time they are known."""
    people = [Person(address=each, partner_id=trusted.partner.id) for each in ("a@x.example", "nobody")]
    for expected in (Verdict.ADDED, Verdict.UNCHANGED):
        taken = trusted.do(joining.add_several, people=people, **trusted.facts)
        assert [each.verdict for each in taken] == [expected, Verdict.REFUSED]


def test_a_corrected_address_keeps_what_is_known_and_its_history(trusted, make, database):
    """Names, notes, topics and pause move along; consent is given anew and remembers the old one."""
    make.topic("water")
    ann = trusted.add(notes="met in Geneva", now=NOON - DAY)
    trusted.do(desk.edit, ann, chosen_topics=["water"], publication_id=trusted.facts["publication_id"])
    trusted.do(desk.pause, ann, until=NOON + DAY * 9)
    make.suppression("ann@example.org")
    moved = trusted.correct(ann, "ann.lee@example.org", wording="agreed")
    found = trusted.see(moved)
    assert (moved.name, moved.notes, found.topics) == ("Ann Lee", "met in Geneva", ("water",))
    assert (moved.standing, moved.paused_until) == (Standing.PAUSED, NOON + DAY * 9)
    assert [(each.at_address, each.at, each.ended_at) for each in found.evidence] == [
        ("ann.lee@example.org", NOON, None), ("ann@example.org", NOON - DAY, NOON),
    ]  # fmt: skip
    with database.read() as session:
        assert suppressions.of_address(session, KEYS.address_hash("ann@example.org"), NOON)
    with pytest.raises(NobodyHere):
        trusted.see(ann)


def test_a_corrected_address_is_asked_where_the_partner_may_not_vouch(untrusted):
    """It is another mailbox: whoever reads it has said nothing yet."""
    ann = untrusted.add()
    untrusted.confirm()
    moved = untrusted.correct(ann, "ann.lee@example.org")
    assert (moved.standing, moved.consent) == (Standing.WAITING, ConsentKind.INVITED)


def test_a_correction_needs_no_second_seat(database, make):
    """The old address gives its own."""
    full = Desk(database, make, make.partner("full", trusted=True, seats=1))
    assert full.correct(full.add(), "ann.lee@example.org").address == "ann.lee@example.org"


def test_a_correction_that_corrects_nothing_is_refused(trusted):
    """The same address in another spelling, or one that stands on the list."""
    ann, _ben = trusted.add(), trusted.add("ben@example.org")
    with pytest.raises(SameAddress):
        trusted.correct(ann, "Ann@EXAMPLE.org")
    with pytest.raises(OnTheList):
        trusted.correct(ann, "ben@example.org")
    assert trusted.see(ann).person.standing is Standing.CONFIRMED


def test_a_correction_there_and_back_ends(trusted):
    """The history is told once, however often an address goes to and fro."""
    ann = trusted.add()
    there = trusted.correct(ann, "ann.lee@example.org", now=NOON + DAY)
    back = trusted.correct(there, "ann@example.org", now=NOON + 2 * DAY)
    assert [each.at_address for each in trusted.see(back, NOON + 2 * DAY).evidence] == [
        "ann@example.org", "ann.lee@example.org",
    ]  # fmt: skip


def test_a_removal_can_be_undone_for_a_week_and_letters_go_on(trusted, database):
    """The membership stands as it did; the time in between was not the partner's."""
    ann = trusted.add()
    trusted.do(desk.end_membership, ann, now=NOON + DAY)
    assert trusted.state() == [SubscriptionState.PENDING]
    back = trusted.do(desk.restore, ann, now=NOON + 2 * DAY)
    assert (back.joined_at, back.standing) == (NOON, Standing.CONFIRMED)
    assert trusted.state() == [SubscriptionState.CONFIRMED]
    with database.read() as session:
        assert [(gap.since, gap.until) for gap in session.query(MembershipGap)] == [
            (NOON + DAY, NOON + 2 * DAY)
        ]
    trusted.do(desk.end_membership, ann, now=NOON + 3 * DAY)
    with pytest.raises(NobodyHere):
        trusted.do(desk.restore, ann, now=NOON + 11 * DAY)


def test_another_partners_waiting_invitation_vouches_for_nobody(trusted, untrusted):
    """When the partner that vouched lets go, a question nobody has answered is no consent."""
    ann = trusted.add()
    untrusted.add()
    trusted.do(desk.end_membership, ann)
    assert trusted.state() == [SubscriptionState.PENDING]


def test_who_is_vouched_for_later_stops_waiting(database, make):
    """A partner that has become trusted need not wait for whom it has asked."""
    partner = make.partner("ngo", trusted=False)
    own = Desk(database, make, partner)
    own.add()
    with database.write() as session:
        session.get(type(partner), partner.id).trusted = True
    assert own.add(now=NOON + DAY).standing is Standing.CONFIRMED
