"""What people wrote back, as it is kept: its SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailer.feedback.store import Answer


def since(session: Session, instant: datetime, delivery: tuple[int, int] | None = None) -> int:
    """Return how many answers came since an instant: to one letter, or to all."""
    count = select(func.count()).select_from(Answer).where(Answer.at > instant)
    if delivery is not None:
        count = count.where(Answer.campaign_id == delivery[0], Answer.n == delivery[1])
    return session.scalar(count) or 0


def in_states(session: Session, *states: str, limit: int = 1_000) -> list[Answer]:
    """Return the answers in these states, newest first."""
    chosen = select(Answer).where(Answer.state.in_(states)).order_by(Answer.at.desc()).limit(limit)
    return list(session.scalars(chosen))


def of_letter(session: Session, campaign_id: int, n: int) -> list[Answer]:
    """Return what was answered to one letter, oldest first."""
    its = select(Answer).where(Answer.campaign_id == campaign_id, Answer.n == n)
    return list(session.scalars(its.order_by(Answer.at)))


def page(session: Session, state: str, number: int, size: int) -> tuple[list[Answer], int]:
    """Return a page of answers in a state ("": any), newest first, and how many there are."""
    chosen = select(Answer).where(Answer.state == state) if state else select(Answer)
    total = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    newest = chosen.order_by(Answer.at.desc(), Answer.mail_id.desc()).limit(size).offset((number - 1) * size)
    return list(session.scalars(newest)), total


def due(session: Session, now: datetime, limit: int) -> list[Answer]:
    """Take answers that are to be passed on now; on PostgreSQL those that nobody else takes just now."""
    those = select(Answer).where(Answer.due_at <= now).order_by(Answer.due_at).limit(limit)
    return list(session.scalars(those.with_for_update(skip_locked=True)))
