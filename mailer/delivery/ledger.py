"""The ledger: what became of letters is written down, whoever learns it: a worker, a journal, a person.

Writing the same results twice changes nothing: an attempt is recorded once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session

from mailer import queue
from mailer.delivery import batches, events, lanes, own_rules, pace, slices
from mailer.delivery.events import News
from mailer.delivery.journal import Leftover
from mailer.delivery.refusals import speaks_of_sender
from mailer.delivery.retry import next_attempt
from mailer.delivery.slices import Destination, Try
from mailer.delivery.smtp import Kind, Outcome
from mailer.delivery.store import Batch, BatchState, DeliveryState, EventKind
from mailer.diagnosis import Category, Diagnosis, OwnRule, diagnose, provider_of

V = TypeVar("V")

_STATE = {
    Kind.DEFERRED: DeliveryState.DEFERRED,
    Kind.REJECTED: DeliveryState.REJECTED,
    Kind.UNCERTAIN: DeliveryState.UNCERTAIN,
}
NO_REPLY = Outcome(0, Kind.UNCERTAIN, None, None, "", "", "")


def record(
    session: Session,
    *,
    campaign_id: int,
    attempt: int,
    lane: str,
    outcomes: Iterable[Outcome],
    now: datetime,
    untold: bool = False,
) -> datetime | None:
    """Write down what became of letters: attempts, states, events, and when deferred ones are due again.

    Unsent letters leave no trace here. ``outcome.key`` is the delivery's number. ``untold``: the caller has
    held the batch's lease all along, so nobody else can have written any of it.

    Returns until when the lane rests, if its destination has asked us to slow down.
    """
    told = {outcome.key: outcome for outcome in outcomes if outcome.kind is not Kind.UNSENT}
    if not untold:
        told = {n: told[n] for n in slices.not_recorded(session, campaign_id, attempt, sorted(told))}
    if not told:
        return None
    troubled = sorted(n for n, outcome in told.items() if outcome.kind is not Kind.ACCEPTED)
    going = slices.destinations(session, campaign_id, troubled)
    own = own_rules.in_force(session) if troubled else ()
    diagnoses = {n: _diagnosis(told[n], going[n], own) for n in troubled}
    states = {n: _STATE[told[n].kind] for n in troubled}
    due = _due(session, campaign_id, attempt, [n for n in troubled if told[n].kind is Kind.DEFERRED], now)
    for n in troubled:
        if states[n] is DeliveryState.DEFERRED and n not in due:
            states[n] = DeliveryState.REJECTED  # tried for as long as RFC 5321 asks
    tries = [
        _try(outcome, states.get(n, DeliveryState.ACCEPTED), diagnoses.get(n)) for n, outcome in told.items()
    ]
    slices.add_attempts(session, campaign_id, attempt, now, tries)
    accepted = sorted(told.keys() - states.keys()) if states else sorted(told)
    slices.set_state(session, campaign_id, accepted, DeliveryState.ACCEPTED)
    for state, numbers in _grouped(states).items():
        slices.set_state(session, campaign_id, numbers, state)
    for due_at, numbers in _grouped(due).items():
        batches.add(session, campaign_id, numbers, attempt=attempt + 1, lane=lane, due_at=due_at)
    if not troubled:
        return None
    events.record_many(session, _bounces(campaign_id, attempt, told, states, diagnoses, now))
    asking = next((told[n] for n in troubled if _asks_to_slow(told[n], diagnoses[n])), None)
    return lanes.slow_down(session, lane, said=asking.text, now=now) if asking else None


def _asks_to_slow(outcome: Outcome, diagnosis: Diagnosis) -> bool:
    """Tell whether a destination asks for fewer letters, and not the relay for itself."""
    asks = pace.asks_to_slow(outcome.code, outcome.status, diagnosis.category)
    of_a_letter = outcome.kind is Kind.DEFERRED and outcome.command in ("RCPT", "DATA", "BODY")
    return asks and of_a_letter and not speaks_of_sender(outcome)


def settle(session: Session, *, owner: str, leftover: Leftover, trusted: bool, now: datetime) -> int:
    """Settle what a dead worker had begun, from its journal (law 2); return how many letters are uncertain.

    Replies in the journal are recorded; a begun letter without one is uncertain; a letter of its slice the
    journal does not know was never begun, if the journal can be ``trusted``, and uncertain otherwise. Lines
    about batches that are not the worker's any more are passed over: the ledger had them before.
    """
    told: dict[int, list[Outcome]] = defaultdict(list)
    for letter, outcome in leftover.ended:
        told[letter.batch].append(outcome)
    for letter in leftover.uncertain:
        told[letter.batch].append(NO_REPLY._replace(key=letter.n))
    return sum(
        _settle(session, batch, told[batch.id], trusted=trusted, now=now)
        for batch in batches.begun_by(session, owner)
    )


def declare_lost(session: Session, *, campaign_id: int, now: datetime) -> int:
    """Declare the journals of a campaign's orphaned slices lost: what they had begun becomes uncertain."""
    return sum(
        _settle(session, batch, [], trusted=False, now=now) for batch in batches.orphans(session, campaign_id)
    )


