"""Every word of the pages exists in Chinese, and dates and numbers are written as people write them."""

from __future__ import annotations

import ast
import re
from datetime import UTC, date, datetime

import pytest

from mailer import address
from mailer.accounts.store import Role
from mailer.audience import segments
from mailer.content.problems import Problem
from mailer.issues import editions
from mailer.sentence import Sentence
from mailer.web import i18n, words
from tests.web import catalogue

SAID = {"mailer": catalogue.said, "errors": catalogue.sentences}
_PLACES = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


@pytest.fixture(autouse=True)
def _english():
    i18n.use("en")


def _forms(message):
    return message if isinstance(message, tuple) else (message,)


@pytest.mark.parametrize("domain", SAID)
def test_every_message_and_sentence_is_translated_into_chinese(domain):
    """`python -m tests.web.catalogue` brings new messages into the catalogue; a person translates them."""
    chinese = {message.id: message.string for message in catalogue.translated("zh", domain)}
    missing = [
        message.id
        for message in SAID[domain]()
        if message.id and not all(_forms(chinese.get(message.id, "")))
    ]
    assert not missing


def test_what_a_verb_says_is_a_template_and_never_put_together_beforehand():
    """An f-string could be translated only word for word after the fact, that is: never."""
    assert not [
        place for place, template in catalogue.told() if isinstance(template, (ast.JoinedStr, ast.BinOp))
    ]


@pytest.mark.parametrize(("language", "domain"), [("zh", "mailer"), ("zh", "errors"), ("en", "errors")])
def test_a_translation_keeps_every_place_of_its_message(language, domain):
    """A name or number that a sentence needs cannot get lost in translation."""
    for message in catalogue.translated(language, domain):
        if message.id:
            needed = set(_PLACES.findall(_forms(message.id)[-1]))
            for string in _forms(message.string):
                assert set(_PLACES.findall(string)) == needed, message.id


@pytest.mark.parametrize("domain", SAID)
def test_no_catalogue_keeps_a_message_that_nobody_says(domain):
    """Old messages go: the catalogues are what pages and verbs say, no more."""
    said = {message.id for message in SAID[domain]()}
    for language in i18n.NAMES:
        assert {message.id for message in catalogue.translated(language, domain)} <= said | {""}


def test_a_sentence_within_a_sentence_is_told_in_the_same_language():
    """Values go in as they are, braces and all."""
    problem = Problem(
        Sentence("Section {number}", number=2), Sentence("the office of {name} is missing", name="{x}")
    )
    i18n.use("zh")
    assert i18n.tell(problem.sentence) == "第 2 个栏目：缺少{x}的职务"
    assert str(problem) == "Section 2: the office of {x} is missing"


@pytest.mark.parametrize(
    "wrong", ["a", "@x.org", "a@", "a..b@x.org", ".a@x.org", "a b@x.org", "a@x y.org", "a@x"]
)
def test_what_is_wrong_with_an_address_is_said_in_chinese(wrong):
    """Even where a library found it."""
    i18n.use("zh")
    with pytest.raises(address.BadAddress) as caught:
        address.parse(wrong)
    assert not re.search("[a-z]{3}", i18n.tell(caught.value.sentence).replace(wrong, ""))


def test_a_broken_rule_is_explained_in_chinese():
    """Position, what stands there and what was expected."""
    i18n.use("zh")
    with pytest.raises(segments.BadRule) as caught:
        segments.parse("joined after yesterday")
    assert (
        i18n.tell(caught.value.sentence)
        == "第 14 个字符处：joined 不能是“yesterday”，请写成 2026-01-31 这样的日期。"
    )


@pytest.mark.parametrize(
    ("language", "zone", "written"),
    [
        ("en", "UTC", "22 Nov 2026, 10:00 (UTC)"),
        ("en", "Asia/Kolkata", "22 Nov 2026, 15:30 (UTC+5:30)"),
        ("en", "America/St_Johns", "22 Nov 2026, 06:30 (UTC-3:30)"),
        ("zh", "Asia/Shanghai", "2026年11月22日 18:00 (UTC+8)"),
    ],
)
def test_an_instant_is_written_in_a_named_zone_with_its_offset(language, zone, written):
    """Nobody has to guess whose nine o'clock is meant."""
    i18n.use(language)
    assert i18n.when(datetime(2026, 11, 22, 10, tzinfo=UTC), zone) == written


def test_numbers_and_days_follow_the_language():
    """12,345 letters on 22 November; 2026年11月22日."""
    assert (i18n.number(12345), i18n.share(148, 1204), i18n.share(0, 0)) == ("12,345", "12.3%", "–")
    i18n.use("zh")
    assert i18n.day(date(2026, 11, 22)) == "2026年11月22日"
    assert i18n.ngettext("%(num)s letter", "%(num)s letters", 1) == "1 封邮件"


def test_a_code_without_words_is_shown_as_it_is():
    """A category that a later version stores does not break the page of an older one."""
    assert words.word("brand_new") == "brand_new"
    assert words.figure_word("brand_new") == "brand_new"


def test_an_error_speaks_the_language_of_the_page(visit):
    """And on a page it does not send people to the command line."""
    english = visit().get("/leave/forged").text
    chinese = visit().get("/leave/forged?lang=zh").text
    assert "ask for a new one" in english
    assert "链接不完整或已失效" in chinese
    i18n.use("en")
    assert "mailer issue list" not in i18n.translate(str(editions.NoIssue()))


def test_a_word_follows_each_visitor_and_not_the_first_one(sign_in):
    """A template is compiled once: what it says of a code that stands in it is still said anew."""
    admin = sign_in(Role.ADMIN)
    assert "Partner manager" in admin.get("/admin/users/new?lang=en").text
    chinese = admin.get("/admin/users/new?lang=zh").text
    assert "伙伴单位管理员" in chinese
    assert "Partner manager" not in chinese


def test_countries_are_chosen_by_name_in_the_order_of_the_language():
    """Nobody has to know that Germany is DE; accents and strokes do not put a name last."""
    i18n.use("en")
    english = i18n.countries()
    assert ("DE", "Germany") in english
    names = [name for _code, name in english]
    assert names.index("Åland Islands") < names.index("Albania") < names.index("Zimbabwe")
    assert "EU" not in dict(english)
    i18n.use("zh")
    assert ("DE", "德国") in i18n.countries()
