"""What a provider means by its own words: one row a reply, with where the provider documents it."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from mailer.diagnosis import rules_china, rules_world
from mailer.diagnosis.matching import Gram, Index
from mailer.diagnosis.verdict import Category

_SHARED = {"exmail": "qq", "coremail": "netease", "263": "netease", "yahoo_japan": "yahoo"}
"""Providers that answer in another's words, because they run its system."""


class Rule(NamedTuple):
    """A reply of ``provider`` that has these words and this status is of this category."""

    provider: str
    category: Category
    status: str  # "5.7.606", or a pattern: "?.7.28" fits 4.7.28 and 5.7.28; "" asks for none
    words: str  # lower case; " … " allows a gap, "^" is the start; "" asks for none
    source: str  # a page of the provider's, else of who collected its replies


def _rows(tables: tuple[tuple[str, str, str], ...]) -> Iterator[Rule]:
    """Read tables of (provider, source, lines of "category | words" or "category | status | words")."""
    for provider, source, lines in tables:
        for line in filter(None, lines.splitlines()):
            category, *status, words = line.partition("  # ")[0].strip().split(" | ")
            yield Rule(provider, Category(category), "".join(status), words.removeprefix("…"), source)


RULES = (*_rows(rules_china.TABLES), *_rows(rules_world.TABLES))
SELF_EVIDENT = (*_rows(rules_china.SELF_EVIDENT), *_rows(rules_world.SELF_EVIDENT))
"""Words that tell who wrote them ("DT:SPM" is Coremail's), wherever a report was made."""

_BY_PROVIDER = {
    provider: Index((rule.words, rule) for rule in RULES if rule.provider == provider)
    for provider in {rule.provider for rule in RULES}
}
_SELF_EVIDENT = Index((rule.words, rule) for rule in SELF_EVIDENT)
_NOTHING: Index[Rule] = Index(())


def rule_for(provider: str | None, status: str, words: str, known: set[Gram]) -> Rule | None:
    """Return the first row, the provider's own before all, that fits ``words`` (normal, with their grams)."""
    own = _BY_PROVIDER.get(_SHARED.get(provider or "", provider or ""), _NOTHING)
    for index in (own, _SELF_EVIDENT):
        for rule in index.heard(words, known):
            if not rule.status or fnmatchcase(status, rule.status):
                return rule
    return None
