"""The administrator's pages, and what each role may not do."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest
from starlette.testclient import TestClient

from mailer.accounts.store import Role, User
from mailer.audience.store import Suppression
from mailer.delivery.store import CampaignState, DeliveryState, EventKind, Exclusion
from mailer.issues.store import Issue
from mailer.web.app import create_app
from tests.make import NOON
from tests.web.conftest import hidden, routes


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def test_a_new_account_gets_a_link_that_signs_in(admin, visit):
    """No password travels: the administrator hands over a link for one use."""
    page = admin.post("/admin/users/new", email="new@example.org", role="viewer", language="zh")
    link = re.search(r'value="http[^"]+(/sign-in/[^"]+)"', page.text)[1]
    visitor = visit()
    door = visitor.get(link)
    assert visitor.client.post(link, data={"csrf": hidden(door.text)}).url.path == "/desk"
    assert "绿色" in visitor.get("/desk/issues").text or "还没有期刊" in visitor.get("/desk/issues").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": "nobody", "role": "viewer"}, "is not an e-mail address"),
        ({"email": "a@example.org", "role": "emperor"}, "choose one from the list"),
        ({"email": "a@example.org", "role": "partner"}, "needs a partner"),
        ({"email": "admin@example.org", "role": "viewer"}, "already"),
    ],
)
def test_an_account_that_cannot_be_made_says_why(admin, sqlite_database, fields, words):
    """And none is made."""
    page = admin.post("/admin/users/new", **fields)
    assert page.status_code in (409, 422)
    assert words in page.text
    with sqlite_database.read() as session:
        assert session.query(User).count() == 1


def test_an_account_is_closed_but_never_ones_own(admin, sign_in):
    """Somebody must be left to open the door."""
    other = sign_in(Role.EDITOR, email="ed@example.org")
    admin.post(f"/admin/users/{other.user.id}/close")
    assert other.get("/desk/issues").url.path == "/sign-in"
    assert admin.post(f"/admin/users/{admin.user.id}/close").status_code == 422


def test_partners_are_listed_and_added(admin):
    """With the number of their people; a bad code comes back beside the form."""
    page = admin.post("/admin/partners", code="mee-cn", name_en="The Ministry", kind="ministry", country="cn")
    assert "The Ministry" in page.text
    page = admin.post("/admin/partners", code="unep", name_en="UN", kind="un", country="Atlantis")
    assert page.status_code == 422
    assert "is not a country" in page.text


def test_everybody_is_found_by_address_or_name(admin, make):
    """Search is kept in the address of the page."""
    make.subscriber("ann@example.org", name_en="Ann Lee")
    make.subscriber("bob@example.org")
    page = admin.get("/admin/subscribers?search=lee")
    assert "ann@example.org" in page.text
    assert "bob@example.org" not in page.text


def test_a_suppressed_address_is_released_by_a_person(admin, make, sqlite_database):
    """The list shows whose address it is and why; releasing names who did it."""
    make.subscriber("gone@example.org")
    found = make.suppression("gone@example.org", note="550 5.1.1 User unknown")
    page = admin.get("/admin/suppressions")
    assert "gone@example.org" in page.text
    assert "mailbox does not exist" in page.text
    page = admin.post("/admin/suppressions/release", id=str(found.id))
    assert "Nobody is suppressed" in page.text
    with sqlite_database.read() as session:
        assert session.query(Suppression).one().released_by == "admin@example.org"
    assert "released an address" in admin.get("/admin/activity").text


@pytest.fixture
def letter(outbox):
    """A caught letter that tries what a letter may not do."""
    message = EmailMessage()
    message["Subject"], message["To"], message["From"] = (
        "绿色观察 12",
        "Ann <ann@example.org>",
        "s@example.org",
    )
    message.set_content("plain words")
    message.add_alternative("<p>rich words</p><script>alert(1)</script>", subtype="html")
    outbox.record(
        received_at=NOON, mail_from="b@x.example", recipients=["ann@example.org"], content=bytes(message)
    )


def test_the_outbox_shows_caught_letters_in_every_way(admin, letter):
    """List, frame, text, headers, raw, and the file itself."""
    assert "绿色观察 12" in admin.get("/admin/outbox").text
    assert 'sandbox="allow-popups' in admin.get("/admin/outbox/1").text
    assert "rich words" not in admin.get("/admin/outbox/1").text
    assert "plain words" in admin.get("/admin/outbox/1?view=text").text
    assert "From: s@example.org" in admin.get("/admin/outbox/1?view=headers").text
    assert "MIME-Version" in admin.get("/admin/outbox/1?view=raw").text
    file = admin.get("/admin/outbox/1/raw")
    assert file.headers["content-type"] == "message/rfc822"
    assert "attachment" in file.headers["content-disposition"]
    assert admin.get("/admin/outbox/2").status_code == 404


def test_a_caught_letter_cannot_do_anything_in_its_frame(admin, letter):
    """Its script stays in it, and does not run."""
    frame = admin.get("/admin/outbox/1/html")
    pictures = frame.headers["content-security-policy"].split("img-src ")[1].split(";")[0]
    assert pictures.split()[-1].endswith("/figures/")  # looking here fetches no pixel and counts no open
    assert "rich words" in frame.text
    policy = frame.headers["content-security-policy"]
    assert "; sandbox" in policy
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")


def test_where_letters_really_leave_there_is_no_outbox(settings, sqlite_database, admin):
    """In production the page does not exist, and no menu leads to it."""
    cookie = admin.client.cookies["mailer-session"]
    with TestClient(create_app(settings, sqlite_database, None, clock=lambda: NOON)) as client:
        client.cookies.set("mailer-session", cookie)
        assert client.get("/admin/outbox").status_code == 404
        assert "/admin/outbox" not in client.get("/desk/issues").text


def test_why_a_letter_did_not_arrive_is_three_clicks_away(admin, make):
    """Subscribers, the search, the person: the relay's words, what came back, and the way to release."""
    reader = make.subscriber("ann@example.org", country="FR")
    campaign = make.campaign(CampaignState.SENT)
    letter = make.delivery(campaign=campaign, subscriber=reader)
    make.attempt(letter, state=DeliveryState.ACCEPTED, reply="250 2.0.0 queued")
    make.event(letter, EventKind.BOUNCE, category="bad_mailbox", detail="550 5.1.1 nobody of that name")
    make.suppression("ann@example.org", note="550 5.1.1 nobody of that name")
    found = admin.get("/admin/subscribers?search=ann@")
    path = re.search(r'href="(/admin/subscribers/[0-9a-f-]{36})"', found.text)[1]
    page = admin.get(path).text
    assert '<span class="tag bad">came back</span>' in page
    for words in ("France", "250 2.0.0 queued", "came back: mailbox does not exist", "No letter is sent"):
        assert words in page
    released = admin.post("/admin/suppressions/release", id=hidden(page, "id"), next=path)
    assert released.url.path == path
    assert "No letter is sent" not in released.text