def give_back(
    session: Session, *, campaign_id: int, numbers: Sequence[int], attempt: int, lane: str, due_at: datetime
) -> None:
    """Have letters that were never begun sent by whoever comes first, as the same attempt."""
    waiting = slices.still_open(session, campaign_id, numbers)
    if waiting:
        batches.add(session, campaign_id, waiting, attempt=attempt, lane=lane, due_at=due_at)
        queue.ring(session, queue.WORK)


def _settle(session: Session, batch: Batch, told: Sequence[Outcome], *, trusted: bool, now: datetime) -> int:
    """End a dead worker's batch: record what was told, free what was never begun, doubt the rest."""
    campaign_id, attempt, lane = batch.campaign_id, batch.attempt, batch.lane
    begun = batches.numbers(batch)[batch.done_to : batch.begun_to]
    if batch.state == BatchState.LEASED:
        batches.split(session, batch, now)
    batches.close(batch)
    session.flush()
    note = partial(record, session, campaign_id=campaign_id, attempt=attempt, lane=lane, now=now)
    note(outcomes=told)
    silent = slices.still_open(
        session, campaign_id, slices.not_recorded(session, campaign_id, attempt, begun)
    )
    doubted = sum(outcome.kind is Kind.UNCERTAIN for outcome in told)
    if trusted:
        give_back(session, campaign_id=campaign_id, numbers=silent, attempt=attempt, lane=lane, due_at=now)
        return doubted
    note(outcomes=[NO_REPLY._replace(key=n) for n in silent])
    return doubted + len(silent)


def _diagnosis(outcome: Outcome, going: Destination, own: Sequence[OwnRule]) -> Diagnosis:
    if not outcome.command:  # our own words: no relay was asked, nothing is known of the address
        return Diagnosis(Category.TECHNICAL, outcome.status or "", False, False, None, "not sent")
    return diagnose(
        provider=going.provider or provider_of(going.domain),
        code=outcome.code,
        status=outcome.status,
        text=outcome.text,
        command=outcome.command,
        own=own,
    )


def _due(
    session: Session, campaign_id: int, attempt: int, numbers: Sequence[int], now: datetime
) -> dict[int, datetime]:
    first = slices.first_attempts(session, campaign_id, numbers) if numbers and attempt > 1 else {}
    due = {n: next_attempt(attempts=attempt, first_at=first.get(n, now), now=now) for n in numbers}
    return {n: at for n, at in due.items() if at is not None}


def _try(outcome: Outcome, state: DeliveryState, diagnosis: Diagnosis | None) -> Try:
    return (
        outcome.key,
        state,
        outcome.relay,
        outcome.code,
        outcome.status[:12] if outcome.status else None,
        diagnosis.category.value if diagnosis and outcome.code else None,
        events.writable(outcome.text),
    )


def _bounces(
    campaign_id: int,
    attempt: int,
    told: Mapping[int, Outcome],
    states: Mapping[int, DeliveryState],
    diagnoses: Mapping[int, Diagnosis],
    now: datetime,
) -> list[News]:
    return [
        News(
            campaign_id=campaign_id,
            n=n,
            kind=EventKind.BOUNCE,
            at=now,
            source="smtp",
            key=f"smtp {attempt}",
            category=diagnoses[n].category.value,
            status=told[n].status,
            permanent=told[n].kind is Kind.REJECTED and diagnoses[n].permanent,
            dead=told[n].kind is Kind.REJECTED and diagnoses[n].dead,
            reason=diagnoses[n].reason,
            detail=f"{told[n].command}: {told[n].code} {told[n].text}",
        )
        for n, state in states.items()
        if state is DeliveryState.REJECTED
    ]


def _grouped(values: Mapping[int, V]) -> dict[V, list[int]]:
    """Return the numbers of each value, in order."""
    groups: dict[V, list[int]] = defaultdict(list)
    for n, value in sorted(values.items()):
        groups[value].append(n)
    return groups
