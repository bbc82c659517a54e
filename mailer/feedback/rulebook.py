"""The rulebook: own rules are made, changed and switched off by admins; every change is in the audit log.

What a rule means and which are refused is ``diagnosis.OwnRule``'s; how they reach whoever judges replies is
``delivery.own_rules``'. Nothing that was judged before changes by itself: ``tryout`` shows what would, and
judges anew where a person asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.database import after_commit
from mailer.delivery import own_rules
from mailer.delivery.store import Case, OwnRule
from mailer.diagnosis import Category
from mailer.diagnosis import OwnRule as Rule
from mailer.errors import NotFound


class NoRule(NotFound):
    """There is no such rule: reload the list and choose one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A rule as a person writes it; see ``diagnosis.OwnRule``. ``note``: why, in their words."""

    words: str = ""
    provider: str | None = None
    code: str = ""
    status: str = ""
    category: Category
    dead: bool = False
    note: str = ""

    def as_rule(self, name: str = "") -> Rule:
        """Return it as the diagnosis takes it.

        :raises RuleRefused: it fits everything or nothing, or would silence for what is not the address
        """
        return Rule(
            words=self.words, category=self.category, dead=self.dead, provider=self.provider,
            code=self.code, status=self.status, name=name,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """A rule, and how many cases of the past were judged anew by it."""

    row: OwnRule
    judged: int


def listing(session: Session) -> Sequence[Listed]:
    """Return all rules in the order in which they are asked, those switched off among them."""
    query = select(Case.rule_id, func.count()).where(Case.rule_id > 0).group_by(Case.rule_id)
    judged = {row[0]: row[1] for row in session.execute(query)}
    return [Listed(row, judged.get(row.id, 0)) for row in own_rules.rows(session)]


def judged_by(session: Session, rule_id: int) -> int:
    """Return how many cases of the past are judged by a rule now."""
    return session.scalar(select(func.count()).where(Case.rule_id == rule_id)) or 0


def get(session: Session, rule_id: int) -> OwnRule:
    """:raises NoRule: none has that number"""
    found = session.get(OwnRule, rule_id)
    if found is None:
        raise NoRule
    return found


def add(session: Session, draft: Draft, *, now: datetime, actor: Actor) -> int:
    """Make a rule, asked before all others from now on, and return its number.

    :raises RuleRefused: it fits everything or nothing, or would silence for what is not the address
    """
    draft.as_rule()
    row = OwnRule(active=True, made_by=actor.name, made_at=now)
    _fill(row, draft, now, actor)
    session.add(row)
    session.flush()
    _note(session, "rule.add", row, None, now, actor)
    return row.id


def edit(session: Session, rule_id: int, draft: Draft, *, now: datetime, actor: Actor) -> None:
    """Change a rule; its place in the order stays.

    :raises NoRule: none has that number
    :raises RuleRefused: it fits everything or nothing, or would silence for what is not the address
    """
    draft.as_rule()
    row = get(session, rule_id)
    before = _facts(row)
    _fill(row, draft, now, actor)
    _note(session, "rule.edit", row, before, now, actor)


def switch(session: Session, rule_id: int, *, on: bool, now: datetime, actor: Actor) -> None:
    """Have a rule asked, or not any more. What it has judged stays as it is.

    :raises NoRule: none has that number
    """
    row = get(session, rule_id)
    if row.active == on:
        return
    before = _facts(row)
    row.active, row.changed_by, row.changed_at = on, actor.name, now
    _note(session, "rule.on" if on else "rule.off", row, before, now, actor)


_FIELDS = ("words", "provider", "code", "status", "category", "dead", "note")


def _fill(row: OwnRule, draft: Draft, now: datetime, actor: Actor) -> None:
    for field in _FIELDS:
        setattr(row, field, getattr(draft, field))
    row.changed_by, row.changed_at = actor.name, now


def _facts(row: OwnRule) -> dict[str, Any]:
    return {field: getattr(row, field) for field in (*_FIELDS, "active")}


def _note(session: Session, action: str, row: OwnRule, before: Any, now: datetime, actor: Actor) -> None:
    audit.record(session, now=now, actor=actor, action=action, subject=f"rule {row.id}",
                 before=before, after=_facts(row))  # fmt: skip
    after_commit(session, lambda: own_rules.forget(session))
