"""Segments: rules of ``audience.rules`` asked of the database, and saved under a name.

Fields of the subscriber, of partners, topics, subscription and consent are defined here; stages above add
theirs with ``register``. Every condition is true or false, never NULL, so that ``not`` means what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import codes, rules, store, suppressions
from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Operator, Rule, Value, Word
from mailer.audience.rules import BadRule as BadRule
from mailer.audience.rules import matches as matches
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Partner,
    PartnerKind,
    Segment,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Topic,
)
from mailer.errors import Invalid, NotFound
from mailer.sentence import Sentence

Test = Callable[[Any], ColumnElement[bool]]
"""What a comparison asks of one value."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule is asked within. ``publication_id`` None: subscriptions and topics of any publication."""

    publication_id: int | None = None


@dataclass(frozen=True)
class Field(Word):
    """A word of the language and where its values are: ``some`` says that one of them passes a test.

    ``some`` speaks of ``Subscriber``, correlates nothing else, and is false where there is no value.
    """

    some: Callable[[Test, Scope], ColumnElement[bool]]
    days: bool = False  # values are instants, asked about by day
    folds: bool = False  # values are stored as people wrote them, not in one settled case


class NoSegment(NotFound):
    """There is no segment of that name: `mailer segment list` shows those that exist."""


class BadSegmentName(Invalid):
    """A segment's name has 1 to 100 characters: choose one."""


def register(field: Field, *others: str) -> None:
    """Add a field to the language, under its name and ``others``; a second time, the new one counts."""
    _FIELDS.update(dict.fromkeys((field.name, *others), field))


def parse(text: str) -> Rule:
    """Read a rule.

    :raises BadRule: the message names the position and what was expected there
    """
    return rules.parse(text, _FIELDS)


def condition(rule: Rule, *, publication_id: int | None = None) -> ColumnElement[bool]:
    """Return the SQL condition over ``Subscriber`` that means the same as ``rules.matches``."""
    return _condition(rule, Scope(publication_id))


def count(session: Session, rule: Rule, publication_id: int, now: datetime) -> int:
    """Return how many people of a rule a campaign would write to now.

    That is: confirmed for the publication, not erased, not suppressed; whatever their language.
    """
    found = session.scalar(
        select(func.count())
        .select_from(Subscriber)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(
            Subscription.publication_id == publication_id,
            Subscription.state == SubscriptionState.CONFIRMED,
            Subscriber.address.is_not(None),
            condition(rule, publication_id=publication_id),
            not_(suppressions.in_force(now, publication_id)),
        )
    )
    return found or 0


def save(session: Session, *, name: str, rule: str, now: datetime, actor: Actor) -> Segment:
    """Keep a rule under a name; one kept there before is replaced. The text is kept in its plain form.

    :raises BadRule: it cannot be read
    :raises BadSegmentName: empty or too long
    """
    name, plain = " ".join(name.split()), str(parse(rule))
    if not 0 < len(name) <= 100:
        raise BadSegmentName
    segment = store.segment_by_name(session, name)
    before = segment.rule if segment else None
    if segment is None:
        segment = Segment(name=name, rule=plain, created_at=now)
        session.add(segment)
    segment.rule = plain
    session.flush()
    audit.record(session, now=now, actor=actor, action="segment.save", subject=f"segment {segment.id}",
                 before=before, after=plain)  # fmt: skip
    return segment


def get(session: Session, name: str) -> Segment:
    """:raises NoSegment: none of that name"""
    found = store.segment_by_name(session, " ".join(name.split()))
    if found is None:
        raise NoSegment
    return found


def listing(session: Session) -> list[Segment]:
    """Return every saved segment by name."""
    return store.segments(session)


def remove(session: Session, *, name: str, now: datetime, actor: Actor) -> None:
    """Forget a segment; campaigns keep the rule they were made with.

    :raises NoSegment: none of that name
    """
    segment = get(session, name)
    audit.record(session, now=now, actor=actor, action="segment.remove", subject=f"segment {segment.id}",
                 before=segment.rule)  # fmt: skip
    session.delete(segment)
    session.flush()


def resolve(session: Session, text: str) -> Rule:
    """Return the rule saved under the name ``text``, else ``text`` read as a rule.

    :raises BadRule: neither a name nor a rule
    """
    found = store.segment_by_name(session, " ".join(text.split()))
    return parse(found.rule if found else text)


# SQL of a rule


def _condition(rule: Rule, scope: Scope) -> ColumnElement[bool]:
    match rule:
        case Everyone():
            return true()
        case Not(inner):
            return not_(_condition(inner, scope))
        case AllOf(parts):
            return and_(*(_condition(part, scope) for part in parts))
        case AnyOf(parts):
            return or_(*(_condition(part, scope) for part in parts))
        case Compare(name, operator, values):
            return _comparison(_FIELDS[name], operator, values, scope)


