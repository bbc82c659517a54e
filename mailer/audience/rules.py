"""Rules: the language in which an audience is described. Pure: read, written back, and judged in Python.

    everyone
    language = zh and not country in (FR, DE)
    partner.kind = ministry or (domain contains "gov" and joined after 2026-01-01)
    partner is empty and name contains 李

A comparison is a field, an operator and a value: ``=  !=  in (…)  not in (…)  contains  before  after
is empty  is not empty``. ``and`` binds closer than ``or``, ``not`` closer than both. A value with spaces or
signs stands in quotes; Chinese quotes, brackets and commas are read as their ASCII kin. Words of the
language may be in any case.

A field holds any number of values: a person may have several partners, or none, or no country. ``=``
asks whether one of them is the value, so ``!=`` and ``not in`` ask whether none is, and a person without
a country is *not* in France. There is no third truth value: only ``is empty`` speaks of what is missing.
Two comparisons of ``partner.…`` may be true of two different partners.

Letters A to Z compare without case in names, domains and codes; other letters as they are written.
``joined`` is a day in UTC; ``before`` and ``after`` leave the day itself out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from mailer.errors import Invalid
from mailer.sentence import Sentence

Value = str | date | bool
Facts = Mapping[str, Collection[Value]]
"""What is known of a person: each field's values, none for what is missing. Texts are never empty."""


class BadRule(Invalid):
    """The rule cannot be read."""


class Operator(StrEnum):
    """What a comparison asks of the values a field holds."""

    IS = "="
    IN = "in"
    CONTAINS = "contains"
    BEFORE = "before"
    AFTER = "after"
    EMPTY = "is empty"


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
    """One comparison. ``values``: none for ``is empty``, several for ``in``, else one."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(map(_shown, self.values))
        match self.operator:
            case Operator.EMPTY:
                return f"{self.field} is empty"
            case Operator.IN:
                return f"{self.field} in ({shown})"
            case _:
                return f"{self.field} {self.operator} {shown}"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a rule."""

    rule: Rule

    def __str__(self) -> str:
        match self.rule:
            case Compare(field, Operator.IS, (value,)):
                return f"{field} != {_shown(value)}"
            case Compare(field, Operator.IN, values):
                return f"{field} not in ({', '.join(map(_shown, values))})"
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
        return " or ".join(f"({rule})" if isinstance(rule, AnyOf) else str(rule) for rule in self.rules)


Rule = Everyone | Compare | Not | AllOf | AnyOf


def matches(rule: Rule, facts: Facts) -> bool:
    """Judge one person in plain Python: the oracle for the SQL."""
    match rule:
        case Everyone():
            return True
        case Not(inner):
            return not matches(inner, facts)
        case AllOf(rules):
            return all(matches(inner, facts) for inner in rules)
        case AnyOf(rules):
            return any(matches(inner, facts) for inner in rules)
        case Compare(field, operator, values):
            return _holds(operator, [folded(value) for value in facts.get(field, ())], values)


def _holds(operator: Operator, held: Sequence[Value], asked: Sequence[Value]) -> bool:
    if operator is Operator.EMPTY:
        return not held
    wanted = [folded(value) for value in asked]
    match operator:
        case Operator.IS | Operator.IN:
            return any(value in wanted for value in held)
        case Operator.CONTAINS:
            return any(str(wanted[0]) in str(value) for value in held)
        case Operator.BEFORE:
            return any(value < wanted[0] for value in held)  # type: ignore[operator]  # dates, as the field reads
        case Operator.AFTER:
            return any(value > wanted[0] for value in held)  # type: ignore[operator]


_FOLD = {sign: sign + 32 for sign in range(ord("A"), ord("Z") + 1)}


def folded(value: Value) -> Value:
    """Return the comparing form of a value: A to Z in lower case, as both databases fold them alike."""
    return value.translate(_FOLD) if isinstance(value, str) else value


# Reading

