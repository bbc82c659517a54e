"""The house: who may import whom, one door per outside library, what may stand in no file."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent

DOORS = {
    "mjml": {"mailer.content.mjml"},
    "celery": {"mailer.queue", "workers"},
    "kombu": {"mailer.queue", "workers"},
    "redis": {"mailer.queue", "mailer.delivery.meter", "mailer.bench"},
    "dns": {"mailer.delivery.dkim_dns", "mailer.delivery.mx"},
    "smtplib": {"mailer.bench"},  # the baseline that the transport is measured against
    "socket": {"mailer.delivery", "mailer.server", "mailer.bench", "mailer.feedback.boxes.wire"},
    "ssl": {"mailer.delivery", "mailer.feedback.boxes.wire", "mailer.feedback.listener"},
    "selectors": {"mailer.delivery", "mailer.bench.faulty"},
    "aiosmtpd": {"mailer.feedback.listener"},
    "fastapi": {"mailer.web"},
    "starlette": {"mailer.web"},
    "uvicorn": {"mailer.server"},
    "alembic": {"mailer.migrations"},
    "psycopg": {"mailer.database", "mailer.delivery.store"},
    "argon2": {"mailer.accounts.users"},
    "joserfc": {"mailer.accounts.oidc"},
    "nh3": {"mailer.content.prose"},
    "PIL": {"mailer.issues.figures"},
    "xlsxwriter": {"mailer.audience.exports"},
    "email_validator": {"mailer.address"},
    "segno": {"mailer.web.account"},
    "python_calamine": {"mailer.audience.sheets.workbook"},
    "flufl": {"mailer.bench.stopwatch"},  # the baseline that reading returned mail is measured against
}
"""Which modules, or packages with all that is in them, may import a library."""


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("mailer", "workers", include_external_packages=True, cache_dir=None)


@cache
def _files() -> tuple[Path, ...]:
    """Every file of the project, as git sees it: no build products, no data."""
    names = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return tuple(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def test_imports_run_one_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts of pyproject.toml hold; the report names a broken chain."""
    # it would silence every logger that exists, for all tests after this one
    monkeypatch.setattr("importlinter.cli._configure_logging", lambda verbose: None)
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    """Exchanging a library means changing one module."""
    graph = _graph()
    users = graph.find_modules_that_directly_import(library) if library in graph.modules else set()
    strangers = {
        user for user in users if not any(f"{user}.".startswith(f"{door}.") for door in DOORS[library])
    }
    assert not strangers


def test_every_table_is_declared_in_a_store() -> None:
    """Tables and SQL of a stage stand in its store, where migrations look for them."""
    declaring = {path for path in (ROOT / "mailer").rglob("*.py") if "__tablename__" in path.read_text()}
    assert {path.name for path in declaring} == {"store.py"}


def test_the_clock_is_read_at_the_edges() -> None:
    """Time is an argument everywhere else; a send lasts, so its loop asks again."""
    reading = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "mailer").rglob("*.py")
        if re.search(r"\bdatetime\.(now|utcnow|today)\(|\btime\.time\(", path.read_text())
    }
    edges = (
        "mailer.cli",
        "mailer.web",
        "mailer.demo",
        "mailer.bench",
        "mailer.database",
        "mailer.feedback.reception",
        "mailer.feedback.boxes.watch",
        "mailer.delivery.send",
    )
    assert {name for name in reading if not name.startswith(edges)} == set()


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    """What is installed comes from wherever pip is told to look; paths hold on any machine."""
    hosts = "|".join(re.escape(".".join(parts)) for parts in _REGISTRIES)
    pattern = re.compile(rf"(?i:\b(?:{hosts})\b)|(?<![\w.<}}/])/(?:home|root|work|Users)/[a-z]")
    found = {
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in _files()
        if path.suffix not in (".png", ".jpg", ".gif", ".ico")
        for hit in [pattern.search(path.read_text(encoding="utf-8", errors="replace"))]
        if hit
    }
    assert not found


_REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("jsdelivr", "net"),
    ("unpkg", "com"),
    ("proxy", "golang", "org"),
    ("crates", "io"),
)


def test_every_requirement_is_pinned() -> None:
    """constraints.txt names one exact version of whatever pyproject.toml asks for, and no address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(line for extra in extras for line in extra)]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {re.match(r"[\w.-]+", line).group() for line in asked} <= pins.keys()  # type: ignore[union-attr]
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())
