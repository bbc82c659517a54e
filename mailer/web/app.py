"""The web application: routes of every role, and the headers every answer carries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http.cookies import SimpleCookie

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailer.database import Database
from mailer.delivery.dkim_dns import LookUp
from mailer.feedback.outbox import Outbox
from mailer.feedback.webhooks import certificates
from mailer.feedback.webhooks.certificates import Fetch
from mailer.feedback.webhooks.receiver import Receiver
from mailer.settings import Settings, templates
from mailer.tracking.machines import machine
from mailer.web import (
    access,
    account,
    accounts,
    activity,
    admin,
    campaigns,
    changes,
    duplicates,
    feedback,
    hooks,
    i18n,
    mailboxes,
    pages,
    partner,
    partners,
    people,
    retention,
    rules,
    secretariat,
    sending,
    sign_in,
    subscriber,
    suppressed,
    webhooks,
    wordings,
)
from mailer.web.forms import UPLOAD_LIMIT
from mailer.web.house import Doorkeeper, House, ask_dns, utc_now

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # not "no-referrer": browsers then send "Origin: null" with our own forms (Fetch standard §3.2)
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",  # a shared computer's back button shows nobody's people
}


def create_app(
    settings: Settings,
    database: Database,
    outbox: Outbox | None = None,
    clock: Callable[[], datetime] = utc_now,
    look_up: LookUp = ask_dns,
    fetch: Fetch = certificates.fetch,
) -> FastAPI:
    """Make the application. ``outbox`` None: there is no Outbox page, letters really leave.

    ``fetch`` gets the certificates that webhooks are signed with.
    """
    app = FastAPI(title="mailer", docs_url=None, redoc_url=None, openapi_url=None)
    receiver = Receiver(settings, database, fetch, machine)
    house = House(settings, database, outbox, clock, Doorkeeper(settings), look_up, receiver)
    app.state.house = house
    for stage in (
        sign_in, account, accounts, activity, secretariat, campaigns, partner, admin, partners, people,
        changes, duplicates, wordings, retention, feedback, rules, suppressed, sending, mailboxes, hooks,
        subscriber, webhooks,
    ):  # fmt: skip
        app.include_router(stage.router)
    app.include_router(account.codes)
    app.mount("/static", StaticFiles(directory=templates() / "pages" / "static"))
    pages.install(app)
    access.install(app)
    app.add_middleware(_Language)
    app.add_middleware(_SmallBodies)
    app.add_middleware(_Headers, secure=house.secure)
    return app


class _Headers:
    """Adds the security headers to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._secure = {"Strict-Transport-Security": "max-age=31536000"} if secure else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")
                for name, value in (*_HEADERS.items(), *self._secure.items()):
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


class _Language:
    """Chooses a request's language: the address's ``lang``, the cookie, or what the browser prefers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        asked = request.query_params.get("lang")
        wished = asked if asked in i18n.NAMES else request.cookies.get("lang")
        i18n.use(i18n.negotiate(wished, request.headers.get("accept-language", "")))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and asked in i18n.NAMES:
                MutableHeaders(scope=message).append("Set-Cookie", _remembering(asked))
            await send(message)

        await self._app(scope, receive, sending)


def _remembering(language: str) -> str:
    cookie: SimpleCookie = SimpleCookie({"lang": language})
    cookie["lang"].update({"path": "/", "max-age": str(365 * 86_400), "samesite": "lax"})
    return cookie["lang"].OutputString()


class _SmallBodies:
    """Stops reading a request that is larger than any form of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > UPLOAD_LIMIT:
                raise HTTPException(413)
            return message

        await self._app(scope, receiving, send)
