"""How long the pages take on which people look for people, with a crowd of them, through the application.

Each question is asked many times, each time with other words, as somebody signed in: the secretariat, the
manager of the largest partner, that of a small one. Told are the median and the 95th percentile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailer.accounts import sessions
from mailer.accounts.store import Role, User
from mailer.audience import finding
from mailer.audience.store import Membership, Subscriber
from mailer.bench import crowd
from mailer.bench.ground import Ground
from mailer.bench.send import Say
from mailer.errors import MailerError
from mailer.settings import Settings
from mailer.web import access
from mailer.web.app import create_app

BAR_MS = 100.0  # the 95th percentile of lists and searches of people (issue 5)
PAGE_BAR_MS, COUNT_BAR_MS = 300.0, 1_000.0  # of pages that sum up; of counts while a rule is written
_WARM = 5  # questions that do not count


class NoAnswer(MailerError):
    """A page of the bench did not come."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured: ``rows`` people, ``letters`` campaigns behind them, ``times`` of asking."""

    rows: int
    letters: int = 3
    times: int = 60
    only: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of page, the addresses to ask for, and what its 95th percentile may be, in milliseconds."""

    name: str
    paths: Sequence[str]
    cookie: str
    bar: float = BAR_MS


def run(given: Settings, plan: Plan, say: Say) -> dict[str, Any]:
    """Make a crowd, ask, return the figures.

    :raises NoAnswer: a page did not come
    """
    with Ground(given.model_copy(update={"redis_url": ""}), relay="smtp://127.0.0.1:9") as ground:
        now = datetime.now(UTC)
        say(f"writing {plan.rows:,} people, {plan.letters} letters to most of them")
        with ground.database.write() as session:
            crowd.Crowd(plan.rows, plan.letters, now).write(session)
        crowd.settle(ground.database)
        app = create_app(ground.settings, ground.database)
        with ground.database.write() as session:
            asked = [each for each in questions(session, app, now, plan.times) if plan.only in each.name]
        return {"rows": plan.rows, "questions": [measured(app, each, say) for each in asked]}


def measured(app: Any, question: Question, say: Say) -> dict[str, Any]:
    """Ask a question with all its words; return its figures."""
    told = sorted(asyncio.run(_asked(app, question)))
    p50, p95 = (round(told[int(len(told) * share)] * 1000, 1) for share in (0.5, 0.95))
    say(f"{question.name}: {p50:,} ms, at the 95th percentile {p95:,} ms")
    return {
        "name": question.name, "asked": len(told), "p50_ms": p50, "p95_ms": p95, "bar_ms": question.bar,
        "reached": p95 <= question.bar,
    }  # fmt: skip


async def _asked(app: Any, question: Question) -> list[float]:
    for path in question.paths[:_WARM]:
        await _get(app, path, question.cookie)
    return [await _get(app, path, question.cookie) for path in question.paths[_WARM:]]


async def _get(app: Any, path: str, cookie: str) -> float:
    """Ask the application for a page, as its server would; return the seconds.

    :raises NoAnswer: it did not come
    """
    place, _, query = path.partition("?")
    seen: list[int] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": place, "raw_path": place.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"bench"), (b"cookie", cookie.encode()), (b"accept-language", b"en")],
        "client": ("127.0.0.1", 1), "server": ("bench", 80), "state": {},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        seen.append(message.get("status", 0))

    began = time.perf_counter()
    await app(scope, receive, send)
    took = time.perf_counter() - began
    if 200 not in seen:
        raise NoAnswer("{path} answers {status}.", path=path, status=seen[:1])
    return took


# What is asked


def questions(session: Session, app: Any, now: datetime, times: int) -> list[Question]:
    """Return all questions, each with ``times`` addresses beside those that warm up."""
    count = times + _WARM
    last = session.scalar(select(func.max(Subscriber.id))) or 1
    ids = random.Random(1).sample(range(1, last + 1), min(count, last))  # noqa: S311 - the same each time
    people = [
        each
        for each in session.scalars(select(Subscriber).where(Subscriber.id.in_(ids)))
        if each.address_key and (each.name_zh or each.name_en)
    ]
    admin = _signed_in(session, app, now, None)
    every = [*_of_secretariat(people, last, count, admin), *_of_segments(people, count, admin)]
    for partner, name in _partners(session).items():
        every += _of_partner(session, partner, name, count, _signed_in(session, app, now, partner))
    return [each for each in every if each.paths]  # among a few people there may be nobody to ask for


def _partners(session: Session) -> dict[int, str]:
    """Return three partners: with most people, with about as many as partners have, and with fewest."""
    query = select(Membership.partner_id, func.count()).group_by(Membership.partner_id)
    sizes: dict[int, int] = dict(session.execute(query).all())
    mean = sum(sizes.values()) / len(sizes)
    return {
        max(sizes, key=sizes.__getitem__): "large partner",
        min(sizes, key=lambda each: abs(sizes[each] - mean)): "middling partner",
        min(sizes, key=sizes.__getitem__): "small partner",
    }


def _signed_in(session: Session, app: Any, now: datetime, partner: int | None) -> str:
    """Return the cookie of somebody who is signed in: an admin, or a manager of that partner."""
    role = Role.ADMIN if partner is None else Role.PARTNER
    user = User(email=f"bench-{partner}@secretariat.example", role=role, partner_id=partner, created_at=now)
    session.add(user)
    session.flush()
    cookie, _ = sessions.open_session(session, user_id=user.id, now=now)
    return f"{access.cookie_name(app.state.house, 'session')}={cookie}; lang=en"


def _list(base: str, rows: Iterable[dict[str, Any]], count: int) -> list[str]:
    """Addresses of a list; those that would be the same ask for further pages, up to the fifth."""
    seen: dict[str, int] = {}
    paths = []
    for row in islice(cycle(rows), count):
        told = urlencode(row)
        seen[told] = seen.get(told, 0) + 1
        page = f"&page={(seen[told] - 1) % 5 + 1}" if "page" not in row else ""
        paths.append(f"{base}?{told}{page}")
    return paths


def _searches(people: Sequence[Subscriber]) -> dict[str, list[str]]:
    latin = [each for each in people if each.name_en]
    chinese = [each for each in people if each.name_zh]
    found = {
        "rare word": [each.name_en.split()[1] for each in latin],
        "common word": ["gmail", "163", "qq", "com", "example", "org", "test", "outlook"],
        "common name": sorted({each.name_en.split()[0] for each in latin}),
        "beginning of an address": [str(each.address_key)[:5] for each in people],
        "whole address": [str(each.address_key) for each in people],
        "two words": [f"{each.name_en.split()[0]} {each.name_en.split()[1][:4]}" for each in latin],
        "two common words": [f"{each.name_en.split()[0]} gmail" for each in latin],
        "Chinese family name": sorted({each.name_zh[0] for each in chinese}),
        "Chinese given name": sorted({each.name_zh[1:] for each in chinese}),
        "part of a Chinese name": sorted({each.name_zh[2:] for each in chinese}),
        "nothing found": [f"qqx{each.id}" for each in people],
    }
    return {name: words for name, words in found.items() if words}


def _of_secretariat(people: Sequence[Subscriber], last: int, count: int, cookie: str) -> list[Question]:
    base = "/admin/subscribers"
    countries = sorted({each.country for each in people if each.country})
    filters: dict[str, list[dict[str, Any]]] = {
        "first pages": [{"page": n} for n in range(1, 21)],
        "deep pages": [{"page": finding.LAST_PAGE * (n + 1) // count} for n in range(count)],
        "language": [{"language": tag} for tag in ("zh", "en")],
        "country": [{"country": each} for each in countries],
        "partner": [{"partner": f"partner-{n:03}"} for n in range(1, 151, 5)],
        "state": [{"state": each} for each in ("confirmed", "pending", "left", "none")],
        "suppressed": [{"suppressed": each} for each in ("yes", "no")],
        "language, country, state": [
            {"language": "en", "country": each, "state": "confirmed"} for each in countries
        ],
        "partner, suppressed": [
            {"partner": f"partner-{n:03}", "suppressed": "yes"} for n in range(1, 151, 5)
        ],
        "a rule": [
            {"rule": f"partner.kind = ministry and country = '{each}'"} for each in countries
        ],
        "search and filter": [
            {"search": each.name_en.split()[1], "language": "en"} for each in people if each.name_en
        ],
    }  # fmt: skip
    found = [
        Question(f"all people: {name}", _list(base, rows, count), cookie) for name, rows in filters.items()
    ]
    found += [
        Question(f"search: {name}", _list(base, [{"search": each} for each in words], count), cookie)
        for name, words in _searches(people).items()
    ]
    pages = {
        "home": ["/desk"], "a person": [f"{base}/{each.public_id}" for each in people],
        "partners": ["/admin/partners"], "a partner": [f"/admin/partners/partner-{n:03}" for n in (1, 5, 30)],
        "suppressions": [f"/admin/suppressions?page={n}" for n in range(1, 30)],
        "bounce inbox": ["/admin/feedback"],
        "campaigns": ["/desk/campaigns"], "issues": ["/desk/issues"], "duplicates": ["/admin/duplicates"],
        "activity": ["/admin/activity"],
    }  # fmt: skip
    return [
        *found,
        *(
            Question(name, list(islice(cycle(paths), count)), cookie, PAGE_BAR_MS)
            for name, paths in pages.items()
        ),
    ]


def _of_segments(people: Sequence[Subscriber], count: int, cookie: str) -> list[Question]:
    rules = (
        "everyone", "language = zh", "country in (NO, FR, KE)", "domain = gmail.com",
        "partner.kind = ministry", "partner.country = CN", "partner.group = water",
        "partner.code = partner-001",
        "topic = energy", "consent = vouched", "joined in last 30 days", "suppressed = yes",
        "paused = yes", "opened in last 30 days", "not opened in last 60 days", "clicked in last 10 days",
        "received in last 30 days", "bounced in last 30 days", "subscription = left",
        "language = zh and partner.kind = ministry and not opened in last 30 days",
    )  # fmt: skip
    asked = [f"/desk/segments/new?rule={quote(rule)}" for rule in rules]
    return [
        Question(f"segment: {rule}", [path] * max(8, count // 6), cookie, COUNT_BAR_MS)
        for rule, path in zip(rules, asked, strict=True)
    ]


def _of_partner(session: Session, partner: int, name: str, count: int, cookie: str) -> list[Question]:
    base = "/partner/people"
    rows = session.execute(
        select(Subscriber, Membership.public_id)
        .join(Membership, Membership.subscriber_id == Subscriber.id)
        .where(
            Membership.partner_id == partner, Membership.ended_at.is_(None), Subscriber.erased_at.is_(None)
        )
        .order_by(Membership.public_id)
        .limit(count)
    ).all()
    people = [row[0] for row in rows]
    lists: dict[str, list[dict[str, Any]]] = {
        "pages": [{"page": n % 20 + 1} for n in range(count)],
        "language": [{"language": tag} for tag in ("zh", "en")],
        "state": [{"state": each} for each in ("confirmed", "waiting", "paused", "bounced")],
        "topic": [{"topic": each} for each in crowd.TOPICS],
        "by name": [{"sort": "name", "page": n} for n in range(1, 30)],
        "newest": [{"sort": "newest", "page": n} for n in range(1, 30)],
        "no answer for a week": [{"waiting": "long", "page": n} for n in range(1, 30)],
    }
    for kind, words in _searches(people).items():
        lists[f"search: {kind}"] = [{"search": each} for each in words]
    found = [Question(f"{name}: {kind}", _list(base, asked, count), cookie) for kind, asked in lists.items()]
    pages = {
        "home": ["/partner"], "a person": [f"{base}/{row[1]}" for row in rows],
        "bounced": ["/partner/bounced"], "report": ["/partner/report"],
    }  # fmt: skip
    return [
        *found,
        *(
            Question(f"{name}: {kind}", list(islice(cycle(paths), count)), cookie, PAGE_BAR_MS)
            for kind, paths in pages.items()
        ),
    ]