def test_a_person_without_a_letter_shows_why(admin, make):
    """Excluded is said as plainly as refused."""
    reader = make.subscriber("ann@example.org")
    campaign = make.campaign(CampaignState.SENT)
    with make.database.write() as session:
        session.add(Exclusion(campaign_id=campaign.id, subscriber_id=reader.id, reason="no_edition"))
    assert (
        "no letter: no edition in their language" in admin.get(f"/admin/subscribers/{reader.public_id}").text
    )


def test_a_release_leads_to_no_other_site(admin, make):
    """What the form says of the next page is not believed."""
    held = make.suppression("ann@example.org")
    released = admin.post("/admin/suppressions/release", id=str(held.id), next="//evil.example")
    assert (released.url.host, released.url.path) == ("testserver", "/desk")


_HANDS = {  # the last part of a path, by the role besides the administrator that may post there
    Role.VIEWER: set(),
    Role.EDITOR: {
        "new",
        "add",
        "number",
        "edit",
        "campaign",
        "plan",
        "ask",
        "test",
        "partners",
        "some-code",  # a partner's
        "00000000-0000-7000-8000-000000000000",  # a subscriber's
        "topics",
        "change",
        "consent",
        "take-back",
        "changes",
        "find",
        "attach",
        "detach",
        "segments",
        "look",
        "copy",
        "delete",
    },
    Role.APPROVER: {"approve", "reject"},
    Role.SENDER: {"launch", "steer", "uncertain"},
}


_STEWARDS = ("/admin/subscribers/import", "/admin/requests")  # the beginnings of an editor's pages


@pytest.mark.parametrize("role", _HANDS)
def test_no_role_may_change_what_is_not_its_task(app, sign_in, make, role):
    """Over every route that changes something on the desk and in the administration."""
    visitor, campaign = sign_in(role), make.campaign(CampaignState.DRAFT)
    with make.database.read() as session:
        issue = session.get(Issue, campaign.issue_id).public_id
    for route in routes(app):
        if "POST" not in route.methods or not route.path.startswith(("/desk", "/admin")):
            continue
        path = route.path.replace("{issue}", str(issue)).replace("{language}", "en")
        path = path.replace("{campaign}", str(campaign.public_id)).replace("{event}", "1")
        if path.startswith(_STEWARDS) and role is Role.EDITOR:
            continue  # the whole page is an editor's: walked by its own tests
        for place in ("{rule}", "{user}", "{segment}", "{mail}", "{request_id}"):
            path = path.replace(place, "1")
        for place in ("{person}", "{change}", "{kept}", "{gone}", "{upload}", "{file}"):
            path = path.replace(place, "00000000-0000-7000-8000-000000000000")
        path = path.replace("{code}", "some-code")
        assert "{" not in path, f"tell this test what {route.path} takes"
        allowed = path.rsplit("/", 1)[1] in _HANDS[role] and not path.startswith("/admin/users")
        assert (visitor.post(path).status_code != 403) == allowed, f"{role} {path}"
