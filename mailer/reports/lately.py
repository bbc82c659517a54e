"""A partner's last campaigns: how many of its people got a letter, and how many came back. Its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from mailer.delivery.store import Campaign, CampaignState, Case, Delivery, DeliveryState, EventKind

_LAST = 3  # campaigns


class Sent(NamedTuple):
    """What a campaign was to a partner's people: letters, those a relay took, those that came back."""

    campaign: Campaign
    letters: int
    accepted: int
    bounced: int


def last_campaigns(session: Session, partner_id: int) -> list[Sent]:
    """Return the newest campaigns that were launched and had some of its people, newest first."""
    launched = select(Campaign).where(
        Campaign.state.in_((CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SENT))
    )
    campaigns = list(session.scalars(launched.order_by(Campaign.id.desc()).limit(_LAST)))
    ids = [campaign.id for campaign in campaigns]
    letters, back = _letters(session, partner_id, ids), _came_back(session, partner_id, ids)
    return [
        Sent(campaign, *letters[campaign.id], back.get(campaign.id, 0))
        for campaign in campaigns
        if campaign.id in letters
    ]


def _letters(session: Session, partner_id: int, campaign_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return letters and those a relay took, by campaign: the ledger is read once for all of them."""
    taken = func.sum(case((Delivery.state == DeliveryState.ACCEPTED, 1), else_=0))
    rows = session.execute(
        select(Delivery.campaign_id, func.count(), taken)
        .where(Delivery.campaign_id.in_(campaign_ids), Delivery.partner_id == partner_id)
        .group_by(Delivery.campaign_id)
    )
    return {campaign_id: (letters, accepted) for campaign_id, letters, accepted in rows}


def _came_back(session: Session, partner_id: int, campaign_ids: Sequence[int]) -> dict[int, int]:
    which = (
        Case.campaign_id.in_(campaign_ids), Case.partner_id == partner_id, Case.kind == EventKind.BOUNCE
    )  # fmt: skip
    count = select(Case.campaign_id, func.count(Case.n.distinct())).where(*which)
    return {row[0]: row[1] for row in session.execute(count.group_by(Case.campaign_id))}
