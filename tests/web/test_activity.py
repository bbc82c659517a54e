"""The audit log's page: every deed in words, what it changed side by side, found by any of its facts."""

from __future__ import annotations

import ast
import csv
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest

import mailer
from mailer.accounts import audit, entries
from mailer.accounts.audit import HUSHED, SYSTEM, Actor
from mailer.accounts.entries import Filter
from mailer.accounts.store import AuditEntry, Role
from mailer.web import deeds, i18n
from tests.make import NOON


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def note(database, action="user.change", *, days=0, actor=SYSTEM, subject="user 1", **given):
    with database.write() as session:
        at = NOON - timedelta(days=days)
        audit.record(session, now=at, actor=actor, action=action, subject=subject, **given)


def _literals():
    """Yield every action that verbs write literally, with its place."""
    for file in sorted(Path(mailer.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.keyword)
                and node.arg == "action"
                and isinstance(node.value, ast.Constant)
            ):
                yield f"{file.name}:{node.value.lineno}", str(node.value.value)


def test_every_deed_has_words_and_an_area():
    """Those that verbs write as they stand; the walk of POSTs finds those that are put together."""
    written = [
        (place, action) for place, action in _literals() if re.fullmatch(r"[a-z]+(\.[a-z_ ]+)+", action)
    ]
    assert len(written) > 20
    assert [(place, action) for place, action in written if action not in deeds.ACTIONS] == []
    assert {action.partition(".")[0] for action in deeds.ACTIONS} == set(deeds.AREAS)


def test_what_was_done_is_said_in_both_languages(admin, sqlite_database, make):
    """With what stood there before and after, and without what stayed."""
    note(sqlite_database, before={"role": "editor", "name": "A"}, after={"role": "viewer", "name": "A"})
    english, chinese = admin.get("/admin/activity").text, admin.get("/admin/activity?lang=zh").text
    assert "changed an account" in english
    assert "mailer itself" in english
    assert re.search(r'Role</th><td class="old">Editor</td><td class="new">Viewer<', english)
    assert ">Name</th>" not in english
    assert "修改了账号" in chinese
    assert re.search(r'角色</th><td class="old">编辑</td><td class="new">查看者<', chinese)
    assert "user.change" not in re.sub(r'value="[^"]*"', "", english)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a", "b", "c", "d"}),
        ("?actor=ANN", {"b"}),
        ("?actor=%25", set()),
        ("?action=campaign.launch", {"b"}),
        ("?action=campaign.", {"b", "c"}),
        ("?subject=Campaign 7", {"c"}),
        ("?partner=1", {"d"}),
        ("?partner=x", {"a", "b", "c", "d"}),
        ("?since=2026-11-20", {"a", "b"}),
        ("?until=2026-11-18", {"d"}),
        ("?since=2026-11-19&until=2026-11-19", {"c"}),
        ("?since=yesterday", {"a", "b", "c", "d"}),
        ("?action=campaign.&since=2026-11-20", {"b"}),
    ],
)
def test_the_log_is_filtered_by_who_what_whom_and_when(admin, sqlite_database, make, query, found):
    """Any of it together, on the page and in the export; what cannot be read filters nothing."""
    partner = make.partner("moe")
    assert partner.id == 1
    ann = Actor(None, "ann@example.org")
    note(sqlite_database, after={"name": "mark-d"}, days=2, partner_id=1)
    note(sqlite_database, "campaign.pause", after={"name": "mark-c"}, days=1, subject="campaign 7")
    note(sqlite_database, "campaign.launch", after={"name": "mark-b"}, actor=ann, subject="campaign 8")
    note(sqlite_database, after={"name": "mark-a"})
    page = admin.get(f"/admin/activity{query}")
    assert page.status_code == 200
    assert set(re.findall(r"mark-([a-d])", page.text)) == found
    sheet = admin.get(f"/admin/activity/export{query}")
    assert set(re.findall(r"mark-([a-d])", sheet.text)) == found


def test_pages_go_on_where_the_last_ended(admin, sqlite_database):
    """Whatever is added meanwhile: nobody sees an entry twice or misses one."""
    for number in range(entries.PAGE + 3):
        note(sqlite_database, after={"name": f"<{number}>"})
    page = admin.get("/admin/activity").text
    older = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    note(sqlite_database, after={"name": "meanwhile"})
    page = admin.get(older).text
    assert re.findall(r"&lt;(\d+)&gt;", page) == ["2", "1", "0"]
    assert 'rel="next"' not in page
    assert "Newest" in page


def test_the_export_is_safe_in_a_spreadsheet_and_whole(admin, sqlite_database, make):
    """UTF-8 with its mark, one line an entry, no cell that runs."""
    evil = Actor(None, "=cmd|calc@example.org")
    note(sqlite_database, actor=evil, before={"name": "绿色"}, after=None)
    answer = admin.get("/admin/activity/export?lang=zh")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("\ufeff")
    header, row = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert header == ["when", "who", "action", "what", "subject", "partner", "before", "after"]
    assert row[1] == "'=cmd|calc@example.org"
    assert row[3] == "修改了账号"
    assert row[6] == '{"name": "绿色"}'


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, None, []),
        ({"a": 1, "b": None}, {"a": 1, "b": ""}, []),
        (None, {"open": True}, [("Open", "", "yes")]),
        ({"name": HUSHED}, {"name": HUSHED}, [("Name", "(not kept here)", "(not kept here)")]),
        (["x"], ["x", "y"], [("", "x", "x, y")]),
        ({"strange": {"deep": [1]}}, {}, [("strange", '{"deep": [1]}', "")]),
        ({"events": 1200}, {"events": 0}, [("Cases", "1,200", "0")]),
    ],
)
def test_any_kind_of_fact_can_be_shown(before, after, shown):
    """Whatever verbs kept, also those of earlier versions."""
    i18n.use("en")
    found = deeds.changes(AuditEntry(before=before, after=after))
    assert [tuple(change) for change in found] == shown


def test_the_log_keeps_no_names_of_readers():
    """Of a person's names and notes it says that they changed: it would outlive their erasure."""
    facts = {"language": "zh", "name_en": "Ann Lee", "notes": "ill"}
    assert audit.hushed(facts, but=("language",)) == {"language": "zh", "name_en": HUSHED, "notes": HUSHED}


def test_all_of_a_long_log_is_read_as_it_leaves(make, sqlite_database):
    """Not page by page in memory."""
    with sqlite_database.write() as session:
        session.add_all(
            AuditEntry(at=NOON, actor="system", action="x", subject=f"s {n}") for n in range(2500)
        )
    with sqlite_database.read() as session:
        assert len(list(entries.every(session, Filter()))) == 2500


def test_the_filter_understands_what_the_page_says(sign_in, make, sqlite_database):
    """“campaign 7” on a Chinese page is “发送任务 7”, and is found by it."""
    admin = sign_in(Role.ADMIN)
    with sqlite_database.write() as session:
        audit.record(session, now=NOON, actor=SYSTEM, action="campaign.pause", subject="campaign 7")
        audit.record(session, now=NOON, actor=SYSTEM, action="campaign.pause", subject="campaign 8")
    for language, written in (("zh", "发送任务"), ("en", "campaign")):
        page = admin.get(f"/admin/activity?lang={language}&subject={written} 7").text
        assert f"{written} 7</a>" in page
        assert f"{written} 8</a>" not in page
