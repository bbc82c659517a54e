"""Typos in well-known domains: asked about, never mended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.audience import typos


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"), ("gmai.com", "gmail.com"), ("gmail.con", "gmail.com"),
        ("gamil.cmo", "gmail.com"), ("hotmial.com", "hotmail.com"), ("hotmal.com", "hotmail.com"),
        ("outlok.com", "outlook.com"), ("126.con", "126.com"), ("qq.con", "qq.com"), ("qqq.com", "qq.com"),
        ("163.cm", "163.com"), ("1163.com", "163.com"), ("foxmial.com", "foxmail.com"),
        ("aliyin.com", "aliyun.com"), ("sohu.vom", "sohu.com"), ("189.ch", "189.cn"),
    ],
)  # fmt: skip
def test_a_slip_of_a_well_known_domain_is_asked_about(typed: str, meant: str) -> None:
    """In the world and in China."""
    assert typos.suggestion(typed) == meant
    assert typos.note(f"ann@{typed}") == f"Did you mean ann@{meant}?"


@pytest.mark.parametrize(
    "domain",
    [
        *sorted(typos.KNOWN),
        "mee.gov.cn",
        "unep.org",
        "example.org",
        "tsinghua.edu.cn",
        "mail.example.com",
        "un.org",
    ],
)
def test_a_domain_that_is_right_or_unknown_is_not_asked_about(domain: str) -> None:
    """Nobody is told to mend what is right."""
    assert typos.suggestion(domain) == ""


@given(st.text(max_size=20), st.text(max_size=20))
def test_distance_is_the_same_both_ways_and_nought_only_for_the_same(one: str, other: str) -> None:
    """It counts slips."""
    assert typos.distance(one, other) == typos.distance(other, one)
    assert (typos.distance(one, other) == 0) == (one == other)
