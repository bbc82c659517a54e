"""Signed tokens: what nobody else can make, and what one purpose does not open for another."""

from __future__ import annotations

from base64 import b32decode
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.feedback.attribution import mailbox
from mailer.signing import BadSecret, BadToken, Keyring, Purpose

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
OLD = Keyring.parse("1:an-old-key-of-some-length")
BOTH = Keyring.parse("2:a-newer-key-of-some-length,1:an-old-key-of-some-length")
NUMBERS = st.integers(0, 2**32 - 1)
SIGNS = st.sampled_from("abcdefghijklmnopqrstuvwxyz234567")


@given(st.sampled_from(Purpose), NUMBERS, NUMBERS)
def test_a_token_gives_back_its_numbers(purpose: Purpose, first: int, second: int) -> None:
    """In either case of letters: return paths come back lower-cased, or shouted."""
    token = OLD.sign(purpose, first, second)
    assert OLD.read(purpose, token) == OLD.read(purpose, token.upper()) == (first, second)


@given(st.sampled_from(Purpose), st.sampled_from(Purpose))
def test_a_token_opens_nothing_but_its_own_purpose(signed: Purpose, asked: Purpose) -> None:
    """A click token, which travels with a forwarded letter, never leaves and never opens preferences."""
    if signed is not asked:
        with pytest.raises(BadToken):
            OLD.read(asked, OLD.sign(signed, 7, 9))


@given(NUMBERS, st.integers(0, 33), SIGNS)
def test_any_changed_sign_is_refused(number: int, place: int, sign: str) -> None:
    """Not one of a token's signs is spare."""
    token = OLD.sign(Purpose.LEAVE, 1, number)
    forged = token[:place] + sign + token[place + 1 :]
    if forged != token:
        with pytest.raises(BadToken):
            OLD.read(Purpose.LEAVE, forged)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Addresses on the web are typed, cut and mangled: each is refused, none is an error of ours."""
    with pytest.raises(BadToken):
        OLD.read(Purpose.LINK, text)


def test_an_expired_token_is_refused_only_where_it_is_asked_when() -> None:
    """Days are counted in whole ones: a token lives at least as long as was promised."""
    token = OLD.sign(Purpose.PREFERENCES, 7, 9, expires=NOON)
    assert OLD.read(Purpose.PREFERENCES, token, now=NOON) == (7, 9)
    with pytest.raises(BadToken):
        OLD.read(Purpose.PREFERENCES, token, now=NOON + timedelta(days=1))


def test_a_new_key_signs_and_the_old_ones_letters_still_open() -> None:
    """And what an erased address was hashed with stays the same."""
    assert BOTH.read(Purpose.LINK, OLD.sign(Purpose.LINK, 7, 9)) == (7, 9)
    with pytest.raises(BadToken):
        OLD.read(Purpose.LINK, BOTH.sign(Purpose.LINK, 7, 9))
    assert BOTH.address_hash("ann@example.org") == OLD.address_hash("ann@example.org")


@pytest.mark.parametrize(
    "secret",
    ["", "1:short", "0:" + "k" * 20, "256:" + "k" * 20, "²:" + "k" * 20, f"1:{'k' * 20},1:{'l' * 20}"],
)
def test_a_weak_or_muddled_secret_is_refused(secret: str) -> None:
    """Every way to misspell it ends in the same sentence, which repeats no key."""
    with pytest.raises(BadSecret, match="MAILER_SECRET") as caught:
        Keyring.parse(secret)
    assert "kkk" not in str(caught.value)


def test_keys_are_never_shown() -> None:
    """A keyring in a traceback or a log gives nothing away."""
    assert "an-old-key" not in repr(OLD)


def test_tokens_of_sent_letters_stay_valid() -> None:
    """Links live for years: how a token is written never changes."""
    day = datetime(2026, 7, 1, tzinfo=UTC)
    assert [
        OLD.sign(Purpose.LINK, 7, 9),
        OLD.sign(Purpose.LEAVE, 2**32 - 1, 2**32 - 1),
        BOTH.sign(Purpose.RETURN_PATH, 12, 345_678, expires=day),
        OLD.address_hash("ann@example.org"),
    ] == [
        "aeaaaaahaaaaaciaadm6hytutc4c56lwaa",
        "ah777777777777yaabrxm6z6mwj7okescu",
        "aiaaaaamaacumtsqtoq7rpmncrflj3xalu",
        "d29579f811714edbaa2cf0bb327f66d5",
    ]


@given(st.lists(NUMBERS, max_size=120), st.none() | st.just(NOON))
def test_tokens_signed_together_are_those_signed_one_by_one(
    numbers: list[int], expires: datetime | None
) -> None:
    """For a slice of letters, or for none."""
    together = BOTH.sign_all(Purpose.LINK, 7, numbers, expires=expires)
    assert together == [BOTH.sign(Purpose.LINK, 7, number, expires=expires) for number in numbers]


@given(NUMBERS, NUMBERS)
def test_a_token_is_base32_in_lower_case(first: int, second: int) -> None:
    """As RFC 4648 writes it, without padding, so that anyone can take one apart."""
    token = OLD.sign(Purpose.LINK, first, second)
    octets = b32decode(token.upper() + "======")
    assert octets[:11] == bytes([1]) + first.to_bytes(4, "big") + second.to_bytes(4, "big") + bytes(2)


def test_no_mutated_token_is_taken_for_one_of_ours() -> None:
    """Twenty thousand of them, each one to three signs away from a token of ours, or drawn at random."""
    assert forged(20_000, seed=1) == 0


def forged(count: int, *, seed: int) -> int:
    """Return how many of ``count`` mutated return paths are taken; the same for the same seed."""
    draw = Random(seed)
    signs = "abcdefghijklmnopqrstuvwxyz234567"
    taken = 0
    for number in range(count):
        good = BOTH.sign(Purpose.RETURN_PATH, number % 97, number, expires=NOON)
        token = list(good)
        for place in draw.sample(range(len(token)), draw.choice((1, 1, 2, 3, len(token)))):
            token[place] = draw.choice(signs)
        changed = "".join(token)
        found = mailbox(f"b-{changed}@bounces.example", BOTH, NOON)
        taken += changed != good and found is not None
    return taken
