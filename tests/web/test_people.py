"""All subscribers, as the secretariat finds, adds and edits them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mailer.accounts.store import AuditEntry, Role
from mailer.audience import finding, subscriptions
from mailer.audience.store import ConsentKind, Subscriber, Subscription, SubscriptionState
from mailer.web import people
from tests.make import NOON


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def shown(admin, query):
    return [name for name in ("ann", "bob", "eve") if f"{name}@example.org" in admin.get(
        f"/admin/subscribers?{query}").text]  # fmt: skip


def test_people_are_found_by_every_filter(admin, make):
    """Language, country, partner, state, suppression, and a rule of the segment language."""
    partner = make.partner("mee")
    make.subscriber("ann@example.org", language="zh", country="CN", partner=partner)
    bob = make.subscriber("bob@example.org", subscribed=False, country="FR")
    make.subscription(bob, state=SubscriptionState.LEFT)
    make.subscriber("eve@example.org", subscribed=False)
    make.suppression("eve@example.org")
    assert shown(admin, "") == ["ann", "bob", "eve"]
    assert shown(admin, "language=zh") == shown(admin, "partner=mee") == ["ann"]
    assert shown(admin, "country=FR") == shown(admin, "state=left") == ["bob"]
    assert shown(admin, "state=none") == shown(admin, "suppressed=yes") == ["eve"]
    assert shown(admin, "suppressed=no&search=bob") == ["bob"]
    assert shown(admin, "rule=language+%3D+zh") == ["ann"]


def test_a_list_ends_at_its_last_page(admin, make, monkeypatch):
    """Whoever asks for a page beyond is shown the last, and nothing leads further."""
    monkeypatch.setattr(people, "_SIZE", 1)
    monkeypatch.setattr(finding, "LAST_PAGE", 2)
    for name in ("ann", "bob", "eve"):
        make.subscriber(f"{name}@example.org")
    assert 'rel="next"' in admin.get("/admin/subscribers").text
    for page in (2, 3, 900):
        assert shown(admin, f"page={page}") == ["bob"]
    assert 'rel="next"' not in admin.get("/admin/subscribers?page=2").text


def test_a_rule_that_cannot_be_read_says_what_was_expected(admin, make):
    """And the page stays usable."""
    make.subscriber("ann@example.org")
    page = admin.get("/admin/subscribers?rule=colour+%3D+red")
    assert page.status_code == 422
    assert "colour" in page.text


FACTS = {"address": "ann@example.org", "language": "en", "publication": "observer", "given_en": "Ann",
         "wording": "new", "new_wording": "Send me the newsletter.",
         "origin": "letter of 3 May"}  # fmt: skip


def test_somebody_is_added_by_hand_with_evidence(admin, make, sqlite_database):
    """Words and source are kept; without them nobody is added."""
    make.publication()
    assert "Ann" in admin.post("/admin/subscribers/new", **FACTS).text
    with sqlite_database.read() as session:
        found = session.query(Subscription).one()
        assert (found.consent_kind, found.consent_wording) == (
            ConsentKind.IMPORTED,
            "Send me the newsletter.",
        )
        assert (found.consent_origin, found.consent_by) == ("letter of 3 May", "admin@example.org")
    page = admin.post("/admin/subscribers/new", **FACTS | {"address": "bob@example.org", "origin": ""})
    assert page.status_code == 422
    assert "Please fill this in." in page.text


def test_who_has_left_is_not_added_by_hand(admin, make):
    """Only the person can come back."""
    ann = make.subscriber("ann@example.org", subscribed=False)
    make.subscription(ann, state=SubscriptionState.LEFT)
    page = admin.post("/admin/subscribers/new", **FACTS)
    assert page.status_code == 409
    assert "has left the publication" in page.text


def test_a_persons_names_and_whereabouts_are_edited(admin, make, sqlite_database):
    """The greeting follows; a full name that the form does not show goes with the parts it contradicts."""
    ann = make.subscriber("ann@example.org", name_en="Ann Lee", name_zh="李安", family_zh="李", given_zh="安")
    page = admin.post(f"/admin/subscribers/{ann.public_id}", language="zh", name_zh="李敏", given_en="",
                      family_en="", country="FR", zone="Europe/Paris")  # fmt: skip
    assert "Saved." in page.text
    with sqlite_database.read() as session:
        found = session.get_one(Subscriber, ann.id)
        assert (found.name_zh, found.family_zh, found.name_en) == ("李敏", "", "Ann Lee")
        assert (found.language, found.country, found.zone) == ("zh", "FR", "Europe/Paris")
        assert "李敏" in found.salutation_zh
    page = admin.post(f"/admin/subscribers/{ann.public_id}", language="zh", zone="Mars/Olympus")
    assert page.status_code == 422


def test_a_persons_page_tells_the_history_of_their_consent(admin, make, sqlite_database):
    """Leaving and coming back are both there, with words and version."""
    ann = make.subscriber("ann@example.org", partner=make.partner("mee", name_en="The Ministry"))
    ids = {"subscriber_id": ann.id, "publication_id": make.publication().id}
    with sqlite_database.write() as session:
        subscriptions.leave(session, now=NOON + timedelta(days=1), by="admin@example.org", **ids)
    page = admin.get(f"/admin/subscribers/{ann.public_id}").text
    for words in ("has left", "ended by admin@example.org", "I want this newsletter.", "The Ministry",
                  "in words of their own"):  # fmt: skip
        assert words in page


def test_an_administrator_takes_out_and_erases_the_data_of_who_asks_by_letter(admin, make, sqlite_database):
    """The file holds everything; erasing is previewed, and both are in the log."""
    ann = make.subscriber("ann@example.org", name_en="Ann Lee")
    path = f"/admin/subscribers/{ann.public_id}"
    file = admin.post(f"{path}/export")
    assert "attachment" in file.headers["content-disposition"]
    assert json.loads(file.text)["person"]["address"] == "ann@example.org"
    assert "This cannot be taken back." in admin.get(f"{path}/erase").text
    assert "Their data have been erased." in admin.post(f"{path}/erase").text
    with sqlite_database.read() as session:
        assert session.get_one(Subscriber, ann.id).address is None
        actions = {entry.action for entry in session.query(AuditEntry)}
    assert {"subscriber.take_out", "subscriber.erase"} <= actions


def test_an_editor_neither_takes_out_nor_erases_data(sign_in, make):
    """That is an administrator's task."""
    ann = make.subscriber("ann@example.org")
    editor, path = sign_in(Role.EDITOR), f"/admin/subscribers/{ann.public_id}"
    assert editor.post(f"{path}/export").status_code == 403
    assert editor.get(f"{path}/erase").status_code == editor.post(f"{path}/erase").status_code == 403
    assert "Erase their data" not in editor.get(path).text
