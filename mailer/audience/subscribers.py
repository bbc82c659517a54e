"""Subscribers: people come in, are found, are edited. One address, one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session
from uuid_utils import uuid7

from mailer import address as addresses
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import bulk, codes, finding, intake, names, silenced, store, topics
from mailer.audience.evidence import store as evidence
from mailer.audience.intake import NOBODY, Columns, Consent, Host, Intent, Known, Person, Ready, Verdict
from mailer.audience.names import Names
from mailer.audience.store import Membership, Subscriber, Subscription
from mailer.errors import MailerError, NotFound
from mailer.signing import Keyring

CHUNK = 2_000  # people brought in at once, of very many
_AT_ONCE = 500  # people handed to the database together


class NoSubscriber(NotFound):
    """There is nobody with that address."""


class Taken(NamedTuple):
    """What became of a person. ``refusal`` says why a refused one was.

    ``born``: the rows of somebody wholly new, subscriber and membership; None for everybody else.
    """

    verdict: Verdict
    subscriber_id: int | None = None
    refusal: MailerError | None = None
    intent: Intent | None = None
    known: Known = NOBODY
    partner_id: int | None = None
    born: tuple[Columns, Columns | None] | None = None

    @property
    def before(self) -> dict[str, Columns | None]:
        """What undoing restores, by table."""
        return dict(self.intent.before(self.known)) if self.intent else {}

    @property
    def after(self) -> dict[str, Columns]:
        """What was written, by table; of a membership, whose it is too."""
        if self.intent is None:
            return {}
        return {
            table: {**columns, "partner_id": self.partner_id} if table == "membership" else columns
            for table, columns in self.intent.after.items()
        }


class Seats:
    """How many people the partners have whose seats are limited."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._taken: dict[int, int] = {}

    def look_up(self, hosts: Iterable[Host]) -> None:
        """Count the people of partners that were not counted yet."""
        new = [host.id for host in hosts if host.seats is not None and host.id not in self._taken]
        self._taken |= bulk.people_of(self._session, new)

    def take(self, host: Host) -> None:
        """Count one more."""
        self._taken[host.id] = self.of(host) + 1

    def of(self, host: Host) -> int:
        """How many there are; of a partner without a limit only those that came since."""
        return self._taken.get(host.id, 0)


def take_in(
    session: Session,
    people: Sequence[Person],
    *,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    publication_id: int,
    consent: Consent,
    dry: Seats | None = None,
) -> list[Taken]:
    """Bring people in, and say of each what became of it. Whoever is refused does not stop the others.

    ``audience.intake`` has the rules. Writes in sets: its cost is a few statements for 5,000 people. With
    ``dry`` nothing is written: each is judged as if alone, but for the seats that others would take.
    """
    if dry is None:
        bulk.one_intake_at_a_time(session)
    taken: list[Taken | None] = [None] * len(people)
    rounds: dict[int, list[tuple[int, Ready]]] = {}  # an address met again waits for the next round
    met: Counter[str] = Counter()
    for place, person in enumerate(people):
        try:
            ready = intake.ready(person)
        except MailerError as refusal:
            taken[place] = Taken(Verdict.REFUSED, refusal=refusal)
            continue
        rounds.setdefault(met[ready.key], []).append((place, ready))
        met[ready.key] += 1
    for members in rounds.values():
        seats = Seats(session) if dry is None else dry
        batch = _Batch(session, [person for _, person in members], keys, now, publication_id, seats)
        found = batch.write(consent, actor.name) if dry is None else batch.judge(consent, actor.name)
        for (place, _), result in zip(members, found, strict=True):
            taken[place] = result
    return [result for result in taken if result is not None]


def add(
    session: Session,
    *,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    address: str,
    names: Names,
    language: str,
    publication_id: int,
    consent: Consent,
    partner_id: int | None = None,
    country: str = "",
    zone: str = "",
    notes: str = "",
) -> Subscriber:
    """Bring one person in and return the one row of the address.

    A partner may bring a person who left, and is told nothing: the person stays away.

    :raises BadAddress: not an address; BadCode, NameTooLong, TooLong: another value cannot be used
    :raises HasLeft: the secretariat brings a person who left
    :raises Suppressed: the secretariat brings an address that must not be written to
    :raises NoSeat: the partner has no room for one more
    :raises NotTrusted: the partner may not vouch
    """
    person = Person(
        address=address, names=names, language=language, country=country, zone=zone, partner_id=partner_id,
        notes=notes,
    )  # fmt: skip
    taken = take_in(
        session, [person], keys=keys, now=now, actor=actor, publication_id=publication_id, consent=consent
    )[0]
    if taken.refusal is not None:
        raise taken.refusal
    audit.record(
        session, now=now, actor=actor, action="subscriber.add", subject=f"subscriber {taken.subscriber_id}",
        after={"verdict": taken.verdict, "consent": consent.kind}, partner_id=partner_id,
    )  # fmt: skip
    return session.get_one(Subscriber, taken.subscriber_id, populate_existing=True)


