"""The page of retention: what is kept for how long, and setting it."""

from __future__ import annotations

import pytest

from mailer.accounts.store import Role


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def test_a_period_is_shown_and_set_by_an_administrator(admin):
    """The page says who set it; too short is refused with the least that is allowed."""
    assert "The audit log" in admin.get("/admin/retention").text
    page = admin.post("/admin/retention", key="audit", days="730").text
    assert "730 days" in page
    assert "set by admin@example.org" in page
    assert "without end" in admin.post("/admin/retention", key="audit", days="").text
    page = admin.post("/admin/retention", key="audit", days="1")
    assert page.status_code == 422
    assert "Keep this for 90 days at least" in page.text
    assert admin.post("/admin/retention", key="nothing", days="1").status_code == 404


def test_an_editor_reads_the_periods_and_sets_none(sign_in):
    """Forgetting is an administrator's decision."""
    editor = sign_in(Role.EDITOR)
    assert "The audit log" in editor.get("/admin/retention").text
    assert editor.post("/admin/retention", key="audit", days="730").status_code == 403
