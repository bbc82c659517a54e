"""Reach: how many people a rule means now, and who gets no letter; at once, if need be by a sample.

Exact while the database answers in time. Beyond that some thousand people are asked, spread evenly over all,
and the answer is scaled up and says so. A launch never estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isqrt
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, true
from sqlalchemy.orm import Session

from mailer.audience import segments
from mailer.audience.rules import Rule
from mailer.audience.store import Subscriber, Subscription
from mailer.delivery import launch
from mailer.errors import MailerError
from mailer.patience import TooSlow, hurried

PATIENCE = 0.5  # seconds for the exact answer, so that sample, people and page fit into one
_GLIMPSE = 0.15  # seconds for some of the people: they are found at once, or are few
_SAMPLE = 5_000  # people: a share of half of all is right to 1.4 per cent, 19 times of 20
_EXACT = 120.0  # seconds for who insists
_LONGEST = 4.0  # seconds for the sample; a machine that is busy


class CannotSay(MailerError):
    """Counting takes too long just now: the launch counts exactly, whatever it takes."""

    http_status = 503


@dataclass(frozen=True)
class Audience:
    """Whom a rule means: letters by language, and those who get none by reason.

    ``about``: scaled up from a sample, of which each person stands for so many; 1: exact.
    """

    letters: dict[str, int]
    excluded: dict[str, int]
    about: int = 1

    @property
    def total(self) -> int:
        """How many letters there would be."""
        return sum(self.letters.values())

    @property
    def meant(self) -> int:
        """How many people are in it, whether they get a letter or not."""
        return self.total + sum(self.excluded.values())


def preview(
    session: Session,
    *,
    publication_id: int,
    audience: str,
    languages: Sequence[str],
    now: datetime,
    fallback: bool = True,
) -> Audience:
    """Count whom an audience, a rule or a saved segment's name, means now: exactly.

    :raises BadRule: it is neither
    :raises CannotSay: it takes longer than anybody waits
    """
    rule = segments.resolve(session, audience)
    try:
        with hurried(session, _EXACT):  # it also has the memory for a million numbers
            return _Question(rule, publication_id, languages, fallback, now).exact(session)
    except TooSlow as error:
        raise CannotSay from error


def glance(
    session: Session,
    *,
    publication_id: int,
    rule: Rule,
    languages: Sequence[str],
    now: datetime,
    fallback: bool = True,
    patience: float = PATIENCE,
) -> Audience:
    """Count whom a rule means now, within about a second: exactly if ``patience`` suffices, else about.

    :raises CannotSay: not even a sample is counted in time
    """
    asked = _Question(rule, publication_id, languages, fallback, now)
    try:
        with hurried(session, patience):
            return asked.exact(session)
    except TooSlow:
        return _sampled(session, asked)


def people(
    session: Session, *, publication_id: int, rule: Rule, now: datetime, limit: int
) -> list[Subscriber]:
    """Return some of the people a rule means, the newest first; [] when they are not found in time."""
    asked = _Question(rule, publication_id, (), True, now)
    for seconds, some, few in ((_GLIMPSE, true(), False), (_LONGEST, _among(_sample(session)), True)):
        try:
            with hurried(session, seconds, few=few):
                return list(session.scalars(asked.people(some).limit(limit)))
        except TooSlow:
            continue
    return []


@dataclass(frozen=True)
class _Question:
    rule: Rule
    publication_id: int
    languages: Sequence[str]
    fallback: bool
    now: datetime

    def exact(self, session: Session) -> Audience:
        return Audience(*launch.audience_counts(session, self.candidates(true())))

    def candidates(self, some: ColumnElement[bool]) -> Select[Any]:
        return launch.candidates(
            publication_id=self.publication_id,
            condition=and_(some, self._condition()),
            languages=self.languages or ("",),
            fallback=self.fallback,
            now=self.now,
        )

    def people(self, some: ColumnElement[bool]) -> Select[Subscriber]:
        return (
            select(Subscriber)
            .join(Subscription, Subscription.subscriber_id == Subscriber.id)
            .where(Subscription.publication_id == self.publication_id, Subscriber.address.is_not(None))
            .where(some, self._condition())
            .order_by(Subscriber.id.desc())
        )

    def _condition(self) -> ColumnElement[bool]:
        return segments.condition(self.rule, now=self.now, publication_id=self.publication_id)


def _sampled(session: Session, asked: _Question) -> Audience:
    sample = _sample(session)
    step = sample.step
    try:
        with hurried(session, _LONGEST, few=True):
            letters, excluded = launch.audience_counts(session, asked.candidates(_among(sample)))
    except TooSlow as error:
        raise CannotSay from error
    return Audience(_scaled(letters, step), _scaled(excluded, step), about=step)


def _sample(session: Session) -> range:
    """Return the numbers of a sample: every so many-th, so that no table is walked to find them.

    The step is a prime: whatever order people came in, by partner or by turns, it does not keep time with it.
    """
    last = session.scalar(select(func.max(Subscriber.id))) or 0
    return range(1, last + 1, _prime(max(1, last // _SAMPLE)))


def _prime(number: int) -> int:
    """Return the first prime from ``number`` on; 1 for 1."""
    while any(number % factor == 0 for factor in range(2, isqrt(number) + 1)):
        number += 1
    return number


def _among(sample: range) -> ColumnElement[bool]:
    return Subscriber.id.in_(sample)


def _scaled(counts: dict[str, int], step: int) -> dict[str, int]:
    """Return counts of a sample as counts of all, with no more figures than it can tell."""
    return {name: _rounded(count * step) for name, count in counts.items()}


def _rounded(number: int) -> int:
    """Return a number with its two leading figures."""
    magnitude: int = 10 ** max(0, len(str(number)) - 2)
    return round(number / magnitude) * magnitude
