"""Segments: rules asked of the database, and saved under a name.

``fields`` says where values are; every condition is true or false, never NULL, so that ``not`` means what
it says. Why a person is in or not is judged in plain Python on the facts of the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import fields, grammar, rules, store
from mailer.audience.fields import Field as Field
from mailer.audience.fields import Scope
from mailer.audience.fields import register as register
from mailer.audience.grammar import BadRule as BadRule
from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Facts, Judgement, Not, Rule, Word
from mailer.audience.rules import matches as matches
from mailer.audience.store import (
    Partner,
    PartnerGroup,
    Segment,
)
from mailer.errors import Conflict, Invalid, NotFound


class NoSegment(NotFound):
    """There is no segment of that name: `mailer segment list` shows those that exist."""


class BadSegmentName(Invalid):
    """A segment's name has 1 to 100 characters and is no rule itself: choose another."""


class SegmentNameTaken(Conflict):
    """There is a segment of that name already: choose another."""


def parse(text: str) -> Rule:
    """Read a rule without looking whether its campaigns exist.

    :raises BadRule: the message names the position and what was expected there
    """
    return grammar.parse(text, fields.known())


def read(session: Session, text: str) -> Rule:
    """Read a rule as a person writes it: campaigns are looked up, and get the number they have here.

    :raises BadRule: the message names the position and what was expected there
    """

    def campaign(word: Word, told: str) -> int:
        found = fields.known()[word.name].campaign
        return found(session, told) if found else grammar.by_number(word, told)

    return grammar.parse(text, fields.known(), campaign)


def condition(rule: Rule, *, now: datetime, publication_id: int | None = None) -> ColumnElement[bool]:
    """Return the SQL condition over ``Subscriber`` that means the same as ``rules.matches``."""
    return _condition(rule, Scope(now, publication_id))


def facts(session: Session, rule: Rule, subscriber_id: int, scope: Scope) -> Facts:
    """Return what is known of a person, as far as a rule asks for it."""
    known = fields.known()
    return {name: known[name].facts(session, subscriber_id, scope) for name in set(_asked(rule))}


def why(
    session: Session, rule: Rule, subscriber_id: int, *, now: datetime, publication_id: int | None = None
) -> Judgement:
    """Say why a person is in a rule or not: how each of its parts came out, and on what facts."""
    scope = Scope(now, publication_id)
    return rules.judge(rule, facts(session, rule, subscriber_id, scope), now)


# Saved under a name


def save(
    session: Session, *, name: str, rule: str, now: datetime, actor: Actor, description: str | None = None
) -> Segment:
    """Keep a rule under a name; one kept there before is replaced. The text is kept in its plain form.

    ``description`` None: it stays as it is.

    :raises BadRule: it cannot be read
    :raises BadSegmentName: empty or too long
    """
    known = store.segment_by_name(session, _plain(name))
    segment = known or Segment(name="", rule="", description="", created_at=now)
    told = segment.description if description is None else description
    return _keep(session, segment, name, rule, told, now, actor)


def add(session: Session, *, name: str, rule: str, description: str, now: datetime, actor: Actor) -> Segment:
    """Keep a rule under a new name.

    :raises BadRule: it cannot be read
    :raises BadSegmentName: empty or too long
    :raises SegmentNameTaken: there is one of that name
    """
    made = Segment(name="", rule="", description="", created_at=now)
    return _keep(session, made, name, rule, description, now, actor)


def change(
    session: Session, *, segment_id: int, name: str, rule: str, description: str, now: datetime, actor: Actor
) -> Segment:
    """Change a segment; campaigns keep the rule they were made with.

    :raises NoSegment: none of that id
    :raises BadRule: it cannot be read
    :raises BadSegmentName: empty or too long
    :raises SegmentNameTaken: there is another of that name
    """
    return _keep(session, by_id(session, segment_id), name, rule, description, now, actor)


def _keep(
    session: Session, segment: Segment, name: str, rule: str, description: str, now: datetime, actor: Actor
) -> Segment:
    name, plain = _plain(name), str(read(session, rule))
    if not 0 < len(name) <= 100 or _is_rule(name):
        raise BadSegmentName
    namesake = store.segment_by_name(session, name)
    if namesake is not None and namesake is not segment:
        raise SegmentNameTaken
    before = segment.rule or None
    segment.name, segment.rule, segment.description = name, plain, description.strip()
    session.add(segment)
    session.flush()
    audit.record(session, now=now, actor=actor, action="segment.save", subject=f"segment {segment.id}",
                 before=before, after=plain)  # fmt: skip
    return segment


def _plain(name: str) -> str:
    return " ".join(name.split())


def _is_rule(text: str) -> bool:
    try:
        parse(text)
    except BadRule:
        return False
    return True


def get(session: Session, name: str) -> Segment:
    """:raises NoSegment: none of that name"""
    found = store.segment_by_name(session, _plain(name))
    if found is None:
        raise NoSegment
    return found


def by_id(session: Session, segment_id: int) -> Segment:
    """:raises NoSegment: none of that id"""
    found = session.get(Segment, segment_id)
    if found is None:
        raise NoSegment
    return found


def listing(session: Session) -> list[Segment]:
    """Return every saved segment by name."""
    return store.segments(session)


def remove(session: Session, *, segment_id: int, now: datetime, actor: Actor) -> None:
    """Forget a segment; campaigns keep the rule they were made with.

    :raises NoSegment: none of that id
    """
    segment = by_id(session, segment_id)
    audit.record(session, now=now, actor=actor, action="segment.remove", subject=f"segment {segment.id}",
                 before=segment.rule)  # fmt: skip
    session.delete(segment)
    session.flush()


def resolve(session: Session, text: str) -> Rule:
    """Return the rule saved under the name ``text``, else ``text`` read as a rule.

    :raises BadRule: neither a name nor a rule
    """
    found = named(session, text)
    return read(session, found.rule if found else text)


def named(session: Session, text: str) -> Segment | None:
    """Return the segment that an audience names; None: it is a rule."""
    return store.segment_by_name(session, _plain(text))


def groups(session: Session) -> list[str]:
    """Return the thematic groups that partners are in."""
    return list(session.scalars(select(PartnerGroup.code).distinct().order_by(PartnerGroup.code)))


def partners(session: Session) -> list[Partner]:
    """Return every partner by code, without counting anybody."""
    return list(session.scalars(select(Partner).order_by(Partner.code)))


# SQL of a rule


def _condition(rule: Rule, scope: Scope) -> ColumnElement[bool]:
    match rule:
        case Everyone():
            return true()
        case Not(inner):
            return fields.negated(_condition(inner, scope))
        case AllOf(parts):
            return and_(*(_condition(part, scope) for part in parts))
        case AnyOf(parts):
            return or_(*(_condition(part, scope) for part in parts))
        case Compare(name, operator, values):
            return fields.known()[name].condition(operator, values, scope)


def _asked(rule: Rule) -> Iterator[str]:
    """Yield the names of the fields that a rule asks about."""
    match rule:
        case Compare(name):
            yield name
        case Not(inner):
            yield from _asked(inner)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _asked(part)
