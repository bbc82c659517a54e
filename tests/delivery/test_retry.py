"""Deferred letters are tried again, ever later, and not for ever."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery.retry import FIRST_RETRY, GIVE_UP_AFTER, next_attempt
from tests.make import NOON


@given(st.lists(st.integers(0, 7200), max_size=12))
def test_times_grow_and_end(late: list[int]) -> None:
    """However late each try comes, waits grow, none lies beyond the limit, and there are few of them."""
    at, attempts, waits = NOON, 1, []
    while (due := next_attempt(attempts=attempts, first_at=NOON, now=at)) is not None:
        waits.append(due - at)
        assert due <= NOON + GIVE_UP_AFTER
        at = due + timedelta(seconds=late[attempts - 1] if attempts <= len(late) else 0)
        attempts += 1
    assert waits[0] == FIRST_RETRY
    assert waits == sorted(set(waits))
    assert attempts <= 8


@given(st.integers(1, 10_000))
def test_any_number_of_attempts_has_an_answer(attempts: int) -> None:
    """A counter gone wild neither overflows nor keeps a letter for ever."""
    due = next_attempt(attempts=attempts, first_at=NOON, now=NOON)
    assert due is None or FIRST_RETRY <= due - NOON <= GIVE_UP_AFTER