def _comparison(
    field: Field, operator: Operator, values: tuple[Value, ...], scope: Scope
) -> ColumnElement[bool]:
    if operator is Operator.EMPTY:
        return not_(field.some(lambda column: true(), scope))
    if field.days:
        return field.some(lambda column: _on_days(column, operator, values[0]), scope)
    if isinstance(values[0], bool):
        return field.some(lambda column: column.is_(values[0]), scope)
    asked = [rules.folded(value) if field.folds else value for value in values]
    seen = _folded if field.folds else _as_stored
    if operator is Operator.CONTAINS:
        return field.some(lambda column: seen(column).contains(asked[0], autoescape=True), scope)
    return field.some(lambda column: seen(column).in_(asked), scope)


def _as_stored(column: Any) -> Any:
    return column


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


# The fields


def _own(column: Any) -> Callable[[Test, Scope], ColumnElement[bool]]:
    """A text column of the subscriber; NULL and the empty text are no value."""
    return lambda test, scope: and_(column.is_not(None), column != "", test(column))


def _any_name(test: Test, scope: Scope) -> ColumnElement[bool]:
    return or_(*(and_(name != "", test(name)) for name in (Subscriber.name_zh, Subscriber.name_en)))


def _joined(test: Test, scope: Scope) -> ColumnElement[bool]:
    return test(Subscriber.created_at)


def _of_partner(column: str) -> Callable[[Test, Scope], ColumnElement[bool]]:
    """A column of the partners a person belongs to now."""

    def some(test: Test, scope: Scope) -> ColumnElement[bool]:
        membership, partner = aliased(Membership), aliased(Partner)
        return exists(
            select(membership.id)
            .join(partner, partner.id == membership.partner_id)
            .where(
                membership.subscriber_id == Subscriber.id,
                membership.ended_at.is_(None),
                test(getattr(partner, column)),
            )
            .correlate(Subscriber)
        )

    return some


def _of_subscription(column: str) -> Callable[[Test, Scope], ColumnElement[bool]]:
    def some(test: Test, scope: Scope) -> ColumnElement[bool]:
        subscription = aliased(Subscription)
        found = select(subscription.subscriber_id).where(
            subscription.subscriber_id == Subscriber.id, test(getattr(subscription, column))
        )
        if scope.publication_id is not None:
            found = found.where(subscription.publication_id == scope.publication_id)
        return exists(found.correlate(Subscriber))

    return some


def _topic(test: Test, scope: Scope) -> ColumnElement[bool]:
    choice, topic = aliased(SubscriberTopic), aliased(Topic)
    found = (
        select(choice.topic_id)
        .join(topic, topic.id == choice.topic_id)
        .where(choice.subscriber_id == Subscriber.id, test(topic.code))
    )
    if scope.publication_id is not None:
        found = found.where(topic.publication_id == scope.publication_id)
    return exists(found.correlate(Subscriber))


def _code(read: Callable[[str], str]) -> Callable[[str], Value]:
    def value(text: str) -> Value:
        try:
            return read(text)
        except codes.BadCode as error:
            raise ValueError(error.sentence.values["advice"]) from error

    return value


def _one_of(
    choices: type[PartnerKind] | type[SubscriptionState] | type[ConsentKind],
) -> Callable[[str], Value]:
    def value(text: str) -> Value:
        word = "_".join(text.lower().replace("-", " ").split())
        if word not in set(choices):
            raise ValueError(Sentence("choose one of {choices}", choices=", ".join(choices)))
        return word

    return value


def _language(text: str) -> str:
    return text.lower() if len(text) == 2 and text.isascii() and text.isalpha() else codes.language(text)


def _domain(text: str) -> Value:
    try:
        return text.lower() if text.isascii() else text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(Sentence("write a domain such as example.org")) from error


def _day(text: str) -> Value:
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


_CHOICE = frozenset({Operator.IS, Operator.IN, Operator.EMPTY})
_TEXT = _CHOICE | {Operator.CONTAINS}
_DAY = frozenset({Operator.IS, Operator.BEFORE, Operator.AFTER, Operator.EMPTY})
_FLAG = frozenset({Operator.IS, Operator.EMPTY})

_OURS = (
    Field("language", _CHOICE, _code(_language), _own(Subscriber.language)),
    Field("country", _CHOICE, _code(codes.country), _own(Subscriber.country)),
    Field("domain", _TEXT, _domain, _own(Subscriber.domain)),
    Field("zone", _TEXT, str, _own(Subscriber.zone), folds=True),
    Field("name", _TEXT, str, _any_name, folds=True),
    Field("joined", _DAY, _day, _joined, days=True),
    Field("partner.kind", _CHOICE, _one_of(PartnerKind), _of_partner("kind")),
    Field("partner.country", _CHOICE, _code(codes.country), _of_partner("country")),
    Field("partner.trusted", _FLAG, _yes_no, _of_partner("trusted")),
    Field("topic", _TEXT, str, _topic, folds=True),
    Field("subscription", _CHOICE, _one_of(SubscriptionState), _of_subscription("state")),
    Field("consent", _CHOICE, _one_of(ConsentKind), _of_subscription("consent_kind")),
)
_FIELDS = {field.name: field for field in _OURS}
register(Field("partner.code", _TEXT, str, _of_partner("code"), folds=True), "partner")
