"""The wheel: what is installed works from an empty folder, so everything it reads travels inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel built from this checkout, without network."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    with ZipFile(wheel) as file:
        return set(file.namelist())


def test_templates_travel_inside_the_package(names: set[str]) -> None:
    """Letters, pages, their style sheet, catalogues and the sample issue: every file, at the same place."""
    files = {
        f"mailer/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file()
    }
    assert files
    assert files <= names


def test_every_module_and_migration_is_installed(names: set[str]) -> None:
    """Whatever stands in the two packages is in the wheel, also what is no Python."""
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("mailer", "workers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "mailer/migrations/script.py.mako" in files
    assert files <= names


def test_nothing_else_is_installed(names: set[str]) -> None:
    """No tests, no stray top-level package that would shadow another's."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mailer", "workers"}
