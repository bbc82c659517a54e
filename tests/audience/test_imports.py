"""Files of people: read as they are sent, taken in with a verdict per row, resumed, undone, written out."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.accounts.audit import SYSTEM
from mailer.audience import exports, imports, segments, subscribers, subscriptions
from mailer.audience.intake import Verdict
from mailer.audience.names import Names
from mailer.audience.sheets.guard import FORMULA, guarded, unguarded
from mailer.audience.sheets.sheet import read
from mailer.audience.sheets.source import BadFile
from mailer.audience.store import ImportRow, Membership, Subscriber, Subscription
from tests.make import NOON

PEOPLE = """邮箱,姓名,称谓,语言,国家,电话
li@example.org,李敏,部长,中文,中国,1
ann@example.org,Ann Lee,Dr,en,FR,2
"""


@pytest.fixture
def run(database, job):
    """Import a text; give back the report."""
    return lambda text=PEOPLE, **given: imports.run(database, job(text, **given), clock=lambda: NOON)


def verdicts(report):
    """Verdicts by line."""
    return {row.line: row.verdict.value for row in report.verdicts}


def rows_of(database, *tables):
    """How many rows there are in each table."""
    with database.read() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_it_was_saved(encoding, delimiter):
    """Whatever a spreadsheet makes of "save as CSV" in China or Europe."""
    found = read(PEOPLE.replace(",", delimiter).encode(encoding), "x.csv")
    li, ann = found.rows()
    assert [row.person.address for row in (li, ann)] == ["li@example.org", "ann@example.org"]
    assert li.person.names == Names(name_zh="李敏", honorific_zh="部长")
    assert ann.person.names == Names(name_en="Ann Lee", honorific_en="Dr")
    assert (ann.line, ann.person.origin, found.unread) == (3, "x.csv:3", ("电话",))


def test_excels_own_hint_of_the_separator_is_understood():
    """The line `sep=;` is no header."""
    assert (
        next(read(b"sep=;\r\nE-Mail;Note\r\nann@example.org;a, b\r\n", "x.csv").rows()).person.notes == "a, b"
    )


def test_lines_are_those_of_the_file():
    """Blank rows and line breaks inside quotes are counted, so that a person finds the row."""
    found = read(b'email,notes\n\n"ann@example.org","two\nlines"\nben@example.org,\n', "x.csv")
    assert [row.line for row in found.rows()] == [3, 5]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"email\n", "no people below it"),
        (b"name,phone\nAnn,1\n", "No column is named"),
        (b"email,E-Mail\na@example.org,b@example.org\n", "mean the same"),
        (b"\x89PNG\r\n", "a picture"),
        (b"\x00\x01\x02", "save it as CSV"),
        (b'email\n"ann@example.org\n', "a quote is never closed.*mend its quotes"),
        (b'email\n"ann@example.org" x\n', "something stands behind a closing quote"),
    ],
)
def test_a_file_that_is_no_table_says_what_to_do(raw, words):
    """One sentence, and nothing has been touched: the whole file is read first."""
    with pytest.raises(BadFile, match=words):
        read(raw, "x.csv")


@settings(deadline=None)  # on a machine with other work to do
@given(
    st.binary(max_size=80)
    | st.text(max_size=60).map(lambda text: f"email,name\n{text}".encode("utf-8", "replace"))
)
def test_any_file_is_read_or_refused(raw):
    """No octets at all break the reader in another way."""
    try:
        rows = list(read(raw, "x.csv").rows())
    except BadFile:
        return
    assert all(bool(row.person) != bool(row.refusal) for row in rows)


def test_every_row_has_its_verdict(run):
    """Added, unchanged, updated, refused with a sentence; one bad row stops no other."""
    assert verdicts(run()) == {2: "added", 3: "added"}
    second = run(
        "email,name,country,language\nli@example.org,李敏,CN,\nAnn@example.org,,DE,\nbad,,,\nli@EXAMPLE.org,,,\n"
        "ben@example.org,,Atlantis,\n,Ann,,\nx@example.org,,,,,more\n"
    )
    assert verdicts(second) == {
        2: "unchanged", 3: "updated", 4: "refused", 5: "refused", 6: "refused", 7: "refused", 8: "refused",
    }  # fmt: skip
    messages = {row.line: row.message for row in second.verdicts}
    for line, words in {
        2: "", 4: "“bad” is not an e-mail address", 5: "stands on line 2 already", 6: "is not a country",
        7: "has no address", 8: "more cells than the header",
    }.items():  # fmt: skip
        assert words in messages[line]


def test_who_left_and_who_is_suppressed_are_refused(run, database, make):
    """An import never subscribes somebody again who left."""
    run()
    with database.write() as session:
        li = subscribers.by_address(session, "li@example.org")
        subscriptions.leave(session, subscriber_id=li.id, publication_id=make.publication().id, now=NOON)
    make.suppression("ann@example.org", "complaint")
    found = run()
    assert verdicts(found) == {2: "refused", 3: "refused"}
    assert "has left" in found.verdicts[0].message
    assert "complaint" in found.verdicts[1].message


def test_a_partners_import_tells_only_of_its_own_people(run, make, database):
    """New, shared, left, complained, silenced by others' letters: one verdict, and nothing else is said."""
    moe, sea = make.partner("moe"), make.partner("sea")
    make.subscriber("shared@example.org", partner=sea)
    left = make.subscriber("left@example.org")
    with database.write() as session:
        subscriptions.leave(session, subscriber_id=left.id, publication_id=make.publication().id, now=NOON)
    make.suppression("angry@example.org", "complaint")
    make.suppression("gone@example.org", "bad_mailbox")
    people = "\n".join(
        ["email", *(f"{who}@example.org" for who in ("new", "shared", "left", "angry", "gone"))]
    )
    found = run(people, partner=moe)
    assert verdicts(found) == dict.fromkeys(range(2, 7), "added")
    assert [row.message for row in found.verdicts] == [""] * 5
    assert verdicts(run(people, partner=moe)) == dict.fromkeys(range(2, 7), "unchanged")


