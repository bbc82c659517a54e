"""The watch: what the policy looks at every so often, beside each single event."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer.feedback import policy, refusals, store, storms, tallies

_KEPT = timedelta(days=35)  # tallies: what is usual is told from 30 days


def watch(session: Session, *, now: datetime) -> bool:
    """See to storms and refusals; return False while another process decides, which sees to them soon."""
    if not store.alone(session):
        return False
    rules = policy.in_force(session)
    storms.watch(session, rules, now=now)
    refusals.watch(session, rules, now=now)
    tallies.forget(session, now - _KEPT)
    return True
