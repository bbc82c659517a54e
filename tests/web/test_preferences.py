"""Preferences: what a reader changes with a link mailed to them, and what takes one more mail."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from mailer.audience import topics
from mailer.audience.evidence.store import PastConsent
from mailer.audience.store import (
    AddressChange,
    Membership,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.feedback import policy
from mailer.signing import Purpose
from tests.make import KEYS, NOON
from tests.web.post import Post, office

DAY = timedelta(days=1)


@pytest.fixture
def ann(make):
    """A reader of the Observer."""
    return make.subscriber("ann@example.org")


@pytest.fixture
def post(settings, sqlite_database, ann):
    """The application, at NOON."""
    with office(settings, sqlite_database) as post:
        yield post


@pytest.fixture
def mine(ann):
    """Ann's preferences page."""
    return f"/my/{KEYS.sign(Purpose.PREFERENCES, ann.id, 1, expires=NOON + DAY)}"


def its(database, person, publication=1):
    with database.read() as session:
        return session.get(Subscription, (publication, person.id))


def row(database, person):
    with database.read() as session:
        return session.get_one(Subscriber, person.id)


# -- letters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "kept"), [("14", 14), ("30", 30), ("90", 90), ("", None)])
def test_how_often_is_chosen(post: Post, sqlite_database, ann, mine, every, kept):
    """Of the intervals offered; nothing means every issue."""
    page = post.client.post(f"{mine}/letters/observer", data={"every": every})
    assert "Saved." in page.text
    assert its(sqlite_database, ann).every_days == kept


@pytest.mark.parametrize(
    ("asked", "until"),
    [
        ({"months": "1"}, datetime(2026, 12, 19, 16, tzinfo=UTC)),  # midnight in Shanghai, the publication's
        ({"months": "6"}, datetime(2027, 5, 19, 16, tzinfo=UTC)),
        ({"until": "2027-01-31"}, datetime(2027, 1, 30, 16, tzinfo=UTC)),
    ],
)
def test_a_pause_lasts_for_months_or_until_a_day_and_can_be_ended(
    post: Post, sqlite_database, ann, mine, asked, until
):
    """Days begin where the publication is at home."""
    page = post.client.post(f"{mine}/letters/observer/pause", data=asked)
    assert "Paused. No letter will come before" in page.text
    assert its(sqlite_database, ann).paused_until == until
    page = post.client.post(f"{mine}/letters/observer/resume")
    assert "Letters come again." in page.text
    assert its(sqlite_database, ann).paused_until is None


@pytest.mark.parametrize(
    "asked", [{}, {"until": "2026-11-19"}, {"until": "2028-01-01"}, {"months": "9"}, {"until": "x"}]
)
def test_a_pause_without_an_end_is_none(post: Post, sqlite_database, ann, mine, asked):
    """Neither in the past nor for years; the page says what to do."""
    page = post.client.post(f"{mine}/letters/observer/pause", data=asked)
    assert page.status_code == 422
    assert 'class="trouble"' in page.text
    assert its(sqlite_database, ann).paused_until is None


def test_the_last_day_of_a_month_stays_the_last(post: Post, sqlite_database, ann, mine):
    """A month after 31 January ends with February."""
    post.now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    post.client.post(f"{mine}/letters/observer/pause", data={"months": "1"})
    assert its(sqlite_database, ann).paused_until == datetime(2026, 2, 27, 16, tzinfo=UTC)


def test_another_newsletter_of_the_house_is_one_press_away(post: Post, sqlite_database, ann, mine, make):
    """The link came by mail: the press is consent, kept with its evidence. Leaving one leaves the other."""
    weekly = make.publication("weekly")
    page = post.client.post(f"{mine}/letters/weekly/join")
    assert "You are subscribed to" in page.text
    kept = its(sqlite_database, ann, weekly.id)
    assert (kept.state, kept.consent_kind, kept.consent_origin) == ("confirmed", "sign_up", "192.0.2.7")
    post.client.post(f"{mine}/letters/observer/leave")
    assert its(sqlite_database, ann).state == "left"
    assert its(sqlite_database, ann, weekly.id).state == "confirmed"
    post.client.post(f"{mine}/letters/observer/join")
    post.client.post(f"{mine}/leave")
    assert its(sqlite_database, ann).state == its(sqlite_database, ann, weekly.id).state == "left"


