"""``mailer policy``: its settings, and what waits for a person."""

from __future__ import annotations

import pytest

from tests.shell import Person


def values(mailer: Person) -> dict[str, int]:
    return {it["name"]: it["value"] for it in mailer("policy", "show", "--json").json["settings"]}


def test_settings_are_shown_set_and_taken_back(mailer: Person) -> None:
    """What is not named stays as it is."""
    before = values(mailer)
    assert (before["mailbox_full_times"], before["storm_ratio"]) == (5, 5)
    said = mailer("policy", "set", "mailbox_full_times=4", "inactive_days=30").out
    assert "mailbox_full_times=4" in said
    assert "set by shell, default 5" in said
    assert values(mailer) == {**before, "mailbox_full_times": 4, "inactive_days": 30}
    mailer("policy", "set", "mailbox_full_times=default", "inactive_days=default")
    assert values(mailer) == before


@pytest.mark.parametrize(
    ("change", "status"),
    [("inactive_days", 2), ("inactive_days=many", 2), ("inactive_days=0.5", 1), ("inactive_day=3", 1)],
)
def test_a_wrong_change_is_refused(mailer: Person, change: str, status: int) -> None:
    """Usage is status 2, a value that cannot be is status 1 with a sentence."""
    assert mailer("policy", "set", change).status == status


def test_an_empty_installation_has_nothing_to_decide(mailer: Person) -> None:
    """And what is not there cannot be decided about."""
    assert mailer("policy", "storms").out == ""
    assert mailer("policy", "dormant", "--json").out == ""
    assert "not on the list" in mailer("policy", "dormant", "--decide", "1", "--answer", "keep").sentence
    assert mailer("policy", "dormant", "--decide", "1").status == 2
    assert mailer("policy", "storms", "--release", "1", "--why", "x").sentence
    assert "Nothing was decided" in mailer("policy", "undo", "1", "--why", "x").sentence
