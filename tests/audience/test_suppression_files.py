"""Suppressions come in from files with a verdict per row, are undone as a whole, and go out safely."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.accounts.audit import Actor
from mailer.audience import suppression_files as files
from mailer.audience import suppressions
from mailer.audience.imports import NoImport, UndoneAlready
from mailer.audience.intake import Verdict
from mailer.audience.sheets.guard import FORMULA
from mailer.audience.sheets.source import BadFile
from mailer.audience.store import Suppression
from mailer.audience.verdicts import Report
from mailer.database import Database
from tests.audience.workbooks import workbook
from tests.make import KEYS, NOON, Make

ANN = Actor(None, "ann@example.org")
DAY = timedelta(days=1)


def take(database: Database, text: str, *, dry: bool = False) -> Report:
    read = files.read(text.encode(), "old.csv")
    with database.write() as session:
        verb = files.dry_run if dry else files.take_in
        return verb(session, read, keys=KEYS, now=NOON, actor=ANN)


def rows(database: Database) -> list[Suppression]:
    with database.read() as session:
        return list(session.scalars(select(Suppression).order_by(Suppression.id)))


SHEET = """\
email,type,description,newsletter,until
ann@example.org,bad_mailbox,550 5.1.1 no such user,,
ben@example.org,Blocklisted,by hand,observer,2027-01-31
not an address,,,,
ANN@example.org,bad_mailbox,again,,
cai@example.org,,,nowhere,
dan@example.org,,,,2020-01-01
eve@example.org,,,,soon
"""


def test_every_row_has_its_verdict(database: Database, make: Make) -> None:
    """Added, said further up already, or refused with what to do."""
    make.publication("observer")
    report = take(database, SHEET)
    assert [(row.line, str(row.verdict), row.message.split(":")[0]) for row in report.verdicts] == [
        (2, "added", ""),
        (3, "added", ""),
        (4, "refused", "“not an address” is not an e-mail address"),
        (5, "unchanged", ""),
        (6, "refused", "There is no publication “nowhere”"),
        (7, "refused", "The end lies in the past"),
        (8, "refused", "“soon” is no date"),
    ]
    first, second = rows(database)
    assert (first.reason, first.note, first.added_by) == ("bad_mailbox", "550 5.1.1 no such user", ANN.name)
    assert (second.reason, second.note) == ("manual", "Blocklisted: by hand")
    assert (second.publication_id, second.until and second.until.year) == (make.publication().id, 2027)


def test_a_dry_run_says_the_same_and_writes_nothing(database: Database, make: Make) -> None:
    """What would happen."""
    make.publication("observer")
    tried = take(database, SHEET, dry=True)
    assert (tried.id, rows(database)) == (None, [])
    assert take(database, SHEET).verdicts == tried.verdicts


def test_a_file_taken_in_twice_changes_nothing(database: Database, make: Make) -> None:
    """Stopped, run again, sent by two people: every row is known."""
    text = "email\nann@example.org\nben@example.org\n"
    take(database, text)
    assert take(database, text).counts == {Verdict.ADDED: 0, Verdict.UNCHANGED: 2, Verdict.REFUSED: 0}
    assert len(rows(database)) == 2


def test_undoing_releases_what_the_file_added_and_nothing_else(database: Database, make: Make) -> None:
    """What was silenced before stays, what somebody has released stays released by them."""
    make.suppression("ben@example.org", "manual")
    bob = Actor(None, "bob@example.org")
    report = take(database, "email\nann@example.org\nben@example.org\ncai@example.org\n")
    with database.write() as session:
        suppressions.release(session, rows(database)[1].id, NOON, bob)
    with database.write() as session:
        assert report.id is not None
        assert files.undo(session, report.id, now=NOON, actor=ANN) == 1
    assert [row.released_by for row in rows(database)] == [None, bob.name, ANN.name]
    with database.write() as session, pytest.raises(UndoneAlready):
        files.undo(session, report.id, now=NOON, actor=ANN)
    with database.write() as session, pytest.raises(NoImport):
        files.undo(session, uuid4(), now=NOON, actor=ANN)
    with database.read() as session:
        [made] = files.listing(session)
        assert (made.file_name, made.added, made.unchanged, made.undone_at) == ("old.csv", 2, 1, NOON)


@pytest.mark.parametrize(
    "text", ["ann@example.org\nben@example.org\n", "\ufeff邮箱;原因\nann@example.org;x\nben@example.org;y\n"]
)
def test_a_bare_list_and_a_chinese_header_are_read(database: Database, make: Make, text: str) -> None:
    """As other systems and colleagues give it out."""
    assert take(database, text).counts[Verdict.ADDED] == 2


@pytest.mark.parametrize("text", ["", "name,phone\nann,1\n"])
def test_what_has_no_addresses_is_refused_whole(text: str) -> None:
    """The sentence says which column is missing."""
    with pytest.raises(BadFile):
        files.read(text.encode(), "x.csv")


def test_columns_without_a_meaning_are_named() -> None:
    """So that nobody believes they were taken in."""
    assert files.read(b"email,phone\na@example.org,1\n", "x.csv").unread == ("phone",)


@given(st.binary(max_size=300))
def test_no_file_breaks_the_reading(raw: bytes) -> None:
    """Any bytes are a sheet or a sentence."""
    with suppress(BadFile):
        assert files.read(raw, "x.csv").digest


def exported(database: Database) -> list[dict[str, str]]:
    with database.read() as session:
        text = "".join(files.export(session, now=NOON))
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_what_is_exported_is_safe_in_a_spreadsheet_and_can_be_imported_again(
    database: Database, make: Make
) -> None:
    """A mail system's words may begin like a formula."""
    make.publication("observer")
    make.subscriber("ann@example.org")
    make.subscriber("ben@example.org")
    take(database, 'email,note,publication\nann@example.org,"=HYPERLINK(""x"")",observer\n')
    take(database, "email,note,until\nben@example.org,+1 two,2027-01-31\nstranger@example.org,x,\n")
    cells = exported(database)
    assert [row["email"] for row in cells] == ["ann@example.org", "ben@example.org", ""]
    assert not [cell for row in cells for cell in row.values() if cell.startswith(FORMULA)]
    before = [(row.note, row.publication_id, row.until) for row in rows(database)][:2]
    with database.read() as session:
        text = "".join(files.export(session, now=NOON))
    with database.write() as session:
        for row in session.scalars(select(Suppression)):
            suppressions.release(session, row.id, NOON, ANN)
    assert take(database, text).counts == {Verdict.ADDED: 2, Verdict.UNCHANGED: 0, Verdict.REFUSED: 1}
    assert [(row.note, row.publication_id, row.until) for row in rows(database)][3:] == before


def test_what_is_over_is_not_exported(database: Database, make: Make) -> None:
    """Released, or past its end."""
    make.suppression("a@example.org", until=NOON)
    make.suppression("b@example.org", released_at=NOON, released_by="x")
    assert exported(database) == []


def test_an_erased_address_that_came_back_is_exported_once(database: Database, make: Make) -> None:
    """Two rows of people have the hash; one has the address."""
    old = make.subscriber("ann@example.org")
    with database.write() as session:
        row = session.merge(old)
        row.address = row.address_key = None
    make.subscriber("ann@example.org")
    make.suppression("ann@example.org")
    assert [row["email"] for row in exported(database)] == ["ann@example.org"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Suppression)) == 1


def test_a_workbook_of_suppressions_is_read_too() -> None:
    """As every file of addresses is."""
    raw = workbook([["email", "reason"], ["ann@example.org", "complaint"]])
    (row,) = files.read(raw, "blocked.xlsx").rows
    assert row.cells == {"address": "ann@example.org", "reason": "complaint"}
