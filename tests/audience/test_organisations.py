"""The directory of partners: found, edited, closed, merged; and all of that taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry, Role, User
from mailer.audience import directory, intake, joining, partners
from mailer.audience.changes import journal, organisations
from mailer.audience.directory import Order, Wanted
from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Partner,
    PartnerGroup,
    PartnerKind,
    Subscription,
    SubscriptionState,
)
from tests.make import KEYS, NOON

DAY = timedelta(days=1)


def found(database, **wanted):
    with database.read() as session:
        return [each.partner.code for each in directory.listing(session, Wanted(**wanted))[0]]


def group(make, partner, *codes):
    for code in codes:
        make._add(PartnerGroup(partner_id=partner.id, code=code))


def test_the_directory_is_searched_filtered_and_sorted(database, make):
    """By name or code, kind, country, group, trust; by name, country or people."""
    make.partner("mee", name_en="Ministry", name_zh="生态环境部", country="CN", trusted=True)
    unep = make.partner("unep", name_en="UN Environment", name_zh="环境署", kind=PartnerKind.UN, country="KE")
    group(make, unep, "water")
    make.subscriber("ann@example.org", partner=unep)
    assert found(database) == ["mee", "unep"]
    assert found(database, search="环境署") == found(database, search="UNEP") == ["unep"]
    assert found(database, kind="un") == found(database, country="KE") == found(database, group="water")
    assert found(database, trusted=True) == ["mee"]
    assert found(database, order=Order.PEOPLE) == ["unep", "mee"]
    assert found(database, search="100%") == []


def test_the_directory_counts_seats_people_and_managers(database, make):
    """Only people whose membership goes on, only accounts that can sign in."""
    partner = make.partner(seats=1)
    make.subscriber(partner=partner)
    make.membership(partner, make.subscriber(), ended_at=NOON)
    make.user(Role.PARTNER, partner_id=partner.id)
    make.user(Role.PARTNER, partner_id=partner.id, disabled_at=NOON)
    with database.read() as session:
        [each] = directory.listing(session, Wanted())[0]
    assert (each.people, each.managers, each.full) == (1, 1, True)


def edit(database, partner, **changed):
    facts = {
        "name_zh": partner.name_zh, "name_en": partner.name_en, "kind": partner.kind,
        "country": partner.country, "language": partner.language, "zone": "", "seats": None,
        "trusted": False, "groups": [],
    }  # fmt: skip
    with database.write() as session:
        return partners.edit(session, partner_id=partner.id, now=NOON, actor=SYSTEM, **{**facts, **changed})


def test_what_changed_of_a_partner_is_in_the_log_before_and_after(database, make):
    """And nothing else is; saving what is there already is no entry."""
    partner = make.partner("mee", name_en="Ministry")
    edit(database, partner, seats=5, groups=["Clean Water"], country="France")
    edit(database, partner, seats=5, groups=["clean-water"], country="FR")
    with database.read() as session:
        [entry] = session.scalars(select(AuditEntry))
    assert entry.before == {"country": "CN", "seats": None, "groups": []}
    assert entry.after == {"country": "FR", "seats": 5, "groups": ["clean-water"]}
    assert entry.partner_id == partner.id


@pytest.mark.parametrize("wrong", [{"kind": "club"}, {"name_zh": "", "name_en": ""}, {"seats": -1},
                                   {"groups": ["x" * 41]}])  # fmt: skip
def test_a_partner_is_not_edited_into_nonsense(database, make, wrong):
    """The message says what to give instead."""
    with pytest.raises(partners.BadPartner):
        edit(database, make.partner(), **wrong)


@pytest.fixture
def leaving(make):
    """A partner with somebody it alone vouched for, one who agreed herself, one held by another too."""
    partner, other = make.partner("leaves", trusted=True), make.partner("stays")
    people = {}
    for name, kind in (("vouched", "vouched"), ("own", "sign_up"), ("shared", "vouched")):
        people[name] = make.subscriber(f"{name}@example.org", subscribed=False, partner=partner)
        make.subscription(people[name], consent_kind=ConsentKind(kind))
    make.membership(other, people["shared"])
    return partner, people


def states(database):
    with database.read() as session:
        rows = session.execute(select(Subscription.subscriber_id, Subscription.state))
        return {row[0]: row[1] for row in rows}


def close(database, partner, now=NOON):
    with database.write() as session:
        return organisations.close(session, partner_id=partner.id, now=now, actor=SYSTEM).public_id


def undo(database, change, now=NOON + DAY):
    with database.write() as session:
        return journal.undo(session, change, now=now, actor=SYSTEM)


def test_closing_does_what_its_preview_says(database, make, leaving):
    """Who agreed themselves and whom another holds go on reading; whom it alone vouched for waits."""
    partner, people = leaving
    manager = make.user(Role.PARTNER, partner_id=partner.id)
    with database.read() as session:
        foreseen = organisations.foresee_closing(session, partner.id)
    assert (foreseen.people, foreseen.elsewhere, foreseen.staying, foreseen.waiting) == (3, 1, 1, 1)
    assert [each.id for each in foreseen.managers] == [manager.id]
    close(database, partner)
    after = states(database)
    assert [after[people[name].id] for name in ("vouched", "own", "shared")] == [
        SubscriptionState.PENDING,
        SubscriptionState.CONFIRMED,
        SubscriptionState.CONFIRMED,
    ]
    with database.read() as session:
        assert session.get_one(User, manager.id).disabled_at == NOON
        assert not directory.memberships(session, partner.id)
    assert found(database) == ["stays"]
    assert found(database, closed=True) == ["leaves"]


def test_a_closed_partner_comes_back_as_it_was(database, make, leaving):
    """People, subscriptions, managers."""
    partner, _people = leaving
    manager = make.user(Role.PARTNER, partner_id=partner.id)
    before = states(database)
    assert undo(database, close(database, partner)) == journal.Undone(restored=4, kept=0)
    with database.read() as session:
        assert session.get_one(User, manager.id).disabled_at is None
        assert session.get_one(Partner, partner.id).closed_at is None
        assert len(directory.memberships(session, partner.id)) == 3
    assert states(database) == before


def test_whoever_was_brought_back_meanwhile_is_left_alone(database, make, leaving):
    """Undoing touches only what still is as closing left it."""
    partner, people = leaving
    change = close(database, partner)
    with database.write() as session:
        own = session.get_one(Subscription, (make.publication().id, people["vouched"].id))
        own.state, own.changed_at = SubscriptionState.CONFIRMED, NOON + timedelta(hours=1)
    assert undo(database, change) == journal.Undone(restored=3, kept=1)
    with database.read() as session:
        ends = select(Membership.ended_at).where(Membership.subscriber_id == people["vouched"].id)
        assert session.scalar(ends) == NOON


def test_a_change_is_taken_back_once_and_within_thirty_days(database, leaving):
    """Later nobody remembers what it was about."""
    change = close(database, leaving[0])
    with pytest.raises(journal.TooLate):
        undo(database, change, now=NOON + 31 * DAY)
    undo(database, change)
    with pytest.raises(journal.UndoneAlready):
        undo(database, change)


def test_who_has_left_cannot_leave_again(database, leaving):
    """The first closing counts."""
    close(database, leaving[0])
    with pytest.raises(organisations.ClosedAlready):
        close(database, leaving[0])


def test_two_entries_become_one_with_the_consent_of_each(database, make):
    """People move with their evidence; whom both have stays where they are; managers and groups move."""
    gone, kept = make.partner("unep-old", seats=5), make.partner("unep", seats=7)
    group(make, gone, "water", "climate")
    group(make, kept, "water")
    moved, shared = make.subscriber("a@example.org"), make.subscriber("b@example.org", partner=kept)
    make.membership(gone, moved, consent_wording="their own words")
    make.membership(gone, shared)
    manager = make.user(Role.PARTNER, partner_id=gone.id)
    with database.read() as session:
        foreseen = organisations.foresee_merging(session, gone_id=gone.id, kept_id=kept.id)
    assert (foreseen.moving, foreseen.shared, foreseen.groups, foreseen.seats) == (1, 1, ("climate",), 12)
    with database.write() as session:
        change = organisations.merge(
            session, gone_id=gone.id, kept_id=kept.id, now=NOON, actor=SYSTEM
        ).public_id
    with database.read() as session:
        ties = {tie.subscriber_id: tie for tie in directory.memberships(session, kept.id)}
        assert ties.keys() == {moved.id, shared.id}
        assert ties[moved.id].consent_wording == "their own words"
        assert directory.groups_of(session, [kept.id])[kept.id] == ["climate", "water"]
        assert session.get_one(User, manager.id).partner_id == kept.id
        assert session.get_one(Partner, gone.id).closed_at == NOON
    assert undo(database, change) == journal.Undone(restored=3, kept=0)
    with database.read() as session:
        assert {tie.subscriber_id for tie in directory.memberships(session, gone.id)} == {moved.id, shared.id}
        assert [tie.subscriber_id for tie in directory.memberships(session, kept.id)] == [shared.id]
        assert directory.groups_of(session, [kept.id])[kept.id] == ["water"]
        assert session.get_one(Partner, kept.id).seats == 7


def test_a_membership_that_had_ended_begins_anew_by_a_merge(database, make):
    """On the consent of the entry that goes."""
    gone, kept = make.partner("old"), make.partner("new")
    reader = make.subscriber("a@example.org")
    make.membership(kept, reader, ended_at=NOON - DAY, consent_wording="long ago")
    make.membership(gone, reader, consent_wording="lately")
    with database.write() as session:
        organisations.merge(session, gone_id=gone.id, kept_id=kept.id, now=NOON, actor=SYSTEM)
    with database.read() as session:
        [tie] = directory.memberships(session, kept.id)
        assert (tie.ended_at, tie.consent_wording) == (None, "lately")


def test_a_partner_is_not_merged_into_itself(database, make):
    """Nor with one that has left."""
    partner = make.partner()
    with pytest.raises(organisations.SamePartner), database.write() as session:
        organisations.merge(session, gone_id=partner.id, kept_id=partner.id, now=NOON, actor=SYSTEM)


def test_a_closed_partner_takes_nobody_in(database, make):
    """Its desk is gone; a file that still names it is refused."""
    partner = make.partner("gone", closed_at=NOON)
    with pytest.raises(intake.HasClosed), database.write() as session:
        joining.add(
            session, partner_id=partner.id, keys=KEYS, now=NOON, actor=SYSTEM, address="a@example.org",
            names=Names(), language="en", publication_id=make.publication().id,
        )  # fmt: skip
