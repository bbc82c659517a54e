"""Policy: what an event makes of an address. Suppressing a living reader is the costly mistake (law 4).

Only words about the address itself count, and most of them only when they keep coming: a domain may be
gone for a day, an account locked for a week, a mailbox full over the holidays. What is said about us
(policy, reputation, content, rate) and what says nothing (technical, unknown) never silences anybody.
A bounce never changes the ledger: the letter was accepted, and the event tells the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from mailer.audience import suppressions
from mailer.delivery.store import Event, EventKind
from mailer.diagnosis import Category
from mailer.feedback import store
from mailer.feedback.store import Pending

SETTLED = timedelta(days=5)  # RFC 5321 §4.5.4.1: relays give up after 4-5 days; silence by then is success
_MEMORY = timedelta(days=400)  # how far back bounces count: a monthly newsletter, with a year's pause


class Action(StrEnum):
    """What was done about an event."""

    SUPPRESS = "suppress"
    COUNT = "count"  # one more step on the way to a suppression
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rule:
    """Suppress after ``times`` letters bounced without a sign of life, first and last ``apart`` or more."""

    times: int
    apart: timedelta
    needs_dead: bool  # only bounces that call the address dead count


RULES = {
    Category.BAD_MAILBOX: Rule(2, timedelta(hours=24), needs_dead=True),
    Category.BAD_DOMAIN: Rule(3, timedelta(hours=72), needs_dead=True),
    Category.INACTIVE: Rule(3, timedelta(days=14), needs_dead=False),
    Category.MAILBOX_FULL: Rule(5, timedelta(days=30), needs_dead=False),
}

_WORDS = {
    Category.BAD_MAILBOX: "there is no such mailbox",
    Category.BAD_DOMAIN: "the domain takes no mail",
    Category.INACTIVE: "the account is switched off",
    Category.MAILBOX_FULL: "the mailbox is full",
}
_ABOUT_US = frozenset({Category.POLICY, Category.REPUTATION, Category.CONTENT, Category.RATE})


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an address: its bounces, this one among them, and when it was last alive."""

    bounces: Sequence[Event] = ()
    alive_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision: what to do, why in plain words, and whether for every publication or only this one."""

    action: Action
    reason: str
    everywhere: bool = True


def decide(event: Event, past: Past) -> Verdict:
    """Say what one bounce or complaint, with all that came before it, makes of the address."""
    if event.kind == EventKind.COMPLAINT:
        return Verdict(Action.SUPPRESS, "The reader reported the letter as unwanted.", everywhere=False)
    category = Category(event.category or Category.UNKNOWN)
    if category in _ABOUT_US:
        return Verdict(Action.NONE, "The words are about us or the letter, not about the address.")
    rule = RULES.get(category)
    if rule is None:
        return Verdict(Action.NONE, "The words do not say that anything is wrong with the address.")
    if rule.needs_dead and not event.dead:
        return Verdict(Action.NONE, "Nothing says that the address we wrote to is gone for good.")
    if category is Category.BAD_MAILBOX and _explicit(event):
        return Verdict(Action.SUPPRESS, "The receiving system says outright that there is no such mailbox.")
    return _counted(event, rule, _WORDS[category], _run(event, rule, past))


def apply_pending(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Decide about events of the inbox, oldest first, and return how many. Run twice, it decides once."""
    waiting = store.pending(session, limit)
    if not waiting:
        return 0
    people = {item.subscriber_id for item in waiting}
    bounces = store.bounces_of(session, people, now - _MEMORY)
    alive = store.signs_of_life(session, people, settled=now - SETTLED)
    store.file_decisions(
        session,
        [
            _apply(
                session, item, Past(bounces.get(item.subscriber_id, ()), alive.get(item.subscriber_id)), now
            )
            for item in waiting
        ],
    )
    return len(waiting)


def _explicit(event: Event) -> bool:
    """Said while we were sending, or by a report with a 5.1.x of its own (RFC 3463 §3.2)."""
    return event.source == "smtp" or (event.status or "").startswith("5.1.")


def _run(event: Event, rule: Rule, past: Past) -> list[datetime]:
    """Return when letters bounced for this reason without a sign of life since; one letter counts once."""
    run: dict[tuple[int, int], datetime] = {}
    for bounce in past.bounces:
        counts = bounce.category == event.category and (bounce.dead or not rule.needs_dead)
        if counts and bounce.at <= event.at and (past.alive_at is None or bounce.at > past.alive_at):
            run.setdefault((bounce.campaign_id, bounce.n), bounce.at)
    return sorted(run.values())


def _counted(event: Event, rule: Rule, words: str, run: list[datetime]) -> Verdict:
    if len(run) >= rule.times and run[-1] - run[0] >= rule.apart:
        return Verdict(
            Action.SUPPRESS,
            f"{len(run)} letters in a row came back because {words}, over {_span(run[-1] - run[0])}.",
        )
    return Verdict(
        Action.COUNT,
        f"{len(run)} of {rule.times} letters came back because {words};"
        f" the address is silenced after {rule.times} in a row over {_span(rule.apart)} or more.",
    )


def _span(length: timedelta) -> str:
    hours = int(length.total_seconds() // 3600)
    return f"{hours} hours" if hours < 96 else f"{hours // 24} days"


def _apply(session: Session, item: Pending, past: Past, now: datetime) -> dict[str, object]:
    verdict = decide(item.event, past)
    suppression_id = None
    if verdict.action is Action.SUPPRESS:
        suppression_id = suppressions.suppress(
            session,
            address_hash=item.address_hash,
            reason=item.event.category or Category.UNKNOWN,
            note=item.event.detail or verdict.reason,
            now=now,
            publication_id=None if verdict.everywhere else item.publication_id,
        )
    return {
        "event_id": item.event.id,
        "at": now,
        "action": verdict.action,
        "reason": verdict.reason,
        "suppression_id": suppression_id,
    }
