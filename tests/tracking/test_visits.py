"""Clicks lead where the edition says, opens and clicks are told, leaving is one act."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mailer import tracking
from mailer.audience import subscriptions
from mailer.audience.store import Subscriber, SubscriptionState
from mailer.database import Database
from mailer.delivery import events, letters, store
from mailer.delivery.store import CampaignState, Delivery, DeliveryState, Event
from mailer.errors import NotFound
from mailer.issues import freeze
from mailer.settings import Settings
from mailer.signing import BadToken, Purpose
from mailer.tracking import NobodysLetter
from mailer.tracking.visits import NoSuchLink
from tests.make import KEYS, NOON, Make, document

LINKS = ("https://example.org/report", "https://example.org/figures?year=2026&page=2")
PERSON = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"
)
SCANNER = "Mozilla/5.0 (compatible; LinkScanner/2.1)"


def token(delivery: Delivery, purpose: Purpose = Purpose.LINK) -> str:
    return KEYS.sign(purpose, delivery.campaign_id, delivery.n)


def click(database: Database, of: str, index: int = 0, agent: str = PERSON, seconds: float = 0) -> str:
    with database.write() as session:
        at = NOON + timedelta(seconds=seconds)
        return tracking.click(session, keys=KEYS, token=of, index=index, now=at, user_agent=agent)


def told(database: Database) -> list[Event]:
    with database.read() as session:
        return list(session.scalars(select(Event).order_by(Event.id)))


@pytest.fixture
def delivery(make: Make) -> Delivery:
    return make.delivery("ann@example.org", campaign=make.campaign(links=LINKS))


def test_a_click_leads_where_the_edition_says(database: Database, delivery: Delivery) -> None:
    """And is told with the link's place."""
    assert click(database, token(delivery), 1) == LINKS[1]
    [event] = told(database)
    assert (event.kind, event.link, event.n, event.detail, event.source) == ("click", 1, 1, "", "web")


@pytest.mark.parametrize("index", [-1, 2, 40_000])
def test_a_link_the_edition_does_not_have_leads_nowhere(
    database: Database, delivery: Delivery, index: int
) -> None:
    """No open redirect: only stored links are followed."""
    with pytest.raises(NoSuchLink):
        click(database, token(delivery), index)
    assert told(database) == []


def test_readers_of_two_languages_get_their_own_editions_links(database: Database, make: Make) -> None:
    """The same place in the table leads elsewhere in the other language."""
    campaign = make.campaign()
    readers = {language: make.subscriber(language=language) for language in ("zh", "en")}
    with database.write() as session:
        for language, frozen in store.frozen_editions(session, campaign.id).items():
            session.get_one(type(frozen), frozen.id).links = [f"https://example.org/{language}"]
    for language, reader in readers.items():
        letter = make.delivery(campaign=campaign, subscriber=reader)
        assert click(database, token(letter)) == f"https://example.org/{language}"


def test_a_double_click_is_one_click(database: Database, delivery: Delivery) -> None:
    """Within a second; another link, or a later moment, is another click."""
    for index, seconds in ((0, 0), (0, 0.9), (1, 0), (0, 2)):
        click(database, token(delivery), index, seconds=seconds)
    assert [(event.link, event.at.second) for event in told(database)] == [(0, 0), (1, 0), (0, 2)]


def test_a_machines_visit_is_told_as_a_machines(database: Database, delivery: Delivery) -> None:
    """It may come in the same second as the person."""
    for agent in (SCANNER, PERSON, ""):
        click(database, token(delivery), agent=agent)
    assert [event.detail.startswith(events.MACHINE) for event in told(database)] == [True, False]


def test_an_open_is_told(database: Database, delivery: Delivery) -> None:
    """Once a second at most."""
    for _ in range(2):
        with database.write() as session:
            tracking.open_pixel(session, keys=KEYS, token=token(delivery), now=NOON, user_agent=PERSON)
    assert [event.kind for event in told(database)] == ["open"]


@pytest.mark.parametrize("purpose", [Purpose.LEAVE, Purpose.RETURN_PATH, Purpose.MESSAGE_ID])
def test_a_token_of_another_purpose_does_not_click(
    database: Database, delivery: Delivery, purpose: Purpose
) -> None:
    """Each token opens one door."""
    with pytest.raises(BadToken):
        click(database, token(delivery, purpose))


