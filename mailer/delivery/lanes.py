"""Lanes: destinations with a pace of their own, and which one a letter goes down. Their SQL.

A lane is a provider that has a limit, by default (``pace.DEFAULTS``) or set by an admin, or a single domain
for which an admin has set one. All other letters go down lane "". Names of providers have no dot, so a
lane's name says which it is. Whoever answers for a domain is learnt at once from its name, and from its MX
records once they are looked up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.address import BadAddress
from mailer.audience.store import Subscriber
from mailer.database import Database
from mailer.delivery import pace, store
from mailer.delivery.events import writable
from mailer.delivery.pace import DEFAULTS, Limit
from mailer.delivery.store import MailDomain, Slowdown
from mailer.diagnosis import provider_of
from mailer.diagnosis.providers import MX_DOMAINS
from mailer.errors import Invalid, NotFound

REST = ""
"""The lane of all letters that go nowhere with a pace of its own."""

_PROVIDERS = frozenset(MX_DOMAINS.values())


class BadLimit(Invalid):
    """This cannot be a limit: give numbers above zero, or none to lift a limit."""


class BadLane(Invalid):
    """There is no such destination: name a provider (gmail, outlook, qq …) or a mail domain."""


class NoLimitSet(NotFound):
    """No limit is set for this destination: `mailer pace list` shows those that are."""


# --- limits ---------------------------------------------------------------------------------------------


def limits(session: Session) -> dict[str, Limit]:
    """Return the limit of every lane: the defaults, overlaid by what admins have set.

    A lane that is not here, such as "" or a domain whose limit was cleared since, is without limit.
    """
    return {**DEFAULTS, **{row.lane: _limit(row) for row in set_limits(session)}}


def set_limits(session: Session) -> list[store.Limit]:
    """Return what admins have set, in order of name."""
    return list(session.scalars(select(store.Limit).order_by(store.Limit.lane)))


def set_limit(session: Session, name: str, limit: Limit, *, now: datetime, actor: Actor) -> str:
    """Give a provider or a domain a limit, in place of its default; return the lane's name.

    ``Limit()`` lifts a default. Campaigns launched before keep the lanes they were cut into: a new domain's
    limit binds those launched from now on.

    :raises BadLane: neither a provider nor a domain
    :raises BadLimit: a number that cannot be kept
    """
    lane = lane_named(name)
    _check(limit)
    row = session.get(store.Limit, lane, with_for_update=True)
    before = asdict(_limit(row)) if row else None
    if row is None:
        session.add(row := store.Limit(lane=lane))
    for part, value in asdict(limit).items():
        setattr(row, part, value)
    row.set_by, row.set_at = actor.name, now
    session.flush()
    _note(session, "limit.set", lane, before, asdict(limit), now, actor)
    return lane


def clear_limit(session: Session, name: str, *, now: datetime, actor: Actor) -> str:
    """Take back what an admin has set: a provider has its default again, a domain none; return the lane.

    :raises BadLane: neither a provider nor a domain
    :raises NoLimitSet: nothing was set
    """
    lane = lane_named(name)
    row = session.get(store.Limit, lane, with_for_update=True)
    if row is None:
        raise NoLimitSet
    before = asdict(_limit(row))
    session.delete(row)
    session.flush()
    _note(session, "limit.clear", lane, before, None, now, actor)
    return lane


def lane_named(name: str) -> str:
    """Return the lane a person means by ``name``: a provider's name, or a domain in any spelling.

    :raises BadLane: neither
    """
    name = name.strip().lower()
    if name in _PROVIDERS:
        return name
    try:
        return addresses.parse(f"postmaster@{name}").domain
    except BadAddress as error:
        raise BadLane from error


def _limit(row: store.Limit) -> Limit:
    return Limit(row.per_second, row.per_hour, row.connections, row.letters)


_MOST = {"per_second": 100_000, "per_hour": 100_000_000, "connections": 1_000, "letters": 1_000_000}
_LEAST_PER_SECOND = 1 / 86_400  # a letter a day; below, say nothing at all


def _check(limit: Limit) -> None:
    for part, value in asdict(limit).items():
        least = _LEAST_PER_SECOND if part == "per_second" else 1
        if value is not None and not least <= value <= _MOST[part]:  # NaN is not in between either
            raise BadLimit


def _note(
    session: Session, action: str, lane: str, before: Any, after: Any, now: datetime, actor: Actor
) -> None:
    audit.record(
        session, now=now, actor=actor, action=action, subject=f"limit {lane}", before=before, after=after
    )


# --- which lane -----------------------------------------------------------------------------------------


def lane_of(domain: str, provider: str, limits: Mapping[str, Limit]) -> str:
    """Return the lane of a domain (A-labels, lower case) that ``provider`` answers for ("": nobody known)."""
    return next((name for name in (domain, provider) if name in limits), REST)


def columns(domain: ColumnElement[str]) -> tuple[ColumnElement[str], ColumnElement[str]]:
    """Return the provider and the lane of a column of domains, as SQL; ``learn`` those domains first."""
    known = select(MailDomain.provider).where(MailDomain.domain == domain)
    set_ = select(store.Limit.lane)
    paced = or_(MailDomain.provider.in_(list(DEFAULTS)), MailDomain.provider.in_(set_))
    lane = case((domain.in_(set_), domain), else_=_or_none(known.where(paced)))
    return _or_none(known), lane


def _or_none(query: Select[str]) -> ColumnElement[str]:
    return func.coalesce(query.scalar_subquery(), "")


def unknown(session: Session, domains: Select[str]) -> list[str]:
    """Return those of a query's domains that were never learnt, each once."""
    wanted = domains.distinct().subquery()
    [domain] = wanted.c
    return list(session.scalars(select(domain).where(domain.not_in(select(MailDomain.domain)))))


