"""Bulk changes as the secretariat makes them: whom, what, a look, a button, and back."""

from __future__ import annotations

import re

import pytest

from mailer.accounts.store import Role
from mailer.audience.changes import wholesale
from mailer.audience.store import Subscriber
from tests.make import NOON


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.EDITOR, email="editor@example.org")


def test_a_look_says_what_would_happen_and_writes_nothing(admin, make, sqlite_database):
    """Counts by verdict, the first people with reasons."""
    make.subscriber("ann@example.org", language="en")
    make.subscriber("eve@example.org", language="en", chosen_at=NOON)
    page = admin.get("/admin/changes/new?language=en&do=language&publication=observer&value=zh&look=1").text
    assert "ann@example.org" in page
    assert "They chose their language themselves." in page
    assert "Make the change" in page
    with sqlite_database.read() as session:
        assert {person.language for person in session.query(Subscriber)} == {"en"}


def test_a_change_is_made_by_a_worker_and_taken_back_by_a_button(admin, make, sqlite_database):
    """The page of the change follows it; the list knows it."""
    ann = make.subscriber("ann@example.org", language="en", country="CN")
    make.subscriber("bob@example.org", language="en", country="FR")
    fields = {"do": "language", "publication": "observer", "value": "zh"}
    page = admin.post("/admin/changes?country=CN", **fields)
    assert "Being made." in page.text
    wholesale.work(sqlite_database, clock=lambda: NOON, seconds=60)
    told = admin.get(page.url.path, headers={"accept": "application/json"}).json()
    assert (told["state"], told["figures"]["changes"]) == ("made", "1")
    with sqlite_database.read() as session:
        assert session.get_one(Subscriber, ann.id).language == "zh"
        assert sorted(person.language for person in session.query(Subscriber)) == ["en", "zh"]
    assert "Set the language: Chinese" in admin.get("/admin/changes").text
    done = admin.post(f"{page.url.path}/take-back", next=page.url.path).text
    assert "1 was put back." in done
    with sqlite_database.read() as session:
        assert session.get_one(Subscriber, ann.id).language == "en"


@pytest.mark.parametrize("query", ["do=country&value=Atlantis", "do=pause", "do=suppress",
                                   "rule=colour+%3D+red&do=country&value=FR"])  # fmt: skip
def test_what_cannot_be_done_is_said_and_the_form_stays(admin, make, query):
    """No preview, no button."""
    make.publication()
    page = admin.get(f"/admin/changes/new?publication=observer&look=1&{query}")
    assert page.status_code == 422
    assert "Make the change" not in page.text
    assert re.search('role="alert"', page.text)


@pytest.mark.parametrize(
    "kind", ["language", "country", "zone", "add_topic", "remove_topic", "add_to_partner",
             "remove_from_partner", "pause", "unsubscribe", "suppress"],
)  # fmt: skip
def test_every_kind_of_change_asks_for_what_it_needs(admin, make, kind):
    """Choosing what to do shows its own fields."""
    make.topic("water")
    make.partner("mee")
    assert f'value="{kind}" selected' in admin.get(f"/admin/changes/new?do={kind}").text
