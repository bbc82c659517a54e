"""Hypothesis strategies of the audience: any rule, any person it may be asked about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Operator, Rule
from mailer.audience.store import ConsentKind, PartnerKind, SubscriptionState

DAYS = [date(2026, 1, 30) + timedelta(days=days) for days in range(4)]
LANGUAGES = ["zh", "en"]  # what a rule may ask for
SPOKEN = [*LANGUAGES, "fr"]  # what a row may hold
COUNTRIES = ["CN", "FR", "DE"]
DOMAINS = ["example.org", "gov.example", "xn--fsqu00a.xn--55qx5d"]
ZONES = ["Asia/Shanghai", "Europe/Paris"]
NAMES = [
    "Ann Lee",
    "ann lee",
    "李敏",
    "李 敏",
    "Ö’Hara",
    "ö’hara",
    "100%",
    "a_b",
    "a\\b",
    'say "hi"',
    "and",
    "ſ",
    "K",
]
TOPICS = ["water", "Air", "air"]
PARTNERS: dict[str, dict[str, Any]] = {
    "moe": {"kind": PartnerKind.MINISTRY, "country": "CN", "trusted": True, "language": "zh"},
    "MoE": {"kind": PartnerKind.MINISTRY, "country": "FR", "trusted": False, "language": "en"},
    "sea-ngo": {"kind": PartnerKind.NGO, "country": "FR", "trusted": True, "language": "en"},
    "mill": {"kind": PartnerKind.COMPANY, "country": "DE", "trusted": False, "language": "zh"},
}
GROUPS = {"moe": ["rivers", "Cities"], "MoE": [], "sea-ngo": ["rivers", "cities"], "mill": []}
NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
"""When rules are judged."""
INSTANTS = [
    NOW - timedelta(days=2, seconds=1),  # just outside of the last two days
    NOW - timedelta(days=2),
    NOW - timedelta(days=1),
    datetime(2026, 1, 31, tzinfo=UTC),  # the first and the last instant of a day
    datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]
CAMPAIGNS = 2

_CHOICE = (Operator.IS, Operator.IN, Operator.EMPTY)
_TEXT = (*_CHOICE, Operator.CONTAINS)
_NAME_VALUES = [*NAMES, "a", "lee", "LEE", "敏", "ö", "_", "%", "\\", '"', "'", "zzz"]
_FIELDS: dict[str, tuple[tuple[Operator, ...], list[Any]]] = {
    "language": (_CHOICE, LANGUAGES),
    "country": (_CHOICE, COUNTRIES),
    "domain": (_TEXT, [*DOMAINS, "gov", "example", "_"]),
    "zone": (_TEXT, [*ZONES, "asia", "/"]),
    "name": (_TEXT, _NAME_VALUES),
    "joined": ((Operator.IS, Operator.BEFORE, Operator.AFTER, Operator.EMPTY), DAYS),
    "partner.language": (_CHOICE, LANGUAGES),
    "partner.group": (_TEXT, ["rivers", "cities", "Cities", "riv"]),
    "suppressed": ((Operator.IS,), [True, False]),
    "paused": ((Operator.IS,), [True, False]),
    **dict.fromkeys(
        ("received", "opened", "clicked", "bounced"), ((Operator.EVER, Operator.BEFORE, Operator.AFTER), DAYS)
    ),
    "partner.kind": (_CHOICE, [kind.value for kind in PartnerKind]),
    "partner.country": (_CHOICE, COUNTRIES),
    "partner.code": (_TEXT, [*PARTNERS, "mo", "ngo", "-"]),
    "partner.trusted": ((Operator.IS, Operator.EMPTY), [True, False]),
    "topic": (_TEXT, [*TOPICS, "ai"]),
    "subscription": (_CHOICE, [state.value for state in SubscriptionState]),
    "consent": (_CHOICE, [kind.value for kind in ConsentKind]),
}


_HAPPENED = ("received", "opened", "clicked", "bounced")


def _periods() -> st.SearchStrategy[Compare]:
    """``in last N days``: also longer ago than anything happened."""
    names = st.sampled_from(("joined", *_HAPPENED))
    return st.builds(Compare, names, st.just(Operator.LAST), st.tuples(st.sampled_from([1, 2, 3, 9_999])))


def _of_campaigns() -> st.SearchStrategy[Compare]:
    """``campaign N``: also one that nobody got."""
    numbers = st.tuples(st.integers(1, CAMPAIGNS + 1))
    return st.builds(Compare, st.sampled_from(_HAPPENED), st.just(Operator.CAMPAIGN), numbers)


@st.composite
def _plain_comparisons(draw: st.DrawFn) -> Compare:
    name = draw(st.sampled_from(sorted(_FIELDS)))
    operators, values = _FIELDS[name]
    operator = draw(st.sampled_from(operators))
    most = {Operator.EMPTY: 0, Operator.EVER: 0, Operator.IN: 3}.get(operator, 1)
    asked = draw(st.lists(st.sampled_from(values), min_size=min(most, 1), max_size=most))
    return Compare(name, operator, tuple(asked))


def _comparisons() -> st.SearchStrategy[Compare]:
    return _plain_comparisons() | _periods() | _of_campaigns()


def _joined(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(rules, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, rules) | st.builds(AllOf, several) | st.builds(AnyOf, several)


rules: st.SearchStrategy[Rule] = st.recursive(st.just(Everyone()) | _comparisons(), _joined, max_leaves=6)
"""Any rule over the fields of this stage and of delivery."""

_pauses = st.none() | st.sampled_from([NOW - timedelta(1), NOW, NOW + timedelta(1)])
_letters = st.fixed_dictionaries(
    {
        "campaign": st.integers(1, CAMPAIGNS),
        "accepted": st.booleans(),
        "tried": st.lists(st.tuples(st.sampled_from(INSTANTS), st.booleans()), max_size=2),
        "heard": st.lists(
            st.tuples(
                st.sampled_from(["open", "click", "bounce", "delay"]),
                st.sampled_from(INSTANTS),
                st.sampled_from(["", "machine", "machine: barracuda", "a machine"]),
            ),
            max_size=3,
        ),
    }
)
"""A letter of a campaign. ``tried``: when, and was it accepted; ``heard``: what, when, the words."""


people: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "language": st.sampled_from(SPOKEN),
        "country": st.none() | st.just("") | st.sampled_from(COUNTRIES),
        "domain": st.sampled_from(DOMAINS),
        "zone": st.none() | st.just("") | st.sampled_from(ZONES),
        "name_zh": st.just("") | st.sampled_from(NAMES),
        "name_en": st.just("") | st.sampled_from(NAMES),
        "joined": st.sampled_from(DAYS),
        "second": st.sampled_from([0, 1, 43_200, 86_399]),
        "partners": st.dictionaries(
            st.sampled_from(sorted(PARTNERS)),
            st.fixed_dictionaries(
                {
                    "ended": st.booleans(),
                    "paused": _pauses,
                    "consent": st.sampled_from(list(ConsentKind)),
                    "topics": st.sets(st.sampled_from(TOPICS), max_size=2),
                }
            ),
        ),
        "topics": st.sets(st.sampled_from(TOPICS), max_size=2),
        "topic_elsewhere": st.booleans(),
        "suppressions": st.lists(st.tuples(st.sampled_from(["", "main", "other"]), _pauses), max_size=2),
        "paused": _pauses,
        "letters": st.lists(_letters, max_size=2, unique_by=lambda letter: letter["campaign"]),
        "elsewhere": st.none() | st.sampled_from(list(SubscriptionState)),
        "subscription": st.none()
        | st.tuples(st.sampled_from(list(SubscriptionState)), st.sampled_from(list(ConsentKind))),
    }
)
"""Any person. ``partners``: what each membership says; ``elsewhere``: state with another publication.

``suppressions``: for which publication ("": everywhere), until when (None: for good).
"""
