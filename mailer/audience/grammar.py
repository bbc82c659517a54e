"""The grammar of rules: text becomes a rule, or an error that names the position. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mailer.audience.rules import (
    CHINESE,
    GLUED,
    RESERVED,
    VALUELESS,
    AllOf,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Operator,
    Rule,
    Value,
    Word,
)
from mailer.errors import Invalid
from mailer.sentence import Sentence

LONGEST_PERIOD = 9_999  # days; nothing here is older
_DEEPEST = 50  # brackets and nots within one another: deeper is not a person's rule
_LONGEST = 5_000  # characters; SQLite refuses expressions more than 1,000 deep, an "or" counts one
_TOKENS = re.compile(
    r"""(?P<space>[\s\u3000]+)
    |(?P<open>[(（])|(?P<close>[)）])|(?P<comma>[,，、])
    |(?P<equal>==?|＝)|(?P<unequal>!=|<>|≠|！=|！＝)
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|＂[^＂]*＂)
    |(?P<word>[^\s\u3000()（）,，、=＝!！<>≠"'“”‘’「」『』＂]+)
    |(?P<stray>.)""",
    re.VERBOSE | re.DOTALL,
)

LookUp = Callable[[Word, str], int]
"""Finds the number of a campaign, or raises ValueError saying what is expected."""


class BadRule(Invalid):
    """The rule cannot be read."""

    @property
    def at(self) -> int | None:
        """The position of the trouble, from 1; None: it is the whole rule."""
        found = self.sentence.values.get("at")
        return found if isinstance(found, int) else None


def by_number(_field: Word, text: str) -> int:
    """Read a campaign's number without looking whether there is one.

    :raises ValueError: it is no number
    """
    return number(text)


def number(text: str) -> int:
    """:raises ValueError: it is no campaign's number"""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(Sentence("write the number of a campaign, such as 12"))
    return int(text)


def parse(text: str, fields: Mapping[str, Word], campaign: LookUp = by_number) -> Rule:
    """Read a rule; the empty text and ``everyone`` mean all.

    :raises BadRule: the message names the position and what was expected there
    """
    if len(text) > _LONGEST:
        raise BadRule(
            "The rule is longer than {longest} characters: save parts of it as segments.", longest=_LONGEST
        )
    return _Parser(text, fields, campaign).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int  # position of its first character, from 1

    @property
    def keyword(self) -> str:
        word = self.text.lower()
        return CHINESE.get(word, word) if self.kind == "word" else ""


class _Parser:
    """Recursive descent, one method per line of the grammar."""

    def __init__(self, text: str, fields: Mapping[str, Word], campaign: LookUp) -> None:
        self._fields = fields
        self._campaign = campaign
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
        """comparison = field operator [ value | "(" value { "," value } ")" | days "days" ]"""
        name = self._now
        field = self._fields.get(name.text.lower()) if name.kind == "word" else None
        if field is None:
            known = ", ".join(sorted({field.name for field in self._fields.values()}))
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
        spoken = self._take("is")
        negated = self._take("not")
        if self._take("empty"):
            return Operator.EMPTY, negated
        if spoken:
            raise self._expected(Sentence("“empty”"))
        if self._now.kind == "equal":
            self._step()
            return Operator.IS, negated
        if self._take("in"):
            return (Operator.LAST if self._take("last") else Operator.IN), negated
        if self._take("last"):
            return Operator.LAST, negated
        if self._take("never"):
            return Operator.EVER, not negated
        for operator in (
            Operator.CONTAINS, Operator.BEFORE, Operator.AFTER, Operator.EVER, Operator.CAMPAIGN
        ):  # fmt: skip
            if self._take(operator):
                return operator, negated
        raise self._expected(
            Sentence(
                "an operator: =, !=, in, contains, before, after, “in last … days”, ever, campaign"
                " or “is empty”"
            )
        )

    def _values(self, field: Word, operator: Operator) -> tuple[Value, ...]:
        if operator in VALUELESS:
            return ()
        if operator is Operator.LAST:
            return (self._period(),)
        if operator is Operator.CAMPAIGN:
            return (self._value(field, lambda text: self._campaign(field, text)),)
        if operator is not Operator.IN:
            return (self._value(field, field.read),)
        self._must("open", Sentence("an opening bracket “(” before the list"))
        values = [self._value(field, field.read)]
        while self._now.kind == "comma":
            self._step()
            values.append(self._value(field, field.read))
        self._must("close", Sentence("a comma or a closing bracket “)”"))
        return tuple(values)

    def _period(self) -> Value:
        """period = number "days" """
        token = self._now
        text = _unquoted(token) if token.kind in ("word", "quoted") else ""
        days = int(text) if re.fullmatch("[0-9]{1,6}", text) else 0
        if not 1 <= days <= LONGEST_PERIOD:
            raise self._expected(Sentence("a number of days from 1 to {most}", most=LONGEST_PERIOD))
        self._step()
        if not (self._take("days") or self._take("day")):
            raise self._expected(Sentence("“days”"))
        return days

    def _value(self, field: Word, read: Callable[[str], Value]) -> Value:
        token = self._now
        if token.kind not in ("word", "quoted") or (token.keyword in RESERVED):
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
            value = read(text.strip())
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
        kind, at = found.lastgroup or "stray", found.start() + 1
        if kind == "stray":
            raise BadRule(
                "At position {at} “{text}” cannot be read: put it in quotes.", at=at, text=found.group()
            )
        if kind == "word":
            yield from _words(found.group(), at)
        elif kind != "space":
            yield _Token(kind, found.group(), at)


def word_at(text: str, at: int) -> str:
    """Return the word or sign of a rule's text that begins at a position, from 1; "" at its end."""
    found = _TOKENS.match(text, at - 1)
    return found.group() if found else ""


def _words(text: str, at: int) -> Iterator[_Token]:
    """Take apart what Chinese writes without spaces: 最近90天, 不为空."""
    glued = GLUED.fullmatch(text)
    for part in filter(None, glued.groups()) if glued else (text,):
        yield _Token("equal" if CHINESE.get(part) == "=" else "word", part, at)
        at += len(part)


def _unquoted(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    inner = token.text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if token.text[0] in "\"'" else inner


def _shown_operators(field: Word) -> str:
    shown = [operator.value for operator in Operator if operator in field.operators]
    return ", ".join(["!=", *shown] if Operator.IS in field.operators else shown)
