"""Access tokens for relays that take no password (RFC 6749): fetched, kept while they last, renewed.

A token is asked for with the relay's refresh token (§6), the newest that is known (``refresh_tokens``), or in
the client's own name (§4.4). What a relay's
URL holds, and what comes back, stands in no message and in no log.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from http.client import HTTPException
from typing import Any, NoReturn, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

from sqlalchemy.exc import SQLAlchemyError

from mailer.delivery.relay import Relay, RelayUnavailable, TokenGrant
from mailer.errors import MailerError
from mailer.sentence import Sentence

_log = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds
_MARGIN = 60.0  # seconds before its end after which a token is not used any more
_LIFE = 300.0  # seconds of life of a token that does not tell it (RFC 6749 §5.1 only recommends it)
_LONGEST_ANSWER = 100_000  # bytes

_ADVICE = {  # RFC 6749 §5.2
    "invalid_grant": Sentence("sign in there again and put the new refresh token into its URL"),
    "invalid_client": Sentence("correct client_id and client_secret in its URL"),
    "unauthorized_client": Sentence("permit this grant to the client there"),
    "invalid_scope": Sentence("correct the scope in its URL"),
}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Secrets go to the address that was given and to no other."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow."""


class Shelf(Protocol):
    """Where refresh tokens outlive a process; ``refresh_tokens.Shelf`` is one."""

    def alone(self, relay: Relay) -> AbstractContextManager[str]: ...
    def put(self, relay: Relay, token: str) -> None: ...
    def __hash__(self) -> int: ...


class Pocket:
    """A shelf for one process: what it holds is gone with it."""

    def __init__(self) -> None:
        self._held: dict[Relay, str] = {}

    @contextmanager
    def alone(self, relay: Relay) -> Iterator[str]:
        """Yield the token to ask with."""
        yield self._held.get(relay, relay.password)

    def put(self, relay: Relay, token: str) -> None:
        """Keep ``token`` in place of the one before."""
        self._held[relay] = token


POCKET = Pocket()


class Tokens:
    """One relay's access tokens. For any number of threads: one asks, the others wait for what it gets."""

    def __init__(self, relay: Relay, shelf: Shelf) -> None:
        """Ask nobody yet."""
        self._relay, self._shelf = relay, shelf
        self._unshelved = ""  # a refresh token that the shelf did not take yet
        self._token = ""
        self._until = 0.0  # time.monotonic()
        self._lock = threading.Lock()

    def get(self) -> str:
        """Return a token that is good for a while; asks for one when none is at hand.

        :raises RelayUnavailable: none can be had, and why
        """
        with self._lock:
            if not self._token or time.monotonic() >= self._until:
                with self._shelf.alone(self._relay) as refresh_token:
                    self._keep(self._fetch(self._unshelved or refresh_token))
            if self._unshelved:
                self._put_away()
            return self._token

    def forget(self, token: str) -> None:
        """Never return ``token`` again: the relay has refused it."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _keep(self, answer: dict[str, Any]) -> None:
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            self._fail(Sentence("gives no access token"), Sentence("check token_url in its URL"))
        self._token = token
        self._until = time.monotonic() + _life(answer.get("expires_in")) - _MARGIN
        renewed = answer.get("refresh_token")
        if isinstance(renewed, str) and renewed:
            self._unshelved = renewed  # RFC 6749 §6: the one before may be dead now
            self._put_away()

    def _put_away(self) -> None:
        """Shelve the newest refresh token; what goes wrong is tried again with the next letters."""
        try:
            self._shelf.put(self._relay, self._unshelved)
            self._unshelved = ""
        except (MailerError, SQLAlchemyError) as error:
            _log.warning(
                "the new refresh token of relay %s is not kept yet: %s",
                self._relay.name,
                type(error).__name__,
            )

    def _fetch(self, refresh_token: str) -> dict[str, Any]:
        """Ask for a token; return the answer as it came."""
        relay = self._relay
        request = urllib.request.Request(  # noqa: S310  https alone is read from a URL
            relay.token_url,
            data=urlencode(self._question(refresh_token)).encode(),
            headers={"Accept": "application/json"},
        )
        try:
            context = _trusted(relay)
            opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))
            with opener.open(request, timeout=_TIMEOUT) as response:
                answer = _read(response.read(_LONGEST_ANSWER))
        except HTTPError as error:
            with error:
                self._refused(error.code, _read(error.read(_LONGEST_ANSWER)))
        except (OSError, HTTPException) as error:
            why = error.reason if isinstance(error, URLError) else error
            shown = getattr(why, "verify_message", "") or getattr(why, "strerror", "") or type(why).__name__
            self._fail(
                Sentence("cannot be reached ({why})", why=shown),
                Sentence("it is asked again soon; check token_url in its URL"),
            )
        return answer

    def _question(self, refresh_token: str) -> dict[str, str]:
        relay = self._relay
        asked = {"grant_type": str(relay.grant), "client_id": relay.client_id}
        if relay.grant is TokenGrant.CLIENT_CREDENTIALS:
            asked["client_secret"] = relay.client_secret or relay.password
        else:
            asked |= {"refresh_token": refresh_token, "client_secret": relay.client_secret}
        return {name: text for name, text in (asked | {"scope": relay.scope}).items() if text}

    def _refused(self, status: int, answer: dict[str, Any]) -> NoReturn:
        """Raise what an answer that is an error means; only the words of the protocol are repeated."""
        error = str(answer.get("error", ""))
        advice = _ADVICE.get(error, Sentence("it is asked again soon; ask its operator"))
        said = f"{status} {error}" if error in _ADVICE else str(status)
        self._fail(Sentence("refuses us ({said})", said=said), advice)

    def _fail(self, what: Sentence, advice: Sentence) -> NoReturn:
        raise RelayUnavailable(
            "The token address of relay {relay} {what}: {advice}.",
            relay=self._relay.name,
            what=what,
            advice=advice,
        )


tokens_of = lru_cache(maxsize=64)(Tokens)  # shared by all who send through a relay in this process


def _trusted(relay: Relay) -> ssl.SSLContext:
    """The system's authorities, and the relay's own."""
    context = ssl.create_default_context()
    if relay.ca:
        context.load_verify_locations(relay.ca)
    return context


def _life(told: Any) -> float:
    """Return the seconds a token lasts, by what is told of it (some write a number as text)."""
    try:
        seconds = float(told)
    except (TypeError, ValueError):
        return _LIFE
    return seconds if seconds > 0 else _LIFE


def _read(data: bytes) -> dict[str, Any]:
    """Return the object an answer holds; nothing when it is no JSON object."""
    try:
        answer = json.loads(data)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
