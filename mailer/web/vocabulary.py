"""The segment language as people say it: names of fields, questions, values and facts, and what to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.audience import codes, fields, segments, topics
from mailer.audience.rules import VALUELESS, Fact, Occasion, Operator
from mailer.delivery import store
from mailer.web import campaigns, i18n
from mailer.web.builder import EVERYONE, Row
from mailer.web.i18n import _, translate
from mailer.web.words import N_, word

_SIDE_BY_SIDE = 8  # choices; more are lists

Choice = tuple[str, str]
"""A value and what it is called."""

FIELDS: dict[str, dict[str, str]] = {
    N_("Person"): {
        "language": N_("Language"),
        "country": N_("Country"),
        "domain": N_("Domain of the address"),
        "zone": N_("Time zone"),
        "name": N_("Name"),
        "joined": N_("Joined"),
    },
    N_("Partner"): {
        "partner.code": N_("Partner"),
        "partner.kind": N_("Kind of partner"),
        "partner.country": N_("Partner’s country"),
        "partner.language": N_("Partner’s language"),
        "partner.group": N_("Partner’s thematic group"),
        "partner.trusted": N_("Partner is trusted"),
    },
    N_("Subscription"): {
        "topic": N_("Topic"),
        "subscription": N_("Subscription"),
        "consent": N_("Consent"),
        "suppressed": N_("Address suppressed"),
        "paused": N_("Letters paused"),
    },
    N_("Letters"): {
        "received": N_("Received a letter"),
        "opened": N_("Opened a letter"),
        "clicked": N_("Clicked a link"),
        "bounced": N_("A letter came back"),
    },
    N_("All"): {EVERYONE: N_("Everyone")},
}

_ASKS = {
    "is": N_("is"),
    "not_is": N_("is not"),
    "in": N_("is one of"),
    "not_in": N_("is none of"),
    "contains": N_("contains"),
    "not_contains": N_("does not contain"),
    "last": N_("in the last … days"),
    "not_last": N_("not in the last … days"),
    "campaign": N_("of the campaign"),
    "not_campaign": N_("not of the campaign"),
    "before": N_("before the day"),
    "not_before": N_("not before the day"),
    "after": N_("after the day"),
    "not_after": N_("not after the day"),
    "ever": N_("ever"),
    "not_ever": N_("never"),
    "empty": N_("is not known"),
    "not_empty": N_("is known"),
}
_SELDOM = frozenset({"not_before", "not_after"})  # said only where a text says it


@dataclass(frozen=True)
class Words:
    """What may be chosen, as the rows stand: topics, groups, partners, campaigns."""

    topics: Sequence[Choice]
    groups: Sequence[Choice]
    partners: Sequence[Choice]
    campaigns: Sequence[Choice]

    def short(self, row: Row) -> bool:
        """Whether all choices of a row can stand side by side."""
        return 0 < len(self._known(row)) <= _SIDE_BY_SIDE

    def choices(self, row: Row) -> list[Choice]:
        """Return what a row's value may be, what it is now included; [] for what is typed."""
        found = list(self._known(row))
        missing = [value for value in row.values if found and value not in dict(found)]
        return [*found, *((value, value) for value in missing)]

    def _known(self, row: Row) -> Sequence[Choice]:
        field = fields.known().get(row.field)
        if field is None or row.operator in (Operator.CONTAINS, Operator.LAST, *VALUELESS):
            return ()
        if row.operator is Operator.CAMPAIGN:
            return self.campaigns
        match row.field:
            case "language" | "partner.language":
                return tuple(i18n.NAMES.items())
            case "country" | "partner.country":
                return sorted(
                    ((code, i18n.country(code)) for code in codes.countries()), key=lambda it: it[1]
                )
            case "topic":
                return self.topics
            case "partner.group":
                return self.groups
            case "partner.code":
                return self.partners
            case "partner.trusted" | "suppressed" | "paused":
                return ("yes", _("yes")), ("no", _("no"))
            case "consent":
                return tuple((code, word(f"consent_{code}")) for code in field.choices)
        return tuple((code, word(code)) for code in field.choices)

    def spoken(self, row: Row) -> str:
        """Return a condition as a sentence."""
        if row.field == EVERYONE:
            return field_word(EVERYONE)
        names = dict(self._known(row))
        values = i18n.listed(names.get(value, value) for value in row.values)
        asked = ask_word(row.ask)
        told = asked.replace("…", values) if "…" in asked else f"{asked} {values}".strip()
        return _("%(field)s: %(told)s", field=field_word(row.field), told=told)

    def called(self, row: Row, fact: Fact, zone: str) -> str:
        """Return what a person reads of a fact that a row's condition saw."""
        if isinstance(fact, Occasion):
            name = dict(self.campaigns).get(str(fact.campaign)) or _("campaign %(n)s", n=fact.campaign)
            return f"{i18n.when(fact.at, zone)} · {name}" if fact.at else name
        if isinstance(fact, bool):
            return _("yes") if fact else _("no")
        if isinstance(fact, datetime):
            return i18n.when(fact, zone)
        return dict(self._known(Row(row.field, "is"))).get(str(fact), str(fact))


