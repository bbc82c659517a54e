"""Hypothesis strategies of the audience: any rule, any person it may be asked about."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Operator, Rule
from mailer.audience.store import ConsentKind, PartnerKind, SubscriptionState

DAYS = [date(2026, 1, 30) + timedelta(days=days) for days in range(4)]
LANGUAGES = ["zh", "en", "fr"]
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
PARTNERS = {
    "moe": {"kind": PartnerKind.MINISTRY, "country": "CN", "trusted": True},
    "MoE": {"kind": PartnerKind.MINISTRY, "country": "FR", "trusted": False},
    "sea-ngo": {"kind": PartnerKind.NGO, "country": "FR", "trusted": True},
    "mill": {"kind": PartnerKind.COMPANY, "country": "DE", "trusted": False},
}

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
    "partner.kind": (_CHOICE, [kind.value for kind in PartnerKind]),
    "partner.country": (_CHOICE, COUNTRIES),
    "partner.code": (_TEXT, [*PARTNERS, "mo", "ngo", "-"]),
    "partner.trusted": ((Operator.IS, Operator.EMPTY), [True, False]),
    "topic": (_TEXT, [*TOPICS, "ai"]),
    "subscription": (_CHOICE, [state.value for state in SubscriptionState]),
    "consent": (_CHOICE, [kind.value for kind in ConsentKind]),
}


@st.composite
def _comparisons(draw: st.DrawFn) -> Compare:
    name = draw(st.sampled_from(sorted(_FIELDS)))
    operators, values = _FIELDS[name]
    operator = draw(st.sampled_from(operators))
    most = {Operator.EMPTY: 0, Operator.IN: 3}.get(operator, 1)
    asked = draw(st.lists(st.sampled_from(values), min_size=min(most, 1), max_size=most))
    return Compare(name, operator, tuple(asked))


def _joined(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(rules, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, rules) | st.builds(AllOf, several) | st.builds(AnyOf, several)


rules: st.SearchStrategy[Rule] = st.recursive(st.just(Everyone()) | _comparisons(), _joined, max_leaves=6)
"""Any rule over the fields of this stage."""

people: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "language": st.sampled_from(LANGUAGES),
        "country": st.none() | st.just("") | st.sampled_from(COUNTRIES),
        "domain": st.sampled_from(DOMAINS),
        "zone": st.none() | st.just("") | st.sampled_from(ZONES),
        "name_zh": st.just("") | st.sampled_from(NAMES),
        "name_en": st.just("") | st.sampled_from(NAMES),
        "joined": st.sampled_from(DAYS),
        "second": st.sampled_from([0, 1, 43_200, 86_399]),
        "partners": st.dictionaries(st.sampled_from(sorted(PARTNERS)), st.booleans()),
        "topics": st.sets(st.sampled_from(TOPICS)),
        "elsewhere": st.none() | st.sampled_from(list(SubscriptionState)),
        "subscription": st.none()
        | st.tuples(st.sampled_from(list(SubscriptionState)), st.sampled_from(list(ConsentKind))),
    }
)
"""Any person. ``partners``: has each membership ended; ``elsewhere``: state with another publication."""
