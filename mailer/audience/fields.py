"""Fields of the segment language: what they are called, what may be asked of them, where their values are.

Those of the subscriber, of partners, topics, subscription and consent are defined here; stages above add
theirs with ``register``. Every condition is true or false, never NULL, so that ``not`` means what it says.
One definition of where values are (``Held``) makes both the SQL and the facts that a person is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, not_, null, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BooleanClauseList
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String

from mailer.audience import codes, rules, suppressions
from mailer.audience.rules import Fact, Occasion, Operator, Value, Word
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Partner,
    PartnerGroup,
    PartnerKind,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Topic,
)
from mailer.sentence import Sentence

MOST_FACTS = 200  # of one field that a person is shown; the newest


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule is asked within: ``now`` is when "the last N days" end and what is in force.

    ``publication_id`` None: subscriptions and topics of any publication.
    """

    now: datetime
    publication_id: int | None = None


_ALL = true()


@dataclass(frozen=True, slots=True)
class Held:
    """Where values are: in ``rows`` of the outer query's ``Subscriber``; None: in the subscriber's own row.

    ``where`` is false of what is no value. ``campaign``: the values are instants of what happened to a
    campaign's letters.
    """

    value: Any
    rows: Select[Any] | None = None
    where: ColumnElement[bool] = _ALL
    campaign: Any = None

    def some(self, test: ColumnElement[bool]) -> ColumnElement[bool]:
        """The condition that one of the values passes a test, written in terms of ``value``."""
        if self.rows is None:
            return and_(self.where, test)
        return exists(self.rows.where(self.where, test).correlate(Subscriber))

    def facts(self, session: Session, subscriber_id: int) -> Iterator[Fact]:
        """Yield the values of one person."""
        rows = select(Subscriber.id) if self.rows is None else self.rows
        happened = self.campaign is not None
        columns = [self.value, self.campaign if happened else null()]
        found = rows.with_only_columns(*columns).where(self.where, Subscriber.id == subscriber_id).distinct()
        if happened:
            found = found.order_by(self.value.desc()).limit(MOST_FACTS)
        for value, campaign in session.execute(found):
            yield Occasion(campaign, value) if happened else value


@dataclass(frozen=True)
class Field(Word):
    """A word of the language and where its values are, for what is asked of them; None: for showing them."""

    held: Callable[[Scope, Operator | None], Sequence[Held]]
    days: bool = False  # values are instants, asked about by day
    folds: bool = False  # values are stored as people wrote them, not in one settled case
    choices: tuple[str, ...] = ()  # all there are, where they are few and known
    campaign: Callable[[Session, str], int] | None = None  # finds one, or raises ValueError with advice

    def condition(self, operator: Operator, values: tuple[Value, ...], scope: Scope) -> ColumnElement[bool]:
        """Return the SQL condition over ``Subscriber`` of one comparison."""
        found = or_(
            *(each.some(self._test(each, operator, values, scope)) for each in self.held(scope, operator))
        )
        return negated(found) if operator is Operator.EMPTY else found

    def facts(self, session: Session, subscriber_id: int, scope: Scope) -> list[Fact]:
        """Return what is known of one person."""
        held = self.held(scope, None)
        return [fact for each in held for fact in each.facts(session, subscriber_id)]

    def _test(
        self, held: Held, operator: Operator, values: tuple[Value, ...], scope: Scope
    ) -> ColumnElement[bool]:
        column: ColumnElement[Any] = held.value
        match operator:
            case Operator.EMPTY | Operator.EVER:
                return true()
            case Operator.CAMPAIGN:
                happened: ColumnElement[bool] = held.campaign == values[0]
                return happened
            case Operator.LAST:
                return column >= rules.days_before(scope.now, values[0])
        if self.days:
            return _on_days(column, operator, values[0])
        if isinstance(values[0], bool):
            return column if values[0] else not_(column)
        asked: Any = [rules.folded(value) if self.folds else value for value in values]
        seen = _folded(column) if self.folds else column
        return seen.contains(asked[0], autoescape=True) if operator is Operator.CONTAINS else seen.in_(asked)


def register(field: Field, *others: str) -> None:
    """Add a field to the language, under its name and ``others``; a second time, the new one counts."""
    _FIELDS.update(dict.fromkeys((field.name, *others), field))


def known() -> Mapping[str, Field]:
    """Return the fields by every name they have."""
    return _FIELDS


def _on_days(column: ColumnElement[Any], operator: Operator, day: Value) -> ColumnElement[bool]:
    if not isinstance(day, date):
        raise TypeError(f"{day!r} is no day")
    start = datetime.combine(day, time.min, UTC)
    end = start + timedelta(days=1)
    match operator:
        case Operator.BEFORE:
            return column < start
        case Operator.AFTER:
            return column >= end
        case _:
            return and_(column >= start, column < end)


