"""A new manager with a phone, in Chinese, without a manual: three colleagues are added, an address mended."""

from __future__ import annotations

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
from mailer.accounts.store import Role
from mailer.database import Database
from mailer.settings import Settings
from tests.make import SECRET, Make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SECONDS = 1000  # milliseconds, for the browser's own waits
PHONE = {"width": 375, "height": 740}


@pytest.fixture
def desk(tmp_path: Path, page: Page) -> Iterator[tuple[Page, Database]]:
    """A phone that holds the link a manager was sent, on a served installation without people."""
    settings = Settings(data=tmp_path, secret=SECRET)
    database = Database(settings.database)
    migrations.upgrade(database)
    make = Make(database)
    make.publication()
    make.partner("mee", name_zh="生态环境部", name_en="The Ministry", trusted=True)
    with database.write() as session:
        now = datetime.now(UTC)
        user = users.add(
            session, email="he@mee.example", role=Role.PARTNER, partner_code="mee", language="zh", now=now,
            actor=SYSTEM,
        )  # fmt: skip
        token = sessions.make_link(session, user_id=user.id, now=now)
    environment = {"MAILER_SECRET": SECRET, "MAILER_LISTENER_PORT": "0", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "mailer.cli", "serve", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found
        page.set_default_timeout(15 * SECONDS)
        page.set_viewport_size(PHONE)
        page.goto(f"{found[0]}/sign-in/{token}?lang=zh")
        yield page, database
        server.terminate()
        server.stderr.close()
    database.close()


def test_a_new_manager_adds_three_colleagues_and_mends_an_address(desk: tuple[Page, Database]) -> None:
    """Every step is the one thing the page offers; nothing has to be scrolled sideways."""
    from playwright.sync_api import expect  # starting it costs every run a third of a second

    phone, database = desk
    phone.get_by_role("button").last.click()
    expect(phone.get_by_role("heading", name="欢迎。哪些同事应接收通讯？")).to_be_visible()

    phone.get_by_role("link", name="添加人员").click()
    phone.get_by_label("每行一人").fill("李敏 <li@mee.example>\n王芳，wang@mee.example\nchen 在 mee.example")
    phone.get_by_label("对方已同意接收通讯").check()
    phone.get_by_role("button", name="添加").click()
    expect(phone.get_by_text("未添加", exact=True)).to_be_visible()
    box = phone.get_by_label("每行一人")
    expect(box).to_have_value(re.compile("chen 在 mee.example"))
    box.fill("陈静 chen@mee.example")
    phone.get_by_role("button", name="添加").click()
    phone.get_by_role("link", name="查看人员名单").click()
    expect(phone.locator("tbody tr")).to_have_count(3)

    Make(database).suppression("chen@mee.example", since=datetime.now(UTC))
    phone.goto(re.sub(r"/people.*", "", phone.url))
    expect(phone.get_by_text("有 1 个地址的邮件被退回。")).to_be_visible()
    phone.get_by_role("link", name="去修正").click()
    expect(phone.get_by_text("该地址没有对应的邮箱。")).to_be_visible()
    phone.get_by_role("link", name="更正地址").click()
    phone.get_by_label("现用地址").fill("chen.jing@mee.example")
    phone.get_by_label("对方已同意接收通讯").check()
    phone.get_by_role("button", name="保存地址").click()
    expect(phone.get_by_text("地址已更正为 chen.jing@mee.example。")).to_be_visible()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert phone.evaluate(wide) <= 0

    phone.get_by_role("link", name="待修正").click()
    expect(phone.get_by_role("heading", name="所有地址均正常")).to_be_visible()
