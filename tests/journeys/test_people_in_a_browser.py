"""What the README promises of people, each as a person would do it: two desks, a reader, an account."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailer.accounts import sessions, totp, users
from mailer.feedback.outbox import Outbox
from tests.journeys.test_browser import Site, screen, site
from tests.make import Make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

__all__ = ["screen", "site"]  # fixtures

PATIENCE = 30.0  # seconds until a mail must be there


def test_a_partner_pauses_asks_and_invites_and_the_secretariat_answers(site: Site, screen: Page) -> None:
    """A manager's day: somebody is away, seats run out, a colleague joins; each deed is noted."""
    from playwright.sync_api import expect  # starting it costs every run a third of a second

    site.sign_in(screen, "partner", "day@mee.example")
    screen.get_by_role("link", name="Our people").click()
    screen.get_by_role("link", name="reader12@mee.example").click()
    screen.get_by_text("Pause letters for a while").click()
    screen.get_by_label("Letters start again on").fill(f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}")
    screen.get_by_role("button", name="Pause").click()
    expect(screen.get_by_role("button", name="Let letters go on now")).to_be_visible()

    screen.get_by_role("link", name="Requests").click()
    screen.get_by_label("More seats").check()
    screen.get_by_label("How many seats in all").fill("90")
    screen.get_by_label("In your words").fill("A new department.")
    screen.get_by_role("button", name="Send the request").click()
    screen.get_by_role("link", name="Team").click()
    screen.get_by_label("Email address").fill("second@mee.example")
    screen.get_by_label("English").check()
    screen.get_by_role("button", name="Invite").click()
    expect(screen.get_by_text("second@mee.example").last).to_be_visible()

    site.sign_in(screen, "admin", "answers@secretariat.example")
    expect(screen.get_by_text("1 request of a partner is open.")).to_be_visible()
    screen.get_by_role("link", name="Answer", exact=True).click()
    screen.get_by_role("button", name="Grant").click()
    screen.get_by_role("link", name="Home").click()
    expect(screen.get_by_text("request of a partner is open")).to_have_count(0)

    screen.context.clear_cookies()
    _enter(site, screen, "day@mee.example")
    expect(screen.get_by_text("of 90 seats taken")).to_be_visible()
    expect(screen.get_by_text("More seats: granted")).to_be_visible()
    screen.get_by_role("link", name="Activity").click()
    for deed in ("paused a person's letters", "asked the secretariat for something", "added an account"):
        expect(screen.get_by_role("rowheader", name=re.compile(deed, re.I)).first).to_be_visible()


def test_a_partner_is_added_and_its_manager_comes_in_by_the_link(site: Site, screen: Page) -> None:
    """From the directory to the manager's first page: nobody looks up a code or a country's letters."""
    from playwright.sync_api import expect

    site.sign_in(screen, "admin", "directory@secretariat.example")
    screen.get_by_role("link", name="Partners").click()
    form = screen.locator("#new")
    form.get_by_label("Name in English").fill("Ministry of Rivers")
    form.get_by_label("Code").fill("rivers")
    form.get_by_label("Country").select_option(label="Kenya")
    form.get_by_label("Language").select_option(label="English")
    form.get_by_role("button", name="Add").click()
    screen.get_by_role("link", name="Add a manager").click()
    screen.get_by_label("Email address").fill("first@rivers.example")
    expect(screen.get_by_label("Partner", exact=True)).to_have_value("rivers")
    screen.get_by_role("button", name="Add and make a sign-in link").click()
    link = screen.locator("input[value*='/sign-in/']").input_value()
    screen.context.clear_cookies()
    screen.goto(link)
    screen.get_by_role("button", name="Sign in").click()
    expect(screen.get_by_role("heading", name="Welcome. Who should receive the newsletter?")).to_be_visible()


def test_many_are_changed_at_once_looked_at_first_and_set_back(site: Site, screen: Page) -> None:
    """The preview says how many; the undo says how many; the people are as they were."""
    from playwright.sync_api import expect

    site.sign_in(screen, "editor", "many@secretariat.example")
    screen.get_by_role("link", name="Subscribers").click()
    screen.get_by_label("Address or name").fill("reader1")
    screen.get_by_role("button", name="Search").click()
    screen.get_by_role("link", name="Change them all").click()
    screen.get_by_label("Do", exact=True).select_option(label="Set the country")
    screen.get_by_role("button", name="Go on").click()
    screen.get_by_label("Country").last.select_option(label="France")
    screen.get_by_role("button", name="See what would happen").click()
    expect(screen.locator(".figures b").first).to_have_text("11")  # reader1, reader10 … reader19
    screen.get_by_role("button", name="Make the change").click()
    back = screen.get_by_role("button", name="Take back")
    back.wait_for(timeout=30_000)
    french = f"{site.url}/admin/subscribers?search=reader1&country=FR"
    change = screen.url
    screen.goto(french)
    expect(screen.get_by_role("rowheader")).to_have_count(11)
    screen.goto(change)
    screen.once("dialog", lambda dialog: dialog.accept())
    back.click()
    expect(screen.get_by_text("11 were put back.")).to_be_visible()
    screen.goto(french)
    expect(screen.get_by_role("rowheader")).to_have_count(0)


def test_two_entries_of_a_person_become_one(site: Site, screen: Page) -> None:
    """Found by the name, compared side by side, merged, and both addresses are one person afterwards."""
    from playwright.sync_api import expect

    make = Make(site.database)
    for address in ("mary.jones@mee.example", "m.jones@mee.example"):
        make.subscriber(address, name_en="Mary Jones", given_en="Mary", family_en="Jones")
    site.sign_in(screen, "admin", "merges@secretariat.example")
    screen.get_by_role("link", name="Subscribers").click()
    screen.get_by_role("link", name="Duplicates").click()
    screen.get_by_role("button", name="Look now").click()
    screen.get_by_role("link", name="Merge, keep mary.jones@mee.example").click()
    screen.get_by_role("button", name="Merge").click()
    screen.goto(f"{site.url}/admin/subscribers?search=jones")
    expect(screen.locator("tbody tr")).to_have_count(1)
    expect(screen.locator("tbody")).to_contain_text("mary.jones@mee.example")


