"""Machines that open letters and follow links for people: mail filters, previews, archives. Pure.

Told here by the name they give. Gmail's and Yahoo's picture proxies are left out on purpose: they fetch
when a person opens the letter.
"""

from __future__ import annotations

_NAMES = (  # as they stand in User-Agent, lower case
    "barracuda", "mimecast", "proofpoint", "symantec", "trendmicro", "fortinet", "sophos", "cloudmark",
    "forcepoint", "zscaler", "urldefense", "safelinks", "ms-office", "microsoft office existence discovery",
    "bitlybot", "skypeuripreview", "whatsapp/", "telegrambot", "slackbot", "facebookexternalhit",
    "headlesschrome", "phantomjs", "python-requests", "python-urllib", "python-httpx", "aiohttp", "curl/",
    "wget/", "go-http-client", "okhttp", "apache-httpclient", "java/", "libwww-perl", "node-fetch", "axios/",
    "bot/", "bot;", "bot)", "crawler", "spider", "scanner", "linkcheck", "preview", "monitor",
)  # fmt: skip
_BARE = frozenset({"", "mozilla/5.0", "mozilla/4.0"})  # Apple's mail privacy proxy, and filters in disguise


def machine(user_agent: str) -> str:
    """Return what gives a machine away, "" for a person: so it also answers whether it is one."""
    told = user_agent.strip().lower()
    if told in _BARE:
        return told or "no name"
    return next((name for name in _NAMES if name in told), "")