def test_why_somebody_leaves_is_kept_and_all_that_held_before_is_shown(
    post: Post, sqlite_database, ann, mine, make
):
    """In the words that were agreed to; topics by their names."""
    make.topic("water")
    post.client.post(f"{mine}/letters/observer", data={"topics": "water"})
    page = post.client.post(f"{mine}/letters/observer/leave", data={"reason": " too  many "})
    assert "You have left" in page.text
    assert its(sqlite_database, ann).left_reason == "too many"
    first = its(sqlite_database, ann).consent_wording
    post.client.post(f"{mine}/letters/observer/join")
    token = KEYS.sign_briefly(Purpose.DATA, ann.id, expires=NOON + timedelta(minutes=9))
    shown = post.client.get(f"/data/{token}").text
    before = shown.partition("What held before")[2]
    assert before.count("In these words") == before.count(first) == 2  # until they left, and then
    assert "Topic water" in shown


def test_who_has_left_can_neither_pause_nor_choose_how_often(post: Post, mine):
    """Subscribe again first."""
    post.client.post(f"{mine}/leave")
    assert post.client.post(f"{mine}/letters/observer/pause", data={"months": "1"}).status_code == 409
    assert post.client.post(f"{mine}/letters/observer", data={"every": "14"}).status_code == 409


def test_names_as_letters_say_them(post: Post, sqlite_database, ann, mine):
    """The person's own word: no partner's outranks it any more."""
    post.client.post(mine, data={"language": "zh", "name_zh": "李安", "honorific_zh": "博士"})
    kept = row(sqlite_database, ann)
    assert (kept.salutation_zh, kept.language, kept.chosen_at) == ("尊敬的李安博士：", "zh", NOON)


# -- another address -------------------------------------------------------------------------------------


def move(post: Post, mine: str, address: str = "ann@new.example") -> None:
    """Ask for another address and confirm it there."""
    post.client.post(f"{mine}/address", data={"address": address})
    assert post.mails[-1][0] == address
    post.client.post(post.link("address"))


def test_letters_move_when_the_new_address_confirms(post: Post, sqlite_database, ann, mine, make):
    """The row keeps its id, partners and choices; the old address is told; what silenced it stays behind."""
    partner = make.partner("ours")
    make.membership(partner, ann)
    make.suppression("ann@example.org", "mailbox_full")
    post.client.post(f"{mine}/address", data={"address": "ann@new.example"})
    assert row(sqlite_database, ann).address == "ann@example.org"
    path = post.link("address")
    assert "Shall your letters come to this address?" in post.client.get(path).text
    assert row(sqlite_database, ann).address == "ann@example.org"
    assert "come here now" in post.client.post(path).text
    moved = row(sqlite_database, ann)
    assert (moved.address, moved.address_key, moved.domain) == (
        "ann@new.example",
        "ann@new.example",
        "new.example",
    )
    assert moved.address_hash == KEYS.address_hash("ann@new.example")
    to, subject, text = post.mails[-1]
    assert (to, subject) == ("ann@example.org", "Green Observer: your address was changed")
    assert "a•••@new.example" in text
    assert "ann@new.example" not in text
    with sqlite_database.read() as session:
        assert session.query(Membership).one().subscriber_id == ann.id
        assert session.query(Suppression).one().address_hash == KEYS.address_hash("ann@example.org")
        assert session.query(AddressChange).one().address is None


def test_where_the_new_address_is_known_the_two_become_one_and_nobody_is_told(
    post: Post, sqlite_database, ann, mine, make
):
    """What the person who moves has settled stands; the rest is taken over, also the other's partners."""
    ours, theirs, both = make.partner("ours"), make.partner("theirs"), make.partner("both")
    weekly = make.publication("weekly")
    make.publication("observer")
    other = make.subscriber("ann@new.example", subscribed=False, given_en="Anna", name_en="Anna")
    make.subscription(other, make.publication("observer"), SubscriptionState.LEFT)
    make.subscription(other, weekly)
    make.topic("climate", other)
    for partner, person in ((ours, ann), (theirs, other), (both, ann), (both, other)):
        make.membership(partner, person)
    known = post.client.post(f"{mine}/address", data={"address": "ann@new.example"})
    unknown = post.client.post(f"{mine}/address", data={"address": "nobody@new.example"})
    assert known.text == unknown.text
    post.client.post(post.link("address", mail=0))
    assert its(sqlite_database, ann).state == "confirmed"
    assert its(sqlite_database, ann, weekly.id).state == "confirmed"
    husk = row(sqlite_database, other)
    assert (husk.address, husk.name_en, husk.salutation_en) == (None, "", "")
    with sqlite_database.read() as session:
        held = {
            (each.partner_id, each.subscriber_id)
            for each in session.query(Membership).filter(Membership.ended_at.is_(None))
        }
        assert held == {(partner.id, ann.id) for partner in (ours, theirs, both)}
        past = {(each.publication_id, each.partner_id, each.state) for each in session.query(PastConsent)}
        assert (make.publication("observer").id, None, "left") in past  # what gave way is evidence still
        assert {each.subscriber_id for each in session.query(PastConsent)} == {ann.id}
        assert topics.chosen(session, ann.id, make.publication("observer").id) == ["climate"]


