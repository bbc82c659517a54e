"""A real browser on a real server: a manager brings a colleague's workbook in, and takes it back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailer import migrations
from mailer.accounts import sessions, users
from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from mailer.settings import Settings
from tests.audience.workbooks import workbook
from tests.make import SECRET, Make
from tests.shell import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SECONDS = 1000  # milliseconds
SHOWN = os.environ.get("SCREENSHOTS", "")  # a folder, for a person who wants to look

PEOPLE = [
    ["2026 年联络人"],
    ["姓名", "联系方式", "单位", "语言"],
    ["李敏", "li@mee.example", "司", "中文"],
    ["Ann Lee", "ann@gmial.com", "unit", "en"],
    ["王芳", "电话 13800138000", "处", "中文"],
    *([f"Reader {n}", f"reader{n}@mee.example", "unit", "en"] for n in range(60)),
]


@pytest.fixture
def desk(tmp_path: Path, page: Page) -> Iterator[Page]:
    """A manager of a trusted partner, signed in at a served installation."""
    settings = Settings(data=tmp_path, secret=SECRET)
    database = Database(settings.database)
    migrations.upgrade(database)
    make = Make(database)
    make.publication()
    make.partner("mee", name_en="The Ministry", trusted=True)
    with database.write() as session:
        now = datetime.now(UTC)
        user = users.add(
            session, email="m@mee.example", role="partner", now=now, actor=SYSTEM, language="en",
            partner_code="mee",
        )  # fmt: skip
        token = sessions.make_link(session, user_id=user.id, now=now)
    database.close()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(20 * SECONDS)
    command = [sys.executable, "-m", "mailer.cli", "serve", "--port", "0", "--data", str(tmp_path)]
    environment = {"MAILER_SECRET": SECRET, "MAILER_LISTENER_PORT": "0", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found
        page.goto(f"{found[0]}/sign-in/{token}?lang=en")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile("/partner"))
        page.goto(f"{found[0]}/partner/import")
        yield page
        server.terminate()
        server.stderr.close()
    assert not [each for each in trouble if "422" not in each]  # a form that comes back is no fault


def looked_at(page: Page, name: str) -> None:
    """No page is wider than a small phone; where somebody wants to look, it is kept as a picture."""
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        until(lambda: page.evaluate(fits))  # once it is laid out anew
        if SHOWN:
            page.screenshot(path=f"{SHOWN}/{name}-{width}.png", full_page=True)


def test_a_workbook_is_laid_out_checked_taken_in_and_undone(desk: Page, tmp_path: Path) -> None:
    """Columns on screen, a verdict per row, progress, report, undo; nobody needs a manual."""
    file = tmp_path / "联络人.xlsx"
    file.write_bytes(workbook(PEOPLE))
    looked_at(desk, "1-choose")
    desk.get_by_label("File").set_input_files(file)
    desk.get_by_role("button", name="Check it").click()
    desk.get_by_role("heading", name="What would happen").wait_for()
    looked_at(desk, "2-checked")
    desk.get_by_role("link", name="Change the columns").click()
    assert desk.get_by_label("联系方式").input_value() == "address"
    assert desk.get_by_label("语言").input_value() == "language"
    desk.get_by_label("单位").select_option("notes")
    looked_at(desk, "3-columns")
    desk.get_by_role("button", name="Check it").click()
    desk.get_by_text("The columns are named on line 2").wait_for()
    desk.get_by_role("link", name="refused 1").click()
    desk.get_by_text("is not an e-mail address").wait_for()
    looked_at(desk, "4-refused")
    desk.get_by_label("They have agreed").check()
    desk.get_by_role("button", name="Take it in").click()
    desk.get_by_role("heading", name="联络人.xlsx").wait_for()
    desk.get_by_role("button", name="Undo the import").wait_for()
    looked_at(desk, "5-report")
    desk.on("dialog", lambda dialog: dialog.accept())
    desk.get_by_role("button", name="Undo the import").click()
    desk.get_by_text("62 rows were put back.").wait_for()
    looked_at(desk, "6-undone")


def test_a_picture_called_csv_is_refused_beside_the_form(desk: Page, tmp_path: Path) -> None:
    """One sentence: what it is, and what to do."""
    file = tmp_path / "people.csv"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    desk.get_by_label("File").set_input_files(file)
    desk.get_by_role("button", name="Check it").click()
    desk.get_by_role("alert").get_by_text("This file is a picture, not a table").wait_for()