def learn(session: Session, domains: Iterable[str]) -> None:
    """Note who answers for domains, as their names tell; those that are known stay as they are."""
    rows = [{"domain": name, "provider": provider_of(name) or ""} for name in sorted(set(domains))]
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        # in one order everywhere: two who learn the same wait for each other instead of deadlocking
        session.execute(dialect.insert(MailDomain).on_conflict_do_nothing(), rows)


# --- MX records -----------------------------------------------------------------------------------------

FRESH = timedelta(days=30)  # providers are changed seldom, and a wrong lane is only a wrong speed
_TOMORROW = timedelta(days=1)
_AT_ONCE = 16  # questions; few enough for any name server
PORTION = 2_000  # domains a call: 50,000 new ones, paced by their names alone till then, take four hours
LONGEST = 20.0  # seconds a call goes on asking: a slow name server is not to hold a worker up

Resolver = Callable[[str], Sequence[str]]
"""Returns the MX hosts of a domain, best first; raises OSError when no name server gave an answer."""


def look_up(database: Database, resolver: Resolver, now: datetime, limit: int = PORTION) -> int:
    """Ask who answers for domains of subscribers that were not looked up for 30 days; return how many were.

    At most ``limit`` domains, those never looked up first; no transaction is open meanwhile. A domain
    without an answer keeps the provider it had and is asked again tomorrow. When none of a few in a row has
    an answer (it is our own name server), or after ``LONGEST``, the rest is left for the next call.
    """
    with database.read() as session:
        new = unknown(session, select(Subscriber.domain).where(Subscriber.address.is_not(None)))
    with database.write() as session:
        learn(session, new)
    with database.read() as session:
        stale = _stale(session, now, limit)
    found = dict(_ask(resolver, stale))
    with database.write() as session:
        for domain, hosts in sorted(found.items()):
            _write_down(session, domain, hosts, now)
    return sum(hosts is not None for hosts in found.values())


