"""When a relay is worth asking."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery.breaker import LONGEST_REST, PATIENCE, REST, Breaker
from mailer.sentence import Sentence

WHY = Sentence("it does not answer")


def test_rests_grow_and_end() -> None:
    """Half a minute at first, ten minutes at most, for as long as it fails."""
    breaker = Breaker()
    assert [breaker.fail(WHY, 0.0) for _ in range(8)] == [30, 60, 120, 240, 480, 600, 600, 600]


def test_a_relay_that_failed_is_left_alone_and_then_tried() -> None:
    """It is on trial until it accepts a letter."""
    breaker = Breaker()
    assert not breaker.on_trial
    breaker.fail(WHY, 100.0)
    assert breaker.rests(100.0 + REST - 1)
    assert not breaker.rests(100.0 + REST)
    assert (breaker.on_trial, breaker.why) == (True, WHY)
    breaker.accept()
    assert (breaker.on_trial, breaker.why) == (False, None)
    assert breaker.fail(WHY, 500.0) == REST


def test_several_refused_in_a_row_are_a_failure() -> None:
    """One that is accepted in between ends the row."""
    breaker = Breaker()
    assert [breaker.refuse() for _ in range(PATIENCE - 1)] == [False] * (PATIENCE - 1)
    breaker.accept()
    assert [breaker.refuse() for _ in range(PATIENCE)] == [False] * (PATIENCE - 1) + [True]


def test_on_trial_the_first_refusal_is_a_failure() -> None:
    """It had its chance."""
    breaker = Breaker()
    breaker.fail(WHY, 0.0)
    assert breaker.refuse()


@given(st.lists(st.sampled_from(["fail", "accept", "refuse"]), max_size=40))
def test_a_rest_is_never_shorter_nor_longer_than_said(happenings: list[str]) -> None:
    """Whatever happened before."""
    breaker = Breaker()
    for happening in happenings:
        {"fail": lambda: breaker.fail(WHY, 0.0), "accept": breaker.accept, "refuse": breaker.refuse}[
            happening
        ]()
    assert REST <= breaker.fail(WHY, 0.0) <= LONGEST_REST


def test_a_relay_that_is_excused_is_as_good_as_before() -> None:
    """Awake, off trial, and with all its patience."""
    breaker = Breaker()
    breaker.fail(WHY, 100.0, of_content=True)
    assert breaker.of_content
    breaker.excuse()
    assert (breaker.rests(100.0), breaker.on_trial, breaker.why, breaker.of_content) == (
        False, False, None, False,
    )  # fmt: skip
