"""Accounts: what roles may do, signing in, and the trace it leaves."""

from __future__ import annotations

import pytest

from mailer.accounts import audit, users
from mailer.accounts.audit import SYSTEM, Actor, NoAccount
from mailer.accounts.store import Role
from mailer.accounts.users import ACTIONS, BadSignIn, may
from mailer.address import BadAddress
from tests.make import NOON

PASSWORD = "a long enough password"


def test_an_approver_approves_and_does_not_write(make):
    """Roles divide writing, approving and sending; the admin has all three."""
    assert may(Role.APPROVER, "campaign.approve")
    assert not may(Role.APPROVER, "issue.write")
    assert not may(Role.EDITOR, "campaign.launch")
    assert all(may("admin", action) for action in ACTIONS if action != "partner.manage")


def test_a_partner_manager_may_manage_its_partner_and_nothing_else():
    """Everything else would show other partners' people or the secretariat's work."""
    assert [action for action in ACTIONS if may(Role.PARTNER, action)] == ["partner.manage"]


def test_signing_in_needs_the_right_password(database):
    """Unknown address, no password and wrong password all get the same answer."""
    with database.write() as session:
        ann = users.add(
            session, email="Ann@Example.org", role="editor", password=PASSWORD, now=NOON, actor=SYSTEM
        )
        users.add(session, email="links@example.org", role="viewer", now=NOON, actor=SYSTEM)
        known = users.check(session, email=" ann@EXAMPLE.org", password=PASSWORD)
        assert users.sign_in(session, user_id=known, password=PASSWORD, now=NOON).id == ann.id
        answers = set()
        for email in ("ann@example.org", "links@example.org", "nobody@example.org", "no address"):
            with pytest.raises(BadSignIn) as refused:
                users.check(session, email=email, password="a wrong password")
            answers.add(str(refused.value))
        assert len(answers) == 1
        assert PASSWORD not in (ann.password_hash or "")


def test_a_disabled_account_signs_in_no_more(database):
    """Nor can it be named as an actor."""
    with database.write() as session:
        ann = users.add(
            session, email="ann@example.org", role="editor", password=PASSWORD, now=NOON, actor=SYSTEM
        )
        assert Actor.named(session, "Ann@example.org") == Actor(ann.id, "ann@example.org")
        users.disable(session, user_id=ann.id, now=NOON, actor=SYSTEM)
        with pytest.raises(BadSignIn):
            users.check(session, email="ann@example.org", password=PASSWORD)
        with pytest.raises(BadSignIn):  # closed between the check and the signing in
            users.sign_in(session, user_id=ann.id, password=PASSWORD, now=NOON)
        with pytest.raises(NoAccount):
            Actor.named(session, "ann@example.org")


def test_a_partner_manager_needs_a_partner(database, make):
    """And no other role may have one."""
    partner = make.partner("moe")
    with database.write() as session:
        user = users.add(
            session, email="m@example.org", role="partner", partner_code="moe", now=NOON, actor=SYSTEM
        )
        assert user.partner_id == partner.id
        assert [found.email for found in users.listing(session, partner_id=partner.id)] == ["m@example.org"]
        for role, code, error in (
            ("partner", None, users.PartnerMismatch),
            ("viewer", "moe", users.PartnerMismatch),
            ("partner", "nowhere", users.NoSuchPartner),
        ):
            with pytest.raises(error):
                users.add(
                    session, email="x@example.org", role=role, partner_code=code, now=NOON, actor=SYSTEM
                )


@pytest.mark.parametrize(
    ("email", "password", "error"),
    [
        ("not an address", None, BadAddress),
        ("ANN@example.org", None, users.AddressTaken),
        ("new@example.org", "short", users.BadPassword),
        ("new@example.org", "x" * 2000, users.BadPassword),
    ],
)
def test_an_account_that_cannot_be_made_says_why(sqlite_database, email, password, error):
    """One sentence each."""
    with sqlite_database.write() as session:
        users.add(session, email="ann@example.org", role="viewer", now=NOON, actor=SYSTEM)
        with pytest.raises(error):
            users.add(session, email=email, role="viewer", password=password, now=NOON, actor=SYSTEM)


def test_the_audit_log_tells_who_did_what(database, make):
    """Newest first; a partner's desk sees only what is about its own people."""
    partner, ann = make.partner(), make.user(Role.EDITOR, "ann@example.org")
    actor = Actor(ann.id, ann.email)
    with database.write() as session:
        audit.record(
            session, now=NOON, actor=actor, action="issue.edit", subject="issue 1", before=1, after=2
        )
        audit.record(
            session, now=NOON, actor=SYSTEM, action="x", subject="membership 1", partner_id=partner.id
        )
        session.flush()
        entries = audit.entries(session)
        assert [(e.actor, e.action, e.before, e.after) for e in entries] == [
            ("system", "x", None, None), ("ann@example.org", "issue.edit", 1, 2),
        ]  # fmt: skip
        assert [e.action for e in audit.entries(session, partner_id=partner.id)] == ["x"]
