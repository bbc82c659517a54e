"""Bulk changes: the preview says what happens, workers make it in chunks, and it is taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts.audit import Actor
from mailer.accounts.store import AuditEntry
from mailer.audience import finding, silenced
from mailer.audience.changes import journal, wholesale
from mailer.audience.changes.kinds import Kind, Plan
from mailer.audience.changes.store import ChangeRow, Verdict
from mailer.audience.codes import BadCode
from mailer.audience.selection import Selection
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
)
from tests.make import KEYS, NOON

DAY = timedelta(days=1)
ADMIN = Actor(None, "admin@example.org")
EVERYBODY = Selection()


@pytest.fixture
def plan(make):
    """A plan of a kind for the publication."""
    return lambda kind, **given: Plan(kind, make.publication().id, **given)


def make_it(database, plan, wanted=EVERYBODY):
    """Preview, begin, work to the end; the preview's counts are what came of it."""
    with database.read() as session:
        foreseen = wholesale.preview(session, wanted, plan, now=NOON)
    with database.write() as session:
        change = wholesale.begin(session, wanted, plan, now=NOON, actor=ADMIN).public_id
    assert not wholesale.work(database, clock=lambda: NOON, seconds=60)
    with database.read() as session:
        done = journal.get(session, change)
        assert done.finished_at == NOON
        counts = wholesale.counts(done)
    assert {each: foreseen.counts[each] for each in Verdict} == counts
    return change, counts


def undo(database, change):
    with database.write() as session:
        return journal.undo(session, change, now=NOON + DAY, actor=ADMIN)


def snapshot(database):
    """Every row that a bulk change may touch."""
    with database.read() as session:
        return [
            dict(row._mapping)
            for model in (Subscriber, Subscription, Membership, SubscriberTopic)
            for row in session.execute(select(model.__table__).order_by(*model.__table__.primary_key))
        ]


def test_a_language_is_set_but_for_who_chose_it(database, make, plan):
    """Verdicts: changes, is so already, refused with a reason."""
    make.subscriber("ann@example.org", language="en")
    make.subscriber("bob@example.org", language="zh")
    make.subscriber("eve@example.org", language="en", chosen_at=NOON)
    before = snapshot(database)
    change, counts = make_it(database, plan(Kind.LANGUAGE, value="中文"))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 1, Verdict.REFUSED: 1}
    with database.read() as session:
        languages = dict(session.execute(select(Subscriber.address_key, Subscriber.language)).all())
        [why] = session.scalars(select(ChangeRow.message).where(ChangeRow.verdict == "refused"))
    assert languages == {"ann@example.org": "zh", "bob@example.org": "zh", "eve@example.org": "en"}
    assert why == "They chose their language themselves."
    assert undo(database, change) == journal.Undone(restored=1, kept=0)
    assert snapshot(database) == before


def test_who_changed_since_is_left_alone_by_the_undo(database, make, plan):
    """The person's own later choice stays."""
    ann = make.subscriber("ann@example.org", country="CN")
    make.subscriber("bob@example.org", country="CN")
    change, _ = make_it(database, plan(Kind.COUNTRY, value="France"))
    with database.write() as session:
        session.get_one(Subscriber, ann.id).country = "KE"
    assert undo(database, change) == journal.Undone(restored=1, kept=1)
    with database.read() as session:
        assert session.get_one(Subscriber, ann.id).country == "KE"


def test_only_the_selection_is_changed(database, make, plan):
    """By filters, by a rule, by words in an address."""
    for name, country in (("ann", "CN"), ("bob", "FR"), ("eve", "KE")):
        make.subscriber(f"{name}@example.org", country=country)
    for wanted, hits in ((Selection(country="CN"), 1), (Selection(rule="country = FR"), 1),
                         (Selection(search="eve@"), 1), (Selection(search="@example"), 3)):  # fmt: skip
        with database.read() as session:
            found = wholesale.preview(session, wanted, plan(Kind.ZONE, value="Asia/Tokyo"), now=NOON)
        assert (found.total, found.counts[Verdict.CHANGES]) == (hits, hits)


def test_a_change_by_words_is_about_everybody_who_matches(database, make, plan, monkeypatch):
    """However many more they are than a list shows; the preview counts them all."""
    monkeypatch.setattr(finding, "MOST", 2)
    monkeypatch.setattr(journal, "CHUNK", 2)
    for n in range(5):
        make.subscriber(f"reader{n}@example.org")
    make.subscriber("ann@north.example")
    _, counts = make_it(database, plan(Kind.ZONE, value="Asia/Tokyo"), Selection(search="reader exam"))
    assert counts == {Verdict.CHANGES: 5, Verdict.ALREADY: 0, Verdict.REFUSED: 0}


