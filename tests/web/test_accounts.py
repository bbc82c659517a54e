"""The administrator's pages of accounts: found, changed, helped, signed out."""

from __future__ import annotations

import pytest

from mailer.accounts import sessions, users
from mailer.accounts.sessions import Browser
from mailer.accounts.store import AuditEntry, Role, Totp, User
from tests.make import NOON


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org", name="Lin Hua")


def test_who_is_alone_is_told_what_to_do(admin, make):
    """An empty list explains itself; the hint goes once there is company."""
    assert "You are the only one here" in admin.get("/admin/users").text
    make.user(Role.EDITOR)
    assert "You are the only one here" not in admin.get("/admin/users").text


def test_accounts_are_found_by_name_address_and_role(admin, make):
    """With when they last signed in and whether codes are on."""
    make.user(Role.EDITOR, "ann@example.org", name="Ann Lee")
    make.user(Role.VIEWER, "bob@example.org")
    assert "bob@" not in admin.get("/admin/users?search=LEE").text
    page = admin.get("/admin/users?role=viewer").text
    assert "bob@example.org" in page
    assert "ann@example.org" not in page
    assert "never" in page


def test_another_role_is_written_down_and_signs_out(admin, sign_in, sqlite_database, make):
    """What was open in their browsers was opened as somebody else."""
    make.partner("moe", name_en="The Ministry")
    ed = sign_in(Role.EDITOR, email="ed@example.org")
    page = admin.post(f"/admin/users/{ed.user.id}", role="partner", partner="moe", name="Ed")
    assert "The Ministry" in page.text
    assert ed.get("/desk/issues").url.path == "/sign-in"
    with sqlite_database.read() as session:
        entry = session.query(AuditEntry).filter_by(action="user.change").one()
        assert (entry.before["role"], entry.before["partner"]) == ("editor", None)
        assert (entry.after["role"], entry.after["partner"], entry.after["name"]) == ("partner", "moe", "Ed")
    page = admin.post(f"/admin/users/{ed.user.id}", role="partner", name="Ed")
    assert page.status_code == 422
    assert "needs a partner" in page.text


def test_a_new_name_signs_nobody_out(admin, sign_in):
    """Only what somebody may do counts."""
    ed = sign_in(Role.EDITOR)
    admin.post(f"/admin/users/{ed.user.id}", role="editor", name="Edward")
    assert "Edward" in ed.get("/desk/issues").text


def test_the_last_administrator_stays(admin, sign_in, sqlite_database):
    """Closed or demoted by nobody: not by themselves, not by two who do it to each other."""
    other = sign_in(Role.ADMIN, email="other@example.org")
    assert admin.post(f"/admin/users/{admin.user.id}", role="viewer", name="").status_code == 422
    assert admin.post(f"/admin/users/{admin.user.id}/close").status_code == 422
    assert "can no longer sign in" in admin.post(f"/admin/users/{other.user.id}/close").text
    with sqlite_database.write() as session:
        for verb in (
            lambda: users.disable(session, user_id=admin.user.id, now=NOON, actor=users.audit.SYSTEM),
            lambda: users.change(
                session, user_id=admin.user.id, role="viewer", partner_code=None, name="", now=NOON,
                actor=users.audit.SYSTEM,
            ),
        ):  # fmt: skip
            with pytest.raises(users.LastAdministrator):
                verb()
        assert session.get(User, admin.user.id).role == Role.ADMIN


def test_a_closed_account_opens_again(admin, sign_in):
    """It signs in anew."""
    ed = sign_in(Role.EDITOR, email="ed@example.org")
    admin.post(f"/admin/users/{ed.user.id}/close")
    assert "can sign in again" in admin.post(f"/admin/users/{ed.user.id}/open").text
    assert ed.get("/desk/issues").url.path == "/sign-in"


def test_codes_of_a_lost_phone_are_switched_off(admin, sign_in, sqlite_database):
    """The log says who did it; they are signed out."""
    ed = sign_in(Role.EDITOR, email="ed@example.org")
    assert admin.post(f"/admin/users/{ed.user.id}/codes-off").status_code == 409
    with sqlite_database.write() as session:
        session.add(Totp(user_id=ed.user.id, secret="sealed", made_at=NOON, confirmed_at=NOON))
    assert "phone lost" in admin.get(f"/admin/users/{ed.user.id}").text
    assert "without a code now" in admin.post(f"/admin/users/{ed.user.id}/codes-off").text
    assert ed.get("/desk/issues").url.path == "/sign-in"
    with sqlite_database.read() as session:
        entry = session.query(AuditEntry).filter_by(action="user.codes_off").one()
        assert entry.actor == "admin@example.org"


def test_sessions_are_shown_and_revoked(admin, make, sqlite_database):
    """One or all, of that account only."""
    ed = make.user(Role.EDITOR, "ed@example.org")
    with sqlite_database.write() as session:
        for agent in ("Firefox/145.0 Windows", "Safari/605 iPhone"):
            sessions.open_session(session, user_id=ed.id, now=NOON, browser=Browser(agent, "192.0.2.1"))
        first = sessions.listing(session, ed.id, NOON)[0].id_hash
        mine = sessions.listing(session, admin.user.id, NOON)[0].id_hash
    page = admin.get(f"/admin/users/{ed.id}").text
    assert "Firefox on Windows" in page
    assert "192.0.2.1" in page
    assert admin.post(f"/admin/users/{ed.id}/sign-out", session=mine).status_code == 404
    admin.post(f"/admin/users/{ed.id}/sign-out", session=first)
    with sqlite_database.read() as session:
        assert len(sessions.listing(session, ed.id, NOON)) == 1
    admin.post(f"/admin/users/{ed.id}/sign-out")
    assert "Nowhere just now" in admin.get(f"/admin/users/{ed.id}").text
    assert admin.get("/admin/users").status_code == 200


def test_an_account_that_is_not_there_is_said(admin):
    """Numbers past any row's as well."""
    for number in ("999", "99999999999999999999", "x"):
        assert admin.get(f"/admin/users/{number}").status_code == 404


def test_handing_a_link_over_is_written_down(admin, make, sqlite_database):
    """An administrator could sign in as anybody by it: the log says that one was made."""
    ed = make.user(Role.EDITOR, "ed@example.org")
    assert "/sign-in/" in admin.post(f"/admin/users/{ed.id}/link").text
    with sqlite_database.read() as session:
        entry = session.query(AuditEntry).one()
        assert (entry.actor, entry.action, entry.subject) == (
            "admin@example.org", "user.link", f"user {ed.id}",
        )  # fmt: skip
