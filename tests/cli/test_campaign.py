"""``mailer campaign`` and ``mailer publication``: the hours in which letters may leave."""

from __future__ import annotations

import pytest

from mailer.settings import templates
from tests.shell import Person


@pytest.fixture
def issue(mailer: Person) -> int:
    """The sample issue, of the default publication."""
    made: int = mailer("issue", "import", templates() / "sample" / "issue-en.md", "--json").json["issue"]
    return made


def test_a_campaign_is_made_with_hours(mailer: Person, issue: int) -> None:
    """A window in one spelling, and readers' own hour; both are shown again."""
    words = ["--at", "2026-12-01T08:00", "--window", "Mon-Fri 8:00-18:00", "--local-time"]
    made = mailer("campaign", "create", issue, *words, "--json").json
    assert (made["window"], made["local_time"], made["opens_at"]) == ("mon-fri 08:00-18:00", True, None)
    assert "mon-fri 08:00-18:00" in mailer("campaign", "status", made["campaign"]).out


def test_a_publications_hours_are_those_of_its_new_campaigns(mailer: Person, issue: int) -> None:
    """Unless a campaign says otherwise; "" lifts them."""
    assert mailer("publication", "set", "newsletter", "--window", "08:00-20:00").status == 0
    assert mailer("publication", "list", "--json").json["window"] == "08:00-20:00"
    assert mailer("campaign", "create", issue, "--json").json["window"] == "08:00-20:00"
    assert mailer("campaign", "create", issue, "--window", "", "--json").json["window"] == ""
    assert mailer("publication", "set", "newsletter", "--window", "").status == 0
    assert mailer("publication", "list", "--json").json["window"] == ""


def test_hours_that_cannot_be_kept_are_told_in_a_sentence(mailer: Person, issue: int) -> None:
    """How to write a window; that readers' own hour needs one."""
    assert "write it like" in mailer("campaign", "create", issue, "--window", "office hours").sentence
    assert "write it like" in mailer("publication", "set", "newsletter", "--window", "9-5").sentence
    assert "needs a day and an hour" in mailer("campaign", "create", issue, "--local-time").sentence
