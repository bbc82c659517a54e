"""What came back is stored once and put against the right letter, whatever address it names."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.audience.store import Subscription, SubscriptionState
from mailer.database import Base, Database
from mailer.delivery import events
from mailer.delivery.store import Delivery, DeliveryState, Event, EventInbox
from mailer.feedback import store
from mailer.feedback.record import Heard, hear
from mailer.feedback.store import ReturnedMail
from mailer.signing import Keyring, Purpose
from tests.feedback import samples
from tests.make import KEYS, NOON, Make


def told(database: Database, raw: bytes, to: str, keys: Keyring = KEYS, at: object = NOON) -> Heard:
    with database.write() as session:
        return hear(session, raw=raw, envelope_to=to, now=at, keys=keys)  # type: ignore[arg-type]


def events_of(database: Database, delivery: Delivery) -> list[Event]:
    with database.read() as session:
        return list(events.of_delivery(session, delivery.campaign_id, delivery.n))


def count(database: Database, table: type[Base]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_bounce_is_put_against_its_letter(database: Database, make: Make) -> None:
    """The token names the delivery, the report its fate."""
    make.delivery()
    delivery = make.delivery("ann@example.org")
    heard = told(database, samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(delivery))
    [event] = events_of(database, delivery)
    assert heard.delivery == (delivery.campaign_id, delivery.n)
    assert (event.kind, event.category, event.status) == ("bounce", "bad_mailbox", "5.1.1")
    assert (event.permanent, event.dead, event.source) == (True, True, "dsn")
    assert "no such user" in event.detail
    assert event.mail_id == heard.mail_id


def test_the_ledger_keeps_saying_accepted(database: Database, make: Make) -> None:
    """A bounce after acceptance is an event; the relay did accept."""
    delivery = make.delivery()
    told(database, samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(delivery))
    with database.read() as session:
        found = session.get(Delivery, (delivery.campaign_id, delivery.n))
        assert found is not None
        assert found.state == DeliveryState.ACCEPTED


def test_a_return_path_that_comes_back_in_capitals_is_read(database: Database, make: Make) -> None:
    """Mail systems change the case of local parts."""
    delivery = make.delivery()
    told(database, samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(delivery).upper())
    assert len(events_of(database, delivery)) == 1


def test_a_report_about_a_forwarded_letter_finds_its_delivery(database: Database, make: Make) -> None:
    """The address that failed is not the one we wrote to."""
    delivery = make.delivery("ann@example.org")
    elsewhere = samples.dsn(("ann.private@forwarded.example", samples.FULL))
    told(database, elsewhere, samples.return_path(delivery))
    [event] = events_of(database, delivery)
    assert event.category == "mailbox_full"


@pytest.mark.parametrize(
    ("named", "dead"),
    [
        ("ann@example.org", True),
        ("Ann@MX1.Example.ORG", True),
        ("ann@example.net", False),
        ("bob@example.org", False),
        ("ann@notexample.org", False),
    ],
)
def test_only_a_report_about_the_mailbox_we_wrote_to_calls_it_dead(
    database: Database, make: Make, named: str, dead: bool
) -> None:
    """Whoever forwards to a mailbox that is gone may keep a copy and read it."""
    delivery = make.delivery("ann@example.org")
    told(database, samples.dsn((named, samples.GONE)), samples.return_path(delivery))
    [event] = events_of(database, delivery)
    assert (event.category, event.dead) == ("bad_mailbox", dead)


def test_an_address_that_reaches_anyone_is_not_dead(database: Database, make: Make) -> None:
    """It forwards to two mailboxes, and only one of them is gone."""
    delivery = make.delivery("team@example.org")
    report = samples.dsn(("a@example.org", samples.GONE), ("b@example.org", samples.FULL))
    told(database, report, samples.return_path(delivery))
    assert {event.category for event in events_of(database, delivery)} == {"bad_mailbox", "mailbox_full"}
    assert not any(event.dead for event in events_of(database, delivery))


def test_the_same_mail_is_stored_and_told_once(database: Database, make: Make) -> None:
    """The peer missed our reply and came again."""
    delivery = make.delivery()
    report, path = samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(delivery)
    first, again = told(database, report, path), told(database, report, path)
    assert first.mail_id is not None
    assert (again.mail_id, again.events) == (None, ())
    assert count(database, ReturnedMail) == count(database, Event) == 1


def test_the_same_news_in_another_mail_is_told_once(database: Database, make: Make) -> None:
    """Two systems report one failure: both mails are kept, one event is written."""
    delivery = make.delivery()
    for serial in (1, 2):
        report = samples.dsn(("ann@example.org", samples.GONE), serial=serial)
        told(database, report, samples.return_path(delivery))
    assert count(database, ReturnedMail) == 2
    assert len(events_of(database, delivery)) == 1


def test_a_delay_is_not_a_bounce(database: Database, make: Make) -> None:
    """Nothing waits for policy: the relay is still trying."""
    delivery = make.delivery()
    report = samples.dsn(("ann@example.org", "451 4.4.1 connection timed out"), action="delayed")
    told(database, report, samples.return_path(delivery))
    [event] = events_of(database, delivery)
    assert (event.kind, event.permanent, event.dead) == ("delay", False, False)
    assert count(database, EventInbox) == 0


def test_a_redacted_complaint_is_matched_by_its_message_id(database: Database, make: Make) -> None:
    """It comes to the complaints desk, without the reader's address."""
    delivery = make.delivery()
    told(database, samples.complaint(samples.message_id(delivery)), "complaints@example.net")
    [event] = events_of(database, delivery)
    assert (event.kind, event.source, event.category) == ("complaint", "arf", "complaint")


