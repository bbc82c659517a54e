"""Addresses: the quick way for plain ones says what the validator says."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError
from hypothesis import given
from hypothesis import strategies as st

from mailer import address

PIECES = (
    "a", "Ann", "o'hara", "x+y", ".", "..", "-", "_", "@", "@", "例子", "张三", "example", "EXAMPLE",
    ".org", ".公司", "localhost", "xn--fsqu00a", "a--b", "1", "[127.0.0.1]", '"q"', " ", "é",
    "e\u0301", "a" * 63, "b" * 64, ".invalid",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join) | st.emails())
def test_the_quick_way_agrees_with_the_validator(text):
    """Judging a domain once for all its people changes no verdict and no spelling."""
    try:
        found = address._validated(text.strip())
    except EmailNotValidError:
        with pytest.raises(address.BadAddress):
            address.parse(text)
        return
    if "." not in (found.ascii_domain or found.domain):
        return
    parsed = address.parse(text)
    assert (parsed.local, parsed.domain) == (found.local_part, (found.ascii_domain or found.domain).lower())
    assert (parsed.shown, parsed.smtputf8) == (found.normalized, not found.local_part.isascii())


def test_two_spellings_of_a_mailbox_have_one_key():
    """Case and the form of the domain do not make two people."""
    assert address.parse(" Ann@例子.公司 ").key == address.parse("ann@XN--fsqu00a.xn--55qx5d").key


def test_what_has_no_at_sign_is_told_so():
    """Not that something is missing after it."""
    with pytest.raises(address.BadAddress, match="must have an @-sign"):
        address.parse("not-an-address")