def _stale(session: Session, now: datetime, limit: int) -> list[str]:
    read = select(Subscriber.id).where(
        Subscriber.domain == MailDomain.domain, Subscriber.address.is_not(None)
    )
    return list(
        session.scalars(
            select(MailDomain.domain)
            .where(or_(MailDomain.looked_up_at.is_(None), MailDomain.looked_up_at <= now - FRESH))
            .where(MailDomain.domain != "", read.exists())
            .order_by(MailDomain.looked_up_at.is_not(None), MailDomain.looked_up_at, MailDomain.domain)
            .limit(limit)
        )
    )


def _ask(resolver: Resolver, domains: Sequence[str]) -> Iterator[tuple[str, Sequence[str] | None]]:
    """Yield each domain with its MX hosts, or None for no answer; stop after a round without, or late."""
    waiting, until = iter(domains), time.monotonic() + LONGEST
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mx") as pool:
        while names := list(islice(waiting, _AT_ONCE)):
            answers = list(pool.map(lambda name: _hosts(resolver, name), names))
            yield from zip(names, answers, strict=True)
            if len(names) == _AT_ONCE and not any(answer is not None for answer in answers):
                return
            if time.monotonic() >= until:
                return


def _hosts(resolver: Resolver, domain: str) -> Sequence[str] | None:
    try:
        return resolver(domain)
    except OSError:
        return None


def _write_down(session: Session, domain: str, hosts: Sequence[str] | None, now: datetime) -> None:
    facts: dict[str, object] = {"looked_up_at": now}
    if hosts is None:
        facts["looked_up_at"] = now - FRESH + _TOMORROW  # due again tomorrow
    else:
        facts["provider"] = next(filter(None, map(provider_of, (*hosts, domain))), "")
    session.execute(update(MailDomain).where(MailDomain.domain == domain).values(**facts))


# --- slowing down ---------------------------------------------------------------------------------------

_SAID_LIMIT = 500  # characters
_ADDRESS = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+")


def slow_down(
    session: Session, lane: str, *, said: str, now: datetime, rest: timedelta = timedelta(0)
) -> datetime | None:
    """Close a lane that asked us to slow down; return until when, or None for lane "", which never closes.

    ``rest``: at least for so long.

    Answers of letters that were under way when it closed are the same request, and lengthen nothing; only
    one after its rest is a further strike, with twice the rest. ``said`` is kept without addresses.
    """
    if lane == REST:
        return None  # one of many small domains has spoken: the others are not to wait
    _begin(session, lane, now)
    row = session.get_one(Slowdown, lane, populate_existing=True)
    if row.strikes == 0 or row.until <= now:
        row.strikes += 1
        row.until, row.at = now + pace.rest(row.strikes), now
        row.said = without_addresses(said)[:_SAID_LIMIT]
    if row.until < now + rest:
        row.until, row.said = now + rest, without_addresses(said)[:_SAID_LIMIT]
    session.flush()
    return row.until


def without_addresses(said: str) -> str:
    """Return a mail system's words as they may be shown to anybody."""
    return _ADDRESS.sub("…", writable(said))


def _begin(session: Session, lane: str, now: datetime) -> None:
    """Lock the lane's row, and make it if there is none: two workers may hear the same at once."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {"lane": lane, "until": now, "strikes": 0, "said": "", "at": now}
    statement = dialect.insert(Slowdown).values(**row)
    session.execute(statement.on_conflict_do_update(index_elements=["lane"], set_={"lane": lane}))


def slowdowns(session: Session) -> list[Slowdown]:
    """Return the lanes that have asked us to slow down and accepted nothing since, the last first."""
    return list(session.scalars(select(Slowdown).order_by(Slowdown.until.desc(), Slowdown.lane)))


def forgive(session: Session, lane: str, now: datetime) -> None:
    """A letter was accepted in a lane: if its rest is over, its strikes are forgotten."""
    session.execute(delete(Slowdown).where(Slowdown.lane == lane, Slowdown.until <= now))
