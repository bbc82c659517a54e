"""A browser without a screen: the application under test, and people signed in to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from mailer.accounts import sessions
from mailer.accounts.store import Role, User
from mailer.database import Database
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings
from mailer.web.app import create_app
from tests.make import NOON, Make


@dataclass
class Visitor:
    """A person at a browser: ``csrf`` is what their session's forms carry; "" when not signed in."""

    client: TestClient
    csrf: str = ""
    user: User | None = None

    def get(self, path: str, **options: Any) -> Any:
        """Follow a link; redirects are followed."""
        return self.client.get(path, **options)

    def post(self, path: str, **fields: Any) -> Any:
        """Send one of our own forms; the answer is the page it leads to."""
        files = fields.pop("files", None)
        return self.client.post(path, data={"csrf": self.csrf, **fields}, files=files)


@pytest.fixture
def make(sqlite_database: Database) -> Make:
    """Builders: pages do not differ between databases, so these tests use SQLite alone."""
    return Make(sqlite_database)


@pytest.fixture
def outbox(settings: Settings) -> Iterator[Outbox]:
    """An outbox without letters."""
    box = Outbox(settings.data)
    yield box
    box.close()


@pytest.fixture
def names() -> dict[str, list[str]]:
    """The TXT records of the DNS, by name."""
    return {}


@pytest.fixture
def app(
    settings: Settings, sqlite_database: Database, outbox: Outbox, names: dict[str, list[str]]
) -> FastAPI:
    """The application at NOON."""
    return create_app(
        settings, sqlite_database, outbox, clock=lambda: NOON, look_up=lambda name: names.get(name, [])
    )


@pytest.fixture
def visit(app: FastAPI) -> Iterator[Callable[[], Visitor]]:
    """Somebody who is not signed in; each call is another browser."""
    opened: list[TestClient] = []

    def visitor() -> Visitor:
        client = TestClient(app, raise_server_exceptions=False, headers={"accept-language": "en"})
        opened.append(client)
        return Visitor(client)

    yield visitor
    for client in opened:
        client.close()


@pytest.fixture
def sign_in(visit: Callable[[], Visitor], make: Make, sqlite_database: Database) -> Callable[..., Visitor]:
    """Somebody signed in with a role; ``given`` are facts of the account."""

    def signed_in(role: Role, **given: Any) -> Visitor:
        visitor = visit()
        visitor.user = make.user(role, **given)
        with sqlite_database.write() as session:
            cookie, visitor.csrf = sessions.open_session(session, user_id=visitor.user.id, now=NOON)
        visitor.client.cookies.set("mailer-session", cookie)
        return visitor

    return signed_in


def routes(app: FastAPI) -> Iterator[APIRoute]:
    """Every route of the application, also those of included routers."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        yield from (each for each in (inner.routes if inner else [route]) if isinstance(each, APIRoute))


def hidden(html: str, name: str = "csrf") -> str:
    """Return what a page's hidden field holds."""
    found = re.search(f'name="{name}" value="([^"]*)"', html)
    assert found, f"the page has no field {name}"
    return found[1]
