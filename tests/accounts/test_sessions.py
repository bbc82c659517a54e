"""Sessions and sign-in links: secrets of which the database keeps a hash."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts import devices, sessions, users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.sessions import IDLE_LASTS, LINK_LASTS, SESSION_LASTS, BadLink, Browser, How, NoSession
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


def test_a_browser_nobody_used_since_yesterday_asks_again(database, make):
    """Used in between, it stays until a week has passed, however busy it was."""
    ann = make.user()
    with database.write() as session:
        cookie, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        found = sessions.find(session, cookie, NOON + IDLE_LASTS - timedelta(minutes=1))
        assert found is not None
        assert sessions.find(session, cookie, NOON + IDLE_LASTS) is None
        at = NOON
        while at + timedelta(hours=20) < NOON + SESSION_LASTS:
            at += timedelta(hours=20)
            sessions.see(session, found.id, at)
            assert sessions.find(session, cookie, at).seen_at == at
        sessions.see(session, found.id, NOON + SESSION_LASTS)
        assert sessions.find(session, cookie, NOON + SESSION_LASTS) is None


def test_sessions_are_listed_with_what_is_known_of_their_browser(database, make):
    """The one seen last comes first; half ones and those that ran out are none."""
    ann, ben = make.user(), make.user()
    phone = Browser("Mozilla/5.0 (iPhone; …) Safari/605.1.15", "192.0.2.7")
    with database.write() as session:
        sessions.open_session(session, user_id=ann.id, now=NOON - timedelta(hours=3))
        sessions.open_session(session, user_id=ann.id, now=NOON, how=How.LINK, browser=phone)
        sessions.open_session(session, user_id=ann.id, now=NOON, half=True)
        sessions.open_session(session, user_id=ann.id, now=NOON - IDLE_LASTS)
        sessions.open_session(session, user_id=ben.id, now=NOON)
        found = sessions.listing(session, ann.id, NOON)
        assert [(each.how, each.agent, each.origin) for each in found] == [
            ("link", phone.agent, "192.0.2.7"), ("", "", ""),
        ]  # fmt: skip
        assert sessions.counts(session, NOON) == {ann.id: 2, ben.id: 1}


def test_a_session_is_revoked_by_its_own_account_only(database, make):
    """Another's looks as if it were not there."""
    ann, ben = make.user(), make.user()
    with database.write() as session:
        cookie, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        id = sessions.find(session, cookie, NOON).id
        with pytest.raises(NoSession):
            sessions.revoke(session, user_id=ben.id, id=id, now=NOON, actor=SYSTEM)
        sessions.revoke(session, user_id=ann.id, id=id, now=NOON, actor=SYSTEM)
        assert sessions.find(session, cookie, NOON) is None
        with pytest.raises(NoSession):
            sessions.revoke(session, user_id=ann.id, id=id, now=NOON, actor=SYSTEM)


def test_all_other_sessions_are_closed_and_links_with_them(database, make):
    """The browser that asks for it stays signed in."""
    ann = make.user()
    with database.write() as session:
        mine, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        other, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        link = sessions.make_link(session, user_id=ann.id, now=NOON)
        keep = sessions.find(session, mine, NOON).id
        assert sessions.revoke_all(session, user_id=ann.id, now=NOON, actor=SYSTEM, keep=keep) == 1
        assert sessions.find(session, mine, NOON) is not None
        assert sessions.find(session, other, NOON) is None
        with pytest.raises(BadLink):
            sessions.use_link(session, link, NOON)


def test_a_half_session_opens_nothing(database, make):
    """It remembers the first step for ten minutes, for the page that asks for the code."""
    ann = make.user()
    with database.write() as session:
        cookie, _ = sessions.open_session(session, user_id=ann.id, now=NOON, half=True)
        assert sessions.find(session, cookie, NOON) is None
        assert sessions.find_half(session, cookie, NOON).user.id == ann.id
        assert sessions.find_half(session, cookie, NOON + sessions.HALF_LASTS) is None
        whole, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        assert sessions.find_half(session, whole, NOON) is None


_CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0"


@pytest.mark.parametrize(
    ("agent", "browser", "system"),
    [
        (f"{_CHROME} Safari/537.36", "Chrome", "Windows"),
        (f"{_CHROME} Safari/537.36 Edg/143.0.0.0", "Edge", "Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari",
            "iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; V2307A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
            " Chrome/134.0.6998.136 Mobile Safari/537.36 MicroMessenger/8.0.60",
            "WeChat",
            "Android",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox", "Linux"),
        ("", "", ""),
        ("something else entirely", "", ""),
    ],
)
def test_a_browser_is_called_as_people_know_it(agent, browser, system):
    """Most claim to be several: the one they are is found."""
    assert (devices.browser(agent), devices.system(agent)) == (browser, system)
