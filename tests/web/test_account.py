"""One's own account: what guards it is changed by its owner only, and takes effect at once."""

from __future__ import annotations

import re
from base64 import b32decode
from datetime import timedelta

import pytest

from mailer.accounts import second, sessions, totp, users
from mailer.accounts.store import AuditEntry, Role, Totp, User
from tests.make import NOON
from tests.web.conftest import hidden

PASSWORD = "correct horse battery"


@pytest.fixture
def clock(app):
    """The clock of the house: ``clock.now`` may be set."""

    class Clock:
        now = NOON

    clock = Clock()
    object.__setattr__(app.state.house, "clock", lambda: clock.now)
    return clock


@pytest.fixture
def ann(sign_in, sqlite_database):
    """An editor with a password, signed in at NOON."""
    visitor = sign_in(Role.EDITOR, email="ann@example.org")
    with sqlite_database.write() as session:
        session.get(User, visitor.user.id).password_hash = users._hash(PASSWORD)
    return visitor


def app_of(page):
    """Return what shows the codes of the picture on a page, at an instant."""
    secret = b32decode(re.search(r'class="copy">([A-Z2-7 ]+)<', page.text)[1].replace(" ", ""))
    return lambda at: totp.code_at(secret, totp.step_of(at))


def set_up(visitor, clock):
    """Set codes up in the browser; return the app and the recovery codes, half a minute later."""
    shows = app_of(visitor.post("/account/codes/begin"))
    page = visitor.post("/account/codes/confirm", code=shows(clock.now))
    recovery = re.findall(r"<li><code>([a-z2-7-]+)</code>", page.text)
    clock.now += timedelta(seconds=60)
    return shows, recovery


def by_password(visitor, password=PASSWORD, next="/"):
    page = visitor.client.get("/sign-in")
    fields = {"email": "ann@example.org", "password": password, "next": next}
    return visitor.client.post("/sign-in", data={"csrf": hidden(page.text), **fields})


def give(page, visitor, code):
    data = {"csrf": hidden(page.text), "code": code, "next": hidden(page.text, "next")}
    return visitor.client.post("/sign-in/code", data=data)


def test_name_and_language_are_ones_own_to_choose(ann, sqlite_database):
    """Pages speak the language from then on."""
    page = ann.post("/account", name="  Ann   Lee ", language="zh")
    assert "已保存" in page.text
    assert '<html lang="zh-CN">' in ann.get("/desk/issues").text
    with sqlite_database.read() as session:
        user = session.get(User, ann.user.id)
        assert (user.name, user.language) == ("Ann Lee", "zh")
        entry = session.query(AuditEntry).one()
        assert entry.action == "user.change"
        assert (entry.before["name"], entry.after["name"]) == ("", "Ann Lee")


def test_a_new_password_signs_other_devices_out(ann, visit, clock, sqlite_database):
    """This one stays; minutes after signing in, the old password is not asked for."""
    other = visit()
    by_password(other)
    page = ann.post("/account/password", password="a new long password", again="a new long password")
    assert "The password is set" in page.text
    assert ann.get("/desk/issues").url.path == "/desk/issues"
    assert other.get("/desk/issues").url.path == "/sign-in"
    assert by_password(visit()).status_code == 401
    assert by_password(visit(), "a new long password").url.path == "/desk"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "short", "again": "short", "old": PASSWORD}, "12 to 1024"),
        ({"password": "a new long password", "again": "another long one"}, "not the same"),
        ({"password": "a new long password", "again": "a new long password"}, "not your password"),
        (
            {"password": "a new long password", "again": "a new long password", "old": "guess"},
            "not your pass",
        ),
    ],
)
def test_a_browser_left_open_does_not_change_the_password(ann, clock, fields, words):
    """Ten minutes after signing in, the old password is asked for; refusals say why."""
    clock.now += timedelta(minutes=10)
    page = ann.post("/account/password", **fields)
    assert page.status_code == 422
    assert words in page.text
    assert "current-password" in page.text


def test_with_the_old_password_it_is_changed_at_any_time(ann, clock):
    """However long ago the sign-in was."""
    clock.now += timedelta(hours=1)
    new = {"password": "a new long password", "again": "a new long password"}
    assert "The password is set" in ann.post("/account/password", old=PASSWORD, **new).text


def test_who_signs_in_by_links_sets_a_first_password_only_freshly(sign_in, clock):
    """There is no old one to ask for: only the sign-in itself shows who it is."""
    visitor = sign_in(Role.VIEWER)
    clock.now += timedelta(minutes=10)
    new = {"password": "a new long password", "again": "a new long password"}
    assert "sign out and in again" in visitor.post("/account/password", **new).text
    clock.now -= timedelta(minutes=1)
    assert "The password is set" in visitor.post("/account/password", **new).text


