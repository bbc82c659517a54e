"""The administrator's page about mailboxes: added, seen, tried again, removed; answers nobody has got."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts.store import Role
from mailer.feedback.boxes import mailboxes, store
from mailer.feedback.boxes.store import Mailbox
from mailer.feedback.record import hear
from mailer.feedback.store import Answer
from mailer.sentence import Sentence
from tests.feedback import samples
from tests.make import KEYS, NOON

PATH = "/admin/sending/mailboxes"
GIVEN = {
    "protocol": "imaps", "host": "imap.example.org", "user": "desk@example.org", "password": "hush&hush/",
    "folder": "退信", "then": "mark",
}  # fmt: skip


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def rows(database):
    with database.read() as session:
        return list(session.scalars(select(Mailbox)))


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMIN, Role.PARTNER)])
def test_only_administrators_see_mailboxes(sign_in, role):
    """Their passwords open people's mail."""
    visitor = sign_in(role)
    assert visitor.get(PATH).status_code == 403
    assert visitor.post(PATH, **GIVEN).status_code == 403


def test_for_partners_the_page_does_not_exist(sign_in):
    """Neither to look at nor to post to."""
    partner = sign_in(Role.PARTNER)
    assert partner.get(PATH).status_code == 404
    for path in ("", "/again", "/remove", "/dismiss", "/answers"):
        assert partner.post(f"{PATH}{path}", id=1).status_code == 404


def test_a_mailbox_is_added_and_its_password_never_shown(admin, sqlite_database):
    """It is sealed in its row, and the page has it nowhere."""
    page = admin.post(PATH, **GIVEN)
    assert page.status_code == 200
    assert "not read yet" in page.text
    assert "退信" in page.text
    [row] = rows(sqlite_database)
    account = mailboxes.account_of(row, KEYS)
    assert (account.user, account.password, account.folder) == ("desk@example.org", "hush&hush/", "退信")
    assert "hush" not in page.text + row.url + row.secret


def test_what_cannot_be_used_is_told_and_the_password_not_sent_back(admin, sqlite_database):
    """The rest of the form is kept."""
    page = admin.post(PATH, **{**GIVEN, "protocol": "pop3s"})
    assert page.status_code == 422
    assert "POP3 cannot do" in page.text
    assert 'value="imap.example.org"' in page.text
    assert "hush" not in page.text
    assert rows(sqlite_database) == []


def test_trouble_is_shown_in_the_readers_language(admin, sqlite_database):
    """With a button that tries again at once, and one that ends it."""
    admin.post(PATH, **GIVEN)
    with sqlite_database.write() as session:
        mailboxes.get(session, 1).leased_by = "us"
        why = Sentence(
            "The mailbox server {server} does not offer STARTTLS: use imaps:// or pop3s://.", server="x:1"
        )
        session.flush()
        mailboxes.failed(session, 1, "us", why, lasting=True)
    assert "does not offer STARTTLS" in admin.get(PATH).text
    assert "不提供 STARTTLS" in admin.get(f"{PATH}?lang=zh").text
    admin.get(f"{PATH}?lang=en")
    assert rows(sqlite_database)[0].retry_at is not None
    assert "It is tried again within seconds" in admin.post(f"{PATH}/again", id=1).text
    assert rows(sqlite_database)[0].retry_at is None
    assert "No mailbox is read" in admin.post(f"{PATH}/remove", id=1).text
    assert rows(sqlite_database) == []
    assert admin.post(f"{PATH}/remove", id=1).status_code == 404


def test_an_answer_that_nobody_has_got_is_listed_and_passed_on(admin, make, sqlite_database):
    """From whom, about what, and why not."""
    delivery = make.delivery()
    with sqlite_database.write() as session:
        raw = b"Precedence: bulk\n" + samples.answer()
        hear(session, raw=raw, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS)
    page = admin.get(PATH)
    assert "ann@example.org" in page.text
    assert "Re: Green Observer" in page.text
    assert "a machine seems to have written it" in page.text
    assert "似乎是机器自动发出的" in admin.get(f"{PATH}?lang=zh").text
    admin.post(f"{PATH}/answers", id=1)
    with sqlite_database.read() as session:
        assert session.scalars(select(Answer.state)).one() == "waiting"


def test_a_mail_that_could_not_be_stored_is_named_tried_again_and_dismissed(admin, sqlite_database):
    """By its Message-ID, where it lies, and what went wrong."""
    admin.post(PATH, **GIVEN)
    facts = {
        "uid": "7:12",
        "message_id": "<42@mx.example.org>",
        "size": 900,
        "why": "LookupError",
        "at": NOON,
    }
    with sqlite_database.write() as session:
        store.note_unstored(session, 1, "7:12", facts, lambda _: timedelta(hours=1))
    page = admin.get(PATH).text
    for told in ("&lt;42@mx.example.org&gt;", "7:12", "LookupError", "Try again now"):
        assert told in page
    assert "未能存储的邮件" in admin.get(f"{PATH}?lang=zh").text
    admin.get(f"{PATH}?lang=en")
    admin.post(f"{PATH}/again", id=1)
    with sqlite_database.read() as session:
        [row] = store.unstored(session, 1)
        assert row.due_at == NOON
    assert "7:12" not in admin.post(f"{PATH}/dismiss", id=1, uid="7:12").text
    assert admin.post(f"{PATH}/dismiss", id=1, uid="7:12").status_code == 404
