"""The language of audiences: what it reads, how it writes itself back, and what it says of bad rules."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.audience import fields, segments
from mailer.audience.grammar import BadRule
from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Occasion, Operator, judge
from mailer.audience.segments import matches, parse
from mailer.delivery import behaviour as behaviour  # its fields stand in the rules here
from tests.audience.strategies import rules
from tests.make import NOON

LANGUAGE_ZH = Compare("language", Operator.IS, ("zh",))
IN_FRANCE = Compare("country", Operator.IS, ("FR",))
LAST_MONTH = Compare("joined", Operator.LAST, (30,))
SUPPRESSED = Compare("suppressed", Operator.IS, (True,))
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
        ("joined in last 30 days", LAST_MONTH),
        ("joined last 30 days", LAST_MONTH),
        ("joined not in last 30 days", Not(LAST_MONTH)),
        ("加入 最近30天", LAST_MONTH),
        ("加入 不 最近 30 天", Not(LAST_MONTH)),
        ("opened ever", Compare("opened", Operator.EVER)),
        ("not opened ever", Not(Compare("opened", Operator.EVER))),
        ("opened never", Not(Compare("opened", Operator.EVER))),
        ("received campaign 12", Compare("received", Operator.CAMPAIGN, (12,))),
        ("clicked in last 1 day", Compare("clicked", Operator.LAST, (1,))),
        ("bounced before 2026-01-31", Compare("bounced", Operator.BEFORE, (date(2026, 1, 31),))),
        ("语言 等于 zh 且 国家 不等于 FR", AllOf((LANGUAGE_ZH, Not(IN_FRANCE)))),
        (
            "不 （语言 = zh 或 国家 属于 （FR））",
            Not(AnyOf((LANGUAGE_ZH, Compare("country", Operator.IN, ("FR",))))),
        ),
        ("国家 不为空", Not(Compare("country", Operator.EMPTY))),
        ("name = last", Compare("name", Operator.IS, ("last",))),
        ("partner.group = rivers", Compare("partner.group", Operator.IS, ("rivers",))),
        ("suppressed = yes and paused = 否", AllOf((SUPPRESSED, Compare("paused", Operator.IS, (False,))))),
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
        ("language = en and and", "At position 19 found “and”"),
        ("language = xx", "At position 12: language cannot be “xx”, write zh or en"),
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
        ("joined in last month", "At position 16 found “month”: expected a number of days from 1 to 9999."),
        ("joined in last 0 days", "expected a number of days from 1 to 9999."),
        ("joined in last 30", "At position 18 the rule ends: expected “days”."),
        ("joined campaign 3", "can be asked of joined: !=, =, before, after, in last, is empty."),
        ("opened = yes", "what can be asked of opened: before, after, in last, campaign, ever."),
        ("opened campaign twelve", "opened cannot be “twelve”, write the number of a campaign, such as 12."),
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
    | st.lists(
        st.sampled_from(
            [
                *"=(),'",
                "language",
                "not",
                "and",
                "zh",
                "in",
                "opened",
                "last",
                "9",
                "days",
                "ever",
                "campaign",
                "不",
            ]
        )
    ).map(" ".join)
)
def test_any_text_is_read_or_refused(text):
    """No text at all breaks the parser in another way than BadRule."""
    with suppress(BadRule):
        assert parse(str(parse(text))) == parse(text)


def test_missing_values_are_neither_here_nor_there():
    """A person without a country is not in France, so `!=` includes them; only `is empty` asks for them."""
    nowhere = {"language": {"en"}}
    assert matches(parse("country != FR"), nowhere, NOON)
    assert matches(parse("country not in (FR, DE)"), nowhere, NOON)
    assert not matches(parse("country = FR"), nowhere, NOON)
    assert not matches(parse("opened in last 9 days or opened ever"), nowhere, NOON)
    assert matches(parse("opened not in last 9 days"), nowhere, NOON)
    assert matches(parse("country is empty"), nowhere, NOON)


def test_a_judgement_tells_of_every_part_how_it_came_out():
    """A comparison with `not` before it is one line, of what was asked; facts stand with what saw them."""
    rule = parse("language = zh and not (country = FR or opened ever) and country != DE")
    opened = Occasion(3, NOON)
    found = judge(rule, {"language": ["zh"], "country": ["CN"], "opened": [opened]}, NOON)
    assert [(str(part.rule), part.holds, part.facts) for part in found.parts] == [
        ("language = zh", True, ("zh",)),
        ("not (country = FR or opened ever)", False, ()),
        ("country != DE", True, ("CN",)),
    ]
    assert [part.holds for part in found.parts[1].parts[0].parts] == [False, True]
    assert found.parts[1].parts[0].parts[1].facts == (opened,)
    assert not found.holds


def test_another_stage_adds_a_field():
    """Behaviour fields come from above: audience never imports upwards."""
    field = segments.Field("weather", frozenset({Operator.IS}), str, lambda scope, operator: ())
    segments.register(field)
    try:
        assert parse("weather = fine") == Compare("weather", Operator.IS, ("fine",))
    finally:
        del fields._FIELDS["weather"]
