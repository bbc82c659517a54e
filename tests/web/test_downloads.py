"""People leave as files: who may have which, and that it is written down."""

from __future__ import annotations

import io
import re
from html import unescape
from zipfile import ZipFile

import pytest
from sqlalchemy import select

from mailer.accounts.store import AuditEntry, Role


def entries(database):
    """What the audit log says of downloads."""
    with database.read() as session:
        found = session.scalars(select(AuditEntry).where(AuditEntry.action.like("%.export"))).all()
        return [(each.action, each.partner_id, str(each.after)) for each in found]


def test_the_secretariat_downloads_whom_it_sees(make, sign_in, sqlite_database):
    """By the search and the filters on the screen; the log tells that somebody did, and nobody's address."""
    make.publication()
    make.subscriber("ann@example.org", name_en="Ann Lee")
    make.subscriber("ben@example.org")
    make.subscriber("ann.zh@example.org", language="zh")
    editor = sign_in(Role.EDITOR)
    shown = editor.get("/admin/subscribers?search=ann&language=en").text
    page = editor.get(unescape(re.search(r'href="(/admin/subscribers.csv[^"]*)"', shown)[1]))
    assert page.headers["content-type"].startswith("text/csv")
    assert page.text.startswith("\ufeffemail,")
    assert [name in page.text for name in ("ann@", "ben@", "ann.zh@")] == [True, False, False]
    book = editor.get("/admin/subscribers.xlsx?rule=language = en")
    with ZipFile(io.BytesIO(book.content)) as files:
        assert b"ben@example.org" in files.read("xl/worksheets/sheet1.xml")
    logged = entries(sqlite_database)
    assert [entry[:2] for entry in logged] == [("subscriber.export", None)] * 2
    assert "ann" not in str(logged)


def test_a_partner_downloads_its_own_people_and_nothing_else(make, sign_in, sqlite_database):
    """The secretariat's file does not exist for it."""
    make.publication()
    ours, theirs = make.partner("ours"), make.partner("theirs")
    make.subscriber("ann@example.org", partner=ours)
    make.subscriber("ben@example.org", partner=theirs)
    manager = sign_in(Role.PARTNER, partner_id=ours.id)
    page = manager.get("/partner/people.csv")
    assert ("ann@example.org" in page.text, "ben@example.org" in page.text) == (True, False)
    assert entries(sqlite_database)[0][:2] == ("membership.export", ours.id)
    assert manager.get("/admin/subscribers.csv").status_code in (403, 404)


@pytest.mark.parametrize("path", ["/admin/subscribers.csv", "/partner/people.csv", "/admin/subscribers.exe"])
def test_a_viewer_downloads_nobody(sign_in, path):
    """Seeing reports is not taking people away."""
    assert sign_in(Role.VIEWER).get(path).status_code in (403, 404, 422)