def test_taking_a_complaint_back_is_no_complaint(database: Database, make: Make) -> None:
    """RFC 5965 has a feedback type for it."""
    delivery = make.delivery()
    told(database, samples.complaint(samples.message_id(delivery), kind="not-spam"), "c@example.net")
    assert events_of(database, delivery) == []


def test_a_bounce_is_not_matched_by_message_id(database: Database, make: Make) -> None:
    """Whoever got the letter knows its Message-ID; only the return path is asked."""
    delivery = make.delivery()
    report = samples.dsn(("ann@example.org", samples.GONE))
    letter = f"--edge\nContent-Type: text/rfc822-headers\n\nMessage-ID: {samples.message_id(delivery)}\n\n"
    heard = told(database, report.replace(b"--edge--", letter.encode() + b"--edge--"), "news@example.net")
    assert heard.kind == "bounce"
    assert heard.delivery is None
    assert events_of(database, delivery) == []


def test_an_absence_notice_is_an_event_that_decides_nothing(database: Database, make: Make) -> None:
    """RFC 3834."""
    delivery = make.delivery()
    told(database, samples.auto_reply(), samples.return_path(delivery))
    assert [event.kind for event in events_of(database, delivery)] == ["auto_reply"]
    assert count(database, EventInbox) == 0


def test_a_persons_answer_is_kept_and_is_no_event(database: Database, make: Make) -> None:
    """It waits to be passed on to the desk."""
    delivery = make.delivery()
    heard = told(database, samples.answer(), samples.return_path(delivery))
    assert (heard.kind, heard.events) == ("ordinary", ())
    with database.read() as session:
        mail = session.scalars(select(ReturnedMail)).one()
        assert (mail.kind, mail.n) == ("ordinary", delivery.n)
        assert store.mail_content(session, mail.id) == samples.answer()


def test_a_mail_to_the_leave_address_leaves(database: Database, make: Make) -> None:
    """The mailto form of List-Unsubscribe; twice is once."""
    delivery = make.delivery()
    for words in ("unsubscribe", "please"):
        told(database, samples.answer(words), samples.leave_address(delivery))
    assert [event.kind for event in events_of(database, delivery)] == ["leave"]
    with database.read() as session:
        assert session.scalars(select(Subscription.state)).one() == SubscriptionState.LEFT


def test_a_report_to_the_leave_address_leaves_nobody(database: Database, make: Make) -> None:
    """No person asked for anything."""
    delivery = make.delivery()
    told(database, samples.dsn(("ann@example.org", samples.FULL)), samples.leave_address(delivery))
    with database.read() as session:
        assert session.scalars(select(Subscription.state)).one() == SubscriptionState.CONFIRMED


@pytest.mark.parametrize("to", ["", "news@example.net", "b-" + "a" * 34 + "@bounces.mailer.example"])
def test_backscatter_is_stored_and_changes_nothing(database: Database, make: Make, to: str) -> None:
    """Spammers borrow our name; what returns to them is not ours."""
    make.delivery()
    heard = told(database, samples.dsn(("ann@example.org", samples.GONE)), to)
    assert (heard.delivery, heard.events) == (None, ())
    assert count(database, ReturnedMail) == 1
    assert count(database, Event) == 0


def test_a_token_of_another_purpose_or_another_house_is_backscatter(database: Database, make: Make) -> None:
    """A click link makes no return path, nor does someone else's key."""
    delivery = make.delivery()
    link = KEYS.sign(Purpose.LINK, delivery.campaign_id, delivery.n)
    foreign = Keyring.parse("1:somebody-elses-key").sign(
        Purpose.RETURN_PATH, delivery.campaign_id, delivery.n
    )
    for token in (link, foreign):
        told(database, samples.dsn(("ann@example.org", samples.GONE)), f"b-{token}@{samples.BOUNCES}")
    assert events_of(database, delivery) == []


def test_a_return_path_expires(database: Database, make: Make) -> None:
    """After sixty days no relay is still trying."""
    delivery = make.delivery()
    report, path = samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(delivery)
    assert told(database, report, path, at=NOON + timedelta(days=62)).delivery is None


def test_a_token_that_outlived_its_delivery_changes_nothing(database: Database, make: Make) -> None:
    """The signature is ours, the letter is in no ledger."""
    delivery = make.delivery()
    token = KEYS.sign(Purpose.RETURN_PATH, delivery.campaign_id, 999)
    report = samples.dsn(("ann@example.org", samples.GONE))
    assert told(database, report, f"b-{token}@{samples.BOUNCES}").delivery is None


def test_mail_from_a_mailbox_is_matched_by_whom_it_was_delivered_to(database: Database, make: Make) -> None:
    """A file has no envelope, but its headers keep the address."""
    delivery = make.delivery()
    header = f"Delivered-To: {samples.return_path(delivery)}\r\n".encode()
    told(database, header + samples.dsn(("ann@example.org", samples.GONE)), "")
    assert len(events_of(database, delivery)) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=400), to=st.text(max_size=40))
def test_any_bytes_to_any_address_are_heard(sqlite_database: Database, raw: bytes, to: str) -> None:
    """Nothing that arrives can stop the listener."""
    heard = told(sqlite_database, raw, to)
    assert heard.delivery is None
    assert heard.events == ()


@settings(max_examples=200, deadline=None)
@given(place=st.integers(2, 35), sign=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_return_path_with_any_sign_changed_is_refused(place: int, sign: str) -> None:
    """80 bits stand between a forger and our ledger."""
    from mailer.feedback.attribution import mailbox

    good = f"b-{KEYS.sign(Purpose.RETURN_PATH, 7, 9)}@{samples.BOUNCES}"
    changed = good[:place] + sign + good[place + 1 :]
    found = mailbox(changed, KEYS, NOON)
    assert (found is None) == (changed != good)