def test_codes_from_an_app_are_set_up_and_a_forgotten_device_is_signed_out(site: Site, screen: Page) -> None:
    """The picture's key goes into an app; the next sign-in asks for its code; another device is ended."""
    from playwright.sync_api import expect

    site.sign_in(screen, "admin", "codes@secretariat.example")
    now = datetime.now(UTC)
    with site.database.write() as session:
        user = users.get(session, "codes@secretariat.example")
        sessions.open_session(session, user_id=user.id, now=now)
    screen.get_by_role("link", name="codes@secretariat.example").click()
    screen.once("dialog", lambda dialog: dialog.accept())
    screen.get_by_role("button", name="Sign out all others").click()
    expect(screen.locator("tbody tr")).to_have_count(1)
    screen.get_by_role("link", name="Set up codes").click()
    screen.get_by_role("button", name="Begin").click()
    secret = b32decode(re.sub(r"\s", "", screen.locator("code.copy").inner_text()).upper())
    screen.get_by_label("The six").fill(totp.code_at(secret, totp.step_of(datetime.now(UTC))))
    screen.get_by_role("button", name="Switch codes on").click()
    recovery = screen.locator("ol li code").first.inner_text()
    screen.get_by_role("link", name="I have kept them").click()
    screen.context.clear_cookies()
    _enter(site, screen, "codes@secretariat.example", lands="code")
    screen.get_by_label("Code from your phone").fill(recovery)
    screen.get_by_role("button", name="Go on").click()
    screen.get_by_role("link", name="Activity").click()
    noted = screen.locator(".said").filter(has_text="switched sign-in codes on")
    expect(noted.get_by_role("row", name="Sign-in codes")).to_have_text(re.compile(r"no\s*yes"))


def test_a_reader_comes_by_a_form_on_another_site_and_goes_with_all_traces(site: Site, screen: Page) -> None:
    """Sign up, confirm, choose, pause, take the data, be erased: each by a link that was mailed."""
    from playwright.sync_api import expect

    site.sign_in(screen, "editor", "forms@secretariat.example")
    screen.get_by_role("link", name="Subscribers").click()
    screen.get_by_role("link", name="Sign-up forms").click()
    snippet = screen.locator("pre.snippet").first.inner_text()
    screen.context.clear_cookies()

    address = "visitor@elsewhere.example"
    screen.set_content(f"<!doctype html><html lang=en><title>A partner</title>{snippet}")  # their own page
    screen.locator("input[type=email]").fill(address)
    screen.locator("input[name=agreed]").check()
    screen.locator("button").click()
    screen.wait_for_timeout(2500)  # milliseconds: nobody reads and presses faster
    screen.get_by_role("button", name="Subscribe").click()
    expect(screen.get_by_role("heading", name="Please look into your mailbox")).to_be_visible()
    screen.goto(_mailed(site, address, "joining"))
    screen.get_by_role("button", name="Yes, subscribe me").click()
    screen.get_by_role("link", name="Your preferences").click()
    screen.get_by_label("中文").check()
    screen.get_by_role("button", name="Save").last.click()
    screen.get_by_text("Pause for a while").click()
    screen.get_by_role("button", name="3 months").click()
    expect(screen.get_by_role("button", name="Let letters come again")).to_be_visible()
    preferences = screen.url
    screen.get_by_role("button", name="See all my data").click()
    screen.goto(_mailed(site, address, "data"))
    with screen.expect_download() as taken:
        screen.get_by_role("link", name="Take it with you").click()
    assert address in taken.value.path().read_text("utf-8")
    screen.goto(preferences)
    screen.get_by_role("button", name="Erase me").click()
    screen.goto(_mailed(site, address, "erase"))
    screen.get_by_role("button", name="Erase me").click()
    expect(screen.get_by_role("heading", name="Your data are erased")).to_be_visible()


def _enter(site: Site, screen: Page, email: str, lands: str = "desk|partner") -> None:
    """Sign in once more with an account that is there."""
    with site.database.write() as session:
        user = users.get(session, email)
        token = sessions.make_link(session, user_id=user.id, now=datetime.now(UTC))
    screen.goto(f"{site.url}/sign-in/{token}?lang=en")
    screen.get_by_role("button", name="Sign in").click()
    screen.wait_for_url(re.compile(rf"/({lands})(\?|$)"))


def _mailed(site: Site, address: str, page: str) -> str:
    """Return the link to ``page`` in the newest mail to an address, once it is there."""
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        outbox = Outbox(site.data)
        for letter in outbox.listing(address):
            if found := re.search(rf"http\S+/{page}/[a-z2-7]+", outbox.parts(letter.id).text or ""):
                outbox.close()
                return f"{found[0]}?lang=en"
        outbox.close()
        time.sleep(0.2)
    raise AssertionError(f"no mail with a link to {page}")


def test_what_went_wrong_is_what_a_page_begins_with(site: Site, page: Page) -> None:
    """The form stands below the fold of a phone: the trouble has the focus, without a script."""
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 375, "height": 320})
    site.sign_in(page, "partner", "sight@mee.example")
    page.goto(f"{site.url}/partner/team")
    page.get_by_label("Email address").fill("sight@mee.example")
    page.get_by_label("English").check()
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("alert")).to_contain_text("on your team already")
    expect(page.get_by_role("alert")).to_be_focused()
