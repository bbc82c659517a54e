"""Sealed secrets: opened by the keyring alone, and only as what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.sealing import Unsealable, seal, unseal
from mailer.signing import Keyring

OLD = Keyring.parse("1:an-old-key-of-some-length")
BOTH = Keyring.parse("2:a-newer-key-of-some-length,1:an-old-key-of-some-length")
NEW = Keyring.parse("2:a-newer-key-of-some-length")


@given(st.binary(max_size=80), st.text(max_size=20))
def test_what_was_sealed_is_opened_and_two_seals_differ(secret: bytes, purpose: str) -> None:
    """Equal secrets do not look alike, and the text holds nothing of them."""
    once, again = (seal(OLD, secret, purpose=purpose) for _ in range(2))
    assert unseal(OLD, once, purpose=purpose) == unseal(OLD, again, purpose=purpose) == secret
    assert once != again


def test_the_newest_key_seals_and_all_open() -> None:
    """MAILER_SECRET can be rotated; a key that is taken out of it opens nothing."""
    before, after = seal(OLD, b"secret", purpose="x"), seal(BOTH, b"secret", purpose="x")
    assert unseal(BOTH, before, purpose="x") == unseal(NEW, after, purpose="x") == b"secret"
    with pytest.raises(Unsealable):
        unseal(NEW, before, purpose="x")
    with pytest.raises(Unsealable):
        unseal(Keyring.parse("1:another-key-of-that-id"), before, purpose="x")


def test_a_secret_put_in_anothers_place_does_not_open() -> None:
    """Whoever may write to the database cannot exchange two keys."""
    with pytest.raises(Unsealable):
        unseal(OLD, seal(OLD, b"secret", purpose="x"), purpose="y")


@given(st.integers(0, 45), st.sampled_from("abcdefgh0189+/=: ²"))
def test_a_changed_text_is_refused(place: int, sign: str) -> None:
    """Every sign of it counts."""
    sealed = seal(OLD, b"secret", purpose="x")
    forged = sealed[:place] + sign + sealed[place + 1 :]
    if forged != sealed:
        with pytest.raises(Unsealable):
            unseal(OLD, forged, purpose="x")


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """A damaged row is a sentence to a person, not an error of ours."""
    with pytest.raises(Unsealable):
        unseal(OLD, text, purpose="x")
