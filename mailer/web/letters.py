"""Letters on a page: an e-mail's HTML is shown as it was sent, in a frame that may do nothing."""

from __future__ import annotations

import re
from html import escape
from typing import Literal

from fastapi.responses import HTMLResponse

from mailer.audience.names import Names, salutation
from mailer.content import slots
from mailer.content.compile import Compiled
from mailer.settings import Settings

View = Literal["desktop", "phone", "dark", "text"]
_PIXEL = re.compile(r'<img[^>]*\ssrc="[^"]*/o/[^"/]+\.gif"[^>]*>')
_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)")


def framed(html: str, settings: Settings, *, dark: bool = False) -> HTMLResponse:
    """Return a letter's HTML for a sandboxed frame of ours: no script, no form, figures of ours only.

    The pixel that counts opens is left out: whoever looks at a letter here is not its reader.

    ``dark`` shows what a reader whose device is dark sees; else what one whose device is light sees,
    whatever this one's is.
    """
    shown = _DARK.sub("(min-width: 0)" if dark else "(max-width: 0)", _PIXEL.sub("", html))
    pictures = f"data: {settings.public_url}/figures/"  # a frame without origin has no 'self'
    policy = (
        f"{_policy(pictures)}; sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
    )
    return _response(shown, policy, "SAMEORIGIN")


def published(html: str, settings: Settings) -> HTMLResponse:
    """Return a letter's HTML as a page of its own: the web version."""
    pictures = f"'self' data: {settings.public_url}"
    response = _response(html, f"{_policy(pictures)}; frame-ancestors 'none'", "DENY")
    response.headers["Cache-Control"] = "private, max-age=60"
    return response


def _policy(pictures: str) -> str:
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src {pictures};"
        " base-uri 'none'; form-action 'none'"
    )


def _response(html: str, policy: str, frames: str) -> HTMLResponse:
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "X-Frame-Options": frames})


def sample(compiled: Compiled) -> str:
    """Return the letter as a reader without a name would get it."""
    greeting = salutation(Names(), compiled.language)
    return slots.fill(compiled.html, {**slots.SAMPLE, slots.SALUTATION: greeting}, escape)


def sample_text(compiled: Compiled) -> str:
    """Return the letter's text part likewise."""
    greeting = salutation(Names(), compiled.language)
    return slots.fill(compiled.text, {**slots.SAMPLE, slots.SALUTATION: greeting})
