"""Every page that a link leads to, in a real browser: the policy has to refuse nothing on any of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from mailer.accounts import second, sessions
from mailer.accounts.store import Role
from mailer.database import Database
from mailer.delivery.store import CampaignState, EventKind
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings
from mailer.web.app import create_app
from tests.journeys.looks import faults
from tests.make import Make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@contextmanager
def _running(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port; yield where."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def served(settings: Settings, sqlite_database: Database) -> Iterator[tuple[str, Database]]:
    """The application on a free port, with something on every page."""
    outbox = Outbox(settings.data)
    with _running(create_app(settings, sqlite_database, outbox)) as url:
        yield url, sqlite_database
    outbox.close()


def _furnish(database: Database) -> int:
    """Put a row of each kind in; return the partner's id."""
    make = Make(database)
    partner = make.partner("ours", name_en="Our Ministry")
    person = make.subscriber("ann@example.org", partner=partner)
    campaign = make.campaign(CampaignState.SENT)
    delivery = make.delivery(campaign=campaign, subscriber=person, partner=partner)
    make.campaign(CampaignState.DRAFT, issue=make.issue())
    make.event(delivery, EventKind.BOUNCE, category="bad_mailbox", detail="550 5.1.1 no such user")
    make.suppression("ann@example.org", note="550 5.1.1 no such user")
    make.own_rule("no such luck")
    make.topic("climate")
    return partner.id


def _cookie(database: Database, role: Role, keys: Settings, **given: object) -> str:
    now = datetime.now(UTC)
    user = Make(database).user(role, f"{role}@example.org", **given)
    with database.write() as session:
        second.begin(session, user_id=user.id, keys=keys.keys, now=now)  # so that the picture is shown
        return sessions.open_session(session, user_id=user.id, now=now)[0]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.PARTNER])
def test_the_policy_refuses_nothing_on_any_page(
    role: Role, served: tuple[str, Database], settings: Settings, page: Page
) -> None:
    """No inline script or style, no picture from elsewhere, no script that fails; and all can be read."""
    url, database = served
    partner_id = _furnish(database)
    given = {"partner_id": partner_id} if role == Role.PARTNER else {}
    page.context.add_cookies(
        [{"name": "mailer-session", "value": _cookie(database, role, settings, **given), "url": url}]
    )
    trouble: list[str] = []
    page.on(
        "console", lambda said: trouble.append(f"{page.url}: {said.text}") if said.type == "error" else None
    )
    page.on("pageerror", lambda error: trouble.append(f"{page.url}: {error}"))
    seen, waiting = set[str](), ["/", "/account/codes", "/sign-in", "/sign-in/link"]
    while waiting:
        path = waiting.pop(0)
        answer = page.goto(f"{url}{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            f"{path} is too wide"
        )
        assert faults(page) == [], path
        links = page.eval_on_selector_all("a[href^='/']", "all => all.map(each => each.getAttribute('href'))")
        for link in links:
            kind = _kind(link)
            if kind not in seen and not _FILES.search(link):
                seen.add(kind)
                waiting.append(link)
    assert trouble == []
    assert len(seen) > (30 if role == Role.ADMIN else 4), seen


def test_a_form_shows_in_a_frame_on_the_sites_that_are_named(
    settings: Settings, sqlite_database: Database, page: Page
) -> None:
    """The browser itself keeps every other site from framing it."""
    Make(sqlite_database).publication()
    framed = ""
    site = FastAPI()
    site.get("/", response_class=HTMLResponse)(lambda: f'<iframe src="{framed}" title="form"></iframe>')
    with _running(site) as named, _running(site) as other:
        app = create_app(settings.model_copy(update={"embed_sites": named}), sqlite_database)
        with _running(app) as url:
            framed = f"{url}/embed/observer.html?lang=en"
            form = page.frame_locator("iframe").get_by_role("heading", name="Subscribe to Green Observer")
            page.goto(named)
            form.wait_for()
            page.goto(other)
            assert form.count() == 0


_FILES = re.compile(r"/(export|raw|mail)\b|\.csv|\.xlsx|\.eml|lang=|^/sign-in/provider")


def _kind(link: str) -> str:
    """Return what links that lead to the same kind of page share: numbers and queries aside."""
    path = link.partition("?")[0].partition("#")[0]
    return re.sub(r"/[0-9a-f-]{36}|/\d+", "/…", path)
