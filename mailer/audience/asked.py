"""The rows of what partners ask of the secretariat: their SQL."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailer.audience.store import Partner, PartnerRequest, RequestState


def by_public_id(session: Session, public_id: UUID) -> PartnerRequest | None:
    """Return the request pages know by ``public_id``, its row held until the transaction ends."""
    return session.scalar(
        select(PartnerRequest).where(PartnerRequest.public_id == public_id).with_for_update()
    )


def of_partner(session: Session, partner_id: int, *states: RequestState) -> list[PartnerRequest]:
    """Return a partner's requests, newest first."""
    query = select(PartnerRequest).where(PartnerRequest.partner_id == partner_id)
    if states:
        query = query.where(PartnerRequest.state.in_(states))
    return list(session.scalars(query.order_by(PartnerRequest.id.desc())))


def listing(session: Session, page: int, size: int) -> tuple[list[tuple[PartnerRequest, Partner]], int]:
    """Return a page of all requests, the open ones first and of those the oldest; and how many there are."""
    is_open = PartnerRequest.state == RequestState.OPEN
    rows = session.execute(
        select(PartnerRequest, Partner)
        .join(Partner, Partner.id == PartnerRequest.partner_id)
        .order_by(is_open.desc(), PartnerRequest.answered_at.desc(), PartnerRequest.id)
        .limit(size)
        .offset((max(page, 1) - 1) * size)
    )
    total = session.scalar(select(func.count()).select_from(PartnerRequest)) or 0
    return [(row[0], row[1]) for row in rows], total


def waiting(session: Session) -> int:
    """Return how many requests nobody has answered."""
    query = select(func.count()).select_from(PartnerRequest).where(PartnerRequest.state == RequestState.OPEN)
    return session.scalar(query) or 0
