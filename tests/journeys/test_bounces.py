"""An administrator in a real browser: from a bounce that nobody understands to a rule, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailer.delivery import events
from mailer.delivery.events import News
from mailer.delivery.store import CampaignState, EventKind
from tests.journeys.test_browser import Site, screen, site
from tests.make import Make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

__all__ = ["screen", "site"]  # fixtures

SAID = "The addressee has left the service"


@pytest.fixture
def returned(site: Site) -> None:
    """Three letters that came back in words of a ministry's own, while the campaign was being sent."""
    make, now = Make(site.database), datetime.now(UTC)
    campaign = make.campaign(CampaignState.SENT)
    letters = [make.delivery(f"{name}@ministry.example", campaign=campaign) for name in ("ann", "bo", "eve")]
    with site.database.write() as session:
        events.record_many(
            session,
            [
                News(campaign_id=letter.campaign_id, n=letter.n, kind=EventKind.BOUNCE,
                     at=now - timedelta(hours=letter.n), source="smtp", category="unknown", permanent=True,
                     detail=f"RCPT: 554 {SAID} (ref {8820 + letter.n})")
                for letter in letters
            ],
        )  # fmt: skip


def test_a_bounce_becomes_a_rule_and_a_suppression_is_undone(
    site: Site, screen: Page, returned: None
) -> None:
    """Found, understood, tried, saved, the past judged by it; one reader turns out to be alive."""
    from playwright.sync_api import expect

    screen.on("dialog", lambda dialog: dialog.accept())
    site.sign_in(screen, "admin", "bounces@secretariat.example")
    screen.get_by_role("link", name="Bounces", exact=True).click()
    screen.get_by_role("link", name="ann@ministry.example").click()
    screen.get_by_role("link", name="Make a rule from this").click()
    expect(screen.get_by_label("Words")).to_have_value(f"{SAID} (ref")

    screen.get_by_label("Category").select_option("bad_mailbox")
    screen.get_by_label("The address is gone for good").check()
    screen.get_by_role("button", name="Try it on the past").click()
    expect(screen.locator(".count")).to_contain_text("3 of 3 bounces would be judged otherwise.")
    screen.get_by_role("button", name="Save").click()
    screen.get_by_text("Saved:").wait_for()

    screen.get_by_role("button", name="Judge the past by it").click()
    screen.get_by_text("3 cases are judged anew.").wait_for()
    screen.get_by_role("link", name="3 cases were judged anew by it.").click()
    screen.get_by_role("link", name="ann@ministry.example").click()
    undo = screen.get_by_role("button", name="Undo")
    for _ in range(50):  # the server's own worker decides within a second or two
        if screen.get_by_text("silenced", exact=True).count():
            break
        screen.wait_for_timeout(200)
        screen.reload()
    screen.get_by_label("Why undo it?").fill("she wrote to us from this address")
    undo.click()
    screen.get_by_text("Undone: it is as if this had never been decided.").wait_for()
    screen.get_by_role("heading", name="A person has to look at this").wait_for()

    screen.get_by_role("link", name="Bounces").first.click()
    screen.get_by_role("link", name="Suppressed").click()
    expect(screen.get_by_role("link", name="bo@ministry.example")).to_be_visible()
    expect(screen.get_by_role("link", name="ann@ministry.example")).to_have_count(0)
