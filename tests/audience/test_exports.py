"""Files of people that go out: a CSV or a workbook, of a rule, of what is searched for, of a partner."""

from __future__ import annotations

import io
from zipfile import ZipFile

import pytest

from mailer.audience import exports, selection
from mailer.audience.selection import Selection
from tests.make import NOON


@pytest.fixture
def table(database, make):
    """Rows of an export of everybody, or of those that a search finds."""

    def table(search=""):
        with database.read() as session:
            where = selection.everybody(session, Selection(search=search), NOON)
            return list(exports.rows(session, where, make.publication().id))

    return table


def workbook(rows):
    """What a spreadsheet program finds in a workbook: the texts of each sheet, without any formula."""
    out = io.BytesIO()
    exports.as_workbook(rows, out)
    with ZipFile(out) as book:
        return [book.read(name).decode() for name in sorted(book.namelist()) if "/worksheets/sheet" in name]


def test_an_export_of_a_search_holds_whom_the_list_finds(table, make):
    """By the beginnings of words, however many there are; words of nothing find nobody."""
    make.subscriber("ann@example.org", name_en="Ann Lee")
    make.subscriber("wang@example.org", name_zh="王小明")
    assert [row[0] for row in table()] == ["email", "ann@example.org", "wang@example.org"]
    assert [row[0] for row in table("小明")] == ["email", "wang@example.org"]
    assert [row[0] for row in table("lee exam")] == ["email", "ann@example.org"]
    assert [row[0] for row in table("%")] == ["email"]


def test_a_partners_export_tells_what_the_partner_wrote(database, make):
    """Its own names and notes, nobody else's; who has gone is not in it."""
    ours, theirs = make.partner("ours"), make.partner("theirs")
    person = make.subscriber("ann@example.org", name_en="Dr Secret", partner=theirs)
    make.membership(ours, person, name_en="Ann Lee", notes="met in Oslo", language="en")
    make.subscriber("ben@example.org", partner=theirs)
    with database.read() as session:
        rows = list(exports.own_rows(session, ours.id))
    assert len(rows) == 2
    told = dict(zip(*rows, strict=True))
    assert (told["email"], told["name_en"], told["notes"]) == ("ann@example.org", "Ann Lee", "met in Oslo")
    assert "Secret" not in str(rows)


def test_a_workbook_runs_nothing():
    """A cell that looks like a formula is text there, and stays as it is."""
    [sheet] = workbook([("email", "name"), ("a@example.org", "=HYPERLINK(1)"), ("=b", "王")])
    assert "<f>" not in sheet
    assert "=HYPERLINK(1)" in sheet
    assert "王" in sheet


def test_a_workbook_goes_on_on_another_sheet(monkeypatch):
    """Each has the header; one without anybody has it too."""
    monkeypatch.setattr(exports, "_ROWS", 3)
    sheets = workbook([("email",), *((f"reader{n}@example.org",) for n in range(5))])
    assert [sheet.count("reader") for sheet in sheets] == [2, 2, 1]
    assert all("email" in sheet for sheet in sheets)
    assert ["email" in sheet for sheet in workbook([("email",)])] == [True]
