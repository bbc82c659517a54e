"""Who gets in, and which requests are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.accounts import sessions, users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import Role
from mailer.web.access import local
from mailer.web.i18n import negotiate
from tests.make import NOON
from tests.web.conftest import hidden, routes

PASSWORD = "correct horse battery"


@pytest.fixture
def editor(sqlite_database):
    with sqlite_database.write() as session:
        return users.add(
            session, email="ed@example.org", role="editor", password=PASSWORD, now=NOON, actor=SYSTEM
        )


def signed_in_by_password(visitor, password=PASSWORD, next="/"):
    page = visitor.get("/sign-in", params={"next": next})
    fields = {"email": "ed@example.org", "password": password, "next": next}
    return visitor.client.post("/sign-in", data={"csrf": hidden(page.text), **fields})


def test_a_page_asks_who_you_are_and_then_leads_back_to_it(visit, editor):
    """The wanted page survives the detour through the door."""
    visitor = visit()
    door = visitor.get("/desk/issues?search=rivers")
    assert door.url.path == "/sign-in"
    assert hidden(door.text, "next") == "/desk/issues?search=rivers"
    assert signed_in_by_password(visitor, next="/desk/issues").url.path == "/desk/issues"


def test_a_wrong_password_says_nothing_about_the_address(visit, editor):
    """Known or not, the answer is the same, and the address is kept in the form."""
    page = signed_in_by_password(visit(), password="not the password")
    assert page.status_code == 401
    assert "ed@example.org" in page.text
    assert "not the password" not in page.text


def test_the_eleventh_attempt_within_a_minute_must_wait(visit, editor, monkeypatch):
    """Guessing is slowed per account, whoever guesses."""
    monkeypatch.setattr(users, "_verify", lambda stored, password: False)
    visitor = visit()
    pages = [signed_in_by_password(visitor, password="guess").status_code for _ in range(11)]
    assert pages == [401] * 10 + [429]


def test_signing_in_needs_the_form_of_this_very_browser(visit, editor):
    """Another site cannot sign you in as somebody else (login CSRF)."""
    fields = {"email": "ed@example.org", "password": PASSWORD, "csrf": "guessed"}
    assert visit().client.post("/sign-in", data=fields).status_code == 403


def test_a_sign_in_link_works_by_its_button_and_once(visit, editor, sqlite_database):
    """Opening a link, as mail scanners do, uses nothing up."""
    with sqlite_database.write() as session:
        token = sessions.make_link(session, user_id=editor.id, now=NOON)
    scanner, person, late = visit(), visit(), visit()
    scanner.get(f"/sign-in/{token}")
    page = person.get(f"/sign-in/{token}")
    home = person.client.post(f"/sign-in/{token}", data={"csrf": hidden(page.text)})
    assert home.url.path == "/desk"
    page = late.get(f"/sign-in/{token}")
    assert late.client.post(f"/sign-in/{token}", data={"csrf": hidden(page.text)}).status_code == 401


def test_signing_out_closes_the_session_itself(sign_in):
    """A copied cookie is worth nothing afterwards."""
    visitor = sign_in(Role.EDITOR)
    cookie = visitor.client.cookies["mailer-session"]
    assert visitor.post("/sign-out").url.path == "/sign-in"
    visitor.client.cookies.set("mailer-session", cookie)
    assert visitor.get("/desk/issues").url.path == "/sign-in"


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
)
def test_a_form_sent_by_another_site_is_refused_even_with_the_token(sign_in, headers):
    """The browser says where a form came from, and it is believed."""
    visitor = sign_in(Role.ADMIN)
    answer = visitor.client.post("/sign-out", data={"csrf": visitor.csrf}, headers=headers)
    assert answer.status_code == 403


def test_no_post_of_a_signed_in_page_is_believed_without_the_token(app, sign_in):
    """Every such route, also those that come later."""
    admin, partner = sign_in(Role.ADMIN), sign_in(Role.PARTNER)
    tried = 0
    for route in routes(app):
        if "POST" not in route.methods or not route.path.startswith(
            ("/desk", "/admin", "/partner", "/account", "/sign-out")
        ):
            continue
        visitor = partner if route.path.startswith("/partner") else admin
        path = _filled(route.path)
        assert visitor.client.post(path, data={"csrf": "wrong"}).status_code == 403, route.path
        assert visitor.client.post(path).status_code == 403, route.path
        tried += 1
    assert tried >= 12


def _filled(path: str) -> str:
    """Fill every place of a path with something well-formed."""
    values = {"{language}": "zh", "{figure}": "accepted", "{user}": "1"}
    for place, value in values.items():
        path = path.replace(place, value)
    return path if "{" not in path else path[: path.index("{")] + _after(path)


def _after(path: str) -> str:
    _, _, rest = path.partition("}")
    return _filled("00000000-0000-7000-8000-000000000000" + rest)


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb", "/\tb"],
)
def test_signing_in_never_leads_to_another_site(path):
    """Law 7: no open redirect."""
    assert local(path) == "/"


@given(st.text(max_size=40))
def test_whatever_is_asked_for_leads_to_a_path_of_ours(path):
    """A path starts with one slash and holds nothing a browser would turn into another."""
    found = local(path)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert "\\" not in found
    assert found.isprintable() or not any(ord(sign) <= 32 for sign in found)


def test_every_answer_carries_the_security_headers(visit):
    """Pages, errors and static files alike."""
    visitor = visit()
    for path in ("/sign-in", "/nowhere", "/static/app.css"):
        headers = visitor.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(visit, editor):
    """HttpOnly, SameSite; behind HTTPS also Secure and bound to the host."""
    visitor = visit()
    signed_in_by_password(visitor)
    page = visitor.client.get("/sign-in")
    assert "httponly" in page.headers["set-cookie"].lower()
    assert "samesite=lax" in page.headers["set-cookie"].lower()


def test_a_role_change_or_a_closed_account_takes_effect_at_once(sign_in, sqlite_database):
    """Sessions live in the database, not in the cookie."""
    visitor = sign_in(Role.EDITOR)
    with sqlite_database.write() as session:
        users.disable(session, user_id=visitor.user.id, now=NOON, actor=SYSTEM)
    assert visitor.get("/desk/issues").url.path == "/sign-in"


@pytest.mark.parametrize(
    ("wished", "accepted", "language"),
    [
        ("zh", "en", "zh"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "zh-Hant-TW", "zh"),
        (None, "fr,en;q=0.5,zh;q=0.7", "zh"),
        (None, "fr", "en"),
        ("xx", "", "en"),
        (None, "en;q=x", "en"),
    ],
)
def test_the_language_is_what_was_wished_for_else_what_the_browser_prefers(wished, accepted, language):
    """Every Chinese tag is Chinese; nothing known is English."""
    assert negotiate(wished, accepted) == language


def test_switching_language_keeps_the_page_and_lasts(visit):
    """The other language is one link away on every page, and stays."""
    visitor = visit()
    assert "登录" in visitor.get("/sign-in?next=/desk&lang=zh").text
    assert "登录" in visitor.get("/sign-in").text
