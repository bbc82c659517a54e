"""What people type or paste into a box, read a person per line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.audience import lines
from mailer.audience.lines import TooMany


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ann@x.example", "ann@x.example", ""),
        ("Ann Lee <ann@x.example>", "ann@x.example", "Ann Lee"),
        ('"Lee, Ann" <ann@x.example>', "ann@x.example", "Ann Lee"),
        ("Lee, Ann <mailto:ann@x.example>,", "ann@x.example", "Ann Lee"),
        ("李敏《li@x.example》", "li@x.example", "李敏"),
        ("李敏　li＠x.example", "li@x.example", "李敏"),
        ("李敏，li@x.example", "li@x.example", "李敏"),
        ("ann@x.example\tAnn Lee", "ann@x.example", "Ann Lee"),
        ("Ann Lee", "", "Ann Lee"),
    ],
)
def test_a_line_names_a_person_in_many_ways(text, address, name):
    """As mail programs copy them, and as Chinese keyboards write them."""
    [found] = lines.read(text)
    assert (found.address, found.name) == (address, name)
    assert (found.names.name_zh or found.names.name_en) == name


@pytest.mark.parametrize(
    "text",
    [
        "a@x.example\n\nb@x.example",
        "A <a@x.example>; B <b@x.example>;",
        "a@x.example, b@x.example",
        "a@x.example；b@x.example",
    ],
)
def test_several_people_stand_in_lines_or_between_semicolons(text):
    """Outlook copies its recipients so."""
    assert [each.address for each in lines.read(text)] == ["a@x.example", "b@x.example"]


def test_more_than_a_hundred_are_a_files_business():
    """Said before anything is written."""
    with pytest.raises(TooMany):
        lines.read("a@x.example\n" * 101)


@given(st.text(max_size=300))
def test_nothing_that_was_typed_is_lost(text):
    """Every visible sign of the box stands in one of the lines that come back."""
    if text.count("\n") + text.count(";") > 90:
        return
    seen = "".join(each.text for each in lines.read(text))
    assert set("".join(text.replace("\x00", "").split())) - set(seen) <= set(";；,，")
