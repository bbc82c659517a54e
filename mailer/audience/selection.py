"""Selections: which people a list shows or a change is about, by filters or by a segment's text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, exists, false, func, select
from sqlalchemy.orm import Session

from mailer import patience
from mailer.audience import finding, segments, silenced
from mailer.audience.bulk import among
from mailer.audience.store import (
    Membership,
    Partner,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
)

NOWHERE = "none"  # a state: no subscription at all
_HASH = Membership.__table__.c.address_hash  # of the person, as the database repeats it


@dataclass(frozen=True, slots=True)
class Selection:
    """Whom somebody looks for; empty: any. ``rule``: a segment's text or name, beside the other filters.

    ``state``: with any newsletter, or NOWHERE; ``partner``: a code; ``suppressed``: "yes" or "no".
    """

    search: str = ""
    language: str = ""
    country: str = ""
    partner: str = ""
    state: str = ""
    suppressed: str = ""
    rule: str = ""

    def stored(self) -> dict[str, str]:
        """Return what JSON keeps of it, the filters that say something."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Self:
        """Return what was ``stored``."""
        return cls(**kept)


_WALKED = 1_000  # people of a partner: of more, a page is found by walking through addresses


def conditions(
    session: Session, wanted: Selection, now: datetime, *, for_a_page: bool = False
) -> list[ColumnElement[bool]]:
    """Return what must hold of a Subscriber; ``search`` is left to the list, which has its index.

    ``for_a_page``: said for who walks through people by address until a page is full, as ``finding.listed``
    does: of everybody who is passed it is asked of a set in memory.

    :raises BadRule: the segment's text cannot be read
    """
    found: list[ColumnElement[bool]] = []
    walked, silenced_of_one = for_a_page, for_a_page and wanted.partner and wanted.suppressed == "yes"
    if wanted.language:
        found.append(Subscriber.language == wanted.language)
    if wanted.country:
        found.append(Subscriber.country == wanted.country)
    if wanted.partner:
        partner = session.scalar(select(Partner.id).where(Partner.code == wanted.partner))
        if silenced_of_one:  # few, of many: found first, in an index alone
            found.append(Subscriber.id.in_(_silenced_of(session, partner, now)))
        else:
            walked = walked and partner is not None and _has_more(session, partner)
            found.append(_on_list_of(partner, walked))
    if wanted.state:
        found.append(_stands(wanted.state))
    if wanted.suppressed and not silenced_of_one:
        silent = _silenced(now, walked)
        found.append(silent if wanted.suppressed == "yes" else ~silent)
    if wanted.rule.strip():
        found.append(segments.condition(segments.resolve(session, wanted.rule), now=now))
    return found


def everybody(session: Session, wanted: Selection, now: datetime) -> list[ColumnElement[bool]]:
    """Return all conditions of a selection: of people who are there, found by its words too.

    :raises BadRule: the segment's text cannot be read
    """
    found: list[ColumnElement[bool]] = [
        Subscriber.address_key.is_not(None), Subscriber.merged_into.is_(None)
    ]  # fmt: skip
    found += conditions(session, wanted, now)
    if wanted.search.strip():
        found.append(finding.condition(session, wanted.search))
    return found


def count(session: Session, wanted: Selection, now: datetime) -> int:
    """Return how many people a selection is about."""
    query = select(func.count()).select_from(Subscriber).where(*everybody(session, wanted, now))
    return session.scalar(query) or 0


def countries(session: Session) -> list[str]:
    """Return the countries that people are in: each is the first after the last, found in the index."""
    its = Subscriber.__table__.c.country
    found = select(func.min(its).label("country")).cte("found", recursive=True)
    following = select(func.min(its)).where(its > found.c.country).correlate(found).scalar_subquery()
    every = found.union_all(select(following).where(found.c.country.is_not(None))).c.country
    return list(session.scalars(select(every).where(every.is_not(None))))


def _its(partner: int) -> Select[int]:
    return select(Membership.subscriber_id).where(
        Membership.partner_id == partner, Membership.ended_at.is_(None)
    )


def _has_more(session: Session, partner: int) -> bool:
    some = _its(partner).limit(_WALKED + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) > _WALKED


def _on_list_of(partner: int | None, walked: bool) -> ColumnElement[bool]:
    """The condition that a person is on a partner's list; by its id, of which the planner knows how many."""
    if partner is None:
        return false()
    on_list = Subscriber.id.in_(_its(partner))
    return on_list.is_(True) if walked else on_list  # with IS TRUE it is no join, but a set


def _stands(state: str) -> ColumnElement[bool]:
    own = Subscription.subscriber_id == Subscriber.id
    if state == NOWHERE:
        return ~exists().where(own).correlate(Subscriber)
    known = state if state in set(SubscriptionState) else ""
    return exists().where(own, Subscription.state == known).correlate(Subscriber)


def _silenced_of(session: Session, partner: int | None, now: datetime) -> Select[int]:
    """Return whom of a partner's people nobody may write to."""
    theirs = Membership.partner_id == partner, Membership.ended_at.is_(None)
    patience.for_a_page(session)
    found = session.scalars(select(Membership.id).where(*theirs, _HASH.in_(_hashes(now)))).all()
    return select(Membership.subscriber_id).where(among(session, Membership.id, found))


def _hashes(now: datetime) -> Select[str]:
    return select(Suppression.address_hash).where(silenced.standing(now))


def _silenced(now: datetime, walked: bool) -> ColumnElement[bool]:
    hashes = _hashes(now)
    if walked:
        return Subscriber.address_hash.in_(hashes).is_(True)
    own = Suppression.address_hash == Subscriber.address_hash
    return hashes.where(own).correlate(Subscriber).exists()