def add_many(
    session: Session,
    *,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    people: Iterable[Person],
    publication_id: int,
    consent: Consent,
) -> Counter[Verdict]:
    """Bring many people in; return how many of each verdict. Holds one chunk in memory at a time."""
    verdicts: Counter[Verdict] = Counter()
    for chunk in _chunks(people, CHUNK):
        taken = take_in(
            session, chunk, keys=keys, now=now, actor=actor, publication_id=publication_id, consent=consent
        )
        verdicts.update(result.verdict for result in taken)
    audit.record(session, now=now, actor=actor, action="subscriber.add_many",
                 subject=f"publication {publication_id}", after=dict(verdicts))  # fmt: skip
    return verdicts


def get(session: Session, public_id: UUID) -> Subscriber:
    """:raises NoSubscriber: none of that id"""
    found = store.subscriber_by_public_id(session, public_id)
    if found is None:
        raise NoSubscriber
    return found


def by_address(session: Session, address: str) -> Subscriber:
    """:raises NoSubscriber: nobody has that address"""
    found = store.subscriber_by_key(session, addresses.key_of(address))
    if found is None:
        raise NoSubscriber
    return found


def listing(
    session: Session,
    *,
    search: str = "",
    where: Sequence[ColumnElement[bool]] = (),
    page: int = 1,
    size: int = 50,
) -> tuple[list[Subscriber], finding.Count]:
    """Return a page of people by address, and how many there are; ``search``: ``audience.finding`` has how.

    ``where``: what else must hold of them, as ``selection.conditions`` says it.
    """
    return finding.listed(session, search, where, page, size)


def edit(
    session: Session,
    *,
    subscriber_id: int,
    now: datetime,
    actor: Actor,
    names: Names | None = None,
    language: str | None = None,
    country: str | None = None,
    zone: str | None = None,
) -> Subscriber:
    """Change what the secretariat knows of a person; None leaves a value, "" empties country and zone.

    :raises BadCode: no such language, country or zone
    :raises NameTooLong: longer than its column
    """
    subscriber = session.get_one(Subscriber, subscriber_id)
    wanted: Columns = {}
    if names is not None:
        wanted |= _named(names)
    if language is not None:
        wanted["language"] = codes.language(language)
    if country is not None:
        wanted["country"] = codes.country(country) if country.strip() else None
    if zone is not None:
        wanted["zone"] = codes.zone(zone) if zone.strip() else None
    _change(session, subscriber, wanted, now, actor, "subscriber.edit")
    return subscriber


def set_language(session: Session, *, subscriber_id: int, language: str, now: datetime, actor: Actor) -> None:
    """Write the person's own choice of language; from now on nobody else's word outranks it.

    :raises BadCode: neither zh nor en
    """
    subscriber = session.get_one(Subscriber, subscriber_id)
    subscriber.chosen_at = now
    _change(
        session, subscriber, {"language": codes.language(language)}, now, actor, "subscriber.choose_language"
    )


def set_topics(
    session: Session,
    *,
    subscriber_id: int,
    publication_id: int,
    codes: Collection[str],
    now: datetime,
    actor: Actor,
) -> None:
    """Write a person's whole choice of topics within a publication.

    :raises NoTopic: one the publication does not offer
    """
    before, after = sorted(topics.chosen(session, subscriber_id, publication_id)), sorted(set(codes))
    topics.choose(session, subscriber_id=subscriber_id, publication_id=publication_id, codes=after)
    if before != after:
        audit.record(
            session, now=now, actor=actor, action="subscriber.choose_topics",
            subject=f"subscriber {subscriber_id}", before={"topics": before}, after={"topics": after},
        )  # fmt: skip


