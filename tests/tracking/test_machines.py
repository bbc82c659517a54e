"""Machines are told from people by the name they give."""

from __future__ import annotations

import pytest

from mailer.tracking import machine

PEOPLE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile MicroMessenger/8.0.50",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
)  # fmt: skip
MACHINES = (
    "", "  ", "Mozilla/5.0", "curl/8.5.0", "python-requests/2.32.0", "Barracuda Sentinel (EE)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0 Safari/537.36",
)  # fmt: skip


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_people(user_agent: str) -> None:
    """Also behind Gmail's picture proxy, and inside WeChat."""
    assert not machine(user_agent)


@pytest.mark.parametrize("user_agent", MACHINES)
def test_machines_are_told_with_what_gave_them_away(user_agent: str) -> None:
    """No name at all is one of the signs."""
    assert machine(user_agent)
