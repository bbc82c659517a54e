"""The desk of a partner: its own people and nobody else's. The one place that filters by partner.

Every verb takes the partner's id and reads nothing that another partner wrote: names, language and notes
come from the partner's own membership, the address in its comparing form. A page, a count, a verdict or a
message is the same whether or not another partner holds the person, and whether or not the person left.
Only a bounce is shown: the partner is who can mend the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import codes, silenced, store, subscribers, subscriptions
from mailer.audience.evidence import history
from mailer.audience.intake import Consent, changes, salutations
from mailer.audience.names import Names, clean
from mailer.audience.store import BOUNCES, ConsentKind, Membership, Partner, Subscriber
from mailer.errors import NotFound
from mailer.signing import Keyring

PAGE = 50  # people a page


class NobodyHere(NotFound):
    """There is nobody here by that name: look them up in the list of your people."""


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
    bounced: str

    @property
    def name(self) -> str:
        """The name to list the person under; "" when none is known."""
        return self.names.full(self.language) or self.names.full("zh") or self.names.full("en")


@dataclass(frozen=True, slots=True)
class People:
    """A page of a partner's people, and how many match."""

    people: list[PartnerPerson]
    total: int
    page: int
    pages: int


def people(
    session: Session, partner_id: int, search: str = "", page: int = 1, *, now: datetime, size: int = PAGE
) -> People:
    """Return a page of the partner's people by address; ``search``: in addresses and the partner's names."""
    rows, total = store.partner_people(session, partner_id, search, page, size)
    pages = max(1, -(-total // size))
    return People(_shown(session, rows, now), total, page, pages)


def person(session: Session, partner_id: int, membership_public_id: UUID, *, now: datetime) -> PartnerPerson:
    """:raises NobodyHere: no such membership, or another partner's, or ended"""
    return _shown(session, [_own(session, partner_id, membership_public_id)], now)[0]


def add(
    session: Session,
    *,
    partner_id: int,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    address: str,
    names: Names,
    language: str,
    publication_id: int,
    notes: str = "",
    wording: str = "",
    origin: str = "",
) -> PartnerPerson:
    """Bring a person to the partner: vouched for where it is trusted, else invited.

    :raises BadAddress: not an address; BadCode, NameTooLong, TooLong: another value cannot be used
    :raises NoSeat: the partner has no room for one more
    """
    partner = session.get_one(Partner, partner_id)
    kind = ConsentKind.VOUCHED if partner.trusted else ConsentKind.INVITED
    subscriber = subscribers.add(
        session, keys=keys, now=now, actor=actor, address=address, names=names, language=language,
        publication_id=publication_id, consent=Consent(kind, wording, origin), partner_id=partner_id,
        notes=notes,
    )  # fmt: skip
    membership = store.membership(session, partner_id, subscriber.id)
    return person(session, partner_id, membership.public_id, now=now)


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
) -> PartnerPerson:
    """Change what the partner knows of a person; None leaves a value as it is.

    Letters follow, unless the person has chosen for themselves.

    :raises NobodyHere: no such person of this partner
    :raises BadCode, NameTooLong: a value cannot be used
    """
    membership, subscriber = _own(session, partner_id, membership_public_id)
    wanted: dict[str, str] = {}
    if names is not None:
        wanted |= clean(names).columns()
    if language is not None:
        wanted["language"] = codes.language(language)
    if notes is not None:
        wanted["notes"] = notes.strip()
    changed = changes({column: getattr(membership, column) for column in wanted}, wanted)
    if changed:
        _set(membership, changed)
        shared = store.held_by_another(session, subscriber.id, partner_id)
        _set(subscriber, _for_letters(subscriber, names, wanted.get("language"), shared))
        session.flush()
        _record(session, now, actor, "membership.edit", membership, sorted(changed))
    return person(session, partner_id, membership_public_id, now=now)


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


def end_membership(
    session: Session, *, partner_id: int, membership_public_id: UUID, now: datetime, actor: Actor
) -> None:
    """Take a person off the partner's list. Another partner's membership stays as it is.

    Where this partner alone vouched for the person, nobody answers for their consent any more: they are
    not written to until they confirm or somebody vouches again.

    :raises NobodyHere: no such person of this partner
    """
    membership, subscriber = _own(session, partner_id, membership_public_id)
    history.keep_membership(session, membership, now=now, by=actor.name)
    membership.ended_at = now
    session.flush()
    if not store.held_by_another(session, subscriber.id, partner_id):
        subscriptions.withdraw_vouching(session, [subscriber.id], now=now, by=actor.name)
    _record(session, now, actor, "membership.end", membership)


def _own(session: Session, partner_id: int, public_id: UUID) -> store.Tie:
    found = store.partner_person(session, partner_id, public_id)
    if found is None:
        raise NobodyHere
    return found


def _shown(session: Session, rows: list[store.Tie], now: datetime) -> list[PartnerPerson]:
    hashes = [subscriber.address_hash for _, subscriber in rows]
    bounced = {
        found.address_hash: found.reason
        for found in silenced.of_hashes(session, hashes, now)
        if found.reason in BOUNCES
    }
    return [
        PartnerPerson(
            membership.public_id,
            subscriber.address_key or "",
            names_of(membership),
            membership.language or "",
            membership.notes,
            membership.joined_at,
            ConsentKind(membership.consent_kind),
            bounced.get(subscriber.address_hash, ""),
        )
        for membership, subscriber in rows
    ]


def _record(
    session: Session, now: datetime, actor: Actor, action: str, membership: Membership, after: object = None
) -> None:
    audit.record(
        session, now=now, actor=actor, action=action, subject=f"membership {membership.id}", after=after,
        partner_id=membership.partner_id,
    )  # fmt: skip
