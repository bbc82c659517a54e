"""How the web app is served."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from mailer.server import web_config
from mailer.settings import Settings


async def who_asks(scope: Scope, receive: Receive, send: Send) -> None:
    client = Request(scope).client
    await PlainTextResponse(client.host if client else "")(scope, receive, send)


@pytest.mark.parametrize(
    ("trusted", "told"), [("", "10.0.0.9"), ("192.0.2.1", "10.0.0.9"), ("10.0.0.0/24", "203.0.113.7")]
)
def test_only_a_trusted_proxy_says_who_asks(trusted: str, told: str) -> None:
    """Else anybody could write X-Forwarded-For and slip through the limits on signing in."""
    config = web_config(who_asks, Settings(trusted_proxies=trusted))
    config.load()
    client = TestClient(config.loaded_app, client=("10.0.0.9", 50_000))
    assert client.get("/", headers={"X-Forwarded-For": "203.0.113.7"}).text == told


def test_addresses_with_tokens_are_in_no_access_log() -> None:
    """Law 9: whoever reads a log must not be able to leave, or sign in, for others."""
    assert not web_config(who_asks, Settings()).access_log
