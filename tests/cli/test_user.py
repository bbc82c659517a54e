"""``mailer user``: accounts from a shell, for whoever answers for the machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from mailer.accounts import sessions, users
from mailer.accounts.sessions import Browser
from mailer.accounts.store import AuditEntry, Totp
from mailer.database import Database
from tests.shell import Person


@pytest.fixture
def database(mailer: Person) -> Database:
    """The database of a folder with one administrator and one editor."""
    mailer("user", "add", "root@example.org", "--role", "admin")
    mailer("user", "add", "ann@example.org", "--role", "editor")
    return Database(f"sqlite:///{mailer.data / 'mailer.db'}")


def test_a_role_is_changed_and_the_log_says_who_did_it(mailer: Person, database: Database) -> None:
    """Under one's own name where one says it."""
    said = mailer("user", "role", "ann@example.org", "approver", "--as", "root@example.org")
    assert said.out == "ann@example.org is approver now.\n"
    with database.read() as session:
        entry = session.query(AuditEntry).filter_by(action="user.change").one()
        assert (entry.actor, entry.before["role"], entry.after["role"]) == (
            "root@example.org", "editor", "approver",
        )  # fmt: skip
    assert "needs a partner" in mailer("user", "role", "ann@example.org", "partner").sentence
    assert "last administrator" in mailer("user", "role", "root@example.org", "viewer").sentence
    assert "last administrator" in mailer("user", "disable", "root@example.org").sentence
    assert mailer("user", "role", "ann@example.org", "emperor").status == 2
    database.close()


def test_a_closed_account_opens_again(mailer: Person, database: Database) -> None:
    """Its name stays taken meanwhile."""
    mailer("user", "disable", "ann@example.org")
    assert "disabled" in mailer("user", "list").out
    assert mailer("user", "enable", "ann@example.org").status == 0
    assert "disabled" not in mailer("user", "list").out
    database.close()


def test_codes_of_a_lost_phone_are_reset(mailer: Person, database: Database) -> None:
    """The last way back in, where no other administrator is left."""
    assert "nothing to reset" in mailer("user", "totp-reset", "ann@example.org").sentence
    now = datetime.now(UTC)
    with database.write() as session:
        ann = users.get(session, "ann@example.org")
        session.add(Totp(user_id=ann.id, secret="sealed", made_at=now, confirmed_at=now))
    assert mailer("user", "totp-reset", "ann@example.org").status == 0
    with database.read() as session:
        assert session.query(Totp).count() == 0
    database.close()


def test_sessions_are_listed_and_revoked(mailer: Person, database: Database) -> None:
    """In plain words, and as JSON for scripts."""
    with database.write() as session:
        ann = users.get(session, "ann@example.org")
        phone = Browser("Mozilla/5.0 (iPhone) Safari/604.1", "192.0.2.7")
        cookie, _ = sessions.open_session(session, user_id=ann.id, now=datetime.now(UTC), browser=phone)
    assert mailer("user", "sessions", "ann@example.org").out.endswith("Safari on iPhone\n")
    told = json.loads(mailer("user", "sessions", "ann@example.org", "--json").out)
    assert (told["origin"], told["device"]) == ("192.0.2.7", "Safari on iPhone")
    assert "has been signed out" in mailer("user", "sessions", "ann@example.org", "--revoke").out
    assert mailer("user", "sessions", "ann@example.org").out == ""
    with database.read() as session:
        assert sessions.find(session, cookie, datetime.now(UTC)) is None
    database.close()


def test_a_link_made_in_a_shell_is_written_down(mailer: Person, database: Database) -> None:
    """Whoever has a shell could be anybody by it."""
    assert "/sign-in/" in mailer("user", "link", "ann@example.org").out
    with database.read() as session:
        assert session.query(AuditEntry).filter_by(action="user.link").one().actor == "shell"
    database.close()
