"""Duplicates as the secretariat judges them."""

from __future__ import annotations

import pytest

from mailer.accounts.store import Role
from mailer.audience.store import Subscriber


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.EDITOR, email="editor@example.org")


@pytest.fixture
def two(make):
    return [make.subscriber(f"{name}@example.org", name_en="Ann Lee") for name in ("new", "old")]


def test_a_pair_is_found_previewed_merged_and_taken_back(admin, two, sqlite_database):
    """From the list to the person's page, where the button stands that undoes it."""
    new, old = two
    page = admin.post("/admin/duplicates/find").text
    assert "1 new pair was found." in page
    assert "same name, same mail domain" in page
    path = f"/admin/duplicates/{new.public_id}/{old.public_id}"
    assert "No letter goes to old@example.org any more" in admin.get(path).text
    page = admin.post(path, do="merge")
    assert page.url.path == f"/admin/subscribers/{new.public_id}"
    assert "old@example.org" in page.text
    facts = page.text.split("<h2>Person</h2>")[1]
    assert ("has left" in facts, facts.count("Green Observer")) == (False, 1)
    assert "<small>of the entry old@example.org</small>" in page.text
    assert "part of another entry" in admin.get(f"/admin/subscribers/{old.public_id}").text
    assert "No likely duplicates" in admin.get("/admin/duplicates").text
    change = page.text.split("/admin/changes/")[1].split("/")[0]
    assert "Taken back." in admin.post(f"/admin/changes/{change}/take-back", next="/admin/duplicates").text
    with sqlite_database.read() as session:
        assert {row.merged_into for row in session.query(Subscriber)} == {None}


def test_two_people_are_not_shown_again(admin, two):
    """The judgement is remembered."""
    admin.post("/admin/duplicates/find")
    page = admin.post(f"/admin/duplicates/{two[0].public_id}/{two[1].public_id}", do="different").text
    assert "They are two people." in page
    assert "No new pair was found." in admin.post("/admin/duplicates/find").text