def test_a_sheet_may_name_each_persons_partner(run, make, database):
    """The secretariat imports for several; an unknown code refuses its row."""
    make.partner("moe")
    found = run("email,partner\nann@example.org,moe\nben@example.org,\ncho@example.org,nowhere\n")
    assert verdicts(found) == {2: "added", 3: "added", 4: "refused"}
    assert rows_of(database, Membership) == [1]


def test_a_dry_run_says_the_same_and_changes_nothing(run, job, database):
    """The very verdicts, and not a row more."""
    tables = (Subscriber, Subscription, ImportRow)
    with database.write() as session:
        tried = imports.dry_run(session, job(PEOPLE), now=NOON)
    assert (tried.id, rows_of(database, *tables)) == (None, [0, 0, 0])
    assert tried.verdicts == run().verdicts


def test_an_import_that_stopped_goes_on_where_it_was(run, job, database):
    """The same file again: rows that have their verdict are not taken in twice."""
    half = job(PEOPLE)
    with database.write() as session:
        begun = imports.begin(session, half, now=NOON)
        imports.take(session, half, begun, list(half.sheet.rows())[:1], now=NOON)
    report = run()
    assert verdicts(report) == {2: "added", 3: "added"}
    with database.read() as session:
        assert [done.finished_at for done in imports.listing(session)] == [NOON]
        assert imports.report(session, report.id) == report


def undo(database, public_id):
    """Put an import back."""
    return imports.undo(database, public_id, clock=lambda: NOON, actor=SYSTEM)


def test_undoing_puts_everything_back(run, make, database):
    """People who came with it are gone, and what it changed is as before."""
    sea = make.partner("sea")
    run("email,name,country\nann@example.org,Ann Lee,FR\n")
    with database.read() as session:
        before = vars(subscribers.by_address(session, "ann@example.org")).copy()
    second = run(PEOPLE, partner=sea)
    assert rows_of(database, Subscriber, Subscription, Membership) == [2, 2, 2]
    assert undo(database, second.id) == imports.Undone(2, 0)
    with pytest.raises(imports.UndoneAlready):
        undo(database, second.id)
    assert rows_of(database, Subscriber, Subscription, Membership) == [1, 1, 0]
    with database.read() as session:
        after = vars(subscribers.by_address(session, "ann@example.org")).copy()
    before.pop("_sa_instance_state"), after.pop("_sa_instance_state")
    assert after == before
    assert verdicts(run(PEOPLE, partner=sea)) == {2: "added", 3: "added"}


def test_undoing_leaves_what_people_did_since(run, make, database):
    """A person who left stays left; one who was written to stays in the ledger's sums."""
    report = run()
    with database.write() as session:
        li = subscribers.by_address(session, "li@example.org")
        subscriptions.leave(session, subscriber_id=li.id, publication_id=make.publication().id, now=NOON)
        ann = subscribers.by_address(session, "ann@example.org")
    make.delivery(subscriber=ann)
    assert undo(database, report.id) == imports.Undone(0, 2)
    with database.read() as session:
        assert session.scalars(select(Subscription.state)).all() == ["left"]
    assert verdicts(run()) == {2: "refused", 3: "added"}


def test_an_export_is_safe_in_a_spreadsheet_and_comes_in_again(run, make, database):
    """Cells that would run carry an apostrophe; importing the file changes nobody."""
    run('email,name,title,country\n=x@example.org,"\'=HYPERLINK(1)",Dr,FR\nli@example.org,李敏,部长,\n')
    with database.read() as session:
        lines = list(exports.as_csv(exports.rows(session, [], make.publication().id)))
    text = "".join(lines)
    assert text.startswith("\ufeffemail,")
    cells = [cell for row in csv.reader(io.StringIO(text.lstrip("\ufeff"))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert {"'=x@example.org", "'=HYPERLINK(1)", "李敏"} <= set(cells)
    assert verdicts(run(text)) == {2: "unchanged", 3: "unchanged"}


def test_an_export_is_of_the_people_of_a_rule(run, database, make):
    """Erased people are in none."""
    run()
    with database.read() as session:
        where = [segments.condition(segments.parse("language = zh"), now=NOON)]
        lines = list(exports.as_csv(exports.rows(session, where, make.publication().id)))
    assert [line.split(",")[0] for line in lines[1:]] == ["li@example.org"]


@given(st.text(max_size=12) | st.text("'=+-@ a;\n\t", max_size=6))
def test_a_guarded_cell_is_harmless_and_comes_back(cell):
    """Whatever a cell holds; also where a European spreadsheet cuts it at its semicolons."""
    assert not any(part.startswith(FORMULA[:4]) for part in re.split("[;\t\r\n]", guarded(cell)))
    assert not guarded(cell).startswith(FORMULA)
    assert unguarded(guarded(cell)) == cell


def test_counts_name_every_verdict(run):
    """A report without refusals says so."""
    assert run().counts == {
        Verdict.ADDED: 2, Verdict.UPDATED: 0, Verdict.UNCHANGED: 0, Verdict.REFUSED: 0, Verdict.AWAY: 0,
    }  # fmt: skip