def test_a_test_letters_links_lead_on_and_count_nothing(database: Database, delivery: Delivery) -> None:
    """Number 0 is nobody's."""
    nobody = KEYS.sign(Purpose.LINK, delivery.campaign_id, letters.NOBODY)
    assert click(database, nobody, 1) == LINKS[1]
    with database.write() as session:
        tracking.open_pixel(session, keys=KEYS, token=nobody, now=NOON, user_agent=PERSON)
    with pytest.raises(NoSuchLink):
        click(database, nobody, 2)
    assert told(database) == []


def leave(database: Database, of: str, reason: str = "") -> tracking.Reader:
    with database.write() as session:
        return tracking.leave(session, keys=KEYS, token=of, now=NOON, reason=reason)


def test_leaving_ends_the_subscription_and_is_told_once(database: Database, delivery: Delivery) -> None:
    """Mail programs press the button twice."""
    for _ in range(2):
        reader = leave(database, token(delivery, Purpose.LEAVE), "too many letters")
        assert reader.state == SubscriptionState.LEFT
    [event] = told(database)
    assert (event.kind, event.detail) == ("leave", "too many letters")


def test_who_came_back_can_leave_again_by_the_same_letter(database: Database, delivery: Delivery) -> None:
    """The event is old news; the wish is not."""
    left = leave(database, token(delivery, Purpose.LEAVE))
    with database.write() as session:
        subscriptions.rejoin(
            session, subscriber_id=left.subscriber_id, publication_id=left.publication_id, now=NOON
        )
    assert leave(database, token(delivery, Purpose.LEAVE)).state == SubscriptionState.LEFT


def test_a_click_token_does_not_leave(database: Database, delivery: Delivery) -> None:
    """Forwarded letters carry it."""
    with pytest.raises(BadToken):
        leave(database, token(delivery))


def test_a_page_learns_whom_the_letter_went_to(database: Database, delivery: Delivery) -> None:
    """No more than the page needs."""
    with database.read() as session:
        reader = tracking.who(session, keys=KEYS, token=token(delivery))
    assert (reader.n, reader.address, reader.language) == (1, "ann@example.org", "en")
    assert (reader.publication_code, reader.publication_name) == ("observer", "Green Observer")
    assert reader.state == SubscriptionState.CONFIRMED


def test_a_test_letter_has_nobody_to_show(database: Database, delivery: Delivery) -> None:
    """One sentence, 404."""
    nobody = KEYS.sign(Purpose.LEAVE, delivery.campaign_id, letters.NOBODY)
    with pytest.raises(NobodysLetter, match="test letter"):
        leave(database, nobody)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_for_a_token_is_refused_in_one_sentence(text: str) -> None:
    """Before the database is asked."""
    for purpose in (Purpose.LINK, Purpose.LEAVE):
        with pytest.raises(BadToken, match="not whole, or not valid"):
            KEYS.read(purpose, text)


def test_the_letter_in_the_browser_is_the_letter_that_was_sent(
    sqlite_database: Database, settings: Settings
) -> None:
    """With this reader's own salutation and links, from the frozen bytes."""
    make = Make(sqlite_database)
    issue = make.issue(languages=("en",), documents={"en": document(headline="Rivers return")})
    campaign = make.campaign(CampaignState.DRAFT, issue=issue)
    with sqlite_database.write() as session:
        [frozen] = freeze.freeze(session, issue_id=issue.id, languages=["en"], now=NOON, settings=settings)
        store.set_editions(session, campaign.id, [frozen])
    letter = make.delivery("ann@example.org", campaign=campaign, salutation="Dear Dr Lee,")
    with sqlite_database.read() as session:
        seen = tracking.view(session, settings=settings, token=token(letter), now=NOON)
    assert seen.language == "en"
    assert seen.subject == frozen.subject
    assert "Dear Dr Lee," in seen.html
    assert "Rivers return" in seen.html
    assert f"/c/{token(letter)}/0" in seen.html


def test_an_erased_readers_letter_is_shown_no_more(sqlite_database: Database, settings: Settings) -> None:
    """The ledger keeps its row, the address is gone."""
    letter = Make(sqlite_database).delivery(state=DeliveryState.ACCEPTED)
    with sqlite_database.write() as session:
        session.get_one(Subscriber, letter.subscriber_id).address = None
    with sqlite_database.read() as session, pytest.raises(NotFound, match="no longer"):
        tracking.view(session, settings=settings, token=token(letter), now=NOON)
