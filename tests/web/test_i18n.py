"""Every word of the pages exists in Chinese, and dates and numbers are written as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from mailer.issues import editions
from mailer.web import i18n, words
from tests.web import catalogue

_PLACES = re.compile(r"%\((\w+)\)s")


@pytest.fixture(autouse=True)
def _english():
    i18n.use("en")


def _forms(message):
    return message if isinstance(message, tuple) else (message,)


def test_every_message_of_the_pages_is_translated_into_chinese():
    """`python -m tests.web.catalogue` brings new messages into the catalogue; a person translates them."""
    chinese = {message.id: message.string for message in catalogue.translated("zh")}
    missing = [
        message.id
        for message in catalogue.said()
        if message.id and not all(_forms(chinese.get(message.id, "")))
    ]
    assert not missing


def test_a_translation_keeps_every_place_of_its_message():
    """A name or number that a sentence needs cannot get lost in translation."""
    for message in catalogue.translated("zh"):
        if message.id:
            needed = set(_PLACES.findall(_forms(message.id)[-1]))
            for string in _forms(message.string):
                assert set(_PLACES.findall(string)) == needed, message.id


def test_no_catalogue_keeps_a_message_that_nobody_says():
    """Old messages go: the catalogues are what the pages say, no more."""
    said = {message.id for message in catalogue.said()}
    for language in i18n.NAMES:
        assert {message.id for message in catalogue.translated(language)} <= said | {""}


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
    assert (i18n.number(12345), i18n.share(148, 1204), i18n.share(0, 0)) == ("12,345", "12.3 %", "–")
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
    assert "链接无效或已过期" in chinese
    i18n.use("en")
    assert "mailer issue list" not in i18n.translate(str(editions.NoIssue()))
