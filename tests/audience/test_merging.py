"""Two entries of one person: found with reasons, judged once, merged by rules, taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts.audit import Actor
from mailer.audience import intake, person, silenced, subscribers
from mailer.audience.changes import duplicates, journal, merging
from mailer.audience.changes.duplicates import Reason
from mailer.audience.changes.store import ChangeRow
from mailer.audience.evidence import history
from mailer.audience.intake import Consent
from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
)
from mailer.delivery.store import Delivery
from mailer.feedback import erasure
from tests.audience.test_wholesale import snapshot
from tests.make import KEYS, NOON

DAY = timedelta(days=1)
ADMIN = Actor(None, "admin@example.org")


def look(database):
    with database.write() as session:
        duplicates.find(session, now=NOON)
    with database.read() as session:
        return {
            (pair.first.address_key, pair.second.address_key): pair.duplicate.reasons
            for pair in duplicates.listing(session)[0]
        }


def test_likely_duplicates_are_found_with_their_reasons(database, make):
    """Gmail spellings, sibling domains, names within a domain or a partner; and nobody else."""
    make.subscriber("wang.min@gmail.com")
    make.subscriber("wangmin+news@gmail.com")
    make.subscriber("ann@example.org")
    make.subscriber("ann@mail.example.org")
    make.subscriber("m.li@ministry.example", name_zh="李敏")
    make.subscriber("limin@ministry.example", name_zh="李敏")
    partner = make.partner()
    for address in ("bo@old.example", "bo@new.example"):
        reader = make.subscriber(address, name_en="Bo Berg")
        make.membership(partner, reader, name_en="Bo Berg")
    make.subscriber("ann@example.com", name_en="Somebody Else")
    make.subscriber("else@ministry.example", name_zh="王敏")
    assert look(database) == {
        ("wang.min@gmail.com", "wangmin+news@gmail.com"): [Reason.SAME_GMAIL],
        ("ann@example.org", "ann@mail.example.org"): [Reason.SIBLING_DOMAIN],
        ("m.li@ministry.example", "limin@ministry.example"): [Reason.NAME_AND_DOMAIN],
        ("bo@old.example", "bo@new.example"): [Reason.NAME_AND_PARTNER],
    }


def test_a_name_that_many_share_is_no_duplicate(database, make):
    """Six colleagues called Office are an office."""
    for _n in range(6):
        make.subscriber(f"office{_n}@example.org", name_en="Office")
    assert look(database) == {}


def test_two_people_are_asked_about_once(database, make):
    """However often it is looked."""
    ann, bob = (make.subscriber(f"{name}@example.org", name_en="A Name") for name in ("ann", "bob"))
    assert look(database)
    with database.write() as session:
        duplicates.keep_apart(session, first_id=bob.id, second_id=ann.id, now=NOON, actor=ADMIN)
    assert look(database) == {}


def test_a_pair_that_is_alike_no_more_goes_from_the_list(database, make):
    """Somebody corrected the name."""
    ann, _bob = (make.subscriber(f"{name}@example.org", name_en="A Name") for name in ("ann", "bob"))
    assert look(database)
    with database.write() as session:
        session.get_one(Subscriber, ann.id).name_en = "Another"
    assert look(database) == {}


@pytest.fixture
def two(make):
    """The entry that stays and the one that goes."""
    addresses = ("new@example.org", "old@example.org")
    return [make.subscriber(each, subscribed=False) for each in addresses]


def merge(database, kept, gone, now=NOON):
    with database.write() as session:
        return merging.merge(session, gone_id=gone.id, kept_id=kept.id, now=now, actor=ADMIN).public_id


SIGNED_UP, VOUCHED = ConsentKind.SIGN_UP, ConsentKind.VOUCHED
LEFT, CONFIRMED, PENDING = SubscriptionState.LEFT, SubscriptionState.CONFIRMED, SubscriptionState.PENDING


@pytest.mark.parametrize(
    ("kept", "gone", "after"),
    [
        (None, (CONFIRMED, SIGNED_UP, 0), CONFIRMED),
        (None, (LEFT, SIGNED_UP, 0), LEFT),
        ((PENDING, SIGNED_UP, 0), (CONFIRMED, VOUCHED, 0), CONFIRMED),
        ((CONFIRMED, VOUCHED, 5), (LEFT, SIGNED_UP, 0), LEFT),  # others' word never outweighs a leave
        ((CONFIRMED, SIGNED_UP, 5), (LEFT, SIGNED_UP, 0), CONFIRMED),  # the person came back themselves
        ((CONFIRMED, SIGNED_UP, 0), (LEFT, SIGNED_UP, 5), LEFT),
        ((LEFT, SIGNED_UP, 0), (CONFIRMED, VOUCHED, 5), LEFT),
        ((LEFT, SIGNED_UP, 0), (CONFIRMED, SIGNED_UP, 5), CONFIRMED),
        ((CONFIRMED, VOUCHED, 0), (PENDING, SIGNED_UP, 0), CONFIRMED),
    ],
)
def test_the_persons_own_last_word_counts(database, make, two, kept, gone, after):
    """States before, kind of consent, day of it; and the preview says the same."""
    for row, stood in zip(two, (kept, gone), strict=True):
        if stood is not None:
            state, kind, day = stood
            at = NOON + day * DAY
            make.subscription(row, state=state, consent_kind=kind, consent_at=at, changed_at=at)
    with database.read() as session:
        foreseen = merging.foresee(session, gone_id=two[1].id, kept_id=two[0].id, now=NOON)
    assert [each.after for each in foreseen.outcomes] == [after]
    merge(database, *two, now=NOON + 9 * DAY)
    with database.read() as session:
        states = [session.get_one(Subscription, (make.publication().id, row.id)).state for row in two]
    assert states == [after, LEFT]


def test_consents_memberships_and_topics_come_over(database, make, two):
    """Each with its evidence; whom both hold stays; choices are joined."""
    kept, gone = two
    make.subscription(gone, consent_wording="words of the old address")
    only, both = make.partner(), make.partner()
    make.membership(only, gone, consent_wording="the partner's words")
    make.membership(both, gone)
    make.membership(both, kept, notes="own notes")
    make.topic("water", gone)
    make.topic("climate", kept)
    merge(database, kept, gone)
    with database.read() as session:
        ties = [row for row in session.scalars(select(Membership)) if row.ended_at is None]
        assert {(row.partner_id, row.subscriber_id) for row in ties} == {
            (only.id, kept.id),
            (both.id, kept.id),
        }
        assert {row.notes for row in ties} == {"", "own notes"}
        topics = list(session.scalars(select(SubscriberTopic.subscriber_id)))
        assert topics.count(kept.id) == 2
        words = {each.wording for each in history.of_person(session, person.rows_of(session, kept.id))}
    assert {"words of the old address", "the partner's words"} <= words


def test_blanks_are_filled_and_the_later_choice_of_language_counts(database, make):
    """What the kept entry knows stays."""
    kept = make.subscriber("new@example.org", name_en="Ann Lee", language="en")
    gone = make.subscriber("old@example.org", name_en="A. Lee", name_zh="李安", country="CN", language="zh",
                           chosen_at=NOON)  # fmt: skip
    merge(database, kept, gone)
    with database.read() as session:
        found = session.get_one(Subscriber, kept.id)
    assert (found.name_en, found.name_zh, found.country, found.language) == ("Ann Lee", "李安", "CN", "zh")
    assert "李安" in found.salutation_zh


def test_letters_stay_where_they_are(database, make, two):
    """The ledger says what was sent to which address."""
    kept, gone = two
    letter = make.delivery(subscriber=gone)
    merge(database, kept, gone)
    with database.read() as session:
        assert session.get_one(Delivery, (letter.campaign_id, letter.n)).subscriber_id == gone.id
        assert person.rows_of(session, kept.id) == [kept.id, gone.id]


def test_a_complaint_comes_over_and_a_full_mailbox_does_not(database, make, two):
    """One is about us, the other about an address."""
    kept, gone = two
    make.suppression("old@example.org", "mailbox_full")
    make.suppression("old@example.org", "complaint")
    merge(database, kept, gone)
    with database.read() as session:
        found = silenced.of_hashes(session, [KEYS.address_hash("new@example.org")], NOON)
    assert [each.reason for each in found] == ["complaint"]


def test_no_import_subscribes_the_address_that_went(database, make, two):
    """It has left everywhere it stood."""
    make.subscription(two[1])
    merge(database, *two)
    evidence = Consent(ConsentKind.IMPORTED, "again", "a file")
    with pytest.raises(intake.HasLeft), database.write() as session:
        subscribers.add(
            session, keys=KEYS, now=NOON, actor=ADMIN, address="old@example.org", names=Names(),
            language="en", publication_id=make.publication().id, consent=evidence,
        )  # fmt: skip


def test_an_entry_that_went_is_neither_listed_nor_merged_again(database, make, two):
    """The other stands for it."""
    merge(database, *two)
    with database.read() as session:
        assert [row.address for row in subscribers.listing(session)[0]] == ["new@example.org"]
    with pytest.raises(merging.NotTwo):
        merge(database, *two)


def test_a_merge_is_taken_back_whole(database, make, two):
    """Everything is as it was before, but for the history."""
    kept, gone = two
    make.subscription(gone)
    make.subscription(kept, state=PENDING)
    make.membership(make.partner(), gone)
    make.topic("water", gone)
    make.suppression("old@example.org", "complaint")
    before = snapshot(database)
    change = merge(database, kept, gone)
    assert snapshot(database) != before
    with database.write() as session:
        undone = journal.undo(session, change, now=NOON + DAY, actor=ADMIN)
    assert undone == journal.Undone(restored=1, kept=0)
    assert snapshot(database) == before
    with database.read() as session:
        assert not silenced.of_hashes(session, [KEYS.address_hash("new@example.org")], NOON + 2 * DAY)


def test_a_merge_whose_person_has_moved_on_is_not_taken_back(database, make, two):
    """They left meanwhile: undoing would turn that round."""
    kept, gone = two
    make.subscription(gone)
    change = merge(database, kept, gone)
    with database.write() as session:
        own = session.get_one(Subscription, (make.publication().id, kept.id))
        own.state, own.changed_at = LEFT, NOON + timedelta(hours=1)
    with database.write() as session:
        assert journal.undo(session, change, now=NOON + DAY, actor=ADMIN).restored == 0
    with database.read() as session:
        assert session.get_one(Subscriber, gone.id).merged_into == kept.id


def test_erasing_a_person_erases_the_entries_that_became_theirs(database, make, two):
    """And what changes and searches still say of them."""
    kept, gone = two
    merge(database, kept, gone)
    with database.write() as session:
        erased = erasure.erase(session, subscriber_id=kept.id, now=NOON, actor=ADMIN)
    assert erased.spellings == ("new@example.org", "old@example.org")
    with database.read() as session:
        assert set(session.scalars(select(Subscriber.address))) == {None}
        assert list(session.scalars(select(ChangeRow.written))) == [None]
