"""The administrator's page about the policy: seen, changed, refused, set back."""

from __future__ import annotations

import re

import pytest

from mailer.accounts import audit
from mailer.accounts.store import Role
from mailer.feedback import policy
from mailer.feedback.rules import DEFAULTS, SETTINGS
from mailer.web.policy import GROUPS

PATH = "/admin/policy"


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def shown(page):
    """What the form holds, as a browser would send it."""
    fields = dict(re.findall(r'<input id="(\w+)" name="\1" type="text" value="(\d*)"', page.text))
    chosen = re.findall(r'<select id="(\w+)".*?<option value="(\d)" selected', page.text, re.DOTALL)
    return fields | dict(chosen)


def in_force(database):
    with database.read() as session:
        return policy.in_force(session)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_administrators_see_and_set_the_policy(sign_in, sqlite_database, role):
    """For partners there is no such page."""
    visitor = sign_in(role)
    denied = 404 if role is Role.PARTNER else 403
    assert visitor.get(PATH).status_code == denied
    assert visitor.post(PATH, inactive_times="1").status_code == denied
    assert visitor.post(f"{PATH}/reset").status_code == denied
    assert in_force(sqlite_database) == DEFAULTS


def test_every_setting_is_on_the_page_with_its_default(admin):
    """Also one that is added later: it belongs to a group, or this test says so."""
    page = admin.get(PATH)
    assert shown(page) == {name: str(getattr(DEFAULTS, name)) for name in SETTINGS}
    assert "days, 0 to 400; by default 14" in page.text
    assert [group for name in SETTINGS for group in GROUPS if name.startswith(group)] == sorted(
        (group for name in SETTINGS for group in GROUPS if name.startswith(group)), key=GROUPS.index
    )


def test_a_setting_is_changed_and_the_page_says_by_whom(admin, sqlite_database):
    """Only what differs is written; the audit log has before and after."""
    form = shown(admin.get(PATH)) | {"inactive_times": "4", "bad_mailbox_at_once": "0"}
    page = admin.post(PATH, **form)
    assert "The policy is set" in page.text
    assert shown(page) == form
    assert page.text.count("admin@example.org, <time") == 2
    assert (in_force(sqlite_database).inactive_times, in_force(sqlite_database).bad_mailbox_at_once) == (4, 0)
    with sqlite_database.read() as session:
        [entry] = [each for each in audit.entries(session, limit=9) if each.action == "policy.set"]
        assert entry.after == {"inactive_times": 4, "bad_mailbox_at_once": 0}
        assert entry.before == {"inactive_times": 3, "bad_mailbox_at_once": 1}


def test_sent_unchanged_it_changes_nothing(admin, sqlite_database):
    """Nobody becomes the author of what they have only looked at."""
    admin.post(PATH, **shown(admin.get(PATH)))
    with sqlite_database.read() as session:
        assert not any(setting.set_by for setting in policy.settings(session))


def test_what_cannot_be_is_noted_beside_its_field_and_nothing_is_set(admin, sqlite_database):
    """What was typed is kept."""
    form = shown(admin.get(PATH)) | {"inactive_times": "0", "dormant_days": "soon", "storm_ratio": "9"}
    page = admin.post(PATH, **form)
    assert page.status_code == 422
    assert 'id="inactive_times-wrong">A whole number from 1 to 1,000, please.' in page.text
    assert 'id="dormant_days-wrong">Please write a number.' in page.text
    assert 'name="storm_ratio" type="text" value="9"' in page.text
    assert 'name="dormant_days" type="text" value="soon"' in page.text
    assert in_force(sqlite_database) == DEFAULTS


def test_an_emptied_field_is_at_its_default_again_and_so_is_everything_at_once(admin, sqlite_database):
    """By one field, or by the button that is there once something differs."""
    assert "Everything back" not in admin.get(PATH).text
    form = shown(admin.get(PATH))
    admin.post(PATH, **form | {"inactive_times": "4", "dormant_days": "90"})
    admin.post(PATH, **form | {"inactive_times": "", "dormant_days": "90"})
    assert (in_force(sqlite_database).inactive_times, in_force(sqlite_database).dormant_days) == (3, 90)
    assert "Everything back" in admin.get(PATH).text
    assert "Every setting is at its default again." in admin.post(f"{PATH}/reset").text
    assert in_force(sqlite_database) == DEFAULTS


def test_the_page_is_there_in_chinese(admin):
    """With units and labels."""
    page = admin.get(f"{PATH}?lang=zh")
    assert "处理规则" in page.text
    assert "单位：天" in page.text
