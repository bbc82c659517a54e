"""Intake: what becomes of a person whom somebody brings in. Pure: the decision, not the writing.

One rule for one person and for a hundred thousand, for a form, a partner's desk and a file:

- a row per address, however many bring it;
- who left stays away, whoever brings them: only the person can come back;
- what the person chose themselves is never overwritten, nor what another partner wrote: blanks are filled;
- a partner's verdict rests on its own membership alone, so that it says nothing about anybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from mailer import address as addresses
from mailer.address import Address
from mailer.audience import codes, names
from mailer.audience.names import Names
from mailer.audience.store import LEFT_ELSEWHERE, ConsentKind, SubscriptionState
from mailer.errors import Conflict, Forbidden, Invalid

Columns = dict[str, Any]

_NAMES = tuple(Names().columns())
_LONGEST_NOTES = 2_000  # characters
STATE = {
    ConsentKind.SIGN_UP: SubscriptionState.PENDING,  # until the person confirms by mail
    ConsentKind.INVITED: SubscriptionState.PENDING,
    ConsentKind.VOUCHED: SubscriptionState.CONFIRMED,
    ConsentKind.IMPORTED: SubscriptionState.CONFIRMED,
}
"""Where a person first stands, by how consent came about."""


class Verdict(StrEnum):
    """What became of a person who was brought in."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    AWAY = "kept_away"  # brings nobody: it says that somebody left elsewhere, which is remembered


class HasLeft(Conflict):
    """This person has left the publication: only they themselves can come back, by signing up."""


class LeftElsewhere(Conflict):
    """This person left a list brought in before: only they themselves can come back, by signing up."""


class Suppressed(Conflict):
    """This address must not be written to: release its suppression first."""


class NoSeat(Conflict):
    """Every seat of this partner is taken: remove somebody, or ask the secretariat for more seats."""


class HasClosed(Conflict):
    """This partner has left and takes nobody in: name another one, or leave it empty."""


class NotTrusted(Forbidden):
    """This partner may not vouch for consent: invite the person instead, or ask the secretariat for trust."""


class TooLong(Invalid):
    """The note is longer than 2,000 characters: shorten it."""


@dataclass(frozen=True, slots=True)
class Consent:
    """How consent came about. ``wording``: what was agreed to; ``origin``: IP address, or how it is known."""

    kind: ConsentKind
    wording: str = ""
    origin: str = ""


class Person(NamedTuple):
    """What a source says of somebody. Empty means not said, and never erases what is known.

    ``partner_id``: the partner whose person it is; None: the secretariat's. ``origin`` outranks the
    consent's, where it differs by person. Without ``language`` it is the partner's, else Chinese for
    somebody with a Chinese name, else English.
    """

    address: str
    names: Names = Names()
    language: str = ""
    country: str = ""
    zone: str = ""
    partner_id: int | None = None
    notes: str = ""
    origin: str = ""


class Ready(NamedTuple):
    """A person whose every value is valid and in its stored form."""

    address: Address
    key: str
    names: Names
    language: str
    country: str
    zone: str
    partner_id: int | None
    notes: str
    origin: str


@dataclass(frozen=True, slots=True)
class Host:
    """The partner somebody is brought to. ``seats`` None: no limit; ``closed``: it has left."""

    id: int
    language: str
    trusted: bool
    seats: int | None
    closed: bool = False


class Known(NamedTuple):
    """What the database holds about a person; None for a row that is not there.

    ``shared``: another partner holds them now. ``suppressed``: why the address is silenced, else "".
    """

    subscriber: Columns | None = None
    membership: Columns | None = None
    subscription: Columns | None = None
    shared: bool = False
    suppressed: str = ""


NOBODY = Known()
"""Of whom the database holds nothing."""


class Intent(NamedTuple):
    """What is to be written: the columns of a new row where ``Known`` has none, else those that change."""

    verdict: Verdict
    subscriber: Columns
    membership: Columns
    subscription: Columns

    def before(self, known: Known) -> Mapping[str, Columns | None]:
        """Return what undoing restores: each table's old values; None for a row that was not there."""
        return {
            table: None if old is None else {column: old[column] for column in new}
            for table, old, new in (
                ("subscriber", known.subscriber, self.subscriber),
                ("membership", known.membership, self.membership),
                ("subscription", known.subscription, self.subscription),
            )
            if new
        }

    @property
    def after(self) -> Mapping[str, Columns]:
        """What was written, by table."""
        written = {
            "subscriber": self.subscriber, "membership": self.membership, "subscription": self.subscription
        }  # fmt: skip
        return {table: columns for table, columns in written.items() if columns}


def ready(person: Person) -> Ready:
    """Read every value of a person.

    :raises BadAddress: not an address
    :raises BadCode: no such language, country or zone
    :raises NameTooLong: longer than its column
    :raises TooLong: the note is
    """
    text, said, language, country, zone, partner_id, notes, origin = person
    if len(notes) > _LONGEST_NOTES:
        raise TooLong
    address = addresses.parse(text)
    return Ready(
        address,
        address.key,
        names.clean(said),
        codes.language(language) if language.strip() else "",
        codes.country(country) if country.strip() else "",
        codes.zone(zone) if zone.strip() else "",
        partner_id,
        notes.replace("\x00", "").strip() if notes else "",
        origin.replace("\x00", "")[:200],
    )


