"""The desk of a partner: its own people and nobody else's. The one place that filters by partner.

Every verb takes the partner's id and reads nothing that another partner wrote: names, language and notes
come from the partner's own membership, the address in its comparing form. A page, a count, a verdict or a
message is the same whether or not another partner holds the person, and whether or not the person left.
Only a bounce is shown: the partner is who can mend the address.

So that this holds, a person whom the partner may not vouch for counts as confirmed when they answer *its*
invitation, not when somebody else's word subscribed them; and of letters only those are the partner's that
left while its own membership was in force (``in_force``, decision 25).

``joining`` brings people to the desk, ``members`` has the SQL.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import bulk, codes, members, silenced, store, subscriptions, topics
from mailer.audience.evidence import history
from mailer.audience.finding import Count
from mailer.audience.intake import NoSeat, changes, salutations
from mailer.audience.members import Order, Standing, Wanted
from mailer.audience.names import Names, clean
from mailer.audience.store import BOUNCES, ConsentKind, Membership, MembershipGap, Partner, Subscriber
from mailer.errors import Conflict, Invalid, NotFound

PAGE = 50  # people a page
_TOLD = ("language", "topics")  # what the log keeps of a person; of names and notes that they changed
UNDO_LASTS = timedelta(days=7)  # a removal can be undone so long
LONGEST_PAUSE = timedelta(days=366)

EVERYBODY = Wanted()


class NobodyHere(NotFound):
    """There is nobody here by that name: look them up in the list of your people."""


class BadPause(Invalid):
    """A pause ends on a day to come, within a year: choose another day."""


class NotPaused(Conflict):
    """This person is not paused: reload the page."""


@dataclass(frozen=True, slots=True)
class PartnerPerson:
    """A person as their partner sees them. ``bounced``: why letters come back, else ""."""

    id: UUID  # of the membership: another partner's id of the same person is another
    address: str
    names: Names
    language: str
    notes: str
    joined_at: datetime
    consent: ConsentKind
    standing: Standing
    asked_at: datetime  # when consent was asked for, or given
    paused_until: datetime | None  # also one that is over
    bounced: str
    bounced_since: datetime | None  # as far as it concerns this partner: not before the person joined

    @property
    def name(self) -> str:
        """The name to list the person under; "" when none is known."""
        return self.names.full(self.language) or self.names.full("zh") or self.names.full("en")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a membership's consent rests on. ``at_address``: where it was given; ``ended_at`` None: it holds.

    ``confirmed_at`` None: the person has been asked and has not answered.
    """

    at_address: str
    kind: ConsentKind
    at: datetime
    by: str
    wording: str
    origin: str
    confirmed_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Profile:
    """All that a partner knows of a person. ``evidence``: of this address, then of those it replaced."""

    person: PartnerPerson
    topics: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class People:
    """A page of a partner's people, and how many match."""

    people: list[PartnerPerson]
    total: Count
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Overview:
    """How many people a partner has, by how they stand; and of ``seats`` (None: no limit) those taken."""

    total: int
    standings: dict[Standing, int]
    taken: int
    seats: int | None


