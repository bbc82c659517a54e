"""Rules: what an event makes of an address. Pure. Suppressing a living reader is the costly mistake (law 4).

Only words about the address itself count, and most of them only when they keep coming: a domain may be
gone for a day, an account locked for a week, a mailbox full over the holidays. What is said about us
(policy, reputation, content, rate) never silences anybody; what says nothing (technical, unknown) puts the
address on a list for a person, once it has come often enough for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from mailer.delivery.store import Event, EventKind
from mailer.diagnosis import Category
from mailer.errors import Invalid, NotFound
from mailer.sentence import Sentence


class NoSetting(NotFound):
    """There is no such setting of the policy: `mailer policy show` lists them."""


class BadSetting(Invalid):
    """This setting of the policy cannot have that value."""


class Action(StrEnum):
    """What was done about an event."""

    SUPPRESS = "suppress"
    HOLD = "hold"  # would suppress, but so many come from one provider that they wait a day
    COUNT = "count"  # one more step on the way to a suppression
    LIST = "list"  # put on the list of dormant addresses, for a person to decide
    NONE = "none"


# --- settings -------------------------------------------------------------------------------------------

_TIMES = Sentence("letters")
_HOURS = Sentence("hours")
_DAYS = Sentence("days")
_SWITCH = Sentence("1 or 0")
_PERCENT = Sentence("percent")


def _setting(default: int, unit: Sentence, about: Sentence, *, least: int = 1, most: int = 1_000) -> Any:
    return field(default=default, metadata={"unit": unit, "about": about, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Rule:
    """Suppress after ``times`` letters bounced without a sign of life, first and last ``apart`` or more."""

    times: int
    apart: timedelta
    needs_dead: bool = False  # only bounces that call the address dead count


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy's settings; an installation begins with these values."""

    bad_mailbox_at_once: int = _setting(
        1, _SWITCH, Sentence("Silence at once a mailbox that a mail system calls missing outright"),
        least=0, most=1,
    )  # fmt: skip
    bad_mailbox_times: int = _setting(
        2, _TIMES, Sentence("Letters that come back before a missing mailbox is silenced")
    )
    bad_mailbox_hours: int = _setting(
        24, _HOURS, Sentence("Time between the first and the last of them"), least=0, most=10_000
    )
    bad_domain_times: int = _setting(
        3, _TIMES, Sentence("Letters that come back before an address in a missing domain is silenced")
    )
    bad_domain_hours: int = _setting(
        72, _HOURS, Sentence("Time between the first and the last of them"), least=0, most=10_000
    )
    inactive_times: int = _setting(
        3, _TIMES, Sentence("Letters that come back before a closed account is silenced")
    )
    inactive_days: int = _setting(
        14, _DAYS, Sentence("Time between the first and the last of them"), least=0, most=400
    )
    mailbox_full_times: int = _setting(
        5, _TIMES, Sentence("Letters in a row that come back before a full mailbox is silenced")
    )
    mailbox_full_days: int = _setting(
        30, _DAYS, Sentence("Time between the first and the last of them"), least=0, most=400
    )
    dormant_times: int = _setting(
        10, _TIMES, Sentence("Letters that come back unexplained before a person is asked about the address")
    )
    dormant_days: int = _setting(
        60, _DAYS, Sentence("Time between the first and the last of them"), least=0, most=400
    )
    storm_ratio: int = _setting(
        5,
        Sentence("times"),
        Sentence("Hold suppressions when a provider calls this many times more mailboxes missing than usual"),
        least=2,
    )
    storm_per_hour: int = _setting(
        50, Sentence("an hour"), Sentence("but only when there are at least so many"), most=1_000_000
    )
    storm_hold_hours: int = _setting(24, _HOURS, Sentence("How long a suppression is held then"), most=10_000)
    refused_percent: int = _setting(
        10,
        _PERCENT,
        Sentence("Slow or pause a campaign when a provider refuses this share of an hour's letters over us"),
        most=100,
    )
    refused_least: int = _setting(
        20, _TIMES, Sentence("but only when there are at least so many"), most=1_000_000
    )

    def rule_for(self, category: Category) -> Rule | None:
        """Return when this kind of bounce silences an address; None: never."""
        match category:
            case Category.BAD_MAILBOX:
                return Rule(self.bad_mailbox_times, timedelta(hours=self.bad_mailbox_hours), needs_dead=True)
            case Category.BAD_DOMAIN:
                return Rule(self.bad_domain_times, timedelta(hours=self.bad_domain_hours), needs_dead=True)
            case Category.INACTIVE:
                return Rule(self.inactive_times, timedelta(days=self.inactive_days))
            case Category.MAILBOX_FULL:
                return Rule(self.mailbox_full_times, timedelta(days=self.mailbox_full_days))
        return None

    @property
    def dormant(self) -> Rule:
        """When bounces that explain nothing put the address on a person's list."""
        return Rule(self.dormant_times, timedelta(days=self.dormant_days))

    @property
    def hold(self) -> timedelta:
        """How long a suppression is held in a storm."""
        return timedelta(hours=self.storm_hold_hours)


DEFAULTS = Rules()
SETTINGS = {setting.name: setting for setting in fields(Rules)}
"""Every setting by name; its ``metadata`` says unit, about, least and most."""


