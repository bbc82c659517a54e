"""Codes of an app: what RFC 6238 says they are, and how forgiving we are about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.accounts import totp
from tests.make import NOON

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds, code):
    """RFC 6238 Appendix B, SHA-1; its eight digits end in our six."""
    step = totp.step_of(datetime.fromtimestamp(seconds, UTC))
    assert totp.code_at(RFC_SECRET, step) == code[-6:]


@pytest.mark.parametrize(("late", "fits"), [(-31, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_phones_clock_may_be_one_step_off(late, fits):
    """Half a minute to either side, no more. NOON begins a step."""
    code = totp.code_at(RFC_SECRET, totp.step_of(NOON))
    found = totp.step_matching(RFC_SECRET, code, NOON + timedelta(seconds=late))
    assert (found == totp.step_of(NOON)) is fits


@pytest.mark.parametrize("written", ["{a} {b}", " {a}-{b} ", "{a}{b}\n"])
def test_a_code_may_be_typed_as_the_app_shows_it(written):
    """With a space in the middle, or full-width as a Chinese keyboard writes figures."""
    code = totp.code_at(RFC_SECRET, totp.step_of(NOON))
    typed = written.format(a=code[:3], b=code[3:])
    full_width = typed.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    assert totp.step_matching(RFC_SECRET, typed, NOON) == totp.step_of(NOON)
    assert totp.step_matching(RFC_SECRET, full_width, NOON) == totp.step_of(NOON)


@given(st.text(max_size=20))
def test_nothing_else_is_a_code(text):
    """And whatever is typed breaks nothing."""
    now = NOON
    right = {totp.code_at(RFC_SECRET, totp.step_of(now) + drift) for drift in (-1, 0, 1)}
    assert (totp.step_matching(RFC_SECRET, text, now) is not None) == (totp.figures(text) in right)


def test_an_app_reads_account_and_issuer_from_the_address():
    """The key URI format, as apps agree on it."""
    address = urlsplit(totp.address(RFC_SECRET, account="ann@example.org", issuer="mailer news.example"))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == "/mailer news.example:ann@example.org"
    assert parse_qs(address.query) == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"], "issuer": ["mailer news.example"]
    }  # fmt: skip
    assert totp.readable(RFC_SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