def test_codes_are_set_up_with_a_picture_and_asked_for_from_then_on(ann, visit, clock):
    """Password, then code; the picture is an image the policy allows; recovery codes are shown once."""
    page = ann.post("/account/codes/begin")
    assert page.url.path == "/account/codes"
    assert 'src="data:image/svg+xml' in page.text
    shows = app_of(page)
    assert ann.post("/account/codes/confirm", code="000000").status_code == 422
    page = ann.post("/account/codes/confirm", code=shows(NOON))
    assert len(re.findall(r"<li><code>[a-z2-7]{4}(-[a-z2-7]{4}){3}</code>", page.text)) == 10
    assert "<code>" not in ann.get("/account/codes").text
    assert "data:image" not in ann.get("/account/codes").text

    clock.now += timedelta(minutes=2)
    other = visit()
    page = by_password(other, next="/desk/campaigns")
    assert page.url.path == "/sign-in/code"
    assert other.get("/desk/issues").url.path == "/sign-in"  # the password alone opens nothing
    page = other.client.get("/sign-in/code?next=/desk/campaigns")
    assert give(page, other, "123456").status_code == 422
    assert give(page, other, shows(clock.now)).url.path == "/desk/campaigns"
    late = visit()
    page = by_password(late)
    assert give(page, late, shows(clock.now)).status_code == 422  # used a moment ago


def test_a_link_asks_for_the_code_as_well(ann, visit, clock, sqlite_database):
    """Who reads the mailbox has only one of the two."""
    shows, _ = set_up(ann, clock)
    with sqlite_database.write() as session:
        token = sessions.make_link(session, user_id=ann.user.id, now=clock.now)
    person = visit()
    door = person.get(f"/sign-in/{token}?next=/account")
    page = person.client.post(f"/sign-in/{token}", data={"csrf": hidden(door.text), "next": "/account"})
    assert page.url.path == "/sign-in/code"
    assert give(page, person, shows(clock.now)).url.path == "/account"


def test_a_recovery_code_signs_in_and_says_how_many_are_left(ann, visit, clock):
    """Once."""
    _, recovery = set_up(ann, clock)
    person = visit()
    page = give(by_password(person), person, recovery[0].upper())
    assert page.url.path == "/desk"
    assert "9 are left" in page.text
    again = visit()
    assert give(by_password(again), again, recovery[0]).status_code == 422


def test_guessing_codes_is_slowed_and_keeps_the_owner_out_by_no_other_door(
    ann, visit, clock, sqlite_database
):
    """Ten an hour: who has the password uses up that door's; a link and a recovery code still work."""
    shows, recovery = set_up(ann, clock)
    thief = visit()
    page = by_password(thief)
    tried = [give(page, thief, f"{number:06}").status_code for number in range(11)]
    assert tried == [422] * 10 + [429]
    owner = visit()
    assert give(by_password(owner), owner, shows(clock.now)).status_code == 429
    assert give(by_password(owner), owner, recovery[0]).url.path == "/desk"
    with sqlite_database.write() as session:
        token = sessions.make_link(session, user_id=ann.user.id, now=clock.now)
    owner = visit()
    door = owner.get(f"/sign-in/{token}")
    page = owner.client.post(f"/sign-in/{token}", data={"csrf": hidden(door.text)})
    assert give(page, owner, shows(clock.now)).url.path == "/desk"


def test_the_code_must_come_soon(ann, visit, clock):
    """Ten minutes after the password one starts again."""
    shows, _ = set_up(ann, clock)
    person = visit()
    page = by_password(person)
    clock.now += timedelta(minutes=10)
    assert give(page, person, shows(clock.now)).url.path == "/sign-in"
    assert visit().get("/sign-in/code").url.path == "/sign-in"


def test_codes_go_off_by_a_code(ann, visit, clock, sqlite_database):
    """A browser left open cannot do it, nor make new recovery codes."""
    shows, recovery = set_up(ann, clock)
    assert ann.post("/account/codes/off", code="123456").status_code == 422
    assert ann.post("/account/codes/renew", code="123456").status_code == 422
    page = ann.post("/account/codes/renew", code=recovery[0])
    fresh = re.findall(r"<li><code>([a-z2-7-]+)</code>", page.text)
    assert len(fresh) == 10
    assert not set(fresh) & set(recovery)
    assert "Sign-in codes are off." in ann.post("/account/codes/off", code=shows(clock.now)).text
    assert by_password(visit()).url.path == "/desk"
    with sqlite_database.read() as session:
        assert session.query(Totp).count() == 0


