"""All SQL of tracking. What readers do becomes delivery's events; of old campaigns only sums are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, String, and_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.audience.store import Subscriber, Subscription, SubscriptionState
from mailer.database import Base, UTCDateTime
from mailer.delivery.store import Campaign, CampaignEdition, Delivery
from mailer.issues.store import FrozenEdition, Publication, Voice


class VisitSum(Base):
    """How many readers opened or clicked, of a campaign whose single visits are forgotten.

    ``link`` -1: any; else how many clicked that link. Written once, before the first visit goes.
    """

    __tablename__ = "visit_sums"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    link: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    people: Mapped[int]
    visits: Mapped[int]
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Reader(NamedTuple):
    """Whom a letter went to, as far as a page reached from it may know.

    ``address`` None: erased. ``state`` None: the person never met this publication.
    """

    campaign_id: int
    n: int
    subscriber_id: int
    publication_id: int
    publication_code: str
    publication_name: str | None
    issue_id: int
    language: str
    address: str | None
    state: SubscriptionState | None


def reader(session: Session, campaign_id: int, n: int) -> Reader | None:
    """Return whom a delivery went to; None: no such delivery."""
    found = session.execute(
        select(
            Delivery.campaign_id,
            Delivery.n,
            Delivery.subscriber_id,
            Campaign.publication_id,
            Publication.code,
            Voice.name,
            Campaign.issue_id,
            Delivery.language,
            Subscriber.address,
            Subscription.state,
        )
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(Publication, Publication.id == Campaign.publication_id)
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .outerjoin(Voice, and_(Voice.publication_id == Publication.id, Voice.language == Delivery.language))
        .outerjoin(
            Subscription,
            and_(
                Subscription.publication_id == Publication.id,
                Subscription.subscriber_id == Delivery.subscriber_id,
            ),
        )
        .where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    ).one_or_none()
    return Reader._make(found) if found else None


def links(session: Session, campaign_id: int, n: int) -> Sequence[str] | None:
    """Return the counted links of the edition a delivery got; None: no such delivery."""
    found: Sequence[str] | None = session.scalar(
        select(FrozenEdition.links)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .join(
            Delivery,
            and_(
                Delivery.campaign_id == CampaignEdition.campaign_id,
                Delivery.language == CampaignEdition.language,
            ),
        )
        .where(Delivery.campaign_id == campaign_id, Delivery.n == n)
    )
    return found


def subject(session: Session, campaign_id: int, language: str) -> str:
    """Return the subject of a campaign's frozen edition."""
    return session.scalars(
        select(FrozenEdition.subject)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .where(CampaignEdition.campaign_id == campaign_id, CampaignEdition.language == language)
    ).one()


def links_in_order(session: Session, campaign_id: int) -> Iterator[Sequence[str]]:
    """Yield the links of a campaign's frozen editions, the campaign's first language first."""
    rows = session.execute(
        select(CampaignEdition.language, FrozenEdition.links)
        .join(FrozenEdition, FrozenEdition.id == CampaignEdition.frozen_edition_id)
        .where(CampaignEdition.campaign_id == campaign_id)
    )
    by_language = {row.language: row.links for row in rows}
    campaign = session.get(Campaign, campaign_id)
    for language in campaign.languages if campaign else ():
        if language in by_language:
            yield by_language[language]
