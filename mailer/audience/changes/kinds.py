"""Kinds of bulk change: what becomes of one person, and what is written. One rule for preview and making.

What a person chose themselves is not overruled, and nobody is subscribed by a bulk change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from uuid_utils.compat import uuid7

from mailer.accounts.audit import Actor
from mailer.audience.changes.journal import Pen
from mailer.audience.changes.store import Verdict
from mailer.audience.evidence import history
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Partner,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.audience.suppressions import MANUAL
from mailer.sentence import Sentence


class Kind(StrEnum):
    """What a bulk change does."""

    LANGUAGE = "language"
    COUNTRY = "country"
    ZONE = "zone"
    ADD_TOPIC = "add_topic"
    REMOVE_TOPIC = "remove_topic"
    ADD_TO_PARTNER = "add_to_partner"
    REMOVE_FROM_PARTNER = "remove_from_partner"
    PAUSE = "pause"
    UNSUBSCRIBE = "unsubscribe"
    SUPPRESS = "suppress"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. ``value``: a language, country or zone; ``note``: why, or the evidence of consent.

    ``publication_id`` says in which newsletter; ``partner_id`` and ``topic_id`` are None where they have no
    part; ``until``: the end of a pause.
    """

    kind: Kind
    publication_id: int
    value: str = ""
    note: str = ""
    partner_id: int | None = None
    topic_id: int | None = None
    until: datetime | None = None

    def stored(self) -> dict[str, Any]:
        """Return what JSON keeps of it."""
        return {**asdict(self), "until": self.until.isoformat() if self.until else None}

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Self:
        """Return what was ``stored``."""
        until = datetime.fromisoformat(kept["until"]) if kept["until"] else None
        return cls(**{**kept, "kind": Kind(kept["kind"]), "until": until})


@dataclass(slots=True)
class Target:
    """A person, and what is known of them that the plan is about.

    ``topics``: their own choice within the newsletter, by topic; ``by_partner``: a partner chose topics for
    them; ``membership``: their tie to the plan's partner; ``shared``: another partner holds them too.
    """

    subscriber: Subscriber
    subscription: Subscription | None = None
    membership: Membership | None = None
    topics: Mapping[int, SubscriberTopic] = field(default_factory=dict)
    by_partner: bool = False
    suppressed: bool = False
    shared: bool = False
    vouched: tuple[Subscription, ...] = ()


@dataclass(slots=True)
class Room:
    """The partner people are added to, and how many more it has seats for; None: no limit."""

    partner: Partner
    seats: int | None


Judgement = tuple[Verdict, str]
_CHANGES: Judgement = (Verdict.CHANGES, "")
_ALREADY: Judgement = (Verdict.ALREADY, "")


def judge(plan: Plan, target: Target, room: Room | None) -> Judgement:
    """Say what would become of a person, and why where nothing does."""
    match plan.kind:
        case Kind.LANGUAGE:
            return _language(plan, target)
        case Kind.COUNTRY | Kind.ZONE:
            return _ALREADY if getattr(target.subscriber, plan.kind) == (plan.value or None) else _CHANGES
        case Kind.ADD_TOPIC | Kind.REMOVE_TOPIC:
            return _topic(plan, target)
        case Kind.ADD_TO_PARTNER:
            return _joins(target, room)
        case Kind.REMOVE_FROM_PARTNER:
            return _CHANGES if _is_member(target) else _ALREADY
        case Kind.PAUSE:
            return _pause(plan, target)
        case Kind.UNSUBSCRIBE:
            return _leaves(target)
        case Kind.SUPPRESS:
            return _ALREADY if target.suppressed else _CHANGES


def _refused(why: Sentence) -> Judgement:
    return Verdict.REFUSED, why


def _language(plan: Plan, target: Target) -> Judgement:
    if target.subscriber.language == plan.value:
        return _ALREADY
    if target.subscriber.chosen_at is not None:
        return _refused(Sentence("They chose their language themselves."))
    return _CHANGES


def _topic(plan: Plan, target: Target) -> Judgement:
    has = plan.topic_id in target.topics
    if has == (plan.kind is Kind.ADD_TOPIC):
        return _ALREADY
    if target.topics and not has:
        return _CHANGES
    if has:
        if len(target.topics) == 1:
            return _refused(Sentence("It is their only topic: without it they would get every issue."))
        return _CHANGES
    if target.by_partner:
        return _refused(Sentence("Their partner chose their topics."))
    return Verdict.ALREADY, Sentence("They chose no topic and get every issue.")


