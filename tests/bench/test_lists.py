"""The bench of lists: every page comes, on both databases, and the figures are what scripts read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from mailer.audience.store import Membership, Subscriber, Subscription, SubscriptionState, Suppression
from mailer.bench import lists
from mailer.bench.crowd import PARTNERS, Crowd
from mailer.bench.lists import NoAnswer, Plan
from mailer.delivery.store import Campaign, Delivery, Event, Exclusion
from mailer.settings import Settings


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def given(request, settings):
    """Settings of an installation with either database; the bench makes its ground beside it."""
    if request.param == "sqlite":
        return settings
    return Settings(**(settings.model_dump() | {"database_url": request.getfixturevalue("postgres_url")}))


def test_every_question_is_asked_and_timed(given):
    """Lists, searches, segments and partners' desks: a page that does not come would raise."""
    figures = lists.run(given, Plan(rows=1_000, letters=1, times=1), lambda told: None)
    assert figures["rows"] == 1_000
    names = [each["name"] for each in figures["questions"]]
    assert len(names) == len(set(names)) > 60
    for start in ("all people: ", "search: ", "segment: ", "large partner: ", "middling partner: "):
        assert any(name.startswith(start) for name in names)
    for each in figures["questions"]:
        assert list(each) == ["name", "asked", "p50_ms", "p95_ms", "bar_ms", "reached"]
        assert each["p50_ms"] > 0
        assert each["reached"] == (each["p95_ms"] <= each["bar_ms"])


def test_a_page_that_fails_is_no_figure(settings, monkeypatch):
    """A page that says 404 at once would be the quickest of all."""
    monkeypatch.setattr(lists, "_of_secretariat", lambda people, last, count, cookie: [_nowhere(cookie)])
    with pytest.raises(NoAnswer, match="404"):
        lists.run(settings, Plan(rows=1_000, letters=0, times=1, only="nowhere"), lambda told: None)


def _nowhere(cookie):
    return lists.Question("nowhere", ["/admin/nowhere"], cookie)


def test_a_crowd_is_as_uneven_as_people_are(database):
    """One partner is large, some people are on two lists, a few are gone or silenced; letters add up."""
    with database.write() as session:
        Crowd(3_000, 2, datetime(2026, 11, 20, tzinfo=UTC)).write(session)

        def counted(*where):
            return session.scalar(select(func.count()).where(*where))

        sizes = select(func.count()).select_from(Membership).group_by(Membership.partner_id)
        of_partners = sorted(session.scalars(sizes))
        assert len(of_partners) <= PARTNERS
        assert of_partners[-1] > 200 > 5 > of_partners[0]
        twice = select(Membership.subscriber_id).group_by(Membership.subscriber_id).having(func.count() > 1)
        assert 200 < len(session.scalars(twice).all()) < 400
        assert counted(Subscriber.address.is_(None)) == 14
        assert counted(Subscriber.address.is_(None), Subscriber.name_zh != "") == 0
        assert counted(Subscriber.merged_into.is_not(None)) > 0
        assert counted(Suppression.id > 0, Suppression.released_at.is_(None)) > 50
        states = {counted(Subscription.state == each) > 50 for each in SubscriptionState}
        assert states == {True}
        [one, other] = session.scalars(select(Campaign.id).where(Campaign.launched_at.is_not(None)))
        for campaign in (one, other):
            letters, none = (counted(each.campaign_id == campaign) for each in (Delivery, Exclusion))
            assert letters + none == counted(Subscription.subscriber_id > 0)
            assert counted(Event.campaign_id == campaign) > letters / 4
