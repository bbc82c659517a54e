"""What a request works with: settings, a transaction, the instant, the posted form, a count of attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request
from limits import RateLimitItem
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from mailer.database import Database
from mailer.delivery import dkim_dns
from mailer.delivery.dkim_dns import LookUp
from mailer.errors import MailerError
from mailer.feedback.outbox import Outbox
from mailer.feedback.webhooks.receiver import Receiver
from mailer.issues import store as issues
from mailer.settings import Settings

_LOOK_EVERY = timedelta(minutes=1)


class TooMany(MailerError):
    """Too many attempts: wait a minute and try again."""

    http_status = 429


class TooManyThisHour(TooMany):
    """Too many attempts: wait an hour and try again."""


class TooManyToday(TooMany):
    """Too many attempts: try again tomorrow."""


_LATER = {"hour": TooManyThisHour, "day": TooManyToday}


class Doorkeeper:
    """Counts attempts in a moving window: in this process, or in Redis for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._window = MovingWindowRateLimiter(storage_from_string(settings.redis_url or "memory://"))

    def count(self, limit: RateLimitItem, *whose: str) -> None:
        """:raises TooMany: more attempts than ``limit`` allows"""
        if not self.admits(limit, *whose):
            raise _LATER.get(limit.GRANULARITY.name, TooMany)

    def admits(self, limit: RateLimitItem, *whose: str) -> bool:
        """Count an attempt, unless there were as many as ``limit`` allows: then say no."""
        return self._window.hit(limit, *whose)


class Zone:
    """The zone that the secretariat's pages tell times in: its first publication's, looked up each minute."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._name, self._looking = "UTC", Lock()
        self._looked_at: datetime | None = None

    def __call__(self) -> str:
        """Return its name; UTC before there is a publication. It waits for nobody's look, and never fails."""
        now = self._clock()
        if self._looked_at is not None and abs(now - self._looked_at) < _LOOK_EVERY:
            return self._name
        if self._looking.acquire(blocking=False):
            try:
                self._look(now)
            finally:
                self._looking.release()
        return self._name

    def _look(self, now: datetime) -> None:
        with suppress(MailerError, SQLAlchemyError), self._database.read() as session:
            if found := issues.publications(session):
                self._name, self._looked_at = found[0].zone, now


@dataclass(frozen=True)
class House:
    """What ``create_app`` was given. ``outbox`` None: letters really leave; ``clock`` says the time.

    ``look_up`` asks the DNS for TXT records, ``receiver`` takes webhooks.
    """

    settings: Settings
    database: Database
    outbox: Outbox | None
    clock: Callable[[], datetime]
    doorkeeper: Doorkeeper
    look_up: LookUp
    receiver: Receiver
    zone: Zone

    @property
    def secure(self) -> bool:
        """True when cookies travel over HTTPS only."""
        chosen = self.settings.secure_cookies
        return self.settings.public_url.startswith("https:") if chosen is None else chosen


def host_of(request: Request) -> str:
    """Return whose attempts a request counts among: an address, of IPv6 the network of one customer (/64)."""
    host = request.client.host if request.client else ""
    try:
        found = ip_address(host)
    except ValueError:
        return host
    if isinstance(found, IPv4Address):
        return host
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def utc_now() -> datetime:
    """Return the instant a request acts at: the web is where the clock is read."""
    return datetime.now(UTC)


def ask_dns(name: str) -> Sequence[str]:
    """Ask this machine's name servers for the TXT records of a name.

    :raises DnsSilent: no answer, neither yes nor no
    """
    return dkim_dns.resolver()(name)


def house_of(request: Request) -> House:
    """Return the house this request came to."""
    found: House = request.app.state.house
    return found


def _reading(request: Request) -> Iterator[Session]:
    with house_of(request).database.read() as session:
        yield session


def _writing(request: Request) -> Iterator[Session]:
    with house_of(request).database.write() as session:
        yield session


def _now(request: Request) -> datetime:
    return house_of(request).clock()


async def _posted(request: Request) -> AsyncIterator[FormData]:
    try:
        yield await request.form()
    finally:
        await request.close()  # uploaded files


# scope="function": committed before the answer leaves, so that the page a redirect leads to sees the change
Here = Annotated[House, Depends(house_of)]
Reading = Annotated[Session, Depends(_reading, scope="function")]
Writing = Annotated[Session, Depends(_writing, scope="function")]
Now = Annotated[datetime, Depends(_now)]
Posted = Annotated[FormData, Depends(_posted)]
