"""Rules: the language in which an audience is described. Pure: written back as text, and judged in Python.

    everyone
    language = zh and not country in (FR, DE)
    partner.kind = ministry or (domain contains "gov" and joined in last 30 days)
    partner is empty and name contains 李
    opened in last 90 days and not clicked ever
    received campaign 12 and not opened campaign 12

A comparison is a field, an operator and a value: ``=  !=  in (…)  not in (…)  contains  is empty
is not empty``; of times ``before DAY  after DAY  in last N days``; of what happened also ``ever`` and
``campaign N``. ``and`` binds closer than ``or``, ``not`` closer than both. A value with spaces or signs
stands in quotes; Chinese quotes, brackets and commas are read as their ASCII kin, and the words of the
language may be Chinese: ``语言 = zh 且 不 打开 最近 90 天``. Words may be in any case. ``grammar`` reads it.

A field holds any number of values: a person may have several partners, or none, or no country. ``=``
asks whether one of them is the value, so ``!=`` and ``not in`` ask whether none is, and a person without
a country is *not* in France. There is no third truth value: only ``is empty`` speaks of what is missing.
Two comparisons of ``partner.…`` may be true of two different partners, two of ``opened`` of two letters.

Letters A to Z compare without case in names, domains and codes; other letters as they are written.
Days are in UTC; ``before`` and ``after`` leave the day itself out. ``in last 30 days`` is 30 times 24 hours
before the instant at which the rule is judged: a campaign's when it is launched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

Value = str | date | bool | int
"""What a comparison asks for: a text, a day, yes or no, a number of days or of a campaign."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that happened to a letter. ``at`` None: nobody wrote down when."""

    campaign: int
    at: datetime | None


Fact = Value | datetime | Occasion
Facts = Mapping[str, Collection[Fact]]
"""What is known of a person: each field's values, none for what is missing. Texts are never empty."""


class Operator(StrEnum):
    """What a comparison asks of the values a field holds."""

    IS = "="
    IN = "in"
    CONTAINS = "contains"
    BEFORE = "before"
    AFTER = "after"
    LAST = "in last"
    CAMPAIGN = "campaign"
    EVER = "ever"
    EMPTY = "is empty"


VALUELESS = frozenset({Operator.EVER, Operator.EMPTY})


@dataclass(frozen=True)
class Word:
    """A field's name. ``read`` makes a value of text, or raises ValueError saying what is expected."""

    name: str
    operators: frozenset[Operator]
    read: Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Everyone:
    """The rule of no condition."""

    def __str__(self) -> str:
        return "everyone"


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. ``values``: none for ``is empty`` and ``ever``, several for ``in``, else one."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        values = ", ".join(map(shown, self.values))
        match self.operator:
            case Operator.EMPTY | Operator.EVER:
                return f"{self.field} {self.operator}"
            case Operator.IN:
                return f"{self.field} in ({values})"
            case Operator.LAST:
                return f"{self.field} in last {values} days"
            case _:
                return f"{self.field} {self.operator} {values}"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a rule."""

    rule: Rule

    def __str__(self) -> str:
        match self.rule:
            case Compare(field, Operator.IS, (value,)):
                return f"{field} != {shown(value)}"
            case Compare(field, Operator.IN, values):
                return f"{field} not in ({', '.join(map(shown, values))})"
            case Compare(field, Operator.LAST, (days,)):
                return f"{field} not in last {shown(days)} days"
            case Compare(field, Operator.EMPTY):
                return f"{field} is not empty"
            case Compare() | Everyone() | Not():
                return f"not {self.rule}"
            case _:
                return f"not ({self.rule})"


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every one of two or more rules is."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return " and ".join(
            f"({rule})" if isinstance(rule, AnyOf | AllOf) else str(rule) for rule in self.rules
        )


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one of two or more rules is."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return " or ".join(
            f"({rule})" if isinstance(rule, AnyOf | AllOf) else str(rule) for rule in self.rules
        )


Rule = Everyone | Compare | Not | AllOf | AnyOf

# Judging


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a person is in or not. ``facts``: what a comparison saw; ``parts``: the rules within this one.

    A comparison with ``not`` before it is one judgement, of what is asked.
    """

    rule: Rule
    holds: bool
    facts: tuple[Fact, ...] = ()
    parts: tuple[Judgement, ...] = ()


