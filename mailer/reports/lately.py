"""A partner's last campaigns: how many of its people got a letter, and how many came back. Its SQL."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import and_, case, func, select
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
    found = [_sent(session, campaign, partner_id) for campaign in campaigns]
    return [each for each in found if each.letters]


def _sent(session: Session, campaign: Campaign, partner_id: int) -> Sent:
    own = and_(Delivery.campaign_id == campaign.id, Delivery.partner_id == partner_id)
    taken = func.sum(case((Delivery.state == DeliveryState.ACCEPTED, 1), else_=0))
    letters, accepted = session.execute(select(func.count(), taken).where(own)).one()
    came_back = select(func.count(Case.n.distinct())).where(
        Case.campaign_id == campaign.id, Case.partner_id == partner_id, Case.kind == EventKind.BOUNCE
    )
    return Sent(campaign, letters, accepted or 0, session.scalar(came_back) or 0)