def changed(values: Mapping[str, float], rules: Rules = DEFAULTS) -> Rules:
    """Return the rules with other values.

    :raises NoSetting: no setting of that name
    :raises BadSetting: a value out of its range, or not a whole number
    """
    for name, value in values.items():
        if name not in SETTINGS:
            raise NoSetting
        least, most = SETTINGS[name].metadata["least"], SETTINGS[name].metadata["most"]
        if not (math.isfinite(value) and value == int(value) and least <= value <= most):
            raise BadSetting(
                "“{name}” takes a whole number from {least} to {most}.", name=name, least=least, most=most
            )
    return replace(rules, **{name: int(value) for name, value in values.items()})


# --- what is known and what follows ---------------------------------------------------------------------


class Bounce(NamedTuple):
    """As much of a bounce as counting needs."""

    campaign_id: int
    n: int
    at: datetime
    category: str
    dead: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an address: its bounces, this one among them, and since when they count.

    ``alive_at``: when it was last seen alive, None: never. ``forgiven_at``: when a person last decided that
    it is to be written to, None: nobody has.
    """

    bounces: Sequence[Bounce] = ()
    alive_at: datetime | None = None
    forgiven_at: datetime | None = None

    def run(self, event: Event, counts: Callable[[Bounce], bool]) -> list[datetime]:
        """Return when letters bounced, up to ``event``, since the counting began; one letter counts once."""
        begun = max(filter(None, (self.alive_at, self.forgiven_at)), default=None)
        run: dict[tuple[int, int], datetime] = {}
        for bounce in sorted(self.bounces, key=lambda bounce: bounce.at):
            if bounce.at <= event.at and (begun is None or bounce.at > begun) and counts(bounce):
                run.setdefault((bounce.campaign_id, bounce.n), bounce.at)
        return sorted(run.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision: what to do, why in plain words, and whether for everybody's letters or one sender's."""

    action: Action
    reason: Sentence
    everywhere: bool = True


_WORDS = {
    Category.BAD_MAILBOX: Sentence("there is no such mailbox"),
    Category.BAD_DOMAIN: Sentence("the domain takes no mail"),
    Category.INACTIVE: Sentence("the account is switched off"),
    Category.MAILBOX_FULL: Sentence("the mailbox is full"),
}
ABOUT_US: Collection[Category] = frozenset(
    {Category.POLICY, Category.REPUTATION, Category.CONTENT, Category.RATE}
)
UNCLEAR: Collection[Category] = frozenset({Category.TECHNICAL, Category.UNKNOWN})


def decide(event: Event, past: Past, rules: Rules = DEFAULTS) -> Verdict:
    """Say what one bounce or complaint, with all that came before it, makes of the address."""
    if event.kind == EventKind.COMPLAINT:
        return Verdict(
            Action.SUPPRESS, Sentence("The reader reported the letter as unwanted."), everywhere=False
        )
    category = Category(event.category or Category.UNKNOWN)
    if category in ABOUT_US:
        return _nothing(Sentence("The words are about us or the letter, not about the address."))
    if past.forgiven_at is not None and event.at <= past.forgiven_at:
        return _nothing(Sentence("A person has let the address be written to since this came back."))
    if past.alive_at is not None and event.at <= past.alive_at:
        return _nothing(Sentence("The reader has been seen alive since this came back."))
    if category in UNCLEAR:
        return _unclear(event, past, rules)
    rule = rules.rule_for(category)
    if rule is None:
        return _nothing(Sentence("The words do not say that anything is wrong with the address."))
    if rule.needs_dead and not event.dead:
        return _nothing(Sentence("Nothing says that the address we wrote to is gone for good."))
    if category is Category.BAD_MAILBOX and rules.bad_mailbox_at_once and _explicit(event):
        return Verdict(
            Action.SUPPRESS, Sentence("The receiving system says outright that there is no such mailbox.")
        )
    run = past.run(event, lambda one: one.category == category and (one.dead or not rule.needs_dead))
    return _counted(rule, _WORDS[category], run)


def _nothing(why: Sentence) -> Verdict:
    return Verdict(Action.NONE, why)


def _explicit(event: Event) -> bool:
    """Said while we were sending, or by a report with a 5.1.x of its own (RFC 3463 §3.2)."""
    return event.source == "smtp" or (event.status or "").startswith("5.1.")


def _counted(rule: Rule, words: Sentence, run: Sequence[datetime]) -> Verdict:
    if _is_enough(rule, run):
        reason = Sentence(
            "{count} letters in a row came back because {words}, over {span}.",
            count=len(run), words=words, span=span(run[-1] - run[0]),
        )  # fmt: skip
        return Verdict(Action.SUPPRESS, reason)
    reason = Sentence(
        "{count} of {times} letters came back because {words}; the address is silenced after {times} in a row"
        " over {span} or more.",
        count=len(run), times=rule.times, words=words, span=span(rule.apart),
    )  # fmt: skip
    return Verdict(Action.COUNT, reason)


def _unclear(event: Event, past: Past, rules: Rules) -> Verdict:
    run = past.run(event, lambda one: one.category in UNCLEAR)
    if not _is_enough(rules.dormant, run):
        return _nothing(Sentence("The words do not say that anything is wrong with the address."))
    reason = Sentence(
        "{count} letters in a row came back over {span}, and no answer says why: a person decides.",
        count=len(run), span=span(run[-1] - run[0]),
    )  # fmt: skip
    return Verdict(Action.LIST, reason)


def _is_enough(rule: Rule, run: Sequence[datetime]) -> bool:
    return len(run) >= rule.times and run[-1] - run[0] >= rule.apart


def span(length: timedelta) -> Sentence:
    """Return a length of time in words: hours up to four days, then days."""
    hours = int(length.total_seconds() // 3600)
    if hours < 96:
        return Sentence("{hours} hours", hours=hours)
    return Sentence("{days} days", days=hours // 24)