def matches(rule: Rule, facts: Facts, now: datetime) -> bool:
    """Judge one person in plain Python: the oracle for the SQL."""
    return judge(rule, facts, now).holds


def judge(rule: Rule, facts: Facts, now: datetime) -> Judgement:
    """Judge one person and say of every part how it came out."""
    match rule:
        case Everyone():
            return Judgement(rule, True)
        case Compare(field, operator, values):
            held = tuple(facts.get(field, ()))
            return Judgement(rule, _holds(operator, held, values, now), held)
        case Not(Compare() as inner):
            asked = judge(inner, facts, now)
            return Judgement(rule, not asked.holds, asked.facts)
        case Not(inner):
            asked = judge(inner, facts, now)
            return Judgement(rule, not asked.holds, parts=(asked,))
        case AllOf(rules):
            parts = tuple(judge(inner, facts, now) for inner in rules)
            return Judgement(rule, all(part.holds for part in parts), parts=parts)
        case AnyOf(rules):
            parts = tuple(judge(inner, facts, now) for inner in rules)
            return Judgement(rule, any(part.holds for part in parts), parts=parts)


def _holds(operator: Operator, held: Collection[Fact], asked: tuple[Value, ...], now: datetime) -> bool:
    match operator:
        case Operator.EMPTY:
            return not held
        case Operator.EVER:
            return bool(held)
        case Operator.CAMPAIGN:
            return any(isinstance(fact, Occasion) and fact.campaign == asked[0] for fact in held)
        case Operator.LAST:
            since = days_before(now, asked[0])
            return any(instant >= since for instant in _instants(held))
        case Operator.IS | Operator.IN if not isinstance(asked[0], date):
            wanted = [folded(value) for value in asked]
            return any(folded(fact) in wanted for fact in held)
        case Operator.CONTAINS:
            return any(str(folded(asked[0])) in str(folded(fact)) for fact in held)
        case _:
            return any(_on(operator, instant.date(), asked[0]) for instant in _instants(held))


def _on(operator: Operator, day: date, asked: Value) -> bool:
    if not isinstance(asked, date):
        raise TypeError(f"{asked!r} is no day")
    match operator:
        case Operator.BEFORE:
            return day < asked
        case Operator.AFTER:
            return day > asked
        case _:
            return day == asked


def _instants(held: Collection[Fact]) -> list[datetime]:
    found = [fact.at if isinstance(fact, Occasion) else fact for fact in held]
    return [fact.astimezone(UTC) for fact in found if isinstance(fact, datetime)]


def days_before(now: datetime, days: Value) -> datetime:
    """Return the first instant of the last so many days."""
    return now - timedelta(days=int(str(days)))


_FOLD = {sign: sign + 32 for sign in range(ord("A"), ord("Z") + 1)}


def folded(value: Fact) -> Fact:
    """Return the comparing form of a value: A to Z in lower case, as both databases fold them alike."""
    return value.translate(_FOLD) if isinstance(value, str) else value


# Words and values as text

RESERVED = frozenset({"and", "or", "not", "in", "contains", "before", "after", "is", "empty", "everyone"})
"""Words that stand for themselves only in quotes."""

CHINESE = {
    "且": "and", "并且": "and", "或": "or", "或者": "or", "不": "not", "非": "not", "属于": "in",
    "包含": "contains", "早于": "before", "晚于": "after", "所有人": "everyone", "为空": "empty",
    "等于": "=", "最近": "last", "天": "days", "曾经": "ever", "从未": "never", "任务": "campaign",
}  # fmt: skip
"""Chinese words of the language."""

GLUED = re.compile(r"(最近)?([0-9]+)(天)|(不)(为空|等于)")
"""Chinese words that stand together without a space."""

_PLAIN = re.compile(r"[\w.+@/-]+")


def shown(value: Value) -> str:
    """Return a value as the language writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    ours = value.lower() in RESERVED or value in CHINESE or GLUED.fullmatch(value)
    return value if _PLAIN.fullmatch(value) and not ours else quoted(value)


def quoted(text: str) -> str:
    """Return a text in quotes, so that whatever it says it is one value."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
