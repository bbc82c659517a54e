"""Sessions and sign-in links: secrets of which the database keeps a hash."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts import sessions, users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.sessions import LINK_LASTS, SESSION_LASTS, BadLink
from mailer.accounts.store import SignInLink, UserSession
from tests.make import NOON


def test_a_cookie_finds_its_account_until_it_is_closed(database, make):
    """The database holds neither the cookie nor a way back to it."""
    ann = make.user()
    with database.write() as session:
        cookie, csrf = sessions.open_session(session, user_id=ann.id, now=NOON)
        found = sessions.find(session, cookie, NOON)
        assert found is not None
        assert (found.user.id, found.csrf) == (ann.id, csrf)
        assert cookie not in session.scalars(select(UserSession.id_hash)).all()
        assert sessions.find(session, cookie + "x", NOON) is None
        sessions.close(session, cookie)
        assert sessions.find(session, cookie, NOON) is None


def test_a_session_ends_by_itself_and_when_the_account_is_closed(database, make):
    """Either way the next page asks to sign in."""
    ann, ben = make.user(), make.user()
    with database.write() as session:
        first, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        second, _ = sessions.open_session(session, user_id=ben.id, now=NOON)
        assert sessions.find(session, first, NOON + SESSION_LASTS) is None
        users.disable(session, user_id=ben.id, now=NOON, actor=SYSTEM)
        assert sessions.find(session, second, NOON) is None


def test_a_link_signs_in_once(database, make):
    """A second use, a late one and an invented one are all refused."""
    ann = make.user()
    with database.write() as session:
        token = sessions.make_link(session, user_id=ann.id, now=NOON)
        late = sessions.make_link(session, user_id=ann.id, now=NOON)
        assert sessions.use_link(session, token, NOON + timedelta(minutes=59)).id == ann.id
        for refused, at in ((token, NOON), (late, NOON + LINK_LASTS), ("invented", NOON), ("\ud800", NOON)):
            with pytest.raises(BadLink):
                sessions.use_link(session, refused, at)


def test_what_has_expired_is_forgotten(database, make):
    """Only what can still be used stays."""
    ann = make.user()
    with database.write() as session:
        sessions.open_session(session, user_id=ann.id, now=NOON - SESSION_LASTS)
        kept, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        sessions.make_link(session, user_id=ann.id, now=NOON - LINK_LASTS)
        sessions.forget_expired(session, NOON)
        assert len(session.scalars(select(UserSession)).all()) == 1
        assert session.scalars(select(SignInLink)).all() == []
        assert sessions.find(session, kept, NOON) is not None
