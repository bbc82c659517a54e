"""Storms: a provider calls far more mailboxes missing than it used to, so what that silences is held a day.

Providers have bad days: a directory is away, and every address is "unknown". While it lasts nobody is
silenced; what was silenced in the hour before it was seen is taken back and held too. After the hold each
is silenced, unless its reader has been seen alive meanwhile. Their SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM, Actor
from mailer.audience import suppressions
from mailer.audience.store import Subscriber, Suppression
from mailer.audience.suppressions import NoReason, Silence
from mailer.delivery.store import Delivery, Event
from mailer.diagnosis import Category
from mailer.errors import NotFound
from mailer.feedback import alerts, store, tallies
from mailer.feedback.alerts import About
from mailer.feedback.rules import Action, Rules
from mailer.feedback.store import Decision, Storm
from mailer.sentence import Sentence, as_sentence

CAME_THROUGH = timedelta(hours=1)  # a letter accepted so long ago, of which nothing came back, has arrived
BELIEVED = timedelta(days=1)  # how long a destination is taken at its word once a person has confirmed it

_BAD = Category.BAD_MAILBOX


class NoStorm(NotFound):
    """There is no such storm: reload the page."""


def is_storm(*, bad: int, letters: int, usual: float, rules: Rules) -> bool:
    """Tell whether so many missing mailboxes in an hour, of so many letters, are out of all proportion.

    ``usual``: missing mailboxes by letters in the 30 days before; 0 if nothing is known of them, and then
    the number alone decides: a wait of a day costs less than a living reader. More news than letters: the
    letters were earlier ones, and the share is taken as all of them.
    """
    return bad >= rules.storm_per_hour and bad / max(letters, bad) >= rules.storm_ratio * usual


def raging(session: Session) -> set[str]:
    """Return the destinations whose word about missing mailboxes is not taken now."""
    return set(session.scalars(select(Storm.destination).where(Storm.ended_at.is_(None))))


# --- watching -------------------------------------------------------------------------------------------


def watch(session: Session, rules: Rules, *, now: datetime) -> None:
    """Begin the storms that have come up, end those that are over, and settle what was held long enough."""
    heard = tallies.heard(session, _BAD, now - tallies.HOUR)
    many = {name: bad for name, bad in heard.items() if bad >= rules.storm_per_hour}
    on = {storm.destination: storm for storm in _on(session)}
    known = on.keys() | _believed(session, now)
    seem = [_measured(session, name, bad, now) for name, bad in many.items() if name not in known]
    seem = [each for each in seem if each.is_storm(rules)]
    if seem or tallies.is_due(now):
        tallies.count_letters(session, _BAD, now)
    for each in seem:  # of letters counted a while ago, which may be fewer than there are
        measured = _measured(session, each.destination, each.bad, now)
        if measured.is_storm(rules):
            _begin(session, measured, rules, now)
    for destination, storm in on.items():
        if destination not in many:
            _end(session, storm, now, SYSTEM.name)
    _settle_due(session, now)


class _Measured(NamedTuple):
    """What ``is_storm`` is told of a destination."""

    destination: str
    bad: int
    letters: int
    usual: float

    def is_storm(self, rules: Rules) -> bool:
        return is_storm(bad=self.bad, letters=self.letters, usual=self.usual, rules=rules)


def _measured(session: Session, destination: str, bad: int, now: datetime) -> _Measured:
    hour = tallies.slot(now - tallies.HOUR)
    letters = tallies.heard(session, tallies.LETTERS, hour).get(destination, 0)
    usual = tallies.share(session, destination, _BAD, now - tallies.MONTH, hour)
    return _Measured(destination, bad, letters, usual)


def _begin(session: Session, found: _Measured, rules: Rules, now: datetime) -> None:
    destination, bad = found.destination, found.bad
    session.add(Storm(began_at=now, **found._asdict()))
    session.flush()
    hour = tallies.slot(now - tallies.HOUR)
    _hold_back(session, destination, since=hour, until=now + rules.hold, now=now)
    facts = {"destination": destination, "bad": bad, "hours": rules.storm_hold_hours}
    said = Sentence(
        "{destination} called {bad} mailboxes missing within an hour, far more than usual: what that"
        " would silence is held for {hours} hours. Confirm it if you know it to be true, or release it.",
        **facts,
    )
    unknown = Sentence(
        "{destination} called {bad} mailboxes missing within an hour, and nothing is known of what is usual"
        " there: what that would silence is held for {hours} hours. Confirm it if you know it to be true, or"
        " release it.",
        **facts,
    )
    alerts.tell(session, About.STORM, said if found.usual else unknown, subject=destination, now=now)


def _hold_back(
    session: Session, destination: str, *, since: datetime, until: datetime, now: datetime
) -> None:
    """Hold what was silenced at this destination's word just before the storm was seen.

    What a person has silenced meanwhile, for the same reason, stays.
    """
    rows = session.execute(
        _decisions(destination)
        .join(Suppression, Suppression.id == Decision.suppression_id)
        .where(Decision.suppression_id.is_not(None), Decision.at >= since)  # ix_decisions_silenced
        .where(Decision.action == Action.SUPPRESS, Suppression.since >= since)
        .where(Suppression.added_by == "")
        .add_columns(Suppression.released_at)
    ).all()
    standing = [
        (decision, decision.suppression_id) for decision, *_, released_at in rows if released_at is None
    ]
    why = Sentence("{destination} says this of far more mailboxes than usual.", destination=destination)
    suppressions.take_back(session, {id for _, id in standing if id is not None}, why=why, now=now)
    for decision, _id in standing:
        decision.action, decision.until, decision.suppression_id = Action.HOLD, until, None
        decision.reason = Sentence(
            "{reason} It is held, because {destination} says this of far more mailboxes than usual.",
            reason=as_sentence(decision.reason), destination=destination,
        )  # fmt: skip
    session.flush()


def _end(session: Session, storm: Storm, now: datetime, by: str) -> None:
    storm.ended_at, storm.ended_by = now, by
    session.flush()
    alerts.settle_about(session, About.STORM, storm.destination, now=now, by=by)


def _settle_due(session: Session, now: datetime) -> None:
    due = session.execute(
        _held().where(
            Decision.until <= now, store.destination().not_in(select(_on_now().subquery().c.destination))
        )
    ).all()
    _silence(session, [Held(*row) for row in due], now=now, by="", unless_alive=True)


# --- what a person decides ------------------------------------------------------------------------------


class Row(NamedTuple):
    """A storm, and how many suppressions are held that came of it."""

    storm: Storm
    held: int


def listing(session: Session, *, limit: int = 20) -> list[Row]:
    """Return storms, the newest first."""
    found = list(session.scalars(select(Storm).order_by(Storm.id.desc()).limit(limit)))
    held = _held().subquery()
    rows = session.execute(select(held.c.destination, func.count()).group_by(held.c.destination))
    counts: dict[str, int] = dict(rows.all())
    newest = {storm.destination: storm.id for storm in reversed(found)}
    return [
        Row(storm, counts.get(storm.destination, 0) if newest[storm.destination] == storm.id else 0)
        for storm in found
    ]


def release(session: Session, storm_id: int, *, why: str, now: datetime, actor: Actor) -> int:
    """Say that the provider was wrong: what is held silences nobody; return how many there were.

    While the storm lasts more is held.

    :raises NoStorm: no such storm
    :raises NoReason: nobody says why
    """
    storm, held = _named(session, storm_id, why)
    for one in held:
        decision = one.decision
        decision.until, decision.undone_at, decision.undone_by = None, now, actor.name
        decision.undone_why = why.strip()
    session.flush()
    _note(session, storm, "release", len(held), why, now, actor)
    return len(held)


def confirm(session: Session, storm_id: int, *, why: str, now: datetime, actor: Actor) -> int:
    """Say that the provider was right: silence what is held, and hold nothing more of it for a day.

    Returns how many were silenced.

    :raises NoStorm: no such storm
    :raises NoReason: nobody says why
    """
    storm, held = _named(session, storm_id, why)
    _silence(session, held, now=now, by=actor.name, unless_alive=False)
    storm.believed_until = now + BELIEVED
    if storm.ended_at is None:
        _end(session, storm, now, actor.name)
    _note(session, storm, "confirm", len(held), why, now, actor)
    return len(held)


def _named(session: Session, storm_id: int, why: str) -> tuple[Storm, list[Held]]:
    if not why.strip():
        raise NoReason
    store.alone(session, wait=True)
    storm = session.get(Storm, storm_id, with_for_update=True)
    if storm is None:
        raise NoStorm
    rows = session.execute(_held().where(store.destination() == storm.destination)).all()
    return storm, [Held(*row) for row in rows]


def _note(
    session: Session, storm: Storm, what: str, count: int, why: str, now: datetime, actor: Actor
) -> None:
    after = {"destination": storm.destination, "decisions": count, "why": why.strip()}
    audit.record(
        session, now=now, actor=actor, action=f"storm.{what}", subject=f"storm {storm.id}", after=after
    )


# --- rows -----------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """A suppression that is held, and whom it is about."""

    decision: Decision
    event: Event
    subscriber_id: int
    address_hash: str
    destination: str


def _decisions(destination: str) -> Select[Decision]:
    return (
        select(Decision)
        .join(Event, Event.id == Decision.event_id)
        .join(Delivery, and_(Delivery.campaign_id == Event.campaign_id, Delivery.n == Event.n))
        .where(Event.category == _BAD, Decision.undone_at.is_(None), store.destination() == destination)
    )


def _held() -> Select[Decision, Event, int, str, str]:
    return (
        select(
            Decision,
            Event,
            Delivery.subscriber_id,
            store.hash_written_to(),
            store.destination().label("destination"),
        )
        .join(Event, Event.id == Decision.event_id)
        .join(Delivery, and_(Delivery.campaign_id == Event.campaign_id, Delivery.n == Event.n))
        .join(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(Decision.until.is_not(None), Decision.undone_at.is_(None))
        .order_by(Decision.event_id)
    )


def _on_now() -> Select[Storm]:
    return select(Storm).where(Storm.ended_at.is_(None))


def _on(session: Session) -> Iterable[Storm]:
    return session.scalars(_on_now()).all()


def _believed(session: Session, now: datetime) -> set[str]:
    return set(session.scalars(select(Storm.destination).where(Storm.believed_until > now)))


def _silence(session: Session, held: Sequence[Held], *, now: datetime, by: str, unless_alive: bool) -> None:
    """Do what was held back; ``unless_alive``: not where the reader has been seen alive since."""
    people = {one.subscriber_id for one in held}
    seen = store.signs_of_life(session, people, settled=now - CAME_THROUGH) if unless_alive else {}
    alive = [one for one in held if one.subscriber_id in seen and seen[one.subscriber_id] > one.event.at]
    for one in alive:
        one.decision.action, one.decision.until = Action.NONE, None
        one.decision.reason = Sentence(
            "{reason} While it was held, the reader was seen alive.", reason=as_sentence(one.decision.reason)
        )
    spared = {one.decision.event_id for one in alive}
    doomed = [one for one in held if one.decision.event_id not in spared]
    wanted = [
        Silence(
            address_hash=one.address_hash,
            reason=one.event.category or _BAD,
            note=one.event.detail or one.decision.reason,
            added_by=by,
        )
        for one in doomed
    ]
    made = suppressions.suppress_many(session, wanted, now=now)
    for one, suppression_id in zip(doomed, made, strict=True):
        one.decision.action, one.decision.until = Action.SUPPRESS, None
        one.decision.suppression_id = suppression_id
    session.flush()
