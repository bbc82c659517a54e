"""The administrator's page about webhooks."""

from __future__ import annotations

import re

import pytest

from mailer.accounts.store import Role
from mailer.feedback.webhooks import hooks, store
from mailer.feedback.webhooks.hear import Outcome
from mailer.feedback.webhooks.providers import PROVIDERS
from tests import webhooks
from tests.make import KEYS, NOON

PATH = "/admin/sending/webhooks"


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMIN, Role.PARTNER)])
def test_only_administrators_see_webhooks(sign_in, role):
    """They hold secrets."""
    visitor = sign_in(role)
    assert visitor.get(PATH).status_code == 403
    assert visitor.post(PATH, provider="brevo").status_code == 403
    assert visitor.post(f"{PATH}/remove", id="1").status_code == 403


def test_for_partners_the_page_does_not_exist(sign_in):
    """Nor its buttons."""
    partner = sign_in(Role.PARTNER)
    assert partner.get(PATH).status_code == 404
    assert partner.post(PATH, provider="brevo").status_code == 404
    assert partner.post(f"{PATH}/remove", id="1").status_code == 404


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_webhook_is_added_and_its_secret_shown_once(admin, sqlite_database, provider):
    """With what to do with it at the provider; the activity log has who did it, and not the secret."""
    page = admin.post(PATH, provider=provider, secret=webhooks.GIVEN.get(provider, ""))
    assert page.status_code == 200
    assert f"Enter this at {PROVIDERS[provider].title}" in page.text
    assert f"/webhooks/{provider}" in page.text
    with sqlite_database.read() as session:
        [secret] = hooks.secrets_of(session, provider, KEYS)
    assert (secret in page.text) == (provider not in webhooks.GIVEN)
    assert secret not in admin.get(PATH).text
    log = admin.get("/admin/activity").text
    assert "webhook.add" in log
    assert secret not in log


def test_a_wrong_secret_is_asked_for_again(admin):
    """With where the right one is found; what was chosen stays chosen."""
    page = admin.post(PATH, provider="resend", secret="re_123")
    assert page.status_code == 422
    assert "it begins with whsec_" in page.text
    assert re.search(r'<option value="resend" selected', page.text)
    assert admin.post(PATH, provider="pigeon").status_code == 404


def test_the_page_says_what_came_and_lets_a_secret_be_removed(admin, sqlite_database):
    """What was refused stands beside what was heard."""
    admin.post(PATH, provider="brevo")
    with sqlite_database.write() as session:
        numbers = {Outcome.HEARD: 1234, Outcome.REFUSED: 2, Outcome.UNKNOWN: 1}
        store.count(session, "brevo", numbers, NOON)
    text = re.sub(r"<[^>]+>", " ", admin.get(PATH).text)
    for words in ("1,234 heard", "2 not believed", "1 with unknown words", "by admin@example.org"):
        assert words in text
    page = admin.post(f"{PATH}/remove", id="1")
    assert "Brevo is no longer believed" in page.text
    assert "No webhook yet" in page.text
    assert admin.post(f"{PATH}/remove", id="1").status_code == 404


def test_the_page_is_chinese_where_chinese_is_read(admin):
    """Every sentence of it, also what each provider asks for."""
    text = admin.get(f"{PATH}?lang=zh").text
    assert "投递我们信件的服务商告诉我们的投递情况" in text
    assert "Postmark takes" not in text
