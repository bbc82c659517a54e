"""The web application: routes of every role, and the headers every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from http.cookies import SimpleCookie

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailer.database import Database
from mailer.delivery.dkim_dns import LookUp
from mailer.feedback.outbox import Outbox
from mailer.feedback.webhooks import certificates
from mailer.feedback.webhooks.certificates import Fetch
from mailer.feedback.webhooks.receiver import Receiver
from mailer.sentence import Sentence
from mailer.settings import Settings, templates
from mailer.tracking.machines import machine
from mailer.web import (
    access,
    account,
    accounts,
    activity,
    admin,
    answers,
    asking,
    campaigns,
    changes,
    downloads,
    duplicates,
    feedback,
    hooks,
    i18n,
    imports,
    joining,
    mailboxes,
    ours,
    overview,
    own_data,
    pages,
    partner,
    partner_imports,
    partners,
    people,
    policy,
    preferences,
    retention,
    rules,
    secretariat,
    segments,
    sending,
    sign_in,
    sign_up,
    sign_up_forms,
    subscriber,
    suppressed,
    team,
    webhooks,
    wordings,
)
from mailer.web.forms import IMPORT_LIMIT, UPLOAD_LIMIT, TooLarge
from mailer.web.house import Doorkeeper, House, ask_dns, utc_now

EMBEDDED = "/embed/"  # pages that other sites may show in a frame
QUOTED_NONE = "'none'"
_TOO_LARGE = Sentence("This file is too large: send one of at most 25 MB.")
_IMPORT_TOO_LARGE = Sentence(
    "The file is larger than 40 MB: split it into several, or save the workbook as CSV."
)
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
    for router in imports.routers:  # before the page of a person, whose address could be this
        app.include_router(router)
    for stage in (
        sign_in,
        account,
        accounts,
        activity,
        overview,
        secretariat,
        campaigns,
        segments,
        downloads,
        joining,
        partner,
        ours,
        team,
        asking,
        admin,
        partner_imports,  # before the pages of partners: a code may be any word
        partners,
        people,
        changes,
        duplicates,
        wordings,
        retention,
        feedback,
        answers,
        rules,
        policy,
        suppressed,
        sending,
        mailboxes,
        hooks,
        subscriber,
        sign_up,
        preferences,
        own_data,
        sign_up_forms,
        webhooks,
    ):
        app.include_router(stage.router)
    app.include_router(account.codes)
    app.include_router(asking.secretariat)
    app.mount("/static", StaticFiles(directory=templates() / "pages" / "static"))
    pages.install(app)
    access.install(app)
    own_data.install(app)
    app.add_middleware(_Language)
    app.add_middleware(_SmallBodies)
    app.add_middleware(_Headers, secure=house.secure, embedders=settings.embed_sites.split())
    return app


class _Headers:
    """Adds the security headers to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp, *, secure: bool, embedders: Sequence[str]) -> None:
        self._app = app
        always = {"Strict-Transport-Security": "max-age=31536000"} if secure else {}
        self._headers = {**_HEADERS, **always}
        self._embedded = {**self._headers, "Content-Security-Policy": _embedded(embedders)}
        del self._embedded["X-Frame-Options"]  # it cannot name sites; CSP's frame-ancestors does

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")
                own = self._embedded if scope["path"].startswith(EMBEDDED) else self._headers
                for name, value in own.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


def _embedded(sites: Sequence[str]) -> str:
    """Return the policy of pages that the operator's sites may show in a frame."""
    ancestors = f"frame-ancestors {' '.join(sites) or QUOTED_NONE}"
    return CONTENT_SECURITY_POLICY.replace(f"frame-ancestors {QUOTED_NONE}", ancestors)


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
            embedded = scope["path"].startswith(EMBEDDED)  # in a frame of another site: no cookie
            if message["type"] == "http.response.start" and asked in i18n.NAMES and not embedded:
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
        path = scope.get("path", "")
        people = path in (imports.SECRETARIAT, imports.PARTNER)
        limit, sentence = (IMPORT_LIMIT, _IMPORT_TOO_LARGE) if people else (UPLOAD_LIMIT, _TOO_LARGE)

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise TooLarge(sentence)
            return message

        await self._app(scope, receiving, send)
