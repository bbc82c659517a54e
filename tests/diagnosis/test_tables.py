"""The tables hold what the code expects of them, and every documented reply means what its row says."""

from __future__ import annotations

import re

import pytest

from mailer.diagnosis import Category, diagnose, provider_of
from mailer.diagnosis.matching import grams
from mailer.diagnosis.phrases import PHRASES, category_said
from mailer.diagnosis.providers import providers
from mailer.diagnosis.reply import command_within, read_reply
from mailer.diagnosis.rules import RULES, SELF_EVIDENT, Rule, rule_for


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("hotmail-com.olc.protection.outlook.com", "outlook"),
        ("mxbiz1.qq.com.", "exmail"),
        ("MX3.QQ.COM", "qq"),
        ("ann@googlemail.com", "gmail"),
        ("mx.notqq.com", None),
        ("com", None),
        ("", None),
    ],
)
def test_a_provider_is_known_by_the_domain_of_its_hosts(host: str, provider: str | None) -> None:
    """A label that merely ends like a provider's name is not it."""
    assert provider_of(host) == provider


def test_phrases_are_written_in_the_form_they_are_looked_for() -> None:
    """Lower case and single spaces: otherwise a row could never speak."""
    assert [phrase for _, phrase in PHRASES if phrase != " ".join(phrase.lower().split())] == []


def test_every_phrase_is_the_first_to_recognise_itself() -> None:
    """A phrase that an earlier, wider one covers would be dead weight, or worse, in the wrong category."""
    said = [(row, row[1].replace(" … ", " zz ")) for row in PHRASES]
    heard = [(row, category_said(words, grams(words))) for row, words in said]
    assert [(row, first) for row, first in heard if first != row] == []


def test_every_rule_names_a_known_provider_and_its_source() -> None:
    """A rule without a source is an opinion; one for an unknown provider is never asked."""
    for rule in (*RULES, *SELF_EVIDENT):
        assert rule.source.startswith(("https://", "http://"))
        assert rule.provider in providers()
        assert rule.words == " ".join(rule.words.lower().split())
        assert rule.words or rule.status or rule.provider == "googlegroups"


def _example(rule: Rule) -> tuple[str, str]:
    """Return a status and words that the row is about, in our own words around the provider's."""
    words = rule.words.replace(" … ", " zz ")
    status = re.sub(r"\[(.)[^]]*\]", r"\1", rule.status).replace("?", "5", 1).replace("?", "0")
    return status.replace("*", "0.0"), words if words.startswith("^") else f"^they say {words} here"


@pytest.mark.parametrize("rules", [RULES, SELF_EVIDENT], ids=["of a provider", "self-evident"])
def test_no_rule_hides_behind_an_earlier_one(rules: tuple[Rule, ...]) -> None:
    """Each row is reached by its own example; a wider row before it would make it dead weight."""
    hidden = []
    for rule in rules:
        status, words = _example(rule)
        first = rule_for(rule.provider if rules is RULES else None, status, words, grams(words))
        if first != rule:
            hidden.append((rule, first))
    assert hidden == []


@pytest.mark.parametrize(
    ("words", "code", "status", "text"),
    [
        ("550 5.1.1 gone", 550, "5.1.1", "gone"),
        ("host mx.example[192.0.2.1] said: 554 no", 554, "", "host mx.example[192.0.2.1] said: 554 no"),
        ("sorry (#5.1.1)", None, "5.1.1", "sorry (#5.1.1)"),
        ("see 10.5.1.1 and 192.0.2.55", None, "", "see 10.5.1.1 and 192.0.2.55"),
        ("550: : who?", 550, "", ": who?"),
    ],
)
def test_a_reply_is_taken_apart(words: str, code: int | None, status: str, text: str) -> None:
    """Numbers of addresses are not taken for codes."""
    heard = read_reply(words)
    assert (heard.code, heard.status, heard.text) == (code, status, text)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("no (in reply to RCPT TO command)", "RCPT"),
        ("no (in reply to end of DATA command)", "DATA"),
        ("SMTP error from remote mail server after MAIL FROM:<a@b.example>", "MAIL"),
        ("The error that the other server returned was: 550 no (state 14).", "RCPT"),
        ("no", None),
    ],
)
def test_the_refused_command_is_read_from_a_report(words: str, command: str | None) -> None:
    """Postfix and Exim tell it in their own words."""
    assert command_within(words) == command


@pytest.mark.parametrize(
    ("status", "category"),
    [
        ("5.7.606", Category.REPUTATION),  # banned sending address
        ("5.7.60", Category.POLICY),  # no permission to send as this sender
        ("4.7.650", Category.REPUTATION),
        ("4.7.501", Category.RATE),
        ("5.7.501", Category.REPUTATION),
    ],
)
def test_a_status_pattern_fits_only_codes_of_its_length(status: str, category: Category) -> None:
    """Exchange Online's 5.7.606 to 5.7.649 are no neighbours of 5.7.60."""
    said = diagnose(provider="outlook", code=None, status=status, text="see the postmaster page")
    assert said.category == category
