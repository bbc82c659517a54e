"""The secretariat's home: each role sees what waits for it, and nothing that it may not do."""

from __future__ import annotations

import pytest

from mailer.accounts.store import Role
from mailer.delivery.store import CampaignState, EventKind
from tests.make import Make


@pytest.fixture
def waiting(make: Make) -> None:
    """A campaign to approve, one to launch, a request of a partner, a bounce nobody understands."""
    make.campaign(CampaignState.REVIEW, issue=make.issue("8"))
    make.campaign(CampaignState.APPROVED, issue=make.issue("9"))
    make.request(make.partner())
    letter = make.delivery(campaign=make.campaign(CampaignState.SENT, issue=make.issue("7")))
    make.event(letter, EventKind.BOUNCE, category="unknown", detail="550 no")


APPROVAL, LAUNCH = "waits for your approval", "is approved and can be launched"
REQUEST, BOUNCE = "1 request of a partner is open", "1 bounce was not understood"


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("role", "seen"),
    [
        (Role.ADMIN, {APPROVAL, LAUNCH, REQUEST, BOUNCE}),
        (Role.EDITOR, {REQUEST}),
        (Role.APPROVER, {APPROVAL}),
        (Role.SENDER, {LAUNCH}),
        (Role.VIEWER, set()),
    ],
)
def test_home_names_what_waits_for_whoever_looks(sign_in, role, seen):
    """And the last issue's figures, for everybody."""
    page = sign_in(role).get("/").text
    assert {each for each in (APPROVAL, LAUNCH, REQUEST, BOUNCE) if each in page} == seen
    assert ("Nothing waits for you." in page) == (not seen)
    assert "Green Observer, no. 7" in page


def test_an_author_is_not_asked_to_approve_their_own(sign_in, make):
    """The verb would refuse it: a task that cannot be done is none."""
    admin = sign_in(Role.ADMIN)
    make.campaign(CampaignState.REVIEW, created_by=admin.user.email)
    assert APPROVAL not in admin.get("/desk").text


def test_a_new_house_is_told_where_to_begin(sign_in):
    """Who may write is led to the first issue; who may not is promised nothing."""
    assert "Begin with the first issue" in sign_in(Role.EDITOR).get("/desk").text
    assert "Begin with the first issue" not in sign_in(Role.VIEWER).get("/desk").text


def test_a_large_campaign_is_not_counted_while_somebody_waits(sign_in, make):
    """Its report is a click away."""
    campaign = make.campaign(CampaignState.SENT, candidates=5_000_000)
    page = sign_in(Role.VIEWER).get("/desk").text
    assert f'<a href="/desk/campaigns/{campaign.public_id}">See how it fared</a>' in page
    assert "Accepted" not in page
