"""An editor in a real browser: a segment built by clicking, counted meanwhile, and a campaign for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailer.delivery.store import CampaignState, EventKind
from tests.journeys.test_browser import READERS, Site, screen, site
from tests.make import Make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

__all__ = ["screen", "site"]  # fixtures


@pytest.fixture
def opened(site: Site) -> None:
    """Two English readers outside of the ministry, of whom one has opened a letter last week."""
    make, last_week = Make(site.database), datetime.now(UTC) - timedelta(days=7)
    make.subscriber("quiet@elsewhere.example")
    reader = make.subscriber("keen@elsewhere.example")
    campaign = make.campaign(CampaignState.SENT, issue=make.issue("11"))
    make.event(make.delivery(subscriber=reader, campaign=campaign), EventKind.OPEN, at=last_week)
    make.issue("12")


def test_a_segment_is_built_by_clicking_and_used_in_a_campaign(
    site: Site, screen: Page, opened: None
) -> None:
    """(language = zh and partner.kind = ministry) or opened in last 90 days; nobody reloads anything."""
    from playwright.sync_api import expect  # starting it costs every run a third of a second

    site.sign_in(screen, "editor", "segments@secretariat.example")
    screen.goto(f"{site.url}/desk/segments")
    screen.get_by_role("link", name="Make a segment").click()
    total = screen.locator("[data-total]")
    expect(total).to_have_text(str(READERS + 2))
    screen.get_by_role("button", name="Add a group").click()
    inner = screen.locator(".group .group")
    inner.get_by_label("How the conditions are joined").select_option("all")
    screen.get_by_label("How the conditions are joined").first.select_option("any")
    expect(total).to_have_text(str(READERS // 2))
    inner.get_by_role("button", name="Add a condition").click()
    expect(screen.get_by_label("What is asked about")).to_have_count(2)
    inner.get_by_label("What is asked about").nth(1).select_option("partner.kind")
    expect(screen.locator("[data-part=found] code")).to_have_text("language = zh and partner.kind = ministry")
    screen.get_by_role("button", name="Add a condition").last.click()
    expect(screen.get_by_label("What is asked about")).to_have_count(3)
    screen.get_by_label("What is asked about").last.select_option("opened")
    expect(total).to_have_text(str(READERS // 2 + 1))
    screen.get_by_label("Value").last.fill("3")  # typed, not sent: the count follows by itself
    expect(total).to_have_text(str(READERS // 2))
    screen.get_by_label("Value").last.fill("90")
    expect(total).to_have_text(str(READERS // 2 + 1))

    screen.get_by_label("Address", exact=True).fill("quiet@elsewhere.example")
    screen.get_by_role("button", name="Show why").click()
    expect(screen.locator("[data-part=why]")).to_contain_text(
        "quiet@elsewhere.example is not in the audience."
    )
    screen.get_by_role("button", name="Text", exact=True).click()
    rule = "(language = zh and partner.kind = ministry) or opened in last 90 days"
    expect(screen.get_by_label("The rule as text")).to_have_value(rule)
    screen.get_by_role("button", name="Build", exact=True).click()
    expect(screen.get_by_label("What is asked about")).to_have_count(3)
    screen.get_by_label("Name of the segment").fill("Ministries and openers")
    screen.get_by_role("button", name="Save").click()
    screen.get_by_text("“Ministries and openers” is saved.").wait_for()

    screen.goto(f"{site.url}/desk/segments")
    expect(screen.locator("[data-fill]")).to_have_text(str(READERS // 2 + 1))
    screen.goto(f"{site.url}/desk/issues")
    screen.get_by_role("link", name="12").first.click()
    screen.get_by_role("link", name="Make a campaign").click()
    screen.get_by_label("Saved segment").select_option("Ministries and openers")
    expect(screen.locator("[data-count]")).to_contain_text(f"{READERS // 2 + 1} letters")
    screen.get_by_role("button", name="Save").click()
    expect(screen.locator(".facts code").first).to_have_text(rule)
