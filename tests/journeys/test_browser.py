"""A real browser on a real server: from an uploaded file to the letters on the Outbox page and the report."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailer import migrations
from mailer.accounts import sessions, users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import Role
from mailer.content import markdown
from mailer.database import Database
from mailer.delivery import campaigns
from mailer.feedback.outbox import Outbox
from mailer.issues import editions
from mailer.settings import Settings, templates
from tests.make import SECRET, Make, document

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

READERS = 40
SECONDS = 1000  # milliseconds, for the browser's own waits


@dataclass
class Site:
    """A served installation; ``url`` is where."""

    url: str
    database: Database
    data: Path

    def sign_in(self, page: Page, role: str, email: str) -> None:
        """Sign ``page`` in by a link, as a person would: by its button."""
        with self.database.write() as session:
            now = datetime.now(UTC)
            user = users.add(
                session, email=email, role=role, now=now, actor=SYSTEM, language="en",
                partner_code="mee" if role == Role.PARTNER else None,
            )  # fmt: skip
            token = sessions.make_link(session, user_id=user.id, now=now)
        page.context.clear_cookies()
        page.goto(f"{self.url}/sign-in/{token}?lang=en")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile("/(desk|partner)$"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """``mailer serve`` on a folder with a partner and readers in two languages."""
    data = tmp_path_factory.mktemp("site")
    settings = Settings(data=data, secret=SECRET)
    database = Database(settings.database)
    migrations.upgrade(database)
    make = Make(database)
    make.publication()
    partner = make.partner("mee", name_en="The Ministry", trusted=True)
    for number in range(READERS):
        language = "zh" if number % 2 else "en"
        make.subscriber(f"reader{number}@mee.example", language=language, partner=partner)
    environment = {
        "MAILER_SECRET": SECRET,
        "MAILER_LISTENER_PORT": "0",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "mailer.cli", "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr
        said = server.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found, f"the server said {said!r}"
        yield Site(found[0], database, data)
        server.terminate()
        server.stderr.close()
    database.close()


@pytest.fixture
def screen(page: Page, site: Site) -> Iterator[Page]:
    """A page that must not be complained about: no script error, nothing the policy had to refuse."""
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(15 * SECONDS)
    yield page
    assert not trouble


def test_an_issue_goes_from_a_file_to_the_outbox_and_its_report(site: Site, screen: Page) -> None:
    """Three people, three browsers: the editor uploads and asks, another approves, a third launches."""
    from playwright.sync_api import expect  # starting it costs every run a third of a second

    sample = templates() / "sample"
    site.sign_in(screen, "editor", "editor@secretariat.example")
    screen.get_by_role("link", name="Upload an issue").click()
    _upload(screen, sample / "issue-zh.md")
    screen.get_by_role("link", name="Add the edition in the other language").click()
    _upload(screen, sample / "issue-en.md")
    issue = screen.url

    screen.get_by_role("link", name="Preview").last.click()
    screen.get_by_role("link", name="Phone").click()
    letter = screen.frame_locator("iframe.phone")
    expect(letter.locator("h1").first).to_be_visible()
    assert (
        letter.locator("img").first.evaluate("picture => picture.decode().then(() => picture.naturalWidth)")
        > 0
    )

    screen.goto(issue)
    screen.get_by_role("link", name="Make a campaign").click()
    count = screen.locator("[data-count]")
    expect(count).to_contain_text("40 letters")
    screen.get_by_label("Audience").fill("language = zh and partner.kind = ministry")
    expect(count).to_contain_text("20 letters")
    screen.get_by_label("Audience").fill("language is")
    expect(count).to_have_class("count wrong")
    screen.get_by_label("Audience").fill("everyone")
    screen.get_by_role("button", name="Save").click()
    screen.get_by_role("button", name="Ask for approval").click()
    expect(screen.locator(".head .tag")).to_have_text("Waiting for approval")
    campaign = screen.url

    site.sign_in(screen, "approver", "approver@secretariat.example")
    screen.set_viewport_size({"width": 375, "height": 740})
    screen.goto(campaign)
    screen.get_by_role("button", name="Approve").click()
    expect(screen.locator(".head .tag")).to_have_text("Approved")

    site.sign_in(screen, "sender", "sender@secretariat.example")
    screen.set_viewport_size({"width": 1280, "height": 900})
    screen.goto(campaign)
    screen.get_by_role("link", name="Launch now").click()
    expect(screen.locator("h1")).to_contain_text("Send 40 letters now?")
    screen.get_by_role("button", name="Launch").click()
    # nobody reloads: the page follows by itself until everything is sent
    screen.locator('[data-state="sent"]').wait_for(timeout=60 * SECONDS)
    expect(screen.locator('[data-figure="accepted"]')).to_have_text("40")
    screen.get_by_role("link", name="Accepted").click()
    expect(screen.locator("tbody tr")).to_have_count(READERS)

    screen.get_by_role("link", name="Outbox").click()
    screen.get_by_label("Recipient or subject").fill("reader7@")
    screen.get_by_role("button", name="Search").click()
    screen.get_by_role("link", name="reader7@mee.example").click()
    screen.get_by_role("link", name="Dark").click()
    expect(screen.frame_locator("iframe.dark").locator("h1").first).to_be_visible()


def _upload(screen: Page, file: Path) -> None:
    screen.get_by_label("File").set_input_files(file)
    screen.get_by_label("Pictures").set_input_files(sorted((file.parent / "figures").iterdir()))
    screen.get_by_role("button", name="Upload").click()
    screen.get_by_role("heading", name="Campaigns").wait_for()


@pytest.fixture
def letter(site: Site) -> str:
    """The text of a letter that the server sent: the sweep finds a campaign launched from another process."""
    now, settings = datetime.now(UTC), Settings(data=site.data, secret=SECRET, base_url=site.url)
    with site.database.write() as session:
        sample = markdown.from_markdown(markdown.to_markdown(document("en")))
        issue = editions.take_in(session, sample, now=now, actor=SYSTEM).issue_id
        made = campaigns.create(session, issue_id=issue, audience="language = en", now=now, actor=SYSTEM)
        for verb in (campaigns.ask, campaigns.approve, campaigns.launch):
            given = {} if verb is campaigns.approve else {"settings": settings}
            verb(session, campaign_id=made.id, now=now, actor=SYSTEM, **given)
    outbox = Outbox(site.data)
    for _ in range(600):
        if found := outbox.listing("reader8@"):
            break
        time.sleep(0.1)
    text = outbox.parts(found[0].id).text
    outbox.close()
    assert text
    return text


def test_what_a_reader_finds_behind_the_links_of_a_letter(site: Site, screen: Page, letter: str) -> None:
    """Leave and come back, on a phone, without an account."""
    found = re.search(r"http\S+/leave/[a-z2-7]+", letter)
    assert found
    screen.context.clear_cookies()
    screen.set_viewport_size({"width": 320, "height": 640})
    screen.goto(f"{found[0]}?lang=en")
    screen.get_by_role("button", name="Leave").click()
    screen.get_by_role("heading", name="You have left").wait_for()
    screen.get_by_role("button", name="That was a mistake").click()
    screen.get_by_text("You are subscribed again.").wait_for()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_page_is_wider_than_a_small_phone(site: Site, screen: Page, language: str) -> None:
    """320 CSS pixels (WCAG 2.2, 1.4.10 Reflow): nobody scrolls sideways to read."""
    admin, manager = f"admin-{language}@secretariat.example", f"manager-{language}@mee.example"
    pages = {
        ("admin", admin): (
            "/desk/issues", "/desk/issues/new", "/desk/campaigns", "/desk/segments",
            "/desk/segments/new?rule=domain in (a.org, b.org) or opened ever",
            "/admin/users", "/admin/partners", "/admin/subscribers", "/admin/suppressions",
            "/admin/activity", "/admin/outbox",
            "/admin/feedback", "/admin/feedback?view=all", "/admin/rules", "/admin/rules/new",
            "/admin/dormant", "/admin/storms", "/admin/suppressions/new", "/admin/suppressions/import",
        ),
        ("partner", manager): (
            "/partner", "/partner/people", "/partner/people/new", "/partner/people/add", "/partner/bounced",
            "/partner/report", "/partner/requests", "/partner/team", "/partner/activity",
        ),
    }  # fmt: skip
    for (role, email), paths in pages.items():
        site.sign_in(screen, role, email)
        screen.set_viewport_size({"width": 320, "height": 640})
        for path in paths:
            screen.goto(f"{site.url}{path}{'&' if '?' in path else '?'}lang={language}")
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert screen.evaluate(wide) <= 0, path


def test_a_manager_is_asked_before_somebody_is_removed(site: Site, screen: Page) -> None:
    """Saying no to the question changes nothing; saying yes removes the person."""
    site.sign_in(screen, "partner", "manager@mee.example")
    screen.goto(f"{site.url}/partner/people/new")
    screen.get_by_label("Email address").fill("short@mee.example")
    screen.get_by_label("have agreed").check()
    screen.get_by_role("button", name="Add").click()
    screen.get_by_role("link", name="short@mee.example").click()
    answers = iter([False, True])
    screen.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    screen.get_by_role("button", name="Remove").click()
    assert "/partner/people/" in screen.url
    screen.get_by_role("button", name="Remove").click()
    screen.get_by_text("is no longer on your list").wait_for()
