"""The language of audiences: what it reads, how it writes itself back, and what it says of bad rules."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.audience import fields, segments
from mailer.audience.grammar import BadRule
from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Operator
from mailer.audience.segments import matches, parse
from tests.audience.strategies import rules

LANGUAGE_ZH = Compare("language", Operator.IS, ("zh",))
IN_FRANCE = Compare("country", Operator.IS, ("FR",))
NAMED = Compare("name", Operator.CONTAINS, ("Lee",))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", Everyone()),
        ("  everyone ", Everyone()),
        ("language = zh", LANGUAGE_ZH),
        ("LANGUAGE ＝ ZH", LANGUAGE_ZH),
        ("language = 中文", LANGUAGE_ZH),
        ("country != fr", Not(IN_FRANCE)),
        ("country ≠ fr", Not(IN_FRANCE)),
        ("not country = fr", Not(IN_FRANCE)),
        ("not country in (FR, DE)", Not(Compare("country", Operator.IN, ("FR", "DE")))),
        ("country not in （FR，DE）", Not(Compare("country", Operator.IN, ("FR", "DE")))),
        ("country is not empty", Not(Compare("country", Operator.EMPTY))),
        ("partner is empty", Compare("partner.code", Operator.EMPTY)),
        ("name contains “李 敏”", Compare("name", Operator.CONTAINS, ("李 敏",))),
        ("name = 'O\\'Hara'", Compare("name", Operator.IS, ("O'Hara",))),
        ("domain = 例子.公司", Compare("domain", Operator.IS, ("xn--fsqu00a.xn--55qx5d",))),
        ("partner.kind = 'think tank'", Compare("partner.kind", Operator.IS, ("think_tank",))),
        ("partner.trusted = yes", Compare("partner.trusted", Operator.IS, (True,))),
        ("joined after 2026-01-31", Compare("joined", Operator.AFTER, (date(2026, 1, 31),))),
        ("language=zh and country=FR or name contains Lee", AnyOf((AllOf((LANGUAGE_ZH, IN_FRANCE)), NAMED))),
        (
            "language=zh and (country=FR or name contains Lee)",
            AllOf((LANGUAGE_ZH, AnyOf((IN_FRANCE, NAMED)))),
        ),
    ],
)
def test_a_rule_is_read(text, rule):
    """Every form a person may write, Chinese punctuation included."""
    assert parse(text) == rule


@given(rules)
def test_a_rule_written_back_is_the_same_rule(rule):
    """A saved segment keeps its meaning: the text form loses nothing."""
    assert parse(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("language", "At position 9 the rule ends: expected an operator"),
        ("colour = red", "At position 1 found “colour”: expected “everyone”, “not”, a bracket or a field ("),
        ("language = fr and and", "At position 19 found “and”"),
        ("(language = zh", "At position 15 the rule ends: expected a closing bracket"),
        ("language = zh)", "At position 14 found “)”: expected “and”, “or” or the end"),
        ("language = zh country = FR", "At position 15 found “country”: expected “and”, “or” or the end"),
        ("language contains z", "expected what can be asked of language: !=, =, in, is empty."),
        ("country in FR", "At position 12 found “FR”: expected an opening bracket"),
        ("country = Atlantis", "country cannot be “Atlantis”, write two letters, such as CN or FR."),
        ("joined before yesterday", "joined cannot be “yesterday”, write a day such as 2026-01-31."),
        ("partner.kind = church", "choose one of ministry, un, ngo, company, think_tank, other"),
        ("partner.trusted = maybe", "write yes or no"),
        ("name = ''", "a value cannot be blank; ask “name is empty”"),
        ("name = 'a\x00b'", "control signs"),
        ("name = 'open", "At position 8 “'” cannot be read: put it in quotes."),
        ("name =", "At position 7 the rule ends: expected a value for name."),
        ("name is missing", "expected “empty”"),
        ("not " * 60 + "everyone", "more than 50 deep"),
        ("name = a or " * 500 + "everyone", "longer than"),
    ],
)  # fmt: skip
def test_a_bad_rule_is_told_where_and_why(text, words):
    """The message names the position and what was expected there."""
    with pytest.raises(BadRule) as caught:
        parse(text)
    assert words in str(caught.value)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*"=(),'", "language", "not", "and", "zh", "in"])).map(" ".join)
)
def test_any_text_is_read_or_refused(text):
    """No text at all breaks the parser in another way than BadRule."""
    with suppress(BadRule):
        assert parse(str(parse(text))) == parse(text)


def test_missing_values_are_neither_here_nor_there():
    """A person without a country is not in France, so `!=` includes them; only `is empty` asks for them."""
    nowhere = {"language": {"en"}}
    assert matches(parse("country != FR"), nowhere)
    assert matches(parse("country not in (FR, DE)"), nowhere)
    assert not matches(parse("country = FR"), nowhere)
    assert matches(parse("country is empty"), nowhere)


def test_another_stage_adds_a_field():
    """Behaviour fields come from above: audience never imports upwards."""
    field = segments.Field("weather", frozenset({Operator.IS}), str, lambda scope, operator: ())
    segments.register(field)
    try:
        assert parse("weather = fine") == Compare("weather", Operator.IS, ("fine",))
    finally:
        del fields._FIELDS["weather"]
