"""Alerts: what an administrator should know. Of a kind, one stands at a time about a subject. Their SQL."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.errors import NotFound
from mailer.feedback.store import Alert
from mailer.sentence import Sentence


class NoAlert(NotFound):
    """This alert does not stand any more: reload the list."""


class About(StrEnum):
    """What an alert is about."""

    STORM = "storm"  # a provider calls far more mailboxes missing than usual; suppressions are held
    REFUSED = "refused"  # a provider refuses letters because of us; its lane rests, or a campaign paused
    DORMANT = "dormant"  # addresses wait for a person to decide


def tell(
    session: Session,
    about: About,
    said: Sentence,
    *,
    subject: str = "",
    campaign_id: int | None = None,
    now: datetime,
) -> None:
    """Tell the administrators; of the same subject, the newest words stand in place of older ones."""
    known = session.scalar(
        select(Alert).where(
            Alert.kind == about,
            Alert.subject == subject,
            Alert.campaign_id.is_not_distinct_from(campaign_id),
            Alert.settled_at.is_(None),
        )
    )
    if known is None:
        session.add(Alert(at=now, kind=about, subject=subject, campaign_id=campaign_id, said=said))
    else:
        known.at, known.said = now, said
    session.flush()


def standing(session: Session) -> list[Alert]:
    """Return what has not been settled, newest first."""
    return list(
        session.scalars(
            select(Alert).where(Alert.settled_at.is_(None)).order_by(Alert.at.desc(), Alert.id.desc())
        )
    )


def settle(session: Session, id: int, *, now: datetime, actor: Actor) -> None:
    """Have an alert stand no more: somebody has seen it.

    :raises NoAlert: unknown, or settled before
    """
    found = session.get(Alert, id, with_for_update=True)
    if found is None or found.settled_at is not None:
        raise NoAlert
    found.settled_at, found.settled_by = now, actor.name
    session.flush()
    audit.record(session, now=now, actor=actor, action="alert.settle", subject=f"alert {id}",
                 before={"open": True}, after={"open": False})  # fmt: skip


def settle_about(session: Session, about: About, subject: str, *, now: datetime, by: str) -> None:
    """Have alerts about something that has passed stand no more."""
    for found in standing(session):
        if found.kind == about and found.subject == subject:
            found.settled_at, found.settled_by = now, by
    session.flush()


def last(session: Session, about: About, subject: str, campaign_id: int) -> Alert | None:
    """Return the newest alert about a subject and a campaign, standing or settled."""
    return session.scalar(
        select(Alert)
        .where(Alert.kind == about, Alert.subject == subject, Alert.campaign_id == campaign_id)
        .order_by(Alert.id.desc())
        .limit(1)
    )