def test_codes_are_set_up_by_who_has_just_shown_who_they_are(ann, clock):
    """Else whoever finds the browser open could lock its owner out."""
    clock.now += timedelta(minutes=11)
    assert ann.post("/account/codes/begin", old="guess").status_code == 422
    assert "data:image" in ann.post("/account/codes/begin", old=PASSWORD).text


def test_where_codes_are_required_the_secretariat_sets_them_up_before_anything_else(
    app, sign_in, settings, clock
):
    """Partner managers may, and need not."""
    object.__setattr__(app.state.house, "settings", settings.model_copy(update={"require_codes": True}))
    editor, manager = sign_in(Role.EDITOR), sign_in(Role.PARTNER)
    for path in ("/desk/issues", "/account", "/"):
        assert editor.get(path).url.path == "/account/codes"
    answer = editor.get("/desk/issues", headers={"accept": "application/json"})
    assert (answer.status_code, list(answer.json())) == (403, ["error"])
    assert manager.get("/partner/people").url.path == "/partner/people"
    set_up(editor, clock)
    assert editor.get("/desk/issues").url.path == "/desk/issues"
    other = sign_in(Role.EDITOR)
    assert other.post("/sign-out").url.path == "/sign-in"


def test_devices_are_shown_in_plain_words_and_signed_out(ann, visit, sqlite_database):
    """One, or all others; this one is marked and has no button."""
    phone = visit()
    phone.client.headers["user-agent"] = "Mozilla/5.0 (iPhone; CPU) Version/18 Mobile/15E148 Safari/604.1"
    by_password(phone)
    third = visit()
    by_password(third)
    page = ann.get("/account")
    assert "Safari on iPhone" in page.text
    assert "testclient" in page.text  # the address it came from
    assert page.text.count("this device") == 1
    with sqlite_database.read() as session:
        [wanted] = [each for each in sessions.listing(session, ann.user.id, NOON) if "iPhone" in each.agent]
    ann.post("/account/sessions/close", session=wanted.id_hash)
    assert phone.get("/desk/issues").url.path == "/sign-in"
    assert third.get("/desk/issues").url.path == "/desk/issues"
    assert "All other devices are signed out" in ann.post("/account/sessions/close-others").text
    assert third.get("/desk/issues").url.path == "/sign-in"
    assert ann.get("/desk/issues").url.path == "/desk/issues"


def test_anothers_session_is_not_there(ann, sign_in, sqlite_database):
    """Its id closes nothing, and the answer does not tell that it exists."""
    other = sign_in(Role.EDITOR)
    with sqlite_database.read() as session:
        [theirs] = sessions.listing(session, other.user.id, NOON)
    assert ann.post("/account/sessions/close", session=theirs.id_hash).status_code == 404
    assert ann.post("/account/sessions/close", session="invented").status_code == 404
    assert other.get("/desk/issues").url.path == "/desk/issues"


def test_signing_in_opens_a_new_session_and_closes_the_browsers_old_one(ann, clock):
    """A cookie set beforehand is worth nothing (session fixation)."""
    before = ann.client.cookies["mailer-session"]
    ann.client.cookies.clear()
    ann.client.cookies.set("mailer-session", before, domain="testserver.local", path="/")
    by_password(ann)
    assert ann.client.cookies["mailer-session"] != before
    assert ann.get("/desk/issues").url.path == "/desk/issues"
    ann.client.cookies.set("mailer-session", before, domain="testserver.local", path="/")
    assert ann.get("/desk/issues").url.path == "/sign-in"


def test_a_session_notes_when_it_was_seen_not_at_every_page(ann, clock, sqlite_database):
    """Within five minutes: pages are many, writes should be few. A day without use ends it."""
    for minutes, seen in ((4, None), (6, 6), (10, 6), (12, 12)):
        clock.now = NOON + timedelta(minutes=minutes)
        ann.get("/desk/issues")
        with sqlite_database.read() as session:
            [row] = sessions.listing(session, ann.user.id, clock.now)
            assert row.seen_at == (NOON + timedelta(minutes=seen) if seen else None)
    clock.now += timedelta(days=1)
    assert ann.get("/desk/issues").url.path == "/sign-in"


def test_a_changed_role_closes_sessions_and_half_ones(ann, sign_in, visit, clock, sqlite_database):
    """Also where the password was given and the code was still to come."""
    shows, _ = set_up(ann, clock)
    half = visit()
    page = by_password(half)
    admin = sign_in(Role.ADMIN)
    admin.post(f"/admin/users/{ann.user.id}", role="viewer", name="")
    assert ann.get("/desk/issues").url.path == "/sign-in"
    assert give(page, half, shows(clock.now)).url.path == "/sign-in"
    with sqlite_database.read() as session:
        assert second.state(session, ann.user.id) is not None  # codes stay on
