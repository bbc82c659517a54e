"""The ``mailer`` command as a person meets it, in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from mailer.cli import main

# As people run it, and not with -m: Python ends that by the signal when Ctrl-C fell into an exec (3.11).
_COMMAND = (str(Path(sys.executable).with_name("mailer")),)
Found = TypeVar("Found")
_PATIENCE = 60.0  # seconds; the machine may be busy with other tests


@dataclass(frozen=True)
class Said:
    """What a finished command said."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What an error says: one line on standard error, nothing on standard output, status 1."""
        assert (self.status, self.out) == (1, ""), self
        assert self.err.startswith("mailer: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("mailer: ").rstrip("\n")

    @property
    def json(self) -> Any:
        """The one object it printed; it went well."""
        assert self.status == 0, self
        [line] = self.out.splitlines()
        return json.loads(line)


@dataclass
class Running:
    """A command that runs; ``lines`` grows with what it says on standard error."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def line(self, start: str) -> str:
        """Wait for a line that begins so, and return the rest of it."""
        return until(
            lambda: next((it.removeprefix(start) for it in self.lines if it.startswith(start)), None)
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE)


@dataclass(frozen=True)
class Person:
    """Somebody at a shell in ``folder``, whose data folder is ``folder/data``; any free ports will do."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def __call__(self, *words: object, **settings: str) -> Said:
        """Run ``mailer`` with these words, in this process: starting one takes longer than most commands.

        ``settings`` are variables without their prefix.
        """
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self._environment(settings), clear=True),
            mock.patch.object(sys, "argv", ["mailer", *map(str, words)]),
            contextlib.chdir(self.folder), redirect_stdout(out), redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):  # fmt: skip
            main()
        return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def process(self, *words: object, **settings: str) -> Said:
        """Run ``mailer`` with these words as a process of its own."""
        done = subprocess.run(
            [*_COMMAND, *map(str, words)],
            cwd=self.folder, env=self._environment(settings), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def runs(self, *words: object, out: int = subprocess.DEVNULL, **settings: str) -> Iterator[Running]:
        """Start ``mailer`` with these words; it is ended, if it has not ended itself."""
        with subprocess.Popen(
            [*_COMMAND, *map(str, words)],
            cwd=self.folder, env=self._environment(settings), stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            running = Running(process)
            reader = threading.Thread(target=self._read, args=(running,))
            reader.start()
            try:
                yield running
            finally:
                if process.poll() is None:
                    process.terminate()
                reader.join(_PATIENCE)
                process.wait(_PATIENCE)

    @staticmethod
    def _read(running: Running) -> None:
        assert running.process.stderr
        for line in running.process.stderr:
            running.lines.append(line.rstrip("\n"))

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("MAILER_")}
        ours = {"DATA": str(self.data), "PORT": "0", "LISTENER_PORT": "0"} | self.settings | settings
        return {**others, "COLUMNS": "100", **{f"MAILER_{name}": value for name, value in ours.items()}}


def until(look: Callable[[], Found | None]) -> Found:
    """Wait until there is something, and return it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "nothing came within a minute"
        time.sleep(0.1)
