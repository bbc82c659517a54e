"""Refresh tokens that a token address renews with each answer: the newest outlives the process. Their SQL.

A relay's URL holds the first one. Where the address gives another with an access token, the one before may be
dead from then on (RFC 6749 §6): the newest is kept in the database, sealed under MAILER_SECRET, for whichever
process asks next. On PostgreSQL one process asks at a time: some token addresses take a token that is used
twice for a stolen one, and end all that came of it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailer.database import Database, clock
from mailer.delivery.relay import Relay
from mailer.delivery.store import RefreshToken
from mailer.sealing import Unsealable, seal, unseal
from mailer.settings import Settings
from mailer.signing import Keyring

_log = logging.getLogger(__name__)


class Shelf:
    """Where the refresh tokens of one installation's relays are kept. Opens its database at its first use."""

    def __init__(self, database: Callable[[], Database], keys: Keyring) -> None:
        self._open, self._keys = database, keys

    @cached_property
    def _database(self) -> Database:
        return self._open()

    @contextmanager
    def alone(self, relay: Relay) -> Iterator[str]:
        """Hold the relay's place, and yield the token to ask with: the newest that is known."""
        with self._database.read() as session:
            if self._database.dialect == "postgresql":
                session.execute(select(func.pg_advisory_xact_lock(_number(relay))))
            yield self._newest(session, relay) or relay.password

    def put(self, relay: Relay, token: str) -> None:
        """Keep ``token`` in place of the one before."""
        with self._database.write() as session:
            secret = seal(self._keys, token.encode(), purpose=_purpose(relay))
            session.merge(RefreshToken(id=_id(relay), secret=secret, at=clock(session)))

    def _newest(self, session: Session, relay: Relay) -> str | None:
        row = session.get(RefreshToken, _id(relay))
        try:
            return unseal(self._keys, row.secret, purpose=_purpose(relay)).decode() if row else None
        except Unsealable:
            _log.warning(
                "the refresh token of relay %s does not open: the one in its URL is tried", relay.name
            )
            return None


_shelves: dict[tuple[str, str], Shelf] = {}


def shelf(settings: Settings) -> Shelf:
    """Return the shelf of an installation, one in a process: who shares it shares access tokens too."""
    place = (settings.database, settings.secret)
    if place not in _shelves:
        database = partial(
            Database, settings.database, pool_size=2
        )  # who holds a place may put something there
        _shelves[place] = Shelf(database, settings.keys)
    return _shelves[place]


def _id(relay: Relay) -> str:
    """A digest of who asks, where, and the token it began with: another in the URL begins anew."""
    facts = (relay.token_url, relay.client_id, relay.user, relay.password)
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def _number(relay: Relay) -> int:
    """The same, as the key of an advisory lock."""
    return int.from_bytes(bytes.fromhex(_id(relay))[:8], signed=True)


def _purpose(relay: Relay) -> str:
    return f"refresh token {_id(relay)}"