def _change(
    session: Session, subscriber: Subscriber, wanted: Columns, now: datetime, actor: Actor, action: str
) -> None:
    old = {column: getattr(subscriber, column) for column in wanted}
    changed = intake.changes(old, wanted)
    for column, value in changed.items():
        setattr(subscriber, column, value)
    if changed:  # names stay out of the log: it tells which columns changed, not who the person is
        before = {name: old[name] for name in changed}
        audit.record(
            session, now=now, actor=actor, action=action, subject=f"subscriber {subscriber.id}",
            before=audit.hushed(before, but=("language",)), after=audit.hushed(changed, but=("language",)),
        )  # fmt: skip
    session.flush()


def _named(given: Names) -> Columns:
    found = names.clean(given)
    return {**found.columns(), **intake.salutations(found)}


def _chunks(things: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(things)
    while chunk := list(islice(source, size)):
        yield chunk


class _Batch:
    """People with different addresses: what is known of them, and what is written."""

    def __init__(
        self, session: Session, people: Sequence[Ready], keys: Keyring, now: datetime, publication_id: int,
        seats: Seats,
    ) -> None:  # fmt: skip
        self._session, self._people, self._keys = session, people, keys
        self._now, self._publication_id, self._seats = now, publication_id, seats
        self._look_up()

    def judge(self, consent: Consent, by: str) -> list[Taken]:
        """Say what would become of everybody."""
        rows = _Rows(self._publication_id)
        return [self._taken(person, rows, 0, consent, by) for person in self._people]

    def write(self, consent: Consent, by: str) -> list[Taken]:
        """Decide on everybody and write it: the database takes the first in while the last are decided on."""
        new = [person for person in self._people if person.key not in self._subscribers]
        ids = iter(bulk.new_ids(self._session, len(new)) if new else ())
        rows = _Rows(self._publication_id)
        taken: list[Taken] = []
        with bulk.inserting_subscribers(self._session) as insert:
            for some in _chunks(self._people, _AT_ONCE):
                for person in some:
                    own = 0 if person.key in self._subscribers else next(ids)
                    taken.append(self._taken(person, rows, own, consent, by))
                insert(rows.born())
        rows.write(self._session, self._now, by)
        return taken

    def _look_up(self) -> None:
        session = self._session
        self._subscribers = bulk.subscribers(session, [person.key for person in self._people])
        ids = [row["id"] for row in self._subscribers.values()]
        self._subscriptions = bulk.subscriptions(session, ids, self._publication_id)
        self._memberships: dict[int, dict[int, Columns]] = {}
        for row in bulk.memberships(session, ids):
            self._memberships.setdefault(row["subscriber_id"], {})[row["partner_id"]] = row
        self._hashes = {person.key: self._keys.address_hash(person.key) for person in self._people}
        found = silenced.of_hashes(session, [*self._hashes.values()], self._now, self._publication_id)
        reasons = {suppression.address_hash: suppression.reason for suppression in found}
        self._suppressed = {key: reasons[own] for key, own in self._hashes.items() if own in reasons}
        partners = {person.partner_id for person in self._people if person.partner_id is not None}
        self._hosts = {
            partner.id: Host(
                partner.id, partner.language, partner.trusted, partner.seats, partner.closed_at is not None
            )
            for partner in bulk.partners_by_id(session, partners).values()
        }
        self._seats.look_up(self._hosts.values())

    def _known(self, person: Ready) -> Known:
        subscriber = self._subscribers.get(person.key)
        suppressed = self._suppressed.get(person.key, "")
        if subscriber is None:
            return Known(suppressed=suppressed) if suppressed else NOBODY
        own = self._memberships.get(subscriber["id"], {})
        return Known(
            subscriber,
            own.get(person.partner_id) if person.partner_id is not None else None,
            self._subscriptions.get(subscriber["id"]),
            any(row["ended_at"] is None for partner, row in own.items() if partner != person.partner_id),
            suppressed,
        )

    def _decide(self, person: Ready, known: Known, consent: Consent, by: str) -> Intent | MailerError:
        host = self._hosts[person.partner_id] if person.partner_id is not None else None
        try:
            intent = intake.decide(
                person, known, host=host, seats_taken=self._seats.of(host) if host else 0, consent=consent,
                by=by, now=self._now,
            )  # fmt: skip
        except MailerError as refusal:
            return refusal
        if host is not None and intent.verdict is Verdict.ADDED:
            self._seats.take(host)
        return intent

    def _taken(self, person: Ready, rows: _Rows, new_id: int, consent: Consent, by: str) -> Taken:
        """Decide on one person and have it written; ``new_id``: of somebody unknown."""
        known = self._known(person)
        found = self._decide(person, known, consent, by)
        if isinstance(found, MailerError):
            return Taken(Verdict.REFUSED, None, found)
        if known.subscriber is None:
            own, born = new_id, rows.add(person, new_id, self._hashes[person.key], found)
        else:
            own, born = known.subscriber["id"], None
            rows.change(person, own, known, found)
        return Taken(found.verdict, own, None, found, known, person.partner_id, born)


class _Rows:
    """What is to be written of many people, by table."""

    def __init__(self, publication_id: int) -> None:
        self._publication_id = publication_id
        self._subscribers: list[Columns] = []
        self._memberships: list[Columns] = []
        self._begun_anew: list[int] = []
        self._first_subscriptions: list[Columns] = []
        self._subscriptions: list[Columns] = []
        self._changed: dict[str, list[tuple[int, Columns]]] = {
            "subscriber": [], "membership": [], "subscription": []
        }  # fmt: skip

    def add(
        self, person: Ready, own: int, address_hash: str, intent: Intent
    ) -> tuple[Columns, Columns | None]:
        """Have somebody new written; return the rows of subscriber and membership."""
        subscriber = {**intent.subscriber, "id": own, "public_id": uuid7(), "address_hash": address_hash}
        self._subscribers.append(subscriber)
        if intent.subscription:
            self._first_subscriptions.append(self._subscription(own, intent))
        if not intent.membership:
            return subscriber, None
        membership = self._membership(person, own, intent)
        self._memberships.append(membership)
        return subscriber, membership

    def change(self, person: Ready, own: int, known: Known, intent: Intent) -> None:
        """Have written what changes of somebody who is there."""
        if intent.subscriber:
            self._changed["subscriber"].append((own, intent.subscriber))
        if known.membership and intent.membership:
            self._changed["membership"].append((known.membership["id"], intent.membership))
            if "joined_at" in intent.membership:  # it had ended: what was chosen then is not kept
                self._begun_anew.append(known.membership["id"])
        elif intent.membership:
            self._memberships.append(self._membership(person, own, intent))
        if known.subscription and intent.subscription:
            self._changed["subscription"].append((own, intent.subscription))
        elif intent.subscription:
            self._subscriptions.append(self._subscription(own, intent))

    def born(self) -> list[Columns]:
        """Return the new people that came since this was asked for last."""
        born, self._subscribers = self._subscribers, []
        return born

    def write(self, session: Session, now: datetime, by: str) -> None:
        """Write all the rest, in the order that people, launches and others lock rows."""
        self._keep_evidence(session, now, by)
        bulk.insert_memberships(session, self._memberships)
        bulk.insert_new_subscriptions(session, self._first_subscriptions)
        bulk.insert_subscriptions(session, self._subscriptions)
        bulk.update_subscribers(session, self._changed["subscriber"])
        bulk.update_memberships(session, self._changed["membership"])
        bulk.confirm_subscriptions(session, self._publication_id, self._changed["subscription"])
        bulk.forget_topics(session, self._begun_anew)

    def _keep_evidence(self, session: Session, now: datetime, by: str) -> None:
        """What rows rest on is kept before a newer consent takes its place."""
        renewed = {
            table: [row_id for row_id, columns in rows if "consent_at" in columns]
            for table, rows in self._changed.items()
        }
        if renewed["membership"]:
            ties = Membership.__table__.c
            evidence.keep_memberships(session, bulk.among(session, ties.id, renewed["membership"]), now, by)
        if renewed["subscription"]:
            its = Subscription.__table__.c
            which = bulk.among(session, its.subscriber_id, renewed["subscription"])
            evidence.keep_subscriptions(
                session, which & (its.publication_id == self._publication_id), now, by
            )

    def _membership(self, person: Ready, own: int, intent: Intent) -> Columns:
        ties = {"public_id": uuid7(), "partner_id": person.partner_id, "subscriber_id": own}
        return {**intent.membership, **ties}

    def _subscription(self, own: int, intent: Intent) -> Columns:
        ties = {"subscriber_id": own, "publication_id": self._publication_id, "left_reason": ""}
        return {**intent.subscription, **ties}
