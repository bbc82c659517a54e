"""The bench of imports: every row's verdict is counted, and the figures are what scripts read."""

from __future__ import annotations

import pytest

from mailer.bench import imports
from mailer.bench.imports import Miscounted, Plan
from mailer.settings import Settings


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def given(request, settings):
    """Settings of an installation with either database; the bench makes its ground beside it."""
    if request.param == "sqlite":
        return settings
    return Settings(**(settings.model_dump() | {"database_url": request.getfixturevalue("postgres_url")}))


@pytest.mark.parametrize("partner", [False, True])
def test_a_file_comes_in_whole_and_is_timed(given, partner):
    """People new, twice, gone, silenced and wrong, in two scripts; the sums add up, or it would raise."""
    figures = imports.run(given, Plan(rows=2_000, partner=partner))
    assert list(figures) == [
        "rows", "seconds", "rows_per_second", "peak_rss_mb", "bare_seconds", "ratio",
    ]  # fmt: skip
    assert figures["rows"] == 2_000
    assert min(figures.values()) > 0


def test_a_miscount_is_no_figure(settings, monkeypatch):
    """An import that took in somebody who left would be told, not timed."""
    monkeypatch.setattr(imports, "_LEFT", 50)
    monkeypatch.setattr(imports, "_refused", lambda n, plan: False)
    with pytest.raises(Miscounted, match="should have done"):
        imports.run(settings, Plan(rows=300))
