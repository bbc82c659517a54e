"""The letters of a slice: whom they go to and what forbids it, where they stand, and each try of them.

A slice is up to a few hundred deliveries of one campaign, by their numbers in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from mailer.audience import suppressions
from mailer.audience.store import Subscriber, Subscription, SubscriptionState
from mailer.database import Prepared, UTCDateTime, copy
from mailer.delivery import wishes
from mailer.delivery.store import Attempt, Delivery, DeliveryState
from mailer.dialects import is_among

OPEN = (DeliveryState.WAITING, DeliveryState.DEFERRED)  # what still may be written

_deliveries, _subscribers, _subscriptions = (
    cast(Table, each.__table__) for each in (Delivery, Subscriber, Subscription)
)


# A list, where a range would do: of a range of unknown length PostgreSQL thinks that it is a two-hundredth of
# the table, and sets out to read all suppressions with all its processes.
_OF_SLICE = and_(_deliveries.c.campaign_id == bindparam("campaign"), is_among(_deliveries.c.n, "numbers"))


class Addressee(NamedTuple):
    """What a letter needs, and what forbids it. ``barrier`` "" when it may be written."""

    n: int
    subscriber_id: int
    language: str
    salutation: str
    state: int
    address: str | None
    barrier: str


def addressees(
    session: Session, *, campaign_id: int, numbers: Sequence[int], publication_id: int, now: datetime
) -> list[Addressee]:
    """Return deliveries with their addresses, and whether each may still be written to, in order of ``n``."""
    rows = _ADDRESSEES.rows(
        session, campaign=campaign_id, numbers=numbers, publication=publication_id, now=now,
        lately=now + wishes.LENIENCE,
    )  # fmt: skip
    return [Addressee._make(row) for row in rows]


def _addressees() -> Select[Any]:
    delivery, subscriber, subscription = _deliveries.c, _subscribers.c, _subscriptions.c
    now = bindparam("now", type_=UTCDateTime)
    publication: BindParameter[int] = bindparam("publication")
    barrier = case(
        (subscriber.address.is_(None), "erased"),
        (subscription.state.is_(None), "left"),
        (subscription.state == SubscriptionState.LEFT, "left"),
        (subscription.state != SubscriptionState.CONFIRMED, "pending"),
        (suppressions.in_force(now, publication), "suppressed"),
        (wishes.paused(now), "paused"),
        (wishes.too_often(bindparam("lately", type_=UTCDateTime), publication), "too_often"),
        else_="",
    )
    return (
        select(
            delivery.n,
            delivery.subscriber_id,
            delivery.language,
            delivery.salutation,
            delivery.state,
            subscriber.address,
            barrier,
        )
        .join_from(_deliveries, _subscribers, subscriber.id == delivery.subscriber_id)
        .outerjoin(
            _subscriptions,
            (subscription.subscriber_id == delivery.subscriber_id)
            & (subscription.publication_id == publication),
        )
        .where(_OF_SLICE)
        .order_by(delivery.n)
    )


_ADDRESSEES = Prepared(_addressees())


def still_open(session: Session, campaign_id: int, numbers: Sequence[int]) -> list[int]:
    """Return those of ``numbers`` (in order) that still may be written."""
    if not numbers:
        return []
    return [n for (n,) in _STILL_OPEN.rows(session, campaign=campaign_id, numbers=numbers)]


_STILL_OPEN = Prepared(
    select(_deliveries.c.n)
    .where(_OF_SLICE, or_(*[_deliveries.c.state == state.value for state in OPEN]))
    .order_by(_deliveries.c.n)
)


def in_state(session: Session, campaign_id: int, state: DeliveryState) -> list[int]:
    """Return the numbers of a campaign's letters in ``state``, in order."""
    return list(
        session.scalars(
            select(Delivery.n)
            .where(Delivery.campaign_id == campaign_id, Delivery.state == state)
            .order_by(Delivery.n)
        )
    )


def set_state(
    session: Session, campaign_id: int, numbers: Sequence[int], state: DeliveryState, reason: str = ""
) -> None:
    """Say where letters (in order) stand."""
    if numbers:
        values = {"campaign": campaign_id, "numbers": numbers}
        _SET_STATE.run(session, **values, new_state=state.value, new_reason=reason)


_SET_STATE = Prepared(
    update(_deliveries).where(_OF_SLICE).values(state=bindparam("new_state"), reason=bindparam("new_reason"))
)


class Destination(NamedTuple):
    """Where a letter goes: its domain, and who answers for that ("": nobody known)."""

    domain: str
    provider: str


def destinations(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, Destination]:
    """Return where each letter (in order) goes, as the launch has written it down."""
    if not numbers:
        return {}
    rows = _DESTINATIONS.rows(session, campaign=campaign_id, numbers=numbers)
    return {n: Destination(*going) for n, *going in rows}


_DESTINATIONS = Prepared(
    select(_deliveries.c.n, _deliveries.c.domain, _deliveries.c.provider).where(_OF_SLICE)
)


# Attempts


def not_recorded(session: Session, campaign_id: int, attempt: int, numbers: Sequence[int]) -> list[int]:
    """Return those of ``numbers`` (in order) whose attempt of that number is not in the ledger yet."""
    if not numbers:
        return []
    there = set(
        session.scalars(
            select(Attempt.n).where(
                Attempt.campaign_id == campaign_id,
                Attempt.attempt == attempt,
                Attempt.n.between(numbers[0], numbers[-1]),
            )
        )
    )
    return [n for n in numbers if n not in there]


def first_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, datetime]:
    """Return when each letter was first tried."""
    rows = session.execute(
        select(Attempt.n, func.min(Attempt.at))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


def last_attempts(session: Session, campaign_id: int, numbers: Sequence[int]) -> dict[int, int]:
    """Return each letter's last attempt's number."""
    rows = session.execute(
        select(Attempt.n, func.max(Attempt.attempt))
        .where(Attempt.campaign_id == campaign_id, Attempt.n.in_(numbers))
        .group_by(Attempt.n)
    )
    return {row.n: row[1] for row in rows}


_TRY = ("n", "state", "relay", "code", "status", "category", "reply")
Try = tuple[int, DeliveryState, str, int | None, str | None, str | None, str]
"""A row of ``attempts`` to be: those columns, which differ within a slice."""


def add_attempts(
    session: Session, campaign_id: int, attempt: int, at: datetime, tries: Sequence[Try]
) -> None:
    """Append attempts, in bulk."""
    if not tries:
        return
    if session.get_bind().dialect.name == "sqlite":
        each = (dict(zip(_TRY, one, strict=True)) for one in tries)
        _ATTEMPT.run_each(session, each, campaign_id=campaign_id, attempt=attempt, at=at)
        return
    common_ = f"{campaign_id}\t{attempt}\t{at.isoformat()}"
    copy(session, _COPY, "".join([_copied(common_, each) for each in tries]))


_attempts = cast(Table, Attempt.__table__)
_ATTEMPT = Prepared(insert(_attempts).values({column.name: bindparam(column.name) for column in _attempts.c}))
_COPY = f"COPY attempts (campaign_id, attempt, at, {', '.join(_TRY)}) FROM STDIN"
_SPECIAL = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})  # of COPY's text format


def _copied(common: str, row: Try) -> str:
    n, state, relay, code, status, category, reply = row
    code_, status_, category_ = code or r"\N", status or r"\N", category or r"\N"
    reply = reply.translate(_SPECIAL) if not reply.isprintable() or "\\" in reply else reply
    return f"{common}\t{n}\t{state.value}\t{relay}\t{code_}\t{status_}\t{category_}\t{reply}\n"
