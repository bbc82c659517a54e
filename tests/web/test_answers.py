"""The administrator's pages about readers' answers: read, and where they went."""

from __future__ import annotations

import pytest

from mailer.accounts.store import Role
from mailer.delivery.store import EventKind
from mailer.feedback import answers
from mailer.feedback.record import hear
from mailer.feedback.store import Answer
from tests.feedback import samples
from tests.make import KEYS, NOON
from tests.smtphost import SmtpHost

PATH = "/admin/answers"


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


@pytest.fixture
def answer(make, sqlite_database):
    """A reader has answered a letter; the letter."""
    delivery = make.delivery("ann@example.org")
    with sqlite_database.write() as session:
        raw = samples.answer("Could you send me the <b>figures</b>?")
        hear(session, raw=raw, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS)
    return delivery


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_administrators_read_answers(sign_in, answer, role):
    """They are letters of people."""
    visitor = sign_in(role)
    denied = 404 if role is Role.PARTNER else 403
    for path in (PATH, f"{PATH}/1", f"{PATH}/1/mail"):
        assert visitor.get(path).status_code == denied
    assert visitor.post(f"{PATH}/1/pass-on").status_code == denied


def test_an_answer_is_read_on_its_page_and_nothing_of_it_runs(admin, answer):
    """With what has become of it; the mail itself is there to download."""
    listed = admin.get(PATH).text
    assert "ann@example.org" in listed
    assert "on its way" in listed
    page = admin.get(f"{PATH}/1").text
    assert "Could you send me the &lt;b&gt;figures&lt;/b&gt;?" in page
    assert "on its way" in page
    assert b"figures" in admin.get(f"{PATH}/1/mail").content
    assert "回信" in admin.get(f"{PATH}/1?lang=zh").text


def test_where_it_was_passed_on_to_is_told(admin, answer, sqlite_database, settings):
    """The desk's address of that moment, and when; it can be passed on once more."""
    with SmtpHost() as relay:
        given = settings.model_copy(update={"smtp_url": relay.url})
        assert answers.pass_on(sqlite_database, settings=given, now=NOON) == 1
    page = admin.get(f"{PATH}/1").text
    assert "passed on" in page
    assert "desk-observer@news.example" in page
    assert "desk-observer@news.example" in admin.get(f"{PATH}?state=passed").text
    assert "No answer is in this state" in admin.get(f"{PATH}?state=kept").text
    admin.post(f"{PATH}/1/pass-on")
    with sqlite_database.read() as session:
        assert session.get_one(Answer, 1).state == "waiting"


def test_the_events_of_the_same_letter_show_the_answer(admin, answer, make):
    """Whoever wonders about a bounce reads what its reader wrote."""
    event = make.event(answer, EventKind.BOUNCE, category="unknown")
    page = admin.get(f"/admin/feedback/{event.id}").text
    assert "What the reader has answered" in page
    assert "Could you send me the" in page
    other = make.event(make.delivery("bob@example.org"), EventKind.BOUNCE, category="unknown")
    assert "What the reader has answered" not in admin.get(f"/admin/feedback/{other.id}").text


def test_nobody_has_answered_yet(admin):
    """Said so; and an answer that is not there is not found."""
    assert "Nobody has answered yet" in admin.get(PATH).text
    assert admin.get(f"{PATH}/1").status_code == 404
    assert admin.post(f"{PATH}/1/pass-on").status_code == 404