def test_whoever_comes_after_the_button_is_not_changed(database, make, plan):
    """The selection is of that moment, however long the workers take."""
    make.subscriber("ann@example.org")
    with database.write() as session:
        wholesale.begin(session, EVERYBODY, plan(Kind.COUNTRY, value="FR"), now=NOON, actor=ADMIN)
    late = make.subscriber("late@example.org")
    wholesale.work(database, clock=lambda: NOON, seconds=60)
    with database.read() as session:
        assert session.get_one(Subscriber, late.id).country is None


def test_a_change_is_made_in_chunks_and_goes_on_after_a_stop(database, make, plan, monkeypatch):
    """Each chunk is a transaction; nobody is judged twice."""
    monkeypatch.setattr(journal, "CHUNK", 2)
    for _n in range(5):
        make.subscriber(country="CN")
    with database.write() as session:
        wholesale.begin(
            session, Selection(country="CN"), plan(Kind.COUNTRY, value="FR"), now=NOON, actor=ADMIN
        )
    with database.write() as session:
        assert wholesale.step(session, now=NOON)
    with database.read() as session:
        countries = list(session.scalars(select(Subscriber.country)))
    assert sorted(countries) == ["CN", "CN", "CN", "FR", "FR"]
    wholesale.work(database, clock=lambda: NOON, seconds=60)
    with database.read() as session:
        assert set(session.scalars(select(Subscriber.country))) == {"FR"}
        assert len(list(session.scalars(select(ChangeRow)))) == 5


def test_topics_are_added_and_taken_without_turning_a_choice_round(database, make, plan):
    """Nobody who gets every issue is narrowed to one topic; nobody loses the last one."""
    both, one, none, partners = (make.subscriber(f"{name}@example.org") for name in "abcd")
    water, climate = make.topic("water", both, one), make.topic("climate", both)
    tie = make.membership(make.partner(), partners)
    make._add(MembershipTopic(membership_id=tie.id, topic_id=climate.id))
    before = snapshot(database)
    taken, counts = make_it(database, plan(Kind.REMOVE_TOPIC, topic_id=water.id))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 2, Verdict.REFUSED: 1}
    undo(database, taken)
    assert snapshot(database) == before
    _, counts = make_it(database, plan(Kind.ADD_TOPIC, topic_id=climate.id))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 2, Verdict.REFUSED: 1}
    with database.read() as session:
        chosen = set(session.execute(select(SubscriberTopic.subscriber_id, SubscriberTopic.topic_id)).all())
    assert chosen == {(both.id, water.id), (both.id, climate.id), (one.id, water.id), (one.id, climate.id)}
    assert none.id not in {person for person, _topic in chosen}


def test_people_come_to_a_partner_while_there_are_seats(database, make, plan):
    """With the evidence that was given; a membership that had ended begins anew; undo takes both out."""
    partner = make.partner(seats=3)
    make.subscriber("a@example.org", partner=partner, name_en="Ann Lee")
    again = make.subscriber("b@example.org")
    make.membership(partner, again, ended_at=NOON - DAY)
    for name in "cd":
        make.subscriber(f"{name}@example.org", name_en=f"Name {name}")
    before = snapshot(database)
    change, counts = make_it(
        database, plan(Kind.ADD_TO_PARTNER, partner_id=partner.id, note="agreed at the annual meeting")
    )
    assert counts == {Verdict.CHANGES: 2, Verdict.ALREADY: 1, Verdict.REFUSED: 1}
    with database.read() as session:
        ties = list(session.scalars(select(Membership).where(Membership.ended_at.is_(None))))
    assert len(ties) == 3
    new = [tie for tie in ties if tie.consent_wording == "agreed at the annual meeting"]
    assert {tie.consent_kind for tie in new} == {ConsentKind.IMPORTED}
    assert "Name c" in {tie.name_en for tie in new}
    undo(database, change)
    assert snapshot(database) == before


def test_taking_people_off_a_list_ends_what_rests_on_the_partners_word(database, make, plan):
    """As when the partner does it: another's hold and the person's own word stay."""
    partner, other = make.partner(trusted=True), make.partner()
    vouched = make.subscriber("a@example.org", subscribed=False, partner=partner)
    make.subscription(vouched, consent_kind=ConsentKind.VOUCHED)
    shared = make.subscriber("b@example.org", subscribed=False, partner=partner)
    make.subscription(shared, consent_kind=ConsentKind.VOUCHED)
    make.membership(other, shared)
    own = make.subscriber("c@example.org", partner=partner)
    before = snapshot(database)
    change, counts = make_it(database, plan(Kind.REMOVE_FROM_PARTNER, partner_id=partner.id))
    assert counts[Verdict.CHANGES] == 3
    with database.read() as session:
        states = dict(session.execute(select(Subscription.subscriber_id, Subscription.state)).all())
    assert states == {vouched.id: "pending", shared.id: "confirmed", own.id: "confirmed"}
    undo(database, change)
    assert snapshot(database) == before