@pytest.mark.parametrize("reason", ["complaint", "manual"])
def test_an_address_that_wants_no_mail_gets_none_and_the_answer_is_the_same(post: Post, mine, make, reason):
    """Nothing tells that it is on the list."""
    make.suppression("ann@new.example", reason)
    page = post.client.post(f"{mine}/address", data={"address": "ann@new.example"})
    assert "We have mailed a link to the new address" in page.text
    assert post.mails == []


def test_ones_own_address_is_no_new_one(post: Post, mine):
    """In any spelling."""
    assert post.client.post(f"{mine}/address", data={"address": "Ann@Example.org"}).status_code == 422
    assert post.client.post(f"{mine}/address", data={"address": "nonsense"}).status_code == 422


def test_a_new_address_is_confirmed_once(post: Post, sqlite_database, ann, mine):
    """A second press, or a link that a later change settled, moves nothing."""
    for address in ("one@new.example", "two@new.example"):
        post.client.post(f"{mine}/address", data={"address": address})
    first, second = post.link("address", 0), post.link("address", 1)
    post.client.post(second)
    assert post.client.post(first).status_code == 404
    assert post.client.post(second).status_code == 200
    assert row(sqlite_database, ann).address == "two@new.example"


def test_a_letter_to_the_old_address_that_comes_back_late_does_not_silence_the_new(
    post: Post, sqlite_database, ann, mine, make
):
    """Law 4: the bounce is about the address that the letter went to."""
    letter = make.delivery(subscriber=ann)
    make.attempt(letter, at=NOON)
    post.later(hours=1)
    move(post, mine)
    make.event(
        letter,
        at=post.now + DAY,
        category="bad_mailbox",
        status="5.1.1",
        dead=True,
        permanent=True,
        applied=False,
    )
    with sqlite_database.write() as session:
        policy.apply_pending(session, now=post.now + DAY)
    with sqlite_database.read() as session:
        silenced = [each.address_hash for each in session.query(Suppression)]
    assert silenced == [KEYS.address_hash("ann@example.org")]


# -- my data ---------------------------------------------------------------------------------------------


def test_my_data_come_after_one_more_mail_to_read_and_to_take(post: Post, ann, mine, make):
    """A preferences link may be a day old and lie about; this one works for ten minutes."""
    make.membership(
        make.partner("ours", name_en="The Ministry"), ann, notes="met in Rome", consent_by="boss@ours.example"
    )
    letter = make.delivery(subscriber=ann)
    make.event(letter, "open", detail="Firefox")
    post.client.post(f"{mine}/data")
    path = post.link("data")
    page = post.client.get(path)
    for held in ("ann@example.org", "The Ministry", "met in Rome", "I want this newsletter.", "Firefox"):
        assert held in page.text
    assert "boss@ours.example" not in page.text
    taken = post.client.get(f"{path}/export")
    told = json.loads(taken.content)
    assert told["person"]["address"] == "ann@example.org"
    assert [each["what"] for each in told["events"]] == ["open"]
    assert "boss@ours.example" not in taken.text
    assert "attachment" in taken.headers["content-disposition"]
    post.later(minutes=11)
    assert post.client.get(path).status_code == 410
    assert post.client.get(f"{path}/export").status_code == 410


def test_erasing_takes_a_mail_and_one_press(post: Post, sqlite_database, ann, mine):
    """Then no link of that person opens anything any more."""
    post.client.post(f"{mine}/erase")
    path = post.link("erase")
    assert "Erase everything about you?" in post.client.get(path).text
    assert row(sqlite_database, ann).address == "ann@example.org"
    assert "Your data are erased" in post.client.post(path).text
    assert row(sqlite_database, ann).address is None
    assert post.client.get(mine).status_code == 404
    assert post.client.post(path).status_code == 404
    with sqlite_database.read() as session:
        kept = session.query(Suppression).one()
        assert (kept.reason, kept.address_hash) == ("erased", KEYS.address_hash("ann@example.org"))


