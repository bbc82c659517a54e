"""Somebody at a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shell import Person


@pytest.fixture
def mailer(tmp_path: Path) -> Person:
    """The ``mailer`` command, run as a process of its own in an empty folder."""
    return Person(tmp_path)