class _folded(GenericFunction[str]):  # noqa: N801  # SQL functions are named like functions
    """A to Z in lower case, and no other letter, whatever the database's locale."""

    type = String()
    inherit_cache = True


@compiles(_folded)
def _plain_lower(element: _folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"  # SQLite folds ASCII only


@compiles(_folded, "postgresql")
def _c_lower(element: _folded, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


# Where values are


def _own(*columns: Any, days: bool = False) -> Callable[[Scope, Operator | None], Sequence[Held]]:
    """Columns of the subscriber; in texts NULL and the empty text are no value."""
    held = tuple(
        Held(column, where=column.is_not(None) if days else and_(column.is_not(None), column != ""))
        for column in columns
    )
    return lambda scope, operator: held


def _flag(of: Callable[[Scope], ColumnElement[bool]]) -> Callable[[Scope, Operator | None], Sequence[Held]]:
    """What is always true or false of a person."""
    return lambda scope, operator: (Held(of(scope)),)


def _current() -> tuple[type[Membership], Select[Any]]:
    """The memberships that a person has now."""
    membership = aliased(Membership)
    rows = select(membership.id).where(
        membership.subscriber_id == Subscriber.id, membership.ended_at.is_(None)
    )
    return membership, rows


def _of_partner(column: str) -> Callable[[Scope, Operator | None], Sequence[Held]]:
    """A column of the partners a person belongs to now."""

    def held(scope: Scope, operator: Operator | None) -> Sequence[Held]:
        partner = aliased(Partner)
        membership, rows = _current()
        return (Held(getattr(partner, column), rows.join(partner, partner.id == membership.partner_id)),)

    return held


def _groups(scope: Scope, operator: Operator | None) -> Sequence[Held]:
    group = aliased(PartnerGroup)
    membership, rows = _current()
    return (Held(group.code, rows.join(group, group.partner_id == membership.partner_id)),)


def _subscriptions(column: str, scope: Scope) -> Held:
    subscription = aliased(Subscription)
    rows = select(subscription.subscriber_id).where(subscription.subscriber_id == Subscriber.id)
    if scope.publication_id is not None:
        rows = rows.where(subscription.publication_id == scope.publication_id)
    return Held(getattr(subscription, column), rows)


def _state(scope: Scope, operator: Operator | None) -> Sequence[Held]:
    return (_subscriptions("state", scope),)


def _consent(scope: Scope, operator: Operator | None) -> Sequence[Held]:
    """The person's own, and what each partner of theirs has."""
    membership, rows = _current()
    return (_subscriptions("consent_kind", scope), Held(membership.consent_kind, rows))


def _topics(scope: Scope, operator: Operator | None) -> Sequence[Held]:
    """What the person chose; in a publication where they chose nothing, what their partners did."""
    choice, topic = aliased(SubscriberTopic), aliased(Topic)
    own = (
        select(choice.topic_id)
        .join(topic, topic.id == choice.topic_id)
        .where(choice.subscriber_id == Subscriber.id)
    )
    membership, current = _current()
    given, theirs = aliased(MembershipTopic), aliased(Topic)
    chosen, among = aliased(SubscriberTopic), aliased(Topic)
    wish = exists(
        select(chosen.topic_id)
        .join(among, among.id == chosen.topic_id)
        .where(
            chosen.subscriber_id == membership.subscriber_id, among.publication_id == theirs.publication_id
        )
        .correlate(membership, theirs)
    )
    partners = (
        current.join(given, given.membership_id == membership.id)
        .join(theirs, theirs.id == given.topic_id)
        .where(not_(wish))
    )
    if scope.publication_id is not None:
        own = own.where(topic.publication_id == scope.publication_id)
        partners = partners.where(theirs.publication_id == scope.publication_id)
    return Held(topic.code, own), Held(theirs.code, partners)


def _suppressed(scope: Scope) -> ColumnElement[bool]:
    of: Any = null() if scope.publication_id is None else scope.publication_id
    return suppressions.in_force(scope.now, of)


def _paused(scope: Scope) -> ColumnElement[bool]:
    """The person's own pause, or that of every partner who answers for them: as ``delivery.wishes`` says."""
    subscription = aliased(Subscription)
    membership, rows = _current()
    asks = exists(rows.where(membership.paused_until > scope.now).correlate(Subscriber))
    other, others = _current()
    wants = or_(other.paused_until.is_(None), other.paused_until <= scope.now)
    vouched_for = subscription.consent_kind.not_in((ConsentKind.SIGN_UP, ConsentKind.INVITED))
    paused = select(subscription.subscriber_id).where(
        subscription.subscriber_id == Subscriber.id,
        or_(
            subscription.paused_until > scope.now,
            and_(vouched_for, asks, ~exists(others.where(wants).correlate(Subscriber))),
        ),
    )
    if scope.publication_id is not None:
        paused = paused.where(subscription.publication_id == scope.publication_id)
    return exists(paused.correlate(Subscriber))


def negated(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the opposite of a condition, with every "not" as far in as it goes.

    PostgreSQL joins what is NOT EXISTS; below NOT (… OR …) it asks for each person anew.
    """
    if isinstance(clause, BooleanClauseList) and clause.operator in (operators.or_, operators.and_):
        join = and_ if clause.operator is operators.or_ else or_
        return join(*(negated(each) for each in clause.clauses))
    return not_(clause)


# How values are read


def _code(read: Callable[[str], str]) -> Callable[[str], Value]:
    def value(text: str) -> Value:
        try:
            return read(text)
        except codes.BadCode as error:
            raise ValueError(error.sentence.values["advice"]) from error

    return value


def _one_of(choices: type[StrEnum]) -> Callable[[str], Value]:
    def value(text: str) -> Value:
        word = "_".join(text.lower().replace("-", " ").split())
        if word not in set(choices):
            raise ValueError(Sentence("choose one of {choices}", choices=", ".join(choices)))
        return word

    return value


def _domain(text: str) -> Value:
    try:
        return text.lower() if text.isascii() else text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(Sentence("write a domain such as example.org")) from error


def read_day(text: str) -> Value:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(Sentence("write a day such as 2026-01-31")) from error
    if not 1900 <= day.year < 3000:
        raise ValueError(Sentence("write a day between 1900 and 2999"))
    return day


def _yes_no(text: str) -> Value:
    answers = {"yes": True, "true": True, "是": True, "no": False, "false": False, "否": False}
    if text.lower() not in answers:
        raise ValueError(Sentence("write yes or no"))
    return answers[text.lower()]


CHOICE = frozenset({Operator.IS, Operator.IN, Operator.EMPTY})
TEXT = CHOICE | {Operator.CONTAINS}
FLAG = frozenset({Operator.IS})
DAYS = frozenset({Operator.IS, Operator.BEFORE, Operator.AFTER, Operator.LAST, Operator.EMPTY})
HAPPENED = frozenset({Operator.EVER, Operator.LAST, Operator.CAMPAIGN, Operator.BEFORE, Operator.AFTER})


def _choice(
    name: str, kind: type[StrEnum], held: Callable[[Scope, Operator | None], Sequence[Held]]
) -> Field:
    return Field(name, CHOICE, _one_of(kind), held, choices=tuple(kind))


_FIELDS: dict[str, Field] = {}
for _field, *_others in (
    (Field("language", CHOICE, _code(codes.language), _own(Subscriber.language)), "语言"),
    (Field("country", CHOICE, _code(codes.country), _own(Subscriber.country)), "国家"),
    (Field("domain", TEXT, _domain, _own(Subscriber.domain)), "域名"),
    (Field("zone", TEXT, str, _own(Subscriber.zone), folds=True), "时区"),
    (Field("name", TEXT, str, _own(Subscriber.name_zh, Subscriber.name_en), folds=True), "姓名"),
    (Field("joined", DAYS, read_day, _own(Subscriber.created_at, days=True), days=True), "加入"),
    (_choice("partner.kind", PartnerKind, _of_partner("kind")), "机构类型"),
    (Field("partner.country", CHOICE, _code(codes.country), _of_partner("country")), "机构国家"),
    (Field("partner.language", CHOICE, _code(codes.language), _of_partner("language")), "机构语言"),
    (Field("partner.group", TEXT, str, _groups, folds=True), "机构组"),
    (Field("partner.trusted", FLAG | {Operator.EMPTY}, _yes_no, _of_partner("trusted")), "机构受信任"),
    (Field("partner.code", TEXT, str, _of_partner("code"), folds=True), "partner", "机构"),
    (Field("topic", TEXT, str, _topics, folds=True), "主题"),
    (_choice("subscription", SubscriptionState, _state), "订阅"),
    (_choice("consent", ConsentKind, _consent), "同意"),
    (Field("suppressed", FLAG, _yes_no, _flag(_suppressed)), "停发"),
    (Field("paused", FLAG, _yes_no, _flag(_paused)), "暂停"),
):
    register(_field, *_others)
