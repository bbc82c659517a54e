"""Tables of webhooks: their secrets, and what came of their posts, day by day. The posts themselves are
returned mail."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Date, String, Text, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.audience.store import Subscriber
from mailer.database import Base, BigId, UTCDateTime
from mailer.delivery.store import Delivery
from mailer.feedback.store import KEPT, KEPT_OF_STRANGERS, ReturnedMail


class Webhook(Base):
    """A secret by which one provider proves itself. Several of one provider: accounts, or a replacement."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    provider: Mapped[str] = mapped_column(String(20), index=True)
    secret: Mapped[str] = mapped_column(Text)  # sealed
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    made_by: Mapped[str] = mapped_column(String(320))


class WebhookCount(Base):
    """How many pieces of news, or refused posts, of a kind a provider's webhook had on a day (UTC)."""

    __tablename__ = "webhook_counts"

    provider: Mapped[str] = mapped_column(String(20), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    outcome: Mapped[str] = mapped_column(String(20), primary_key=True)  # hear.Outcome
    number: Mapped[int] = mapped_column(BigId)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)


class WebhookToken(Base):
    """A token that a provider signs instead of its news: it is good for one post, until it is stale."""

    __tablename__ = "webhook_tokens"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, with the provider's name
    post: Mapped[str] = mapped_column(String(64))  # SHA-256 of what it came with
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class Counted(NamedTuple):
    """A kind of outcome over some days, and when it was last seen."""

    provider: str
    outcome: str
    number: int
    last_at: datetime


class Reader(NamedTuple):
    """Whom a delivery went to: the address ("" when it is erased), and who answers for its domain."""

    address: str
    provider: str


def webhooks(session: Session, provider: str = "") -> Sequence[Webhook]:
    """Return webhooks, of one provider or of all, the oldest first."""
    query = select(Webhook).order_by(Webhook.provider, Webhook.id)
    return session.scalars(query.where(Webhook.provider == provider) if provider else query).all()


def count(session: Session, provider: str, outcomes: Mapping[Any, int], now: datetime) -> None:
    """Add to the day's numbers. Rows in one order everywhere: two at once wait instead of deadlocking."""
    if not outcomes:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(WebhookCount)
    statement = statement.on_conflict_do_update(
        index_elements=[WebhookCount.provider, WebhookCount.day, WebhookCount.outcome],
        set_={
            "number": WebhookCount.number + statement.excluded.number,
            "last_at": statement.excluded.last_at,
        },
    )
    common = {"provider": provider, "day": now.date(), "last_at": now}
    rows = [common | {"outcome": outcome, "number": outcomes[outcome]} for outcome in sorted(outcomes)]
    session.execute(statement, rows)


def spend(session: Session, token: str, post: str, now: datetime) -> bool:
    """Use a token for a post; False: it was used for another one. Both are hashes."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    new = dialect.insert(WebhookToken).values(token=token, post=post, at=now).on_conflict_do_nothing()
    session.execute(new)
    return session.scalar(select(WebhookToken.post).where(WebhookToken.token == token)) == post


def forget_tokens(session: Session, before: datetime) -> None:
    """Drop tokens that were used before then."""
    session.execute(delete(WebhookToken).where(WebhookToken.at < before))


def counted(session: Session, since: date) -> list[Counted]:
    """Return what came since a day, by provider and kind."""
    rows = session.execute(
        select(
            WebhookCount.provider,
            WebhookCount.outcome,
            func.sum(WebhookCount.number),
            func.max(WebhookCount.last_at),
        )
        .where(WebhookCount.day >= since)
        .group_by(WebhookCount.provider, WebhookCount.outcome)
        .order_by(WebhookCount.provider, WebhookCount.outcome)
    )
    return [Counted(provider, outcome, int(number), last) for provider, outcome, number, last in rows]


def readers(session: Session, deliveries: Collection[tuple[int, int]]) -> dict[tuple[int, int], Reader]:
    """Return whom deliveries went to; those that do not exist are not there."""
    numbers: dict[int, list[int]] = {}
    for campaign_id, n in sorted(deliveries):
        numbers.setdefault(campaign_id, []).append(n)
    query = (
        select(Delivery.campaign_id, Delivery.n, func.coalesce(Subscriber.address, ""), Delivery.provider)
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(Delivery.campaign_id == bindparam("campaign"), Delivery.n.in_(bindparam("n", expanding=True)))
    )
    return {
        (row_campaign, n): Reader(address, provider)
        for campaign_id, all_ in numbers.items()
        for some in batched(all_)
        for row_campaign, n, address, provider in session.execute(query, {"campaign": campaign_id, "n": some})
    }


def batched(all_: Sequence[int], size: int = 1_000) -> Iterator[Sequence[int]]:
    """Yield runs of what a statement can hold."""
    return (all_[start : start + size] for start in range(0, len(all_), size))


class News(NamedTuple):
    """A piece of a provider's news, to be kept; ``delivery`` None: of no letter of ours."""

    fingerprint: str
    raw: bytes
    delivery: tuple[int, int] | None


def keep(session: Session, provider: str, kind: str, news: Iterable[News], now: datetime) -> dict[str, int]:
    """Store news as returned mail; return the ids of those that were not there yet, by fingerprint."""
    rows = [
        {
            "received_at": now,
            "fingerprint": each.fingerprint,
            "envelope_to": provider,
            "kind": kind,
            "campaign_id": each.delivery[0] if each.delivery else None,
            "n": each.delivery[1] if each.delivery else None,
            "content": zlib.compress(each.raw[: KEPT if each.delivery else KEPT_OF_STRANGERS]),
        }
        for each in sorted(news)
    ]
    if not rows:
        return {}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ReturnedMail).on_conflict_do_nothing()
    found = session.execute(statement.returning(ReturnedMail.fingerprint, ReturnedMail.id), rows)
    return {fingerprint: int(mail_id) for fingerprint, mail_id in found}
