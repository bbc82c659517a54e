"""Managers of a partner invite one another, and never lock the partner out."""

from __future__ import annotations

import threading

import pytest

from mailer.accounts import team
from mailer.accounts.audit import Actor
from mailer.accounts.store import Role
from mailer.accounts.team import LastOne, NotInTeam, Oneself, OnTheTeam, Unusable
from tests.make import NOON


@pytest.fixture
def moe(make):
    """A partner."""
    return make.partner("moe")


@pytest.fixture
def me(make, moe):
    """Its manager."""
    return make.user(Role.PARTNER, "me@moe.example", partner_id=moe.id)


def do(database, verb, moe, me, email, **given):
    with database.write() as session:
        return verb(session, partner_id=moe.id, email=email, now=NOON, actor=Actor(me.id, me.email), **given)


def test_a_colleague_is_invited_removed_and_let_in_again(database, moe, me):
    """The account stays the same one, so that the log keeps its names."""
    made = do(database, team.invite, moe, me, "Ann@moe.example", partner_code="moe", name="Ann")
    assert (made.role, made.partner_id) == (Role.PARTNER, moe.id)
    do(database, team.remove, moe, me, "ann@moe.example")
    with database.read() as session:
        assert [user.email for user in team.members(session, moe.id)] == [me.email]
        assert len(team.ever(session, moe.id)) == 2
    assert do(database, team.invite, moe, me, "ann@moe.example", partner_code="moe").id == made.id


def test_nobody_removes_themselves_or_the_last(database, make, moe, me):
    """Somebody has to look after the people."""
    with pytest.raises(Oneself):
        do(database, team.remove, moe, me, me.email)
    stranger = make.user(Role.ADMIN)
    with pytest.raises(LastOne):
        do(database, team.remove, moe, stranger, me.email)


def test_two_who_remove_each_other_at_once_leave_one(database, make, moe, me):
    """The second waits for the first, and then there is nobody else."""
    ann = make.user(Role.PARTNER, "ann@moe.example", partner_id=moe.id)
    refused = []

    def second():
        try:
            do(database, team.remove, moe, ann, me.email)
        except LastOne as error:
            refused.append(error)

    thread = threading.Thread(target=second)
    with database.write() as session:
        actor = Actor(me.id, me.email)
        team.remove(session, partner_id=moe.id, email=ann.email, now=NOON, actor=actor)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert len(refused) == 1


def test_an_account_of_others_is_out_of_reach(database, make, moe, me):
    """It cannot be taken over, and looks like nobody in the team."""
    make.user(Role.PARTNER, "them@sea.example")
    with pytest.raises(Unusable):
        do(database, team.invite, moe, me, "them@sea.example", partner_code="moe")
    with pytest.raises(NotInTeam):
        do(database, team.remove, moe, me, "them@sea.example")


def test_who_is_on_the_team_already_is_said_to_be(database, moe, me):
    """One's own colleague is no secret."""
    with pytest.raises(OnTheTeam):
        do(database, team.invite, moe, me, "ME@moe.example", partner_code="moe")
