"""Trying a rule on what came back before, and, where a person asks for it, judging that anew.

Trying changes nothing. Judging anew writes a new event beside the old, which policy decides about as about
any other; undoing takes the decision back and leaves the old event as it was.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.suppressions import NoReason
from mailer.delivery import events, own_rules
from mailer.delivery.cases import SAYS_NOTHING
from mailer.delivery.events import News
from mailer.delivery.store import Case, Event, EventInbox, EventKind
from mailer.diagnosis import Category, Diagnosis, OwnRule, command_within, diagnose, read_reply
from mailer.diagnosis.own import WORDS_LIMIT
from mailer.feedback import decisions, inbox, record, rulebook, store
from mailer.feedback.rules import Action

LOOKED_AT = 10_000  # bounces of the past that a rule is tried on, the newest first
SECONDS = 2.0  # that trying may take
EXAMPLES = 20
AT_ONCE = 1_000  # cases that are judged anew in one go


class Judged(NamedTuple):
    """A category, and whether the address is called dead."""

    category: str
    dead: bool


@dataclass(frozen=True, slots=True)
class Example:
    """An event that a rule would change."""

    event: Event
    before: Judged
    after: Judged


@dataclass(frozen=True, slots=True)
class Tried:
    """What a rule would change among the ``looked_at`` newest bounces, back to ``since`` (None: none yet).

    ``fits``: how many it fits, those it leaves as they are among them. ``waiting``: how many of those it
    would change wait for a person. ``changes`` says how many go from what to what, ``examples`` are the
    newest of them. ``dead`` is as the words have it: whether a report speaks of the mailbox that we wrote to
    is looked up when it is judged.
    """

    looked_at: int
    since: datetime | None
    fits: int
    waiting: int
    changes: dict[tuple[Judged, Judged], int]
    examples: Sequence[Example]

    @property
    def changed(self) -> int:
        """How many would be judged otherwise."""
        return sum(self.changes.values())


class Said(NamedTuple):
    """What was said, taken apart as a rule reads it. ``command`` None: it is not known."""

    code: int | None
    status: str
    text: str
    command: str | None


def on_past(
    session: Session,
    rule: OwnRule,
    *,
    place: int | None = None,
    most: int = LOOKED_AT,
    seconds: float = SECONDS,
) -> Tried:
    """Say what a rule would change. ``place``: the number of the rule that it replaces; None: it is new.

    Rules that are asked before it keep what is theirs.
    """
    ahead = _ahead(session, place)
    until = time.monotonic() + seconds
    looked_at = fits = waiting = 0
    since = None
    changes: Counter[tuple[Judged, Judged]] = Counter()
    examples: list[Example] = []
    for case, event in _bounces(session, most):
        looked_at, since = looked_at + 1, event.at
        judged = _judged(rule, ahead, case, event)
        if judged is not None:
            fits += 1
            before, after = Judged(case.category, event.dead), Judged(judged.category, judged.dead)
            if before != after:
                changes[before, after] += 1
                waiting += case.open
                if len(examples) < EXAMPLES:
                    examples.append(Example(event, before, after))
        if looked_at % 100 == 0 and time.monotonic() > until:
            break
    return Tried(looked_at, since, fits, waiting, dict(changes.most_common()), examples)


def judge_anew(session: Session, rule_id: int, *, now: datetime, actor: Actor) -> int:
    """Judge the bounces of the past that say nothing by a rule, AT_ONCE at most; return how many it fits.

    Only those whose category is unknown or technical: what was understood stays as it is.

    :raises NoRule: none has that number
    """
    row = rulebook.get(session, rule_id)
    rule, ahead = own_rules.as_rule(row), _ahead(session, rule_id)
    found = []
    for case, event in _bounces(session, LOOKED_AT, saying_nothing=True):
        judged = _judged(rule, ahead, case, event)
        if judged is not None and Judged(judged.category, judged.dead) != Judged(case.category, event.dead):
            found.append((case, event, judged))
        if len(found) == AT_ONCE:
            break
    stamp = row.changed_at.isoformat()
    for case, event, judged in found:
        _replace(session, rule_id, case, event, judged, key=f"rule {rule_id} {stamp}: {event.id}")
    if found:
        audit.record(session, now=now, actor=actor, action="rule.judge", subject=f"rule {rule_id}",
                     after={"events": len(found)})  # fmt: skip
    return len(found)


def undo(session: Session, event_id: int, *, why: str, now: datetime, actor: Actor) -> int:
    """Take back what was decided about an event, and a new judgement with it; return the event that stands.

    :raises NoEvent: none has that number
    :raises NothingToUndo: neither was anything changed nor judged anew
    :raises UndoneAlready: a second time
    :raises NoReason: nobody says why
    """
    case = inbox.get(session, event_id).case
    decision = decisions.of_event(session, case.event_id)
    if case.judges is None or (decision and decision.action != Action.NONE and not decision.undone_at):
        decisions.undo(session, case.event_id, why=why, now=now, actor=actor)
    if case.judges is None:
        return case.event_id
    if not why.strip():
        raise NoReason
    audit.record(
        session, now=now, actor=actor, action="rule.undo", subject=f"event {case.judges}",
        before={"rule": case.rule_id, "category": case.category}, after={"why": why.strip()},
    )  # fmt: skip
    return _put_back(session, case)


def undo_all(session: Session, rule_id: int, *, why: str, now: datetime, actor: Actor) -> int:
    """Take back what a rule has judged anew, AT_ONCE cases at most, and what followed; return how many."""
    judged = session.scalars(
        select(Case.event_id).where(Case.rule_id == rule_id).order_by(Case.event_id).limit(AT_ONCE)
    ).all()
    for event_id in judged:
        undo(session, event_id, why=why, now=now, actor=actor)
    return len(judged)


def _put_back(session: Session, case: Case) -> int:
    """Have an event stand again as it was; what policy has not looked at yet it never will."""
    old = session.get_one(Event, case.judges)
    category = old.category or Category.UNKNOWN.value
    session.execute(delete(EventInbox).where(EventInbox.event_id == case.event_id))
    session.add(
        Case(
            event_id=old.id, kind=old.kind, at=old.at, campaign_id=old.campaign_id, n=old.n,
            category=category, provider=case.provider, partner_id=case.partner_id, reason="",
            open=category in SAYS_NOTHING,
        )
    )  # fmt: skip
    session.delete(case)
    session.flush()
    return old.id


def _bounces(session: Session, most: int, *, saying_nothing: bool = False) -> Iterator[tuple[Case, Event]]:
    among = [Case.category.in_(sorted(SAYS_NOTHING)), Case.judges.is_(None)] if saying_nothing else []
    rows = session.execute(
        select(Case, Event)
        .join(Event, Event.id == Case.event_id)
        .where(Case.kind == EventKind.BOUNCE, *among)
        .order_by(Case.at.desc(), Case.event_id.desc())
        .limit(most)
    )
    yield from ((row[0], row[1]) for row in rows)


def _ahead(session: Session, place: int | None) -> list[OwnRule]:
    """Return the rules asked before the one at ``place``; before a new one there are none."""
    if place is None:
        return []
    return [own_rules.as_rule(row) for row in own_rules.rows(session) if row.active and row.id > place]


def _judged(rule: OwnRule, ahead: Sequence[OwnRule], case: Case, event: Event) -> Diagnosis | None:
    """Return how a rule judges an event; None: it is not about it, or another is asked first."""
    heard, provider = said(event), case.provider or None
    first = next((each for each in (*ahead, rule) if _fits(each, heard, provider)), None)
    if first is not rule:
        return None
    return diagnose(
        provider=provider, code=heard.code, status=heard.status or None, text=heard.text,
        command=heard.command, heard=event.source == "smtp", own=[rule],
    )  # fmt: skip


def _fits(rule: OwnRule, heard: Said, provider: str | None) -> bool:
    return rule.fits(provider=provider, code=heard.code, status=heard.status, text=heard.text)


def said(event: Event) -> Said:
    """Return what was said, taken out of an event's words: "RCPT: 550 5.1.1 No such user" when we were told
    it while sending, else what a report quotes."""
    if event.source == "smtp":
        command, _, words = event.detail.partition(": ")
    else:
        command, words = command_within(event.detail) or "", event.detail
    reply = read_reply(words)
    return Said(reply.code, event.status or reply.status, reply.text, command or None)


_OF_ONE = re.compile(r"\S*[@<>]\S*|\S*\d{2,}\S*|\S*https?://\S*")  # reader, host or letter


def words_of(text: str) -> str:
    """Return the longest piece of a reply that is not about this one letter: what a rule begins with."""
    pieces = (" ".join(piece.split()).strip(" :;,.-") for piece in _OF_ONE.split(text))
    return max(pieces, key=len, default="")[:WORDS_LIMIT].strip()


def _replace(
    session: Session, rule_id: int, case: Case, event: Event, judged: Diagnosis, *, key: str
) -> None:
    """Tell an event anew, as a rule judges it; the new case takes the old one's place."""
    told = events.record_many(
        session,
        [
            News(
                campaign_id=event.campaign_id, n=event.n, kind=EventKind.BOUNCE, at=event.at,
                source=event.source, key=key, category=judged.category, status=judged.status or event.status,
                permanent=judged.permanent, dead=judged.dead and _about_our_mailbox(session, event),
                reason=judged.reason, detail=event.detail, mail_id=event.mail_id,
            )
        ],
    )  # fmt: skip
    for event_id in told:
        anew = session.get_one(Case, event_id)
        anew.judges, anew.rule_id, anew.open = event.id, rule_id, False
        session.delete(case)


def _about_our_mailbox(session: Session, event: Event) -> bool:
    """Tell whether what was said is about the mailbox that we wrote to (law 4).

    Said while sending, it is. Of a report the mail tells; when that is not kept any more, nobody knows.
    """
    if event.source == "smtp":
        return True
    raw = store.mail_content(session, event.mail_id) if event.mail_id else None
    written_to = store.written_to(session, event.campaign_id, event.n)
    return raw is not None and bool(written_to) and record.about_mailbox(raw, written_to or "")
