"""What sending is compared with, each measured as a process of its own against the same server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from mailer.bench.plain import Done, Task
from mailer.errors import MailerError

LASTS = 2.0  # seconds that a round of a baseline takes at least
_TRIAL = 500  # letters by which a generator's speed is guessed
_HEADER = 200  # octets that smtp-source adds to the payload


class BaselineFailed(MailerError):
    """A baseline could not be measured."""


class Baseline(Protocol):
    """Something to compare with. ``missing``: why it cannot be had here, "" when it can."""

    name: str
    missing: str

    def per_second(self) -> float:
        """Measure one round: letters a second."""


class Smtplib:
    """See ``mailer.bench.plain``."""

    name = "smtplib"
    missing = ""

    def __init__(self, task: Task) -> None:
        self._task = task

    def per_second(self) -> float:
        """Measure one round."""
        asked = json.dumps(asdict(self._task))
        done = Done(**json.loads(_run([sys.executable, "-m", "mailer.bench.plain"], asked)))
        return done.letters / done.seconds


class SmtpSource:
    """Postfix's load generator, with connections kept (``-d``)."""

    name = "smtp-source"

    def __init__(self, *, address: str, octets: int, connections: int) -> None:
        self.missing = "" if shutil.which(self.name) else "not installed"
        self._connections, self._address = connections, address
        self._payload = max(octets - _HEADER, 1)
        self._letters = 0

    def per_second(self) -> float:
        """Measure one round; the first one begins with a short trial, to know how many letters it takes."""
        if not self._letters:
            self._letters = max(_TRIAL, int(_TRIAL / self._seconds(_TRIAL) * LASTS))
        return self._letters / self._seconds(self._letters)

    def _seconds(self, letters: int) -> float:
        started = time.monotonic()
        numbers = {"-s": self._connections, "-l": self._payload, "-m": letters}
        _run([self.name, "-d", *(str(word) for pair in numbers.items() for word in pair), self._address])
        return time.monotonic() - started


def _run(command: Sequence[str], asked: str = "") -> str:
    """Run a program and return what it printed.

    :raises BaselineFailed: it ended with an error
    """
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BaselineFailed(
            "{command} could not be measured; it says: {last}", command=" ".join(command[:3]), last=last
        )
    return done.stdout