def decide(
    person: Ready,
    known: Known,
    *,
    host: Host | None,
    seats_taken: int,
    consent: Consent,
    by: str,
    now: datetime,
) -> Intent:
    """Say what to write and what to answer. ``by``: the actor's name, as in the audit log.

    :raises HasLeft: the secretariat brings somebody who left
    :raises Suppressed: the secretariat brings an address that must not be written to
    :raises LeftElsewhere: the secretariat brings somebody who left another list
    :raises NotTrusted: a partner vouches that may not
    :raises NoSeat: the partner has no room for one more
    :raises HasClosed: the partner has left
    """
    evidence = _evidence(consent, person.origin, by, now)
    if host is None:
        return _secretariats(person, known, consent, evidence, now)
    return _partners(person, known, host, seats_taken, consent, evidence, now)


def _secretariats(person: Ready, known: Known, consent: Consent, evidence: Columns, now: datetime) -> Intent:
    if consent.kind is not ConsentKind.SIGN_UP:  # a form that anybody can fill in tells nothing
        if known.subscription and known.subscription["state"] == SubscriptionState.LEFT:
            raise HasLeft
        if known.suppressed == LEFT_ELSEWHERE:
            raise LeftElsewhere
        if known.suppressed:
            raise Suppressed(
                "This address must not be written to ({reason}): release its suppression first.",
                reason=known.suppressed,
            )
    keep = consent.kind is ConsentKind.SIGN_UP
    subscriber = _subscriber(person, known, None, keep, now)
    subscription = _subscription(known, consent, evidence, now)
    fresh = known.subscriber is None or known.subscription is None
    changed = Verdict.UPDATED if subscriber or subscription else Verdict.UNCHANGED
    return Intent(Verdict.ADDED if fresh else changed, subscriber, {}, subscription)


def _partners(
    person: Ready,
    known: Known,
    host: Host,
    seats_taken: int,
    consent: Consent,
    evidence: Columns,
    now: datetime,
) -> Intent:
    if host.closed:
        raise HasClosed
    if consent.kind is ConsentKind.VOUCHED and not host.trusted:
        raise NotTrusted
    fresh = known.membership is None or known.membership["ended_at"] is not None
    if fresh and host.seats is not None and seats_taken >= host.seats:
        raise NoSeat
    membership = _membership(person, known.membership, {**evidence, **_force(consent, now)}, fresh, now)
    subscriber = _subscriber(person, known, host, known.shared, now)
    changed = Verdict.UPDATED if membership else Verdict.UNCHANGED
    return Intent(
        Verdict.ADDED if fresh else changed,
        subscriber,
        membership,
        _subscription(known, consent, evidence, now),
    )


def _evidence(consent: Consent, origin: str, by: str, now: datetime) -> Columns:
    return {
        "consent_kind": consent.kind,
        "consent_at": now,
        "consent_by": by,
        "consent_wording": consent.wording,
        "consent_origin": " · ".join(dict.fromkeys(filter(None, (consent.origin, origin))))[:200],
    }


def _force(consent: Consent, now: datetime) -> Columns:
    """From when a membership is in force: at once where consent is there, else when the person says yes."""
    return {"confirmed_at": now if STATE[consent.kind] is SubscriptionState.CONFIRMED else None}


def _subscriber(person: Ready, known: Known, host: Host | None, keep: bool, now: datetime) -> Columns:
    """A new row, or what changes in the one there is; ``keep``: only blanks are filled."""
    if known.subscriber is None:
        own = host.language if host else ("zh" if person.names.name_zh else "en")
        return {
            "address": person.address.wire, "address_key": person.key, "domain": person.address.domain,
            **person.names.columns(), **salutations(person.names),
            "language": person.language or own,
            "country": person.country or None, "zone": person.zone or None, "created_at": now,
        }  # fmt: skip
    old = known.subscriber
    said = {"language": person.language, "country": person.country, "zone": person.zone}
    older = Names(**{column: old[column] for column in _NAMES})
    keep = keep or old["chosen_at"] is not None
    wanted = {
        column: (old[column] or value) if keep else (value or old[column]) for column, value in said.items()
    }
    newer = older.over(person.names) if keep else person.names.over(older)
    greetings = salutations(newer) if newer != older else {}
    return changes(old, {**wanted, **newer.columns(), **greetings})


def _membership(person: Ready, old: Columns | None, evidence: Columns, fresh: bool, now: datetime) -> Columns:
    said = {**person.names.columns(), "language": person.language or None, "notes": person.notes}
    if old is None:
        return {**said, **evidence, "joined_at": now, "ended_at": None}
    if fresh:  # what was written before it ended is not kept
        anew = {"joined_at": now, "ended_at": None, "paused_until": None}
        return changes(old, {**said, **evidence, **anew})
    newer = person.names.over(Names(**{column: old[column] for column in _NAMES}))
    kept = {column: said[column] or old[column] for column in ("language", "notes")}
    vouched = evidence if old["confirmed_at"] is None and evidence["confirmed_at"] else {}
    return changes(old, {**newer.columns(), **kept, **vouched})


def _subscription(known: Known, consent: Consent, evidence: Columns, now: datetime) -> Columns:
    state, old = STATE[consent.kind], known.subscription
    if old is None:
        return {"state": state, "changed_at": now, **evidence}
    if old["state"] == SubscriptionState.PENDING and state is SubscriptionState.CONFIRMED:
        return changes(old, {"state": state, "changed_at": now, **evidence})
    return {}  # confirmed stays confirmed; who left stays away


def salutations(found: Names) -> Columns:
    """Return the salutation columns of a subscriber with these names."""
    return {
        "salutation_zh": names.salutation(found, "zh"),
        "salutation_en": names.salutation(found, "en"),
    }


def changes(old: Mapping[str, Any], wanted: Columns) -> Columns:
    """Return the columns of ``wanted`` that differ from ``old``."""
    return {column: value for column, value in wanted.items() if old[column] != value}
