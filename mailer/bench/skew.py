"""A wall clock that jumps: ``python -m mailer.bench.skew MODULE ARGUMENTS…`` runs a module under one.

As when somebody sets a machine's clock: Python's ``time.time`` and ``datetime.now`` are right for a while,
then an hour ahead, then an hour behind, over and over. Monotonic clocks are right, and so is the database's.
"""

from __future__ import annotations

import datetime as _datetime
import runpy
import sys
import time as _time
from typing import Any

JUMP = 3600  # seconds ahead, then behind
STAYS = 0.7  # seconds between jumps

_JUMPS = (0, JUMP, -JUMP)
_true_datetime = _datetime.datetime
_true_time = _time.time


def shift() -> int:
    """Return by how many seconds the clock is wrong now; the same in every process of a machine."""
    return _JUMPS[int(_time.monotonic() / STAYS) % len(_JUMPS)]


class _AlsoTrue(type):
    """Takes moments made by C code, which knows only the true class, for its instances."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _true_datetime)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _true_datetime)


class Jumping(_true_datetime, metaclass=_AlsoTrue):
    """``datetime`` by the clock that jumps."""

    @classmethod
    def now(cls, tz: _datetime.tzinfo | None = None) -> Any:
        """Return the wrong moment, of the true class: no foreign type spreads from here."""
        return _true_datetime.now(tz) + _datetime.timedelta(seconds=shift())

    @classmethod
    def utcnow(cls) -> Any:
        """Likewise; libraries still ask for it."""
        return cls.now(_datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """Likewise."""
        return cls.now()


def set_loose() -> None:
    """Put the jumping clock in place of the true one, for all that is imported from now on."""
    _datetime.datetime = Jumping  # type: ignore[misc]
    _time.time = lambda: _true_time() + shift()
    _time.time_ns = lambda: int(_time.time() * 1e9)


if __name__ == "__main__":
    set_loose()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