_TOKENS = re.compile(
    r"""(?P<space>[\s\u3000]+)
    |(?P<open>[(（])|(?P<close>[)）])|(?P<comma>[,，、])
    |(?P<equal>==?|＝)|(?P<unequal>!=|<>|≠|！=|！＝)
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|＂[^＂]*＂)
    |(?P<word>[^\s\u3000()（）,，、=＝!！<>≠"'“”‘’「」『』＂]+)
    |(?P<stray>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[\w.+@/-]+")
_WORDS = frozenset({"and", "or", "not", "in", "contains", "before", "after", "is", "empty", "everyone"})
_DEEPEST = 50  # brackets and nots within one another: deeper is not a person's rule
_LONGEST = 5_000  # characters; SQLite refuses expressions more than 1,000 deep, an "or" counts one


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int  # position of its first character, from 1

    @property
    def keyword(self) -> str:
        return self.text.lower() if self.kind == "word" else ""


def parse(text: str, fields: Mapping[str, Word]) -> Rule:
    """Read a rule; the empty text and ``everyone`` mean all.

    :raises BadRule: the message names the position and what was expected there
    """
    if len(text) > _LONGEST:
        raise BadRule(
            "The rule is longer than {longest} characters: save parts of it as segments.", longest=_LONGEST
        )
    return _Parser(text, fields).whole()


class _Parser:
    """Recursive descent, one method per line of the grammar."""

    def __init__(self, text: str, fields: Mapping[str, Word]) -> None:
        self._fields = fields
        self._tokens = [*_tokens(text), _Token("end", "", len(text) + 1)]
        self._next = 0
        self._depth = 0

    def whole(self) -> Rule:
        """rule = [ either ]"""
        if self._now.kind == "end":
            return Everyone()
        rule = self._either()
        if self._now.kind != "end":
            raise self._expected(Sentence("“and”, “or” or the end"))
        return rule

    def _either(self) -> Rule:
        """either = both { "or" both }"""
        rules = [self._both()]
        while self._take("or"):
            rules.append(self._both())
        return rules[0] if len(rules) == 1 else AnyOf(tuple(rules))

    def _both(self) -> Rule:
        """both = unit { "and" unit }"""
        rules = [self._unit()]
        while self._take("and"):
            rules.append(self._unit())
        return rules[0] if len(rules) == 1 else AllOf(tuple(rules))

    def _unit(self) -> Rule:
        """unit = "not" unit | "(" either ")" | "everyone" | comparison"""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadRule(
                "At position {at}: brackets are more than {deepest} deep.", at=self._now.at, deepest=_DEEPEST
            )
        rule: Rule
        if self._take("not"):
            rule = Not(self._unit())
        elif self._now.kind == "open":
            self._step()
            rule = self._either()
            self._must("close", Sentence("a closing bracket “)”"))
        else:
            rule = Everyone() if self._take("everyone") else self._comparison()
        self._depth -= 1
        return rule

    def _comparison(self) -> Rule:
        """comparison = field operator [ value | "(" value { "," value } ")" ]"""
        name = self._now
        field = self._fields.get(name.keyword)
        if field is None:
            known = ", ".join(sorted(self._fields))
            raise self._expected(Sentence("“everyone”, “not”, a bracket or a field ({known})", known=known))
        self._step()
        operator, negated = self._operator(field)
        rule = Compare(field.name, operator, self._values(field, operator))
        return Not(rule) if negated else rule

    def _operator(self, field: Word) -> tuple[Operator, bool]:
        at = self._next
        operator, negated = self._any_operator()
        if operator not in field.operators:
            self._next = at
            asked = Sentence(
                "what can be asked of {field}: {operators}",
                field=field.name,
                operators=_shown_operators(field),
            )
            raise self._expected(asked)
        return operator, negated

    def _any_operator(self) -> tuple[Operator, bool]:
        if self._now.kind in ("equal", "unequal"):
            return Operator.IS, self._step().kind == "unequal"
        if self._take("is"):
            negated = self._take("not")
            if not self._take("empty"):
                raise self._expected(Sentence("“empty”"))
            return Operator.EMPTY, negated
        negated = self._take("not")
        for operator in (Operator.IN, Operator.CONTAINS, Operator.BEFORE, Operator.AFTER):
            if self._take(operator):
                return operator, negated
        raise self._expected(Sentence("an operator: =, !=, in, contains, before, after or “is empty”"))

    def _values(self, field: Word, operator: Operator) -> tuple[Value, ...]:
        if operator is Operator.EMPTY:
            return ()
        if operator is not Operator.IN:
            return (self._value(field),)
        self._must("open", Sentence("an opening bracket “(” before the list"))
        values = [self._value(field)]
        while self._now.kind == "comma":
            self._step()
            values.append(self._value(field))
        self._must("close", Sentence("a comma or a closing bracket “)”"))
        return tuple(values)

    def _value(self, field: Word) -> Value:
        token = self._now
        if token.kind not in ("word", "quoted") or (token.keyword in _WORDS):
            raise self._expected(Sentence("a value for {field}", field=field.name))
        text = _unquoted(token)
        if not text.strip():
            raise BadRule(
                "At position {at}: a value cannot be blank; ask “{field} is empty”.",
                at=token.at,
                field=field.name,
            )
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
            raise BadRule(
                "At position {at}: a value cannot hold line breaks or other control signs.", at=token.at
            )
        try:
            value = field.read(text.strip())
        except ValueError as error:
            raise BadRule(
                "At position {at}: {field} cannot be “{text}”, {advice}.",
                at=token.at,
                field=field.name,
                text=text,
                advice=next(iter(error.args), ""),
            ) from error
        self._step()
        return value

    @property
    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _step(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, keyword: str) -> bool:
        if self._now.keyword != keyword:
            return False
        self._step()
        return True

    def _must(self, kind: str, what: Sentence) -> None:
        if self._now.kind != kind:
            raise self._expected(what)
        self._step()

    def _expected(self, what: Sentence) -> BadRule:
        token = self._now
        if token.kind == "end":
            return BadRule("At position {at} the rule ends: expected {what}.", at=token.at, what=what)
        return BadRule(
            "At position {at} found “{text}”: expected {what}.", at=token.at, text=token.text, what=what
        )


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKENS.finditer(text):
        kind = found.lastgroup or "stray"
        if kind == "stray":
            raise BadRule(
                "At position {at} “{text}” cannot be read: put it in quotes.",
                at=found.start() + 1,
                text=found.group(),
            )
        if kind != "space":
            yield _Token(kind, found.group(), found.start() + 1)


def _unquoted(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    inner = token.text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if token.text[0] in "\"'" else inner


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return value.isoformat()
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


def _shown_operators(field: Word) -> str:
    shown = [operator.value for operator in Operator if operator in field.operators]
    return ", ".join(["!=", *shown])
