"""Erasure: a person wants everything gone that we hold about them.

Ledgers and events keep their sums: which letter was sent, opened or came back stays known, whose it was does
not. Mail that came back, answers and the address in a mail system's words go.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.audience import person as people
from mailer.audience import privacy
from mailer.audience.privacy import Erased
from mailer.delivery.events import MACHINE
from mailer.delivery.store import Attempt, Delivery, Event, EventKind, about
from mailer.feedback.store import Answer, Decision, Dormant, ReturnedMail

HIDDEN = "•••"  # in place of an address that a mail system quoted
_CHUNK = 400  # letters in one statement
_VISITS = (EventKind.OPEN, EventKind.CLICK)

Letters = Sequence[tuple[int, int]]  # campaign_id, n


def erase(
    session: Session, *, subscriber_id: int, now: datetime, actor: Actor, barred: bool = True
) -> Erased:
    """Erase a person, with all entries that became theirs; return who it was, for caught letters.

    ``barred``: their addresses are kept from being brought back.

    :raises NotFound: nobody, or erased before
    """
    others = people.others(session, subscriber_id)
    entries = [subscriber_id, *(row.id for row in others if row.address is not None)]
    erased = [
        privacy.erase(session, subscriber_id=each, now=now, actor=actor, barred=barred) for each in entries
    ]
    spellings = tuple(spelling for each in erased for spelling in each.spellings)
    for row in others:
        if row.id not in entries:  # what was left of it when its address became the person's
            privacy.forget(session, row.id, now)
    hide = _hider(spellings)
    for each in (subscriber_id, *(row.id for row in others)):
        _erase_what_was_sent(session, each, hide)
    _erase_backscatter(session, spellings)
    session.flush()
    return Erased(subscriber_id, spellings)


def _erase_what_was_sent(session: Session, subscriber_id: int, hide: Any) -> None:
    mine = Delivery.subscriber_id == subscriber_id
    letters = [
        (row[0], row[1]) for row in session.execute(select(Delivery.campaign_id, Delivery.n).where(mine))
    ]
    session.execute(update(Delivery).where(mine).values(salutation=""))
    for start in range(0, len(letters), _CHUNK):
        _erase_letters(session, letters[start : start + _CHUNK], hide)
    for row in session.scalars(select(Dormant).where(Dormant.subscriber_id == subscriber_id)):
        row.reason, row.why = hide(row.reason), hide(row.why)


def _erase_letters(session: Session, letters: Letters, hide: Any) -> None:
    """Erase what came back about letters; of visits only whether a machine made them stays."""
    of = _of(letters)
    session.execute(delete(Answer).where(of(Answer)))
    session.execute(delete(ReturnedMail).where(of(ReturnedMail)))
    for attempt in session.scalars(select(Attempt).where(of(Attempt), Attempt.reply != "")):
        attempt.reply = hide(attempt.reply)
    for event in session.scalars(select(Event).where(of(Event), Event.detail != "")):
        event.detail = _visit(event.detail) if event.kind in _VISITS else hide(event.detail)
        if event.kind == EventKind.LEAVE:
            event.detail = ""
    told = select(Decision).join(Event, Event.id == Decision.event_id).where(of(Event))
    for decision in session.scalars(told):
        decision.reason, decision.undone_why = hide(decision.reason), hide(decision.undone_why)


def _of(letters: Letters) -> Any:
    def condition(table: Any) -> ColumnElement[bool]:
        return about(table, letters)

    return condition


def _visit(detail: str) -> str:
    return MACHINE if detail.startswith(MACHINE) else ""


def _hider(spellings: Iterable[str]) -> Any:
    found = re.compile("|".join(map(re.escape, spellings)), re.IGNORECASE)

    def hide(text: str) -> str:
        """Return the text itself, a sentence whole, unless it quotes the address."""
        return found.sub(HIDDEN, text) if found.search(text) else text

    return hide


def _erase_backscatter(session: Session, spellings: Iterable[str]) -> None:
    """Drop mail of no letter of ours that names the address."""
    found = re.compile(b"|".join(re.escape(each.encode()) for each in spellings), re.IGNORECASE)
    strange = select(ReturnedMail.id, ReturnedMail.envelope_to, ReturnedMail.content)
    rows = session.execute(strange.where(ReturnedMail.campaign_id.is_(None)).execution_options(yield_per=100))
    naming = [id for id, to, content in rows if found.search(to.encode() + b"\n" + zlib.decompress(content))]
    for start in range(0, len(naming), _CHUNK):
        session.execute(delete(ReturnedMail).where(ReturnedMail.id.in_(naming[start : start + _CHUNK])))