def test_a_pause_never_shortens_the_persons_own(database, make, plan):
    """And who is not subscribed cannot pause."""
    make.subscriber("a@example.org")
    longer = make.subscriber("b@example.org", subscribed=False)
    make.subscription(longer, paused_until=NOON + 90 * DAY)
    make.subscriber("c@example.org", subscribed=False)
    _, counts = make_it(database, plan(Kind.PAUSE, until=NOON + 30 * DAY))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 1, Verdict.REFUSED: 1}
    with database.read() as session:
        assert (
            session.get_one(Subscription, (make.publication().id, longer.id)).paused_until == NOON + 90 * DAY
        )


def test_people_are_unsubscribed_with_a_reason_and_brought_back_by_undo(database, make, plan):
    """Who had left themselves stays away whatever happens."""
    ann = make.subscriber("a@example.org")
    gone = make.subscriber("b@example.org", subscribed=False)
    make.subscription(gone, state=SubscriptionState.LEFT)
    change, counts = make_it(database, plan(Kind.UNSUBSCRIBE, note="asked by letter"))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 1, Verdict.REFUSED: 0}
    key = (make.publication().id, ann.id)
    with database.read() as session:
        assert session.get_one(Subscription, key).left_reason == "asked by letter"
    undo(database, change)
    with database.read() as session:
        assert session.get_one(Subscription, key).state == SubscriptionState.CONFIRMED
        assert session.get_one(Subscription, (key[0], gone.id)).state == SubscriptionState.LEFT


def test_addresses_are_suppressed_and_released_by_undo(database, make, plan):
    """The list keeps the row and says that it is over."""
    make.subscriber("a@example.org")
    make.subscriber("b@example.org")
    make.suppression("b@example.org")
    change, counts = make_it(database, plan(Kind.SUPPRESS, note="mailing house gave them back"))
    assert counts == {Verdict.CHANGES: 1, Verdict.ALREADY: 1, Verdict.REFUSED: 0}
    hashed = KEYS.address_hash("a@example.org")
    with database.read() as session:
        assert silenced.of_hashes(session, [hashed], NOON)
    undo(database, change)
    with database.read() as session:
        assert not silenced.of_hashes(session, [hashed], NOON + DAY)
        released = session.scalars(select(Suppression).where(Suppression.address_hash == hashed)).one()
    assert released.released_by == "admin@example.org"


def test_the_log_tells_of_a_change_without_the_addresses_searched_for(database, make, plan):
    """A search may be an address of a reader."""
    make.subscriber("ann@example.org")
    make_it(database, plan(Kind.COUNTRY, value="FR"), Selection(search="ann@example.org"))
    with database.read() as session:
        entries = list(session.scalars(select(AuditEntry)))
    assert [entry.action for entry in entries] == ["change.begin", "change.finish"]
    assert "ann@" not in str([entry.after for entry in entries])


@pytest.mark.parametrize(
    ("kind", "given", "error"),
    [
        (Kind.LANGUAGE, {"value": "fr"}, BadCode),
        (Kind.COUNTRY, {"value": "Atlantis"}, BadCode),
        (Kind.ADD_TOPIC, {}, wholesale.BadPlan),
        (Kind.ADD_TO_PARTNER, {"note": "evidence"}, wholesale.BadPlan),
        (Kind.PAUSE, {"until": NOON - DAY}, wholesale.BadPlan),
        (Kind.UNSUBSCRIBE, {}, wholesale.BadPlan),
        (Kind.SUPPRESS, {"note": " "}, wholesale.BadPlan),
    ],
)
def test_a_plan_that_lacks_something_is_refused(database, plan, kind, given, error):
    """Before anything is opened."""
    with pytest.raises(error), database.write() as session:
        wholesale.begin(session, EVERYBODY, plan(kind, **given), now=NOON, actor=ADMIN)


def test_a_change_that_is_still_being_made_is_not_taken_back(database, make, plan):
    """Half of it would come back by itself."""
    make.subscriber("a@example.org")
    with database.write() as session:
        change = wholesale.begin(
            session, EVERYBODY, plan(Kind.COUNTRY, value="FR"), now=NOON, actor=ADMIN
        ).public_id
    with pytest.raises(journal.NotFinished):
        undo(database, change)
