"""The directory comes in from a file: a verdict per row, whole or not at all, nothing unsaid is changed."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry, Role, User
from mailer.audience import partner_files, partners
from mailer.audience.sheets.source import BadFile
from mailer.audience.store import Partner, PartnerGroup
from tests.audience.workbooks import workbook
from tests.make import NOON

TABLE = """代码,中文名称,英文名称,类型,国家,语言,席位,可担保,专题组,负责人邮箱
moe,生态环境部,Ministry,部委,中国,zh,50,是,green cities；oceans,li@moe.example
sea,,Sea Institute,think tank,NO,en,,no,,ann@sea.example ben@sea.example
"""


@pytest.fixture
def take(database):
    """Take a file in, or try it."""

    def take(table=TABLE, verb=partner_files.take_in):
        raw = table if isinstance(table, bytes) else table.encode()
        with database.write() as session:
            return verb(session, partner_files.read(raw, "partners.csv"), now=NOON, actor=SYSTEM)

    return take


def verdicts(report):
    return {row.line: row.verdict.value for row in report.verdicts}


def rows(database, *tables):
    with database.read() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_partners_come_in_with_groups_and_managers(take, database):
    """In Chinese or English words; the managers can ask for a sign-in link."""
    report = take()
    assert verdicts(report) == {2: "added", 3: "added"}
    assert (report.written, report.managers) == (
        True,
        ("li@moe.example", "ann@sea.example", "ben@sea.example"),
    )
    with database.read() as session:
        moe = partners.told(session, partners.get(session, "moe"))
        managers = dict(session.execute(select(User.email, User.role)).all())
    assert moe == {
        "name_zh": "生态环境部", "name_en": "Ministry", "kind": "ministry", "country": "CN", "language": "zh",
        "zone": None, "seats": 50, "trusted": True, "groups": ["green-cities", "oceans"],
    }  # fmt: skip
    assert set(managers.values()) == {Role.PARTNER}


def test_a_file_that_was_tried_has_changed_nothing(take, database):
    """And its report is that of the import."""
    tried = take(verb=partner_files.dry_run)
    assert rows(database, Partner, PartnerGroup, User, AuditEntry) == [0, 0, 0, 0]
    assert not tried.written
    assert tried.verdicts == take().verdicts


def test_the_same_file_again_changes_nothing(take, database):
    """Nobody is invited a second time."""
    take()
    before = rows(database, User, PartnerGroup)
    again = take()
    assert (verdicts(again), again.managers) == ({2: "unchanged", 3: "unchanged"}, ())
    assert rows(database, User, PartnerGroup) == before


def test_only_what_the_file_says_is_changed(take, database):
    """Empty cells and missing columns say nothing; “unlimited” is said."""
    take()
    assert verdicts(take("code,seats,country\nmoe,unlimited,\nsea,7,\n")) == {2: "updated", 3: "updated"}
    with database.read() as session:
        moe, sea = (partners.told(session, partners.get(session, code)) for code in ("moe", "sea"))
    assert (moe["seats"], moe["country"], moe["groups"], moe["trusted"]) == (
        None, "CN", ["green-cities", "oceans"], True,
    )  # fmt: skip
    assert (sea["seats"], sea["name_en"]) == (7, "Sea Institute")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("new,,New,club,FR,en", "is not a kind of partner"),
        ("new,,New,ngo,Atlantis,en", "is not a country"),
        ("new,,New,,FR,en", "needs kind and country"),
        ("new,,,ngo,FR,en", "needs a name"),
        ("moe,,Twice,,,", "stands on line 2 too"),
        ("new,,New,ngo,FR,en,many", "no number of seats"),
        ("new,,New,ngo,FR,en,,perhaps", "whether it may vouch"),
        ("new,,New,ngo,FR,en,,,,no address", "not an e-mail address"),
        ("new,,New,ngo,FR,en,,,,boss@secretariat.example", "cannot be used for an account"),
    ],
)
def test_a_row_that_is_refused_says_why_and_nothing_of_the_file_is_written(take, make, database, row, words):
    """Not even the rows before it, nor its own partner without a manager."""
    make.user(Role.ADMIN, "boss@secretariat.example")
    report = take(f"{TABLE}{row}\n")
    assert verdicts(report) == {2: "added", 3: "added", 4: "refused"}
    assert words in report.verdicts[-1].message
    assert not report.written
    assert rows(database, Partner, PartnerGroup, User) == [0, 0, 1]


def test_a_workbook_comes_in_too(take):
    """Numbers in cells are read as they are shown."""
    cells = [("code", "name_en", "kind", "country", "seats"), ("fao", "Food", "un", "IT", 12)]
    assert verdicts(take(workbook(cells))) == {2: "added"}


def test_a_workbook_of_several_sheets_says_what_to_do(take):
    """Nobody is asked which of them is meant."""
    cells = [("code", "kind", "country"), ("fao", "un", "IT")]
    raw = workbook(cells, lambda book, _sheet: book.add_worksheet("Old").write(0, 0, "x"))
    with pytest.raises(BadFile, match="leave one in it, or save that one as CSV"):
        take(raw)


def test_a_file_without_codes_says_which_column_is_missing():
    """Nothing else is needed."""
    with pytest.raises(BadFile, match="No column is named “code”"):
        partner_files.read(b"who,where\nmoe,CN\n", "x.csv")
