"""Webhooks: the door through which providers tell what became of letters. No cookie, no form, no page."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from limits import RateLimitItemPerMinute
from starlette.exceptions import HTTPException

from mailer.errors import MailerError
from mailer.feedback.webhooks.proof import Post
from mailer.feedback.webhooks.receiver import LONGEST
from mailer.web.house import Here, House, Now, TooMany

router = APIRouter(include_in_schema=False)

_READ_WITHIN = 30.0  # seconds for a whole post
_REFUSALS_PER_HOST = RateLimitItemPerMinute(60)  # that are counted; failures too
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="mailer"'}  # some send credentials only when asked: RFC 7617


async def _body(request: Request) -> bytes:
    """:raises HTTPException: too long, or too slow"""
    read = bytearray()
    try:
        async with asyncio.timeout(_READ_WITHIN):
            async for piece in request.stream():
                read += piece
                if len(read) > LONGEST:
                    raise HTTPException(413)
    except TimeoutError as error:
        raise HTTPException(408) from error
    return bytes(read)


@router.post("/webhooks/{provider}")
@router.post("/webhooks/{provider}/{secret}")
def receive(
    request: Request,
    house: Here,
    now: Now,
    body: Annotated[bytes, Depends(_body)],
    provider: str,
    secret: str = "",
) -> Response:
    """Answer 200 when it is kept; anything else has the provider tell it again, or tells its people why."""
    url = f"{house.settings.public_url}{request.url.path}"
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        house.receiver.receive(
            provider, Post(headers, body, url, secret), now, may_count=lambda: _may_count(request, house)
        )
    except MailerError as error:
        challenge = _CHALLENGE if error.http_status == 401 else None
        return PlainTextResponse(f"{error}\n", error.http_status, challenge)
    return PlainTextResponse("kept\n")


def _may_count(request: Request, house: House) -> bool:
    """Tell whether one more post that came to nothing is worth a row: floods keep others from writing."""
    host = request.client.host if request.client else ""
    try:
        house.doorkeeper.count(_REFUSALS_PER_HOST, "webhook", host)
    except TooMany:
        return False
    return True
