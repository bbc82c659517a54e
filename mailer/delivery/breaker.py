"""The circuit breaker of a relay: whether it is worth asking. Pure.

A relay fails when it cannot be used, or when it refuses us, or breaks the connection, letter after letter.
Then it rests, longer each time, and after each rest it is tried with one letter before it gets more. A letter
it accepts ends all that.
Instants are those of ``time.monotonic()``, in seconds.
"""

from __future__ import annotations

from mailer.sentence import Sentence

REST = 30.0  # seconds of the first rest; it doubles
LONGEST_REST = 600.0  # seconds
PATIENCE = 5  # letters refused in a row, none accepted in between, that are no longer about the letters


class Breaker:
    """What one relay has done of late.

    ``why`` is what it failed with, None when it works; ``rests_until`` is when it may be tried again.
    ``of_content``: it failed with what letters say, and may well take others.
    """

    def __init__(self) -> None:
        self.why: Sentence | None = None
        self.of_content = False
        self.rests_until = 0.0
        self._failures = 0
        self._refused = 0  # letters in a row

    @property
    def on_trial(self) -> bool:
        """Whether it has failed and not accepted a letter since: one letter at a time."""
        return self._failures > 0

    def rests(self, now: float) -> bool:
        """Whether it is to be left alone."""
        return now < self.rests_until

    def fail(self, why: Sentence, now: float, *, of_content: bool = False) -> float:
        """It cannot be used; return the seconds it rests: 30, 60, 120 … 600."""
        rest = min(REST * 2.0 ** min(self._failures, 10), LONGEST_REST)
        self.why, self.rests_until, self.of_content = why, now + rest, of_content
        self._failures += 1
        self._refused = 0
        return rest

    def accept(self) -> None:
        """It has accepted a letter."""
        self.why, self.of_content = None, False
        self._failures = self._refused = 0

    def excuse(self) -> None:
        """What it failed with was the letters' fault: it is as good as before."""
        self.accept()
        self.rests_until = 0.0

    def refuse(self) -> bool:
        """It has not taken a letter for reasons of its own; return whether it is the one that fails."""
        self._refused += 1
        return self.on_trial or self._refused >= PATIENCE
