"""How many a rule means: exactly, or about when the database needs too long."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from mailer.audience import segments
from mailer.audience.store import SubscriptionState
from mailer.delivery import reach
from mailer.patience import TooSlow, hurried
from tests.make import NOON

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


@pytest.fixture
def publication(make):
    return make.publication()


def asked(publication, rule="everyone", **more):
    given = {"rule": segments.parse(rule), "languages": ["zh", "en"], "now": NOON}
    return {"publication_id": publication.id, **given, **more}


def test_a_glance_at_few_people_is_exact(database, make, publication):
    """Letters by language, and who gets none by reason."""
    for language in ("zh", "zh", "en"):
        make.subscriber(language=language)
    pending = make.subscriber(language="zh", subscribed=False)
    make.subscription(pending, state=SubscriptionState.PENDING)
    with database.read() as session:
        meant = reach.glance(session, **asked(publication, "language = zh"))
    assert (meant.letters, meant.excluded, meant.about) == ({"zh": 2}, {"pending": 1}, 1)
    assert (meant.total, meant.meant) == (2, 3)


def test_who_runs_out_of_patience_is_told_about_how_many(database, make, publication, monkeypatch):
    """A sample spread over all people, scaled up: near the truth, and marked."""
    monkeypatch.setattr(reach, "_SAMPLE", 150)
    with database.write() as session:
        builders = make.within(session)
        for number in range(600):
            builders.subscriber(language="zh" if number % 4 else "en")
    with database.read() as session:
        exact = reach.preview(
            session, publication_id=publication.id, audience="everyone", languages=["zh", "en"], now=NOON
        )
        meant = reach._sampled(
            session, reach._Question(segments.parse("everyone"), publication.id, ["zh", "en"], True, NOON)
        )
    assert meant.about == 5
    assert exact.letters == {"zh": 450, "en": 150}
    assert meant.letters["zh"] == pytest.approx(450, rel=0.2)


def test_a_statement_that_lasts_too_long_is_stopped_and_the_transaction_goes_on(database):
    """Nobody waits for a count, and what was asked before stays."""
    with database.read() as session:
        with pytest.raises(TooSlow), hurried(session, 0.05):
            session.execute(text(ENDLESS[database.dialect]))
        assert session.scalar(select(1)) == 1
        with hurried(session, 60):
            assert session.scalar(select(2)) == 2


def test_some_of_the_people_are_shown_newest_first(database, make, publication):
    """No erased ones, none of another publication."""
    first, second = make.subscriber(language="zh"), make.subscriber(language="zh")
    make.subscriber(language="zh", publication=make.publication("other"))
    make.subscriber(language="en", publication=publication)
    with database.read() as session:
        given = {**asked(publication, "language = zh"), "limit": 5}
        del given["languages"]
        assert [each.id for each in reach.people(session, **given)] == [second.id, first.id]
