"""What an administrator knows better than the tables."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.diagnosis import Category, OwnRule, RuleRefused, diagnose_reply, provider_of, providers


def test_an_own_rule_is_asked_before_the_tables() -> None:
    """A ministry's gateway says "no such user" for whom it does not want to hear."""
    rule = OwnRule(words="no such user * gate 7", category=Category.POLICY, name="gateway")
    said = "550 5.1.1 No such user, says GATE 7"
    assert diagnose_reply(said).dead
    judged = diagnose_reply(said, own=[rule])
    assert (judged.category, judged.dead, judged.reason) == (Category.POLICY, False, "own rule gateway")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (OwnRule(words="left us"), True),
        (OwnRule(words="left * july"), True),
        (OwnRule(words="july * left"), False),
        (OwnRule(words="left us", provider="qq"), False),
        (OwnRule(words="left us", provider="gmail", code="55*", status="5.2.*"), True),
        (OwnRule(words="left us", code="450"), False),
        (OwnRule(status="5.2.0"), True),
        (OwnRule(status="5.3.*"), False),
    ],
)
def test_all_that_a_rule_names_must_fit(rule: OwnRule, fits: bool) -> None:
    """Words in any case; stars stand for a gap in the words, for digits in code and status."""
    assert rule.fits(provider="gmail", code=550, status="5.2.0", text="She LEFT  us in July") == fits


def test_the_first_rule_that_fits_decides() -> None:
    """The order is the administrator's."""
    rules = [
        OwnRule(words="left us", category=Category.INACTIVE),
        OwnRule(words="left", category=Category.RATE),
    ]
    assert diagnose_reply("550 she left us", own=rules).category == Category.INACTIVE
    assert diagnose_reply("550 she left you", own=rules).category == Category.RATE


def test_an_own_rule_ends_no_address_for_a_passing_trouble() -> None:
    """ "Dead" takes effect where the reply is permanent, nowhere else."""
    rule = OwnRule(words="left us", category=Category.BAD_MAILBOX, dead=True)
    assert diagnose_reply("550 she left us", own=[rule]).dead
    assert not diagnose_reply("450 she left us", own=[rule]).dead


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({}, "every reply"),
        ({"provider": "qq", "code": "550"}, "every reply"),
        ({"words": " * "}, "every reply"),
        ({"words": "a"}, "nearly every reply"),
        ({"words": "user * !!"}, "nearly every reply"),
        ({"words": "x" * 201}, "201 characters"),
        ({"words": "abc*" * 7}, "stars"),
        ({"words": "gone", "code": "5.."}, "reply code"),
        ({"words": "gone", "status": "5.1"}, "no status"),
        ({"words": "gone", "provider": "qqq"}, "No provider"),
        ({"words": "gone", "dead": True, "category": "policy"}, "is dead"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_what_to_do(given_: dict[str, object], said: str) -> None:
    """What would fit everything, or silence a reader for what is not about the address, is no rule."""
    with pytest.raises(RuleRefused, match=said):
        OwnRule(**given_)  # type: ignore[arg-type]


def test_chinese_words_may_be_shorter() -> None:
    """Two characters say as much as a word."""
    assert OwnRule(words="离职").fits(provider=None, code=550, status="", text="该用户已离职")


def test_no_rule_is_slow() -> None:
    """The worst there is: pieces that stand everywhere but for the last."""
    rule = OwnRule(words="aaa*aaa*aaa*aaa*aaa*aab", category=Category.RATE)
    started = time.process_time()
    diagnose_reply("550 " + "a" * 5_000, own=[rule])
    assert time.process_time() - started < 0.1  # seconds; usually 0.01


def test_providers_are_those_that_hosts_can_have() -> None:
    """A list to choose from holds every name a rule may bear."""
    assert {"qq", "exmail", "netease", provider_of("mx.yandex.ru")} <= set(providers())


@given(st.text(), st.text(max_size=10), st.text(max_size=10), st.booleans())
def test_any_words_make_a_rule_or_a_refusal(words: str, code: str, status: str, dead: bool) -> None:
    """Nothing else is raised, and no rule makes a temporary failure an end."""
    try:
        rule = OwnRule(words=words, category=Category.BAD_MAILBOX, code=code, status=status, dead=dead)
    except RuleRefused:
        return
    assert not diagnose_reply(f"450 {words}", own=[rule]).dead
