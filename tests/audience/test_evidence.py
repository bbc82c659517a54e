"""Evidence of consent is never overwritten, and its words have versions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailer.accounts.audit import SYSTEM, Actor
from mailer.audience import desk, joining, subscribers, subscriptions
from mailer.audience.evidence import history, wordings
from mailer.audience.intake import Consent
from mailer.audience.names import Names
from mailer.audience.store import ConsentKind, SubscriptionState
from tests.make import KEYS, NOON

DAY = timedelta(days=1)
ANN = Actor(None, "ann@example.org")


@pytest.fixture
def reader(make):
    return make.subscriber("ann@example.org", language="en")


def told(database, reader):
    with database.read() as session:
        return history.of_person(session, [reader.id])


def test_leaving_and_coming_back_keep_the_first_consent(database, make, reader):
    """Three standings: the one of now, and the two before it, each with its own evidence."""
    ids = {"subscriber_id": reader.id, "publication_id": make.publication().id}
    with database.write() as session:
        subscriptions.leave(session, now=NOON + DAY, reason="too many", **ids)
    with database.write() as session:
        subscriptions.rejoin(session, now=NOON + 2 * DAY, origin="203.0.113.9", **ids)
    found = told(database, reader)
    assert [(each.state, each.since, each.until) for each in found] == [
        ("confirmed", NOON + 2 * DAY, None),
        ("left", NOON + DAY, NOON + 2 * DAY),
        ("confirmed", NOON, NOON + DAY),
    ]
    assert [each.wording for each in found] == ["undo of leaving", "I want this newsletter.",
                                                "I want this newsletter."]  # fmt: skip
    assert found[0].origin == "203.0.113.9"


def test_a_leave_of_somebody_never_asked_is_no_past_consent(database, make):
    """There was nothing before it."""
    reader = make.subscriber("ann@example.org", subscribed=False)
    with database.write() as session:
        subscriptions.leave(session, subscriber_id=reader.id, publication_id=make.publication().id, now=NOON)
    assert [each.state for each in told(database, reader)] == ["left"]


def test_who_took_somebody_off_is_kept(database, make, reader):
    """Of a person's own leave it is nobody."""
    with database.write() as session:
        subscriptions.leave(
            session, subscriber_id=reader.id, publication_id=make.publication().id, now=NOON + DAY,
            by="admin@example.org",
        )  # fmt: skip
    assert told(database, reader)[1].changed_by == "admin@example.org"


def test_a_membership_that_ends_and_begins_anew_keeps_its_first_consent(database, make):
    """The second consent of the same partner does not replace the first."""
    partner = make.partner(trusted=True)
    reader = make.subscriber("ann@example.org", subscribed=False)
    tie = make.membership(partner, reader)
    with database.write() as session:
        desk.end_membership(
            session, partner_id=partner.id, membership_public_id=tie.public_id, now=NOON + DAY, actor=ANN
        )
    with database.write() as session:
        joining.add(
            session, partner_id=partner.id, keys=KEYS, now=NOON + 2 * DAY, actor=ANN,
            address="ann@example.org", names=Names(), language="en", publication_id=make.publication().id,
            wording="They agreed again.",
        )  # fmt: skip
    found = [each for each in told(database, reader) if each.partner_id == partner.id]
    assert [(each.state, each.wording) for each in found] == [
        ("member", "They agreed again."),
        ("ended", "I want this newsletter."),
        ("member", "I want this newsletter."),
    ]
    assert found[1].changed_by == found[2].changed_by == "ann@example.org"


def test_a_withdrawn_vouching_is_kept_as_it_was(database, make):
    """The subscription waits again; that it was vouched for is on record."""
    partner = make.partner(trusted=True)
    reader = make.subscriber("ann@example.org", subscribed=False)
    make.subscription(reader, consent_kind=ConsentKind.VOUCHED)
    tie = make.membership(partner, reader)
    with database.write() as session:
        desk.end_membership(
            session, partner_id=partner.id, membership_public_id=tie.public_id, now=NOON + DAY, actor=ANN
        )
    states = [each.state for each in told(database, reader) if each.publication_id]
    assert states == [SubscriptionState.PENDING, SubscriptionState.CONFIRMED]


def test_a_pending_subscription_that_is_brought_with_evidence_keeps_its_sign_up(database, make):
    """Intake writes in sets, and keeps what was there in sets."""
    reader = make.subscriber("ann@example.org", subscribed=False)
    make.subscription(reader, state=SubscriptionState.PENDING)
    with database.write() as session:
        subscribers.add(
            session, keys=KEYS, now=NOON + DAY, actor=ANN, address="ann@example.org", names=Names(),
            language="en", publication_id=make.publication().id,
            consent=Consent(ConsentKind.IMPORTED, "signed on paper", "file 12"),
        )  # fmt: skip
    assert [(each.state, each.kind) for each in told(database, reader)] == [
        ("confirmed", ConsentKind.IMPORTED),
        ("pending", ConsentKind.SIGN_UP),
    ]


def write(database, make, text, *, now=NOON, kind=ConsentKind.SIGN_UP, language="en"):
    with database.write() as session:
        return wordings.write(
            session, publication_id=make.publication().id, kind=kind, language=language, text=text, now=now,
            actor=SYSTEM,
        )  # fmt: skip


def test_new_words_are_a_new_version_and_the_old_ones_stay(database, make):
    """Version 0 came with the system."""
    assert write(database, make, "Send me the newsletter.").version == 1
    assert write(database, make, "Please  send me the newsletter.", now=NOON + DAY).version == 2
    with database.read() as session:
        found = wordings.listing(session, make.publication().id)[ConsentKind.SIGN_UP, "en"]
        other = wordings.in_force(session, make.publication().id, ConsentKind.SIGN_UP, "zh")
    assert [each.version for each in found] == [2, 1, 0]
    assert found[0].text == "Please send me the newsletter."
    assert other.version == 0


def test_evidence_names_its_version_by_words_and_day(database, make):
    """Words used twice are told apart by the day; anybody's own words have no version."""
    write(database, make, "A")
    write(database, make, "B", now=NOON + DAY)
    write(database, make, "A", now=NOON + 2 * DAY)
    with database.read() as session:
        known = wordings.listing(session, make.publication().id)
    versions = [wordings.version_of(known, "A", NOON + n * DAY) for n in (0, 1, 3)]
    assert [each.version for each in versions if each] == [1, 1, 3]
    assert wordings.version_of(known, "As agreed by telephone", NOON) is None


@pytest.mark.parametrize(("text", "error"), [("", wordings.BadWording), ("x" * 2001, wordings.BadWording)])
def test_words_of_consent_are_neither_empty_nor_endless(database, make, text, error):
    """A form has to show them."""
    with pytest.raises(error):
        write(database, make, text)


def test_the_words_in_force_are_not_written_again(database, make):
    """Saving twice makes no version."""
    write(database, make, "A")
    with pytest.raises(wordings.SameWords):
        write(database, make, " A ")
