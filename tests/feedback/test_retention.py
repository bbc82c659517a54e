"""Raw mail goes after a while; what it told stays, and names no other mail."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from mailer.database import Database
from mailer.delivery.store import Event
from mailer.feedback import store
from mailer.feedback.record import hear
from mailer.feedback.store import Answer, ReturnedMail
from mailer.retention import sweep
from mailer.retention.rules import RULES
from tests.feedback import samples
from tests.make import KEYS, NOON, Make

RAW_MAIL = RULES[0]
LATER = NOON + timedelta(days=181)


def forget_old_mail(database: Database, *, before: datetime, seconds: float = 20.0) -> int:
    return sweep.forget(database, RAW_MAIL, before, now=LATER, seconds=seconds).forgotten


def comes(database: Database, raw: bytes, to: str, *, at: timedelta = timedelta()) -> int:
    with database.write() as session:
        heard = hear(session, raw=raw, envelope_to=to, now=NOON + at, keys=KEYS)
    assert heard.mail_id
    return heard.mail_id


def test_old_mail_goes_and_its_events_stay(database: Database, make: Make) -> None:
    """Younger mail stays whole."""
    delivery = make.delivery("ann@example.org")
    report = samples.dsn(("ann@example.org", samples.GONE))
    old = comes(database, report, samples.return_path(delivery))
    young = comes(database, b"Subject: young\r\n\r\n", "", at=timedelta(days=10))
    assert forget_old_mail(database, before=NOON + timedelta(days=1)) == 1
    with database.read() as session:
        assert (store.mail_content(session, old), store.mail_content(session, young)) == (
            None,
            b"Subject: young\r\n\r\n",
        )
        assert session.scalars(select(Event.mail_id)).all() == [old]


def test_the_number_of_a_mail_that_is_gone_is_never_given_again(database: Database, make: Make) -> None:
    """An event that named it would show somebody else's mail."""
    old = comes(
        database, samples.dsn(("ann@example.org", samples.GONE)), samples.return_path(make.delivery())
    )
    assert forget_old_mail(database, before=LATER) == 1
    new = comes(database, b"Subject: a stranger's\r\n\r\n", "", at=timedelta(days=181))
    assert new != old
    with database.read() as session:
        assert store.mail_content(session, old) is None
    assert forget_old_mail(database, before=LATER) == 0


def test_it_goes_in_steps(database: Database) -> None:
    """Nobody who writes waits for long; a call that has no time left goes on next time."""
    for number in range(1_203):
        with database.write() as session:
            session.add(
                ReturnedMail(
                    received_at=NOON, fingerprint=str(number), envelope_to="", kind="bounce", content=b"x"
                )
            )
    assert forget_old_mail(database, before=LATER, seconds=0) == 500
    assert forget_old_mail(database, before=LATER) == 703
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ReturnedMail)) == 1  # the newest, empty


def test_an_answer_goes_with_its_mail(database: Database, make: Make) -> None:
    """It held nothing else."""
    comes(database, samples.answer(), samples.return_path(make.delivery()))
    forget_old_mail(database, before=LATER)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Answer)) == 0
