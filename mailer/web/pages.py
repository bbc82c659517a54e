"""Pages: rendered from templates, with a word carried over a redirect, and errors people can read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlencode

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.exceptions import HTTPException

from mailer.accounts import users
from mailer.audience import codes
from mailer.database import Unreachable
from mailer.errors import MailerError
from mailer.sentence import Sentence
from mailer.settings import templates
from mailer.web import forms, i18n, words
from mailer.web.i18n import _

Number = Annotated[int, Query(alias="page", ge=1, le=1_000_000)]
Search = Annotated[str, Query(max_length=200)]

FLASH = "flash"
_FLASH_SECONDS = 60  # long enough for the redirect, short enough not to surprise later
_log = logging.getLogger(__name__)


class Again(Exception):
    """A form was refused: the transaction is rolled back and the form shown again."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@lru_cache
def environment() -> Environment:
    """Return the templates' environment: everything escaped, nothing undefined passes."""
    made = Environment(
        loader=FileSystemLoader(templates() / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        i18n.translate,
        lambda one, many, n: i18n.catalogue(i18n.current()).ngettext(one, many, n),
        newstyle=True,
    )
    made.filters.update({name: _anew(filter_) for name, filter_ in _FILTERS.items()})
    made.globals.update(
        names=i18n.NAMES,
        all_countries=i18n.countries,
        all_zones=codes.zones,
        tags=i18n.TAGS,
        static_version=_static_version(),
        may=users.may,
        ago=i18n.ago,
        soon=i18n.soon,
        several=forms.several,
    )
    return made


def render(request: Request, template: str, code: int = 200, /, **context: Any) -> HTMLResponse:
    """Return a page. ``context`` is what the template names; visitor, form and flash come by themselves."""
    values = {**_frame(request), "form": {}, "error": None, **context}
    response = HTMLResponse(environment().get_template(template).render(values), code)
    if FLASH in request.cookies:
        response.delete_cookie(FLASH)
    return response


def _frame(request: Request) -> Mapping[str, Any]:
    house = request.app.state.house
    i18n.use_zone(house.zone())
    return {
        "request": request,
        "me": getattr(request.state, "me", None),
        "language": i18n.current(),
        "flash": _flash_of(request),
        "has_outbox": house.outbox is not None,
        "now": house.clock(),
        "with_query": lambda **changes: _with_query(request, changes),
    }


def _with_query(request: Request, changes: Mapping[str, str | int | None]) -> str:
    """Return this page's address with query fields changed: switching language or page keeps the rest.

    None takes a field away, and so does having no value.
    """
    fields = {**request.query_params, **changes}
    return (
        f"{request.url.path}?{urlencode({name: it for name, it in fields.items() if it not in (None, '')})}"
    )


def done(path: str, message: str = "") -> Response:
    """Go on to ``path`` after a POST (303) and say ``message`` there."""
    response = RedirectResponse(path, 303)
    if message:
        say(response, message)
    return response


def say(response: Response, message: str) -> None:
    """Have the next page say ``message``."""
    response.set_cookie(FLASH, quote(message), max_age=_FLASH_SECONDS, httponly=True, samesite="lax")


def _retold(row: Mapping[str, Any], plain: str) -> str:
    """Return the sentence a row keeps, in the request's language; ``plain`` names its English form.

    Rows of the first days keep nothing else.
    """
    return i18n.tell(Sentence.restored(row)) if "template" in row else str(row[plain])


def _tagged(code: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Pair a code with its name, as ``macros.choices`` takes them."""
    return code, names[code]


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": i18n.number,
    "day": i18n.day,
    "day_in": i18n.day_in,
    "when": i18n.when,
    "country": i18n.country,
    "share": i18n.share,
    "tell": i18n.tell,
    "retold": _retold,
    "word": words.word,
    "tagged": _tagged,
    "figure_word": words.figure_word,
    "destination": words.destination,
    "span": i18n.span,
}


def _anew(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Keep Jinja from working a filter out while it compiles: what it says depends on the request's language.

    Without a context, ``"admin"|word`` would be folded into the first visitor's word for everybody.
    """

    @pass_context
    def asked(_context: Context, *given: Any) -> Any:
        return filter_(*given)

    return asked


def _flash_of(request: Request) -> str:
    return unquote(request.cookies.get(FLASH, ""))


@contextmanager
def again(request: Request, template: str, *, form: Mapping[str, Any], **context: Any) -> Iterator[None]:
    """Show the form again, input kept and the trouble named, when what is inside refuses it.

    Not for what is missing or not allowed: those get their own pages.
    """
    try:
        yield
    except MailerError as error:
        if error.http_status in (403, 404):
            raise
        status = 422 if error.http_status == 400 else error.http_status
        raise Again(render(request, template, status, form=form, error=error, **context)) from error


def install(app: FastAPI) -> None:
    """Have every error of the application shown as a page, or as JSON where JSON was asked for."""

    @app.exception_handler(Again)
    async def show_again(_request: Request, error: Again) -> Response:
        return error.response

    @app.exception_handler(MailerError)
    def person_can_mend(request: Request, error: MailerError) -> Response:
        status = 503 if isinstance(error, Unreachable) else error.http_status
        return trouble(
            request, status, i18n.tell(error.sentence), i18n.tell(error.heading) if error.heading else ""
        )  # fmt: skip

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return trouble(request, error.status_code, _words(error.status_code))

    @app.exception_handler(RequestValidationError)
    def not_an_address_of_ours(request: Request, error: RequestValidationError) -> Response:
        return trouble(request, 404, _words(404))  # forms are read by ``forms``: only path and query end here

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        _log.error("page failed: %s", request.scope.get("route"), exc_info=error)
        return trouble(request, 500, _words(500))


def _words(status: int) -> str:
    match status:
        case 404 | 405:
            return _("There is no page at this address. Check the address, or start from the home page.")
        case 500:
            return _(
                "Something broke on our side, and has been noted. Try again; if it happens again, tell your"
                " administrator at what time it happened."
            )
    return _("This request could not be understood: go back and try again.")


def _heading(status: int) -> str:
    match status:
        case 404 | 405:
            return _("Nothing here")
        case 403:
            return _("Not for this account")
        case 409:
            return _("Changed meanwhile")
        case 429:
            return _("One moment, please")
    return _("Something broke") if status >= 500 else _("That did not work")


def trouble(request: Request, status: int, message: str, heading: str = "") -> Response:
    """Say what is wrong on a page, or as JSON where that was asked for; ``heading`` "": the status's own."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": message}, status)
    return render(request, "error.html", status, heading=heading or _heading(status), message=message)


@lru_cache
def _static_version() -> str:
    """A digest of the static files: their addresses change when they do, so browsers may keep them."""
    files = sorted((templates() / "pages" / "static").iterdir())
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