def words(session: Session, publication_id: int) -> Words:
    """Return what may be chosen for a publication, called by their names in the language of the request."""
    chinese = i18n.current() == "zh"
    known = campaigns.known(session, [each for each in store.campaigns(session) if each.launched_at])
    return Words(
        topics=[
            (each.code, (each.name_zh if chinese else each.name_en) or each.code)
            for each in topics.listing(session, publication_id)
        ],
        groups=[(code, code) for code in segments.groups(session)],
        partners=[
            (each.code, (each.name_zh if chinese else each.name_en) or each.code)
            for each in segments.partners(session)
        ],
        campaigns=[
            (str(each.row.id), f"{each.of.title} · {i18n.day(each.row.launched_at)}") for each in known
        ],
    )


_JOINS = {
    "all": N_("all of these hold"),
    "any": N_("at least one of these holds"),
    "none": N_("none of these holds"),
    "not_all": N_("not all of these hold"),
}


def join_options() -> list[Choice]:
    """Return how the conditions of a group may be joined."""
    return [(join, translate(label)) for join, label in _JOINS.items()]


def join_word(join: str) -> str:
    """Return what people say for how a group's conditions are joined."""
    return translate(_JOINS[join])


def field_options() -> list[tuple[str, list[Choice]]]:
    """Return the fields to choose from, under their headings."""
    return [
        (translate(heading), [(name, translate(label)) for name, label in named.items()])
        for heading, named in FIELDS.items()
    ]


def field_word(name: str) -> str:
    """Return what people call a field."""
    return next((translate(named[name]) for named in FIELDS.values() if name in named), name)


def asks(row: Row) -> list[Choice]:
    """Return what may be asked of a row's field."""
    field = fields.known().get(row.field)
    allowed = field.operators if field else frozenset()
    flag = Operator.IN not in allowed and Operator.IS in allowed and Operator.LAST not in allowed
    return [
        (ask, translate(label))
        for ask, label in _ASKS.items()
        if Operator[ask.removeprefix("not_").upper()] in allowed
        and (ask == row.ask or not (ask in _SELDOM or (flag and ask == "not_is")))
    ]


def kind(row: Row) -> str:
    """Return what a row's values are: those of one kind survive when field or question change."""
    if row.field == EVERYONE or row.operator in VALUELESS:
        return "none"
    if row.operator in (Operator.LAST, Operator.CAMPAIGN):
        return row.operator.name.lower()
    field = fields.known().get(row.field)
    if field is not None and field.days:
        return "day"
    return f"text {row.field}" if row.operator is Operator.CONTAINS else row.field


def settled(row: Row, words: Words, now: datetime) -> Row:
    """Have a row ask what its field can be asked, of values that are meant for it, or of usual ones."""
    if row.field == EVERYONE:
        return Row(EVERYONE, "")
    asked = dict(asks(row))
    fitting = row if row.ask in asked else replace(row, ask=next(iter(asked), "is"))
    meant = kind(fitting)
    values = row.values if row.was in ("", meant) else ()
    return Row(fitting.field, fitting.ask, values or _usual(fitting, meant, words, now), meant)


def _usual(row: Row, meant: str, words: Words, now: datetime) -> tuple[str, ...]:
    """Return what stands in a fresh row: something to start from, where there is such a thing."""
    if meant == "last":
        return ("90",)
    if meant == "day":
        return (now.date().isoformat(),)
    if row.operator is Operator.IN or not (words.short(row) or meant == "campaign"):
        return ()
    return tuple(value for value, _called in words.choices(row)[:1])


def ask_word(ask: str) -> str:
    """Return what people call a question."""
    return translate(_ASKS[ask]) if ask in _ASKS else ask
