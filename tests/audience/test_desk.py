"""The partner's desk: its own people, and no sign of anybody else's."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.audience import desk, joining, subscriptions
from mailer.audience.desk import NobodyHere
from mailer.audience.members import Wanted
from mailer.audience.names import Names
from mailer.audience.store import Subscriber, SubscriptionState
from tests.make import KEYS, NOON

ANN = Names(name_en="Ann Lee")


@pytest.fixture
def moe(make):
    """A trusted partner."""
    return make.partner("moe", trusted=True)


@pytest.fixture
def sea(make):
    """Another one."""
    return make.partner("sea", trusted=True)


@pytest.fixture
def add(database, make):
    """A partner adds a person at its desk."""
    publication = make.publication()

    def add(partner, address="ann@example.org", names=ANN, language="en", **given):
        with database.write() as session:
            return joining.add(
                session, partner_id=partner.id, keys=KEYS, now=NOON, actor=SYSTEM, address=address,
                names=names,
                language=language, publication_id=publication.id, **given,
            )  # fmt: skip

    return add


def test_a_partner_sees_its_own_people_only(database, add, moe, sea):
    """Lists, counts and pages; another partner's id of the same person opens nothing."""
    mine, theirs = add(moe), add(sea)
    add(sea, "ben@example.org")
    with database.read() as session:
        found = desk.people(session, moe.id, now=NOON)
        assert ([p.address for p in found.people], found.total, found.pages) == (["ann@example.org"], 1, 1)
        assert desk.people(session, moe.id, Wanted(search="ben"), now=NOON).total == 0
        assert desk.person(session, moe.id, mine.id, now=NOON) == mine
        for id in (theirs.id, uuid4()):
            with pytest.raises(NobodyHere):
                desk.person(session, moe.id, id, now=NOON)
    with database.write() as session:
        for act in (desk.edit, desk.end_membership):
            with pytest.raises(NobodyHere):
                act(session, partner_id=moe.id, membership_public_id=theirs.id, now=NOON, actor=SYSTEM)


def test_nothing_tells_that_another_partner_holds_the_person(database, add, moe, sea, make):
    """The answer is the same for a new address, a shared one, one that left, and one that complained."""
    add(
        sea,
        "shared@example.org",
        names=Names(name_en="Dr Shared", name_zh="共享"),
        language="zh",
        notes="ours",
    )
    left = make.subscriber("left@example.org")
    with database.write() as session:
        subscriptions.leave(session, subscriber_id=left.id, publication_id=make.publication().id, now=NOON)
    make.suppression("angry@example.org", "complaint")
    seen = [add(moe, f"{who}@Example.org") for who in ("new", "shared", "left", "angry")]
    assert [p.address.split("@")[0] for p in seen] == ["new", "shared", "left", "angry"]
    told = {(p.names, p.language, p.notes, p.joined_at, p.consent, p.bounced) for p in seen}
    assert len(told) == 1
    with database.read() as session:
        assert desk.people(session, moe.id, Wanted(search="共享"), now=NOON).total == 0
        assert desk.people(session, moe.id, Wanted(search="ours"), now=NOON).total == 0


def test_a_bounce_is_shown(database, add, moe, make):
    """The partner is who can mend the address."""
    ann = add(moe)
    make.suppression("ann@example.org", "bad_mailbox")
    with database.read() as session:
        assert desk.person(session, moe.id, ann.id, now=NOON).bounced == "bad_mailbox"


def test_an_edit_reaches_the_letter(database, add, moe):
    """Names and language follow, unless the person has chosen for themselves."""
    ann = add(moe)
    given = {"partner_id": moe.id, "membership_public_id": ann.id, "now": NOON, "actor": SYSTEM}
    with database.write() as session:
        edited = desk.edit(
            session, names=Names(name_zh="李安", honorific_zh="女士"), language="zh", notes="x", **given
        )
        reader = session.query(Subscriber).one()
        assert (edited.name, edited.notes) == ("李安", "x")
        assert (reader.salutation_zh, reader.name_en, reader.language) == ("尊敬的李安女士：", "", "zh")
        reader.chosen_at = NOON
        assert desk.edit(session, language="en", **given).language == "en"
        assert reader.language == "zh"


def test_an_edit_of_a_shared_person_leaves_what_it_does_not_say(database, add, moe, sea):
    """One partner's blank does not wipe what another knows."""
    add(sea, names=Names(name_zh="李安"))
    ann = add(moe)
    with database.write() as session:
        desk.edit(session, partner_id=moe.id, membership_public_id=ann.id, now=NOON, actor=SYSTEM,
                  names=Names(name_en="Ann B. Lee"))  # fmt: skip
        reader = session.query(Subscriber).one()
        assert (reader.name_zh, reader.name_en) == ("李安", "Ann B. Lee")


def test_ending_a_membership_ends_that_one_only(database, add, moe, sea, make):
    """While another partner vouches, letters go on; when the last one ends, they wait for the person."""
    mine, theirs = add(moe), add(sea)
    publication = make.publication()
    with database.write() as session:
        reader = session.query(Subscriber).one()
        for partner, person, state in (
            (moe, mine, SubscriptionState.CONFIRMED), (sea, theirs, SubscriptionState.PENDING),
        ):  # fmt: skip
            desk.end_membership(
                session, partner_id=partner.id, membership_public_id=person.id, now=NOON, actor=SYSTEM
            )
            session.expire_all()
            assert subscriptions.get(session, reader.id, publication.id).state == state
            assert desk.people(session, partner.id, now=NOON).total == 0
    assert add(moe).names == Names(name_en="Ann Lee")


def test_what_a_person_confirmed_outlives_the_membership(database, add, make):
    """Their own yes does not rest on a partner's word."""
    partner = make.partner("ngo", trusted=False)
    ann = add(partner)
    publication = make.publication()
    with database.write() as session:
        reader = session.query(Subscriber).one()
        assert subscriptions.confirm(
            session, subscriber_id=reader.id, publication_id=publication.id, now=NOON
        )
        desk.end_membership(
            session, partner_id=partner.id, membership_public_id=ann.id, now=NOON, actor=SYSTEM
        )
        session.expire_all()
        assert subscriptions.get(session, reader.id, publication.id).state == SubscriptionState.CONFIRMED