# -- links -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "purpose"),
    [("my", Purpose.PREFERENCES), ("welcome", Purpose.PREFERENCES), ("confirm", Purpose.CONFIRM)],
)
def test_an_expired_link_offers_a_fresh_one_to_the_same_address(post: Post, ann, page, purpose):
    """Whoever holds it learns nothing: the mail goes to the address in it, three times an hour at most."""
    old = KEYS.sign(purpose, ann.id, 1, expires=NOON - 2 * DAY)
    shown = post.client.get(f"/{page}/{old}")
    assert shown.status_code == 410
    assert "ann@example.org" not in shown.text
    answers = [post.client.post(f"/fresh/{page}/{old}").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert [to for to, _, _ in post.mails] == ["ann@example.org"] * 3
    fresh = "my" if page == "welcome" else page
    assert post.client.get(post.link(fresh)).status_code == 200


def test_expired_links_to_data_erasure_and_a_sign_up_are_mailed_afresh_too(post: Post, ann, make):
    """Each in its own kind."""
    sign_up = make.sign_up(make.subscriber("new@example.org"))
    old = NOON - 2 * DAY
    links = {
        "data": KEYS.sign_briefly(Purpose.DATA, ann.id, expires=old),
        "erase": KEYS.sign_briefly(Purpose.ERASE, ann.id, expires=old),
        "joining": KEYS.sign(Purpose.SIGN_UP, sign_up.id, expires=old),
    }
    for page, token in links.items():
        assert post.client.get(f"/{page}/{token}").status_code == 410
        post.client.post(f"/fresh/{page}/{token}")
        assert post.client.get(post.link(page)).status_code == 200
    assert [to for to, _, _ in post.mails] == ["ann@example.org", "ann@example.org", "new@example.org"]


def test_an_expired_link_of_a_move_is_mailed_afresh_to_the_new_address(post: Post, ann, mine):
    """Until the person has moved; the old address hears nothing of it."""
    post.client.post(f"{mine}/address", data={"address": "new@example.org"})
    old = post.link("address")
    post.later(days=4)
    page = post.client.get(old)
    assert (page.status_code, "Mail me a fresh link" in page.text) == (410, True)
    assert "new@example.org" not in page.text
    assert "on its way" in post.client.post(f"/fresh{old}").text
    assert [to for to, _, _ in post.mails] == ["new@example.org"] * 2
    post.client.post(post.link("address"))
    assert post.client.post(f"/fresh{old}").status_code == 404


def test_a_forged_link_is_mailed_to_nobody(post: Post, ann):
    """Nor one of another purpose."""
    leave = KEYS.sign(Purpose.LEAVE, ann.id, 1)
    for token in ("forged", leave):
        assert post.client.post(f"/fresh/my/{token}").status_code == 404
    assert post.mails == []


def test_a_forwarded_letters_own_links_open_nothing_but_leaving_and_the_letter(
    post: Post, ann, make, sqlite_database
):
    """Law 3: with all that stands in a letter, nobody sees or changes what is its reader's."""
    letter = make.delivery(subscriber=ann)
    before = row(sqlite_database, ann), its(sqlite_database, ann)
    purposes = (Purpose.LINK, Purpose.LEAVE, Purpose.RETURN_PATH, Purpose.MESSAGE_ID)
    for token in (KEYS.sign(purpose, letter.campaign_id, letter.n) for purpose in purposes):
        for page in ("my", "data", "data/{}/export", "erase", "welcome", "joining", "confirm", "address"):
            path = f"/{page.format(token)}" if "{}" in page else f"/{page}/{token}"
            assert post.client.get(path).status_code == 404
        for path in (
            f"/my/{token}", f"/my/{token}/leave", f"/my/{token}/address", f"/my/{token}/data",
            f"/my/{token}/erase",
            f"/my/{token}/letters/observer", f"/my/{token}/letters/observer/pause",
            f"/my/{token}/letters/observer/join", f"/erase/{token}", f"/address/{token}", f"/joining/{token}",
            f"/fresh/my/{token}", f"/fresh/data/{token}", f"/fresh/erase/{token}",
        ):  # fmt: skip
            answers = {"address": "evil@example.net", "language": "zh", "months": "1"}
            assert post.client.post(path, data=answers).status_code == 404, path
    assert post.mails == []
    after = row(sqlite_database, ann), its(sqlite_database, ann)
    assert (after[0].address, after[0].language, after[1].state) == (before[0].address, "en", "confirmed")


def test_a_preferences_link_does_not_open_data_or_erasure(post: Post, ann, mine):
    """Those take a link of their own."""
    token = mine.removeprefix("/my/")
    for path in (f"/data/{token}", f"/data/{token}/export", f"/erase/{token}"):
        assert post.client.get(path).status_code == 404
    assert post.client.post(f"/erase/{token}").status_code == 404
