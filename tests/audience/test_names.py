"""Names, and how a letter greets them in two languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.audience.names import Names, NameTooLong, clean, salutation


@pytest.mark.parametrize(
    ("names", "zh", "en"),
    [
        (Names(family_zh="李", given_zh="敏", honorific_zh="部长"), "尊敬的李敏部长：", "Dear 李敏,"),
        (Names(family_zh="李", honorific_zh="部长"), "尊敬的李部长：", "Hello,"),
        (Names(family_zh="李"), "您好，", "Hello,"),
        (Names(name_zh="李　敏"), "尊敬的李敏：", "Dear 李敏,"),
        (Names(name_zh="约翰·史密斯", honorific_zh="先生"), "尊敬的约翰·史密斯先生：", "Dear 约翰·史密斯,"),
        (Names(family_en="Lee", given_en="Ann", honorific_en="Dr"), "尊敬的 Dr Ann Lee：", "Dear Dr Lee,"),
        (Names(name_en="Ann  Lee"), "尊敬的 Ann Lee：", "Dear Ann Lee,"),
        (Names(name_en="Ann Lee", honorific_en="Ms"), "尊敬的 Ms Ann Lee：", "Dear Ms Ann Lee,"),
        (Names(honorific_en="Dr", honorific_zh="先生"), "您好，", "Hello,"),
        (Names(), "您好，", "Hello,"),
    ],
)
def test_a_letter_greets_by_the_name_it_knows(names, zh, en):
    """The own script first, the other's next, and no name invented."""
    tidy = clean(names)
    assert (salutation(tidy, "zh"), salutation(tidy, "en")) == (zh, en)


_texts = st.text(max_size=90) | st.sampled_from(["", "李", "李\u3000敏", "Ann", " ", "\x00", "\ud800"])


@given(st.builds(Names, **dict.fromkeys(Names().columns(), _texts)))
def test_any_names_are_stored_or_refused(names):
    """What is stored fits its column, its greeting too, has no control signs, and settles once."""
    try:
        tidy = clean(names)
    except NameTooLong:
        return
    assert clean(tidy) == tidy
    for language in ("zh", "en"):
        greeting = salutation(tidy, language)
        assert 0 < len(greeting) <= 200
        assert not set(greeting) & set("\x00\n\ud800")


def test_han_in_latin_columns_joins_once():
    """What is joined from parts is tidied as if it had been given whole."""
    tidy = clean(Names(family_en="李", given_en="敏"))
    assert tidy.name_en == "敏李"
    assert clean(tidy) == tidy


def test_newer_names_win_and_blanks_keep_the_older():
    """A new full name does not stand beside parts that contradict it."""
    older = clean(Names(family_zh="李", given_zh="敏", family_en="Lee", honorific_en="Dr"))
    newer = clean(Names(name_zh="王芳")).over(older)
    assert newer == Names(name_zh="王芳", family_en="Lee", name_en="Lee", honorific_en="Dr")