def _joins(target: Target, room: Room | None) -> Judgement:
    if _is_member(target):
        return _ALREADY
    if room is None or room.partner.closed_at is not None:
        return _refused(Sentence("The partner has left."))
    if room.seats is not None and room.seats <= 0:
        return _refused(Sentence("Every seat of the partner is taken."))
    return _CHANGES


def _pause(plan: Plan, target: Target) -> Judgement:
    own = target.subscription
    if own is None or own.state != SubscriptionState.CONFIRMED:
        return _refused(Sentence("They are not subscribed."))
    if own.paused_until is not None and plan.until is not None and own.paused_until >= plan.until:
        return Verdict.ALREADY, Sentence("They rest at least as long already.")
    return _CHANGES


def _leaves(target: Target) -> Judgement:
    if target.subscription is None:
        return Verdict.ALREADY, Sentence("They were never subscribed.")
    return _ALREADY if target.subscription.state == SubscriptionState.LEFT else _CHANGES


def _is_member(target: Target) -> bool:
    return target.membership is not None and target.membership.ended_at is None


# Writing


def write(pen: Pen, plan: Plan, target: Target, room: Room | None, *, now: datetime, actor: Actor) -> None:
    """Write what was judged to change."""
    match plan.kind:
        case Kind.LANGUAGE | Kind.COUNTRY | Kind.ZONE:
            pen.change(target.subscriber, **{plan.kind.value: plan.value or None})
        case Kind.ADD_TOPIC:
            pen.add(SubscriberTopic(subscriber_id=target.subscriber.id, topic_id=plan.topic_id))
        case Kind.REMOVE_TOPIC:
            pen.remove(target.topics[plan.topic_id or 0])
        case Kind.ADD_TO_PARTNER:
            _join(pen, plan, target, room, now, actor)
        case Kind.REMOVE_FROM_PARTNER:
            _end(pen, target, now, actor)
        case Kind.PAUSE if target.subscription:
            pen.change(target.subscription, paused_until=plan.until)
        case Kind.UNSUBSCRIBE if target.subscription:
            history.keep_subscription(pen.session, target.subscription, now=now, by=actor.name)
            pen.change(
                target.subscription, state=SubscriptionState.LEFT, changed_at=now, left_reason=plan.note[:200]
            )
        case Kind.SUPPRESS:
            pen.add(
                Suppression(
                    address_hash=target.subscriber.address_hash, reason=MANUAL, note=plan.note, since=now,
                    added_by=actor.name,
                )
            )  # fmt: skip


def _join(pen: Pen, plan: Plan, target: Target, room: Room | None, now: datetime, actor: Actor) -> None:
    evidence: dict[str, Any] = {
        "consent_kind": ConsentKind.IMPORTED, "consent_at": now, "consent_by": actor.name,
        "consent_wording": plan.note, "consent_origin": "", "confirmed_at": now,
    }  # fmt: skip
    if room is not None and room.seats is not None:
        room.seats -= 1
    if target.membership is not None:
        history.keep_membership(pen.session, target.membership, now=now, by=actor.name)
        pen.change(target.membership, ended_at=None, joined_at=now, **evidence)
        return
    person = target.subscriber
    names = {name: getattr(person, name) for name in _NAMES}
    pen.add(
        Membership(
            public_id=uuid7(), partner_id=plan.partner_id, subscriber_id=person.id, language=person.language,
            notes="", joined_at=now, **names, **evidence,
        )
    )  # fmt: skip


_NAMES = (
    "family_zh",
    "given_zh",
    "name_zh",
    "honorific_zh",
    "family_en",
    "given_en",
    "name_en",
    "honorific_en",
)


def _end(pen: Pen, target: Target, now: datetime, actor: Actor) -> None:
    """End a membership; whom its partner alone vouched for waits for their own word."""
    if target.membership is None:
        return
    history.keep_membership(pen.session, target.membership, now=now, by=actor.name)
    pen.change(target.membership, ended_at=now)
    for subscription in () if target.shared else target.vouched:
        history.keep_subscription(pen.session, subscription, now=now, by=actor.name)
        pen.change(subscription, state=SubscriptionState.PENDING, changed_at=now)