def people(
    session: Session,
    partner_id: int,
    wanted: Wanted = EVERYBODY,
    order: Order = Order.ADDRESS,
    page: int = 1,
    *,
    now: datetime,
    size: int = PAGE,
    counts: Overview | None = None,
) -> People:
    """Return a page of those of the partner's people who are ``wanted``; ``counts``: those that are known."""
    total = _counted(wanted, counts)
    rows, total = members.people(session, partner_id, wanted, order, page, size, now, total)
    pages = max(1, -(-total // size))
    return People(_shown(session, rows, now), total, page, pages)


def _counted(wanted: Wanted, counts: Overview | None) -> Count | None:
    """Return how many are ``wanted``, where the overview says it."""
    if counts is None or wanted != replace(EVERYBODY, standing=wanted.standing):
        return None
    return Count(counts.standings[wanted.standing] if wanted.standing else counts.total)


def overview(session: Session, partner: Partner, *, now: datetime) -> Overview:
    """Count the partner's people."""
    found = members.standings(session, partner.id, now)
    standings = {each: found.get(each, 0) for each in Standing}
    total = sum(standings.values())
    return Overview(total, standings, total, partner.seats)


def late(session: Session, partner_id: int, since: datetime, *, now: datetime) -> int:
    """Count whom the partner asked no later than ``since``, and who have not answered."""
    return members.late(session, partner_id, since, now)


def person(session: Session, partner_id: int, membership_public_id: UUID, *, now: datetime) -> PartnerPerson:
    """:raises NobodyHere: no such membership, or another partner's, or ended"""
    row = members.person(session, partner_id, membership_public_id, now)
    if row is None:
        raise NobodyHere
    return _shown(session, [row], now)[0]


def profile(session: Session, partner_id: int, membership_public_id: UUID, *, now: datetime) -> Profile:
    """:raises NobodyHere: no such membership, or another partner's, or ended"""
    membership, subscriber = own(session, partner_id, membership_public_id, now)
    ties = [(membership, subscriber), *members.former(session, partner_id, membership)]
    return Profile(
        person(session, partner_id, membership_public_id, now=now),
        tuple(members.topics(session, membership.id)),
        tuple(_evidence(*tie) for tie in ties),
    )


def in_force(partner_id: int, at: ColumnElement[datetime]) -> ColumnElement[bool]:
    """The condition that a ``Membership`` of a query is the partner's and was in force at an instant.

    What reports of letters are bound by: a letter that left at another time was not the partner's.
    """
    return members.held(partner_id, at)


def edit(
    session: Session,
    *,
    partner_id: int,
    membership_public_id: UUID,
    now: datetime,
    actor: Actor,
    names: Names | None = None,
    language: str | None = None,
    notes: str | None = None,
    chosen_topics: Collection[str] | None = None,
    publication_id: int = 0,
) -> PartnerPerson:
    """Change what the partner knows of a person; None leaves a value as it is.

    Letters follow, unless the person has chosen for themselves. ``chosen_topics`` are of the publication.

    :raises NobodyHere: no such person of this partner
    :raises BadCode, NameTooLong, NoTopic: a value cannot be used
    """
    membership, subscriber = own(session, partner_id, membership_public_id, now)
    wanted: dict[str, str] = {}
    if names is not None:
        wanted |= clean(names).columns()
    if language is not None:
        wanted["language"] = codes.language(language)
    if notes is not None:
        wanted["notes"] = notes.strip()
    old: dict[str, object] = {column: getattr(membership, column) for column in wanted}
    after: dict[str, object] = dict(changes(old, wanted))
    before = {column: old[column] for column in after}
    if after:
        _set(membership, wanted)
        shared = store.held_by_another(session, subscriber.id, partner_id)
        _set(subscriber, _for_letters(subscriber, names, wanted.get("language"), shared))
        session.flush()
    had = members.topics(session, membership.id)
    if chosen_topics is not None and choose_topics(session, membership, publication_id, chosen_topics):
        before["topics"], after["topics"] = had, sorted(set(chosen_topics))
    if after:
        before, after = (audit.hushed(each, but=_TOLD) for each in (before, after))
        record(session, now, actor, "membership.edit", membership, after, before)
    return person(session, partner_id, membership_public_id, now=now)


def choose_topics(
    session: Session, membership: Membership, publication_id: int, chosen: Collection[str]
) -> bool:
    """Make ``chosen`` the topics of a membership; False when they were.

    :raises NoTopic: one the publication does not offer
    """
    if sorted(set(chosen)) == members.topics(session, membership.id):
        return False
    members.choose_topics(session, membership.id, topics.ids(session, publication_id, chosen))
    return True


def _for_letters(
    subscriber: Subscriber, names: Names | None, language: str | None, shared: bool
) -> dict[str, str]:
    """What letters take over from a partner's edit; of a shared person, what it left blank stays."""
    if subscriber.chosen_at is not None:
        return {}
    follows = {"language": language} if language else {}
    if names is not None:
        newer = clean(names).over(names_of(subscriber)) if shared else clean(names)
        follows |= newer.columns() | salutations(newer)
    return follows


def _set(row: Membership | Subscriber, columns: dict[str, str]) -> None:
    for column, value in columns.items():
        setattr(row, column, value)


def names_of(row: Membership | Subscriber) -> Names:
    """Return the names a row holds."""
    return Names(**{column: getattr(row, column) for column in Names().columns()})


def pause(
    session: Session,
    *,
    partner_id: int,
    membership_public_id: UUID,
    until: datetime,
    now: datetime,
    actor: Actor,
) -> None:
    """Ask for no letters to a person until an instant, in place of any pause before.

    :raises NobodyHere: no such person of this partner
    :raises BadPause: it ends in the past, or after more than a year
    """
    if not now < until <= now + LONGEST_PAUSE:
        raise BadPause
    membership, _subscriber = own(session, partner_id, membership_public_id, now)
    members.end_gap(session, membership.id, now)
    before = _pause(membership)
    membership.paused_until = until
    session.merge(MembershipGap(membership_id=membership.id, since=now, until=until))
    session.flush()
    record(session, now, actor, "membership.pause", membership, _pause(membership), before)


def resume(
    session: Session, *, partner_id: int, membership_public_id: UUID, now: datetime, actor: Actor
) -> None:
    """End a person's pause.

    :raises NobodyHere: no such person of this partner
    :raises NotPaused: there is none, or it is over
    """
    membership, _subscriber = own(session, partner_id, membership_public_id, now)
    if membership.paused_until is None or membership.paused_until <= now:
        raise NotPaused
    before = _pause(membership)
    membership.paused_until = None
    members.end_gap(session, membership.id, now)
    record(session, now, actor, "membership.resume", membership, _pause(membership), before)


def _pause(membership: Membership) -> dict[str, str | None]:
    """Return what the log keeps of a pause."""
    return {"until": membership.paused_until.isoformat() if membership.paused_until else None}


def end_membership(
    session: Session, *, partner_id: int, membership_public_id: UUID, now: datetime, actor: Actor
) -> None:
    """Take a person off the partner's list. Another partner's membership stays as it is.

    Where this partner alone answered for the person's consent, nobody does any more: they are not written
    to until they confirm or somebody vouches again.

    :raises NobodyHere: no such person of this partner
    """
    membership, _subscriber = own(session, partner_id, membership_public_id, now)
    end(session, membership, now, actor.name)
    record(session, now, actor, "membership.end", membership, {"open": False}, {"open": True})


def end(session: Session, membership: Membership, now: datetime, by: str) -> None:
    """End a membership, and what rested on it alone. ``by``: who ends it, as in the audit log."""
    history.keep_membership(session, membership, now=now, by=by)
    membership.ended_at = now
    session.flush()
    if not members.vouched_by_another(session, membership.subscriber_id, membership.partner_id):
        subscriptions.withdraw_vouching(session, [membership.subscriber_id], now=now, by=by)


def removed(
    session: Session, partner_id: int, *, now: datetime, most: int | None = None
) -> list[PartnerPerson]:
    """Return whom the partner has removed of late and can put back, the last first; ``most``: so many."""
    ties = members.removed(session, partner_id, now - UNDO_LASTS, most)
    return _shown(session, [(*tie, Standing.CONFIRMED) for tie in ties], now)


def restore(
    session: Session, *, partner_id: int, membership_public_id: UUID, now: datetime, actor: Actor
) -> PartnerPerson:
    """Undo a removal: the membership stands as it did, and so does what rested on it.

    :raises NobodyHere: not removed, or too long ago
    :raises NoSeat: the seat is taken
    """
    found = members.removed_one(session, partner_id, now - UNDO_LASTS, membership_public_id)
    if found is None:
        raise NobodyHere
    membership, subscriber = found
    bulk.one_intake_at_a_time(session)
    seats = session.get_one(Partner, partner_id).seats
    if seats is not None and bulk.people_of(session, [partner_id])[partner_id] >= seats:
        raise NoSeat
    ended_at = membership.ended_at or now
    session.merge(MembershipGap(membership_id=membership.id, since=ended_at, until=now))
    membership.ended_at = None
    session.flush()
    members.restore_vouching(session, subscriber.id, ended_at, now)
    record(session, now, actor, "membership.restore", membership, {"open": True}, {"open": False})
    return person(session, partner_id, membership_public_id, now=now)


def called(
    session: Session, partner_id: int, membership_ids: Collection[int], subscriber_ids: Collection[int]
) -> list[tuple[Membership, str]]:
    """Return the partner's memberships, by their ids or the people's, with what the people are called."""
    found = members.names_of(session, partner_id, membership_ids, subscriber_ids)
    return [(row, row.name_zh or row.name_en or subscriber.address_key or "") for row, subscriber in found]


def own(session: Session, partner_id: int, public_id: UUID, now: datetime) -> members.Tie:
    """Return the rows of one of the partner's people.

    :raises NobodyHere: no such membership, or another partner's, or ended
    """
    found = members.person(session, partner_id, public_id, now)
    if found is None:
        raise NobodyHere
    return found[0], found[1]


def _evidence(membership: Membership, subscriber: Subscriber) -> Evidence:
    return Evidence(
        subscriber.address_key or "",
        ConsentKind(membership.consent_kind),
        membership.consent_at,
        membership.consent_by,
        membership.consent_wording,
        membership.consent_origin,
        membership.confirmed_at,
        membership.ended_at,
    )


def _shown(
    session: Session, rows: Collection[tuple[Membership, Subscriber, Standing]], now: datetime
) -> list[PartnerPerson]:
    hashes = [subscriber.address_hash for _, subscriber, _ in rows]
    bounced = {
        found.address_hash: found
        for found in reversed(silenced.of_hashes(session, hashes, now))
        if found.reason in BOUNCES
    }
    return [
        _person(
            membership,
            subscriber,
            standing,
            bounced.get(subscriber.address_hash) if standing is Standing.BOUNCED else None,
        )
        for membership, subscriber, standing in rows
    ]


def _person(
    membership: Membership, subscriber: Subscriber, standing: Standing, bounced: store.Suppression | None
) -> PartnerPerson:
    return PartnerPerson(
        membership.public_id,
        subscriber.address_key or "",
        names_of(membership),
        membership.language or "",
        membership.notes,
        membership.joined_at,
        ConsentKind(membership.consent_kind),
        standing,
        membership.consent_at,
        membership.paused_until,
        bounced.reason if bounced else "",
        max(bounced.since, membership.joined_at) if bounced else None,
    )


def record(
    session: Session,
    now: datetime,
    actor: Actor,
    action: str,
    membership: Membership,
    after: object = None,
    before: object = None,
) -> None:
    """Write into the audit log what was done to a membership; no names: they would outlive an erasure."""
    audit.record(
        session, now=now, actor=actor, action=action, subject=f"membership {membership.id}", before=before,
        after=after, partner_id=membership.partner_id,
    )  # fmt: skip
