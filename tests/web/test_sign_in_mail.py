"""Sign-in links by mail: for who forgot the password or never had one, and for who is invited."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

import pytest

from mailer.accounts import users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry, Role, SignInLink
from tests.make import NOON
from tests.smtphost import SmtpHost
from tests.web.conftest import hidden


@pytest.fixture
def host(app, settings, make):
    """A relay that the house sends by."""
    make.publication()
    with SmtpHost() as host:
        chosen = settings.model_copy(update={"smtp_url": host.url, "base_url": "http://testserver"})
        object.__setattr__(app.state.house, "settings", chosen)
        yield host


def ask(visitor, email, next="/"):
    page = visitor.client.get("/sign-in/link", params={"next": next})
    data = {"csrf": hidden(page.text), "email": email, "next": hidden(page.text, "next")}
    return visitor.client.post("/sign-in/link", data=data)


def text_of(letter):
    return message_from_bytes(letter.body, policy=policy.default).get_content()


def test_who_forgot_the_password_gets_a_link_and_sets_a_new_one(host, make, visit):
    """The mail speaks the account's language; the link leads to where no old one is asked for."""
    make.user(Role.EDITOR, "ann@example.org", language="zh")
    visitor = visit()
    assert "Look into your mailbox" in ask(visitor, " Ann@Example.ORG ", "/account").text
    [letter] = host.letters
    assert "您的登录链接" in message_from_bytes(letter.body, policy=policy.default)["Subject"]
    link = re.search(r"http://testserver(/sign-in/\S+)", text_of(letter))[1]
    door = visitor.get(link)
    path = link.partition("?")[0]
    data = {"csrf": hidden(door.text), "next": hidden(door.text, "next")}
    page = visitor.client.post(path, data=data)
    assert page.url.path == "/account"
    visitor.csrf = hidden(page.text)
    new = {"password": "a new long password", "again": "a new long password"}
    assert "密码已设置" in visitor.post("/account/password", **new).text


def test_a_link_that_was_used_leads_to_the_form_that_mails_another(host, make, visit):
    """Whoever opens an old mail is one field away from a new one, and still goes where they were going."""
    make.user(Role.EDITOR, "ann@example.org")
    visitor = visit()
    ask(visitor, "ann@example.org", "/account")
    link = re.search(r"http://testserver(/sign-in/\S+)", text_of(host.letters[0]))[1]
    for _ in range(2):
        door = visit()
        page = door.get(link)
        data = {"csrf": hidden(page.text), "next": hidden(page.text, "next")}
        page = door.client.post(link.partition("?")[0], data=data)
    assert (page.status_code, "has been used or has expired" in page.text) == (401, True)
    data = {"csrf": hidden(page.text), "next": hidden(page.text, "next"), "email": "ann@example.org"}
    assert "Look into your mailbox" in door.client.post("/sign-in/link", data=data).text
    assert "next=%2Faccount" in text_of(host.letters[1])


def test_the_answer_does_not_tell_whether_there_is_an_account(host, make, visit, sqlite_database):
    """Same page for known, unknown and closed; the look-up happens once it has left."""
    make.user(Role.EDITOR, "ann@example.org")
    gone = make.user(Role.EDITOR, "gone@example.org")
    with sqlite_database.write() as session:
        users.disable(session, user_id=gone.id, now=NOON, actor=SYSTEM)
    pages = {
        email: ask(visit(), email) for email in ("ann@example.org", "gone@example.org", "no@example.org")
    }
    said = {page.text.replace(email, "…") for email, page in pages.items()}
    assert len(said) == 1
    assert [letter.recipient for letter in host.letters] == ["ann@example.org"]


def test_a_mailbox_is_not_flooded_with_links(host, make, visit, sqlite_database):
    """Six an hour, and the page says the same to the seventh; those that came stay good."""
    make.user(Role.EDITOR, "ann@example.org")
    for _ in range(8):
        assert ask(visit(), "ann@example.org").status_code == 200
    assert len(host.letters) == 6
    with sqlite_database.read() as session:
        assert session.query(SignInLink).count() == 6
    for _ in range(12):
        ask(visit(), "nobody@example.org")
    assert ask(visit(), "nobody@example.org").status_code == 429  # per host


def test_an_account_whose_password_is_guessed_at_still_opens_by_a_link(host, make, visit, monkeypatch):
    """Locking somebody out by guessing does not work: another door stays open."""
    make.user(Role.EDITOR, "ann@example.org")
    monkeypatch.setattr(users, "_verify", lambda stored, password: False)
    thief = visit()
    door = thief.get("/sign-in")
    for _ in range(11):
        data = {"csrf": hidden(door.text), "email": "ann@example.org", "password": "guess"}
        answer = thief.client.post("/sign-in", data=data)
    assert answer.status_code == 429
    owner = visit()
    ask(owner, "ann@example.org")
    link = re.search(r"/sign-in/\S+", text_of(host.letters[0]))[0]
    page = owner.get(link)
    assert owner.client.post(link, data={"csrf": hidden(page.text)}).url.path == "/desk"


def test_where_no_letter_leaves_no_link_is_mailed(make, visit, sqlite_database):
    """Caught letters are seen by all of the secretariat: a viewer would come in as an administrator."""
    make.publication()
    make.user(Role.ADMIN, "root@example.org")
    visitor = visit()
    page = visitor.get("/sign-in/link")
    assert "sends no mail yet" in page.text
    csrf = hidden(visitor.get("/sign-in").text)
    page = visitor.client.post("/sign-in/link", data={"csrf": csrf, "email": "root@example.org"})
    assert "sends no mail yet" in page.text
    with sqlite_database.read() as session:
        assert session.query(SignInLink).count() == 0


def test_a_mail_that_no_relay_takes_breaks_nothing(app, settings, make, visit):
    """The page is the same; the log says that it did not leave."""
    make.publication()
    make.user(Role.EDITOR, "ann@example.org")
    chosen = settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:1"})
    object.__setattr__(app.state.house, "settings", chosen)
    assert "Look into your mailbox" in ask(visit(), "ann@example.org").text


def test_an_invitation_names_who_invites_and_leads_to_the_account(host, sign_in, visit, sqlite_database):
    """Made and mailed with one press."""
    admin = sign_in(Role.ADMIN, name="Lin Hua")
    page = admin.post("/admin/users/new", email="new@example.org", role="viewer", language="en", invite="1")
    assert "on its way to new@example.org" in page.text
    assert "/sign-in/" not in page.text
    text = text_of(host.letters[0])
    assert "Lin Hua has opened an account" in text
    link = re.search(r"/sign-in/\S+", text)[0]
    person = visit()
    door = person.get(link)
    data = {"csrf": hidden(door.text), "next": hidden(door.text, "next")}
    assert person.client.post(link.partition("?")[0], data=data).url.path == "/account"
    with sqlite_database.read() as session:
        actions = [entry.action for entry in session.query(AuditEntry)]
        assert actions == ["user.add", "user.link", "user.sign_in_by_link"]
