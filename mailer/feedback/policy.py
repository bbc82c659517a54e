"""Policy: events are decided about, each once, by the rules in force; and those rules are set.

Whoever decides does so alone, in all processes: each event once, each address silenced once. A bounce never
changes the ledger: the letter was accepted, and the event tells the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import suppressions
from mailer.audience.suppressions import EVERYWHERE, Scope, Silence
from mailer.diagnosis import Category
from mailer.feedback import dormant, store, storms, tallies
from mailer.feedback.rules import DEFAULTS, SETTINGS, Action, Past, Rules, Verdict, changed, decide
from mailer.feedback.store import Pending, PolicySetting
from mailer.sentence import Sentence

SETTLED = timedelta(days=5)  # RFC 5321 §4.5.4.1: relays give up after 4-5 days; silence by then is success
_LATE = timedelta(days=2)  # so late may a provider tell; what is older was judged anew by a person's rule
_MEMORY = timedelta(days=400)  # how far back bounces count: a monthly newsletter, with a year's pause


# --- deciding -------------------------------------------------------------------------------------------


def apply_pending(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Decide about events of the inbox, oldest first, and return how many. Run twice, it decides once.

    Returns 0 too while another process decides.
    """
    if not store.alone(session) or not (waiting := store.pending(session, limit)):
        return 0
    rules, pasts = in_force(session), _pasts(session, waiting, now)
    raging = storms.raging(session)
    verdicts = [_held(decide(item.event, pasts[item.subscriber_id], rules), item, raging) for item in waiting]
    silences = {
        item.event.id: _silence(item, verdict)
        for item, verdict in zip(waiting, verdicts, strict=True)
        if verdict.action is Action.SUPPRESS
    }
    made = dict(
        zip(silences, suppressions.suppress_many(session, [*silences.values()], now=now), strict=True)
    )
    store.file_decisions(
        session,
        [
            {
                "event_id": item.event.id,
                "at": now,
                "action": verdict.action,
                "reason": verdict.reason,
                "suppression_id": made.get(item.event.id),
                "until": now + rules.hold if verdict.action is Action.HOLD else None,
            }
            for item, verdict in zip(waiting, verdicts, strict=True)
        ],
    )
    dormant.list_many(
        session,
        {
            item.subscriber_id: (item.event.id, verdict.reason)
            for item, verdict in zip(waiting, verdicts, strict=True)
            if verdict.action is Action.LIST
        },
        now=now,
    )
    tallies.add(session, _counted(waiting, now))
    return len(waiting)


def _pasts(session: Session, waiting: Sequence[Pending], now: datetime) -> dict[int, Past]:
    """Return what is known of everybody whom these events concern."""
    hashes = {item.subscriber_id: item.address_hash for item in waiting}
    bounces = store.bounces_of(session, hashes, now - _MEMORY)
    alive = store.signs_of_life(session, hashes, settled=now - SETTLED)
    released = suppressions.forgiven(session, [*hashes.values()])
    answered = dormant.answered(session, hashes)
    pasts = {}
    for subscriber_id, address_hash in hashes.items():
        told = bounces.get(subscriber_id, ())
        forgiven = (released.get(address_hash), answered.get(subscriber_id), *(one.undone_at for one in told))
        pasts[subscriber_id] = Past(
            [one.bounce for one in told],
            alive.get(subscriber_id),
            max(filter(None, forgiven), default=None),
        )
    return pasts


def _held(verdict: Verdict, item: Pending, raging: Collection[str]) -> Verdict:
    """Hold a suppression while its provider calls far more mailboxes missing than it used to."""
    doubtful = verdict.action is Action.SUPPRESS and item.event.category == Category.BAD_MAILBOX
    if not doubtful or item.destination not in raging:
        return verdict
    reason = Sentence(
        "{reason} It is held, because {destination} says this of far more mailboxes than usual.",
        reason=verdict.reason, destination=item.destination,
    )  # fmt: skip
    return Verdict(Action.HOLD, reason)


def _silence(item: Pending, verdict: Verdict) -> Silence:
    scope = Scope(item.publication_id, addresses.key_of(item.sender))
    return Silence(
        address_hash=item.address_hash,
        reason=item.event.category or Category.UNKNOWN,
        note=item.event.detail or verdict.reason,
        scope=EVERYWHERE if verdict.everywhere else scope,
    )


def _counted(waiting: Sequence[Pending], now: datetime) -> Counter[tuple[datetime, str, str]]:
    return Counter(
        (
            tallies.slot(now if now - item.event.at < _LATE else item.event.at),
            item.destination,
            item.event.category or Category.UNKNOWN,
        )
        for item in waiting
    )


# --- settings -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the policy: what it is now, what it is by default, and who changed it (None: nobody)."""

    name: str
    value: int
    default: int
    unit: Sentence
    about: Sentence
    least: int
    most: int
    set_by: str | None
    set_at: datetime | None


def in_force(session: Session) -> Rules:
    """Return the rules by which events are decided about now."""
    return changed({row.name: row.value for row in store.policy_settings(session) if row.name in SETTINGS})


def settings(session: Session) -> list[Setting]:
    """Return every setting of the policy, in the order of the rules."""
    rows = {row.name: row for row in store.policy_settings(session)}
    return [_setting(name, rows.get(name)) for name in SETTINGS]


def _setting(name: str, row: PolicySetting | None) -> Setting:
    facts: Mapping[str, Any] = SETTINGS[name].metadata
    default = getattr(DEFAULTS, name)
    changes = (row.value, row.set_by, row.set_at) if row else (default, None, None)
    return Setting(
        name, changes[0], default, facts["unit"], facts["about"], facts["least"], facts["most"], *changes[1:]
    )


def set_(session: Session, values: Mapping[str, float | None], *, now: datetime, actor: Actor) -> Rules:
    """Change settings, None: back to the default; what was decided before stays decided.

    :raises NoSetting: no setting of that name
    :raises BadSetting: a value out of its range, or not a whole number
    """
    given = {name: value for name, value in values.items() if value is not None}
    changed({name: getattr(DEFAULTS, name, 0) for name in values} | given)
    before = {setting.name: setting.value for setting in settings(session) if setting.name in values}
    store.put_settings(session, {name: int(value) for name, value in given.items()}, actor.name, now)
    store.drop_settings(session, values.keys() - given.keys())
    after = {setting.name: setting.value for setting in settings(session) if setting.name in values}
    if before != after:
        audit.record(
            session, now=now, actor=actor, action="policy.set", subject="policy", before=before, after=after
        )
    return in_force(session)
