"""Signing up: one answer for every address, mail to whoever it belongs to, and machines slowed down."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from mailer.audience import topics
from mailer.audience.store import (
    ConsentKind,
    SignUp,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.web import sign_up, tickets
from tests.make import KEYS, NOON
from tests.web.conftest import hidden
from tests.web.post import Post, office


@pytest.fixture
def post(settings, sqlite_database, make):
    """The application with a publication, at NOON."""
    make.publication()
    with office(settings, sqlite_database) as post:
        yield post


def subscription(database, address="ann@example.org"):
    with database.read() as session:
        person = session.query(Subscriber).filter(Subscriber.address_key == address).one()
        return session.get(Subscription, (1, person.id))


def test_the_whole_way_from_the_form_to_the_preferences(post: Post, sqlite_database, make):
    """Fill in, read the mail, press one button: subscribed, with evidence, and on to one's preferences."""
    make.topic("climate")
    page = post.fill_in(topics=["climate"], given_en="Ann", family_en="Lee", honorific_en="Dr")
    assert "Please look into your mailbox" in page.text
    assert subscription(sqlite_database).state == "pending"
    [(to, subject, text)] = post.mails
    assert (to, subject) == ("ann@example.org", "Green Observer: please confirm")
    assert not re.search("Ann|Lee|Dr", text)  # what a stranger typed does not stand in the mail
    path = post.link("joining")
    assert "Would you like to receive Green Observer?" in post.client.get(path).text
    assert subscription(sqlite_database).state == "pending"  # looking changes nothing
    post.later(minutes=5)
    page = post.client.post(path)
    assert page.url.path.startswith("/welcome/")
    assert "Welcome" in page.text
    its = subscription(sqlite_database)
    assert (its.state, its.consent_kind, its.consent_origin) == (
        "confirmed",
        ConsentKind.SIGN_UP,
        "192.0.2.7",
    )
    assert its.consent_at == post.now
    assert "Green Observer from The Secretariat" in its.consent_wording
    with sqlite_database.read() as session:
        person = session.query(Subscriber).one()
        assert person.salutation_en == "Dear Dr Lee,"
        assert topics.chosen(session, person.id, 1) == ["climate"]


def test_a_second_press_of_the_confirm_button_opens_no_preferences(post: Post):
    """The mail may have been forwarded meanwhile: only the first press is surely the person's."""
    post.fill_in()
    path = post.link("joining")
    post.client.post(path)
    page = post.client.post(path)
    assert page.url.path == path
    assert "/my/" not in page.text


def test_a_welcome_goes_out_where_the_publication_greets(post: Post, sqlite_database, make):
    """With a link to the preferences."""
    with sqlite_database.write() as session:
        session.merge(make.publication()).welcomes = True
    post.fill_in()
    post.client.post(post.link("joining"))
    assert post.mails[-1][1] == "Welcome to Green Observer"
    assert post.client.get(post.link("my")).status_code == 200


def known(make, kind: str) -> None:
    """Make ann@example.org somebody of that kind."""
    if kind == "new":
        return
    person = make.subscriber("ann@example.org", subscribed=False)
    state = {"pending": SubscriptionState.PENDING, "left": SubscriptionState.LEFT}.get(kind)
    make.subscription(person, state=state or SubscriptionState.CONFIRMED, changed_at=NOON - timedelta(days=9))
    if kind in ("complaint", "manual", "bad_mailbox", "erased"):
        make.suppression("ann@example.org", kind)


KINDS = {
    "new": "please confirm",
    "pending": "please confirm",
    "left": "please confirm",
    "confirmed": "you are subscribed already",
    "complaint": None,
    "manual": None,
    "bad_mailbox": "please confirm",
    "erased": "please confirm",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_never_tells_whether_an_address_is_known(post: Post, make, kind):
    """Same page, same status, same place; only the mailbox hears the difference."""
    known(make, kind)
    page = post.fill_in()
    assert (page.status_code, page.url.path) == (200, "/join/observer/sent")
    assert page.text == post.client.get("/join/observer/sent?lang=en").text
    wanted = KINDS[kind]
    assert [subject for _, subject, _ in post.mails] == ([f"Green Observer: {wanted}"] if wanted else [])


def test_what_depends_on_the_address_happens_after_the_answer_has_left(post: Post, make, sqlite_database):
    """So that time tells nothing either: the request itself neither writes nor looks anybody up."""
    known(make, "left")
    page = post.client.get("/join/observer")
    post.later(seconds=5)
    asked: list[str] = []
    answered: list[int] = []

    def note(_connection, _cursor, statement, *_more):
        asked.append(statement)

    async def watched(scope, receive, send):
        async def sending(message):
            if message["type"] == "http.response.body":
                answered.append(len(asked))
            await send(message)

        await post.client.app(scope, receive, sending)

    event.listen(sqlite_database.engine, "before_cursor_execute", note)
    answers = {
        "address": "ann@example.org",
        "language": "en",
        "agreed": "1",
        "ticket": hidden(page.text, "ticket"),
    }
    with TestClient(watched, follow_redirects=False) as client:
        client.post("/join/observer", data=answers)
    event.remove(sqlite_database.engine, "before_cursor_execute", note)
    about_people = ["subscribers" in each or "suppressions" in each for each in asked]
    assert any(about_people)
    assert not any(about_people[: answered[0]])


def test_who_left_comes_back_by_their_own_mail_and_not_before(post: Post, make, sqlite_database):
    """Filling in a form for somebody who left changes nothing; a partner's word would not bring them back."""
    known(make, "left")
    post.fill_in()
    assert subscription(sqlite_database).state == "left"
    post.client.post(post.link("joining"))
    assert subscription(sqlite_database).state == "confirmed"


def test_who_left_after_signing_up_is_not_brought_back_by_the_old_mail(post: Post, sqlite_database):
    """The newer word counts."""
    post.fill_in()
    with sqlite_database.write() as session:
        its = session.query(Subscription).one()
        its.state, its.changed_at = SubscriptionState.LEFT, post.now + timedelta(hours=1)
    page = post.client.post(post.link("joining"))
    assert "This has been settled" in page.text
    assert subscription(sqlite_database).state == "left"


def test_confirming_shows_that_a_silenced_mailbox_is_alive(post: Post, make, sqlite_database):
    """Law 4: its bounces are forgiven; a complaint would not be."""
    known(make, "bad_mailbox")
    post.fill_in()
    with sqlite_database.read() as session:
        assert session.query(Suppression).one().released_at is None
    post.client.post(post.link("joining"))
    with sqlite_database.read() as session:
        assert session.query(Suppression).one().released_by == "reader"


def test_a_stranger_changes_nothing_about_who_is_known(post: Post, make, sqlite_database):
    """Language, names and topics of the form wait for the person's own press."""
    known(make, "pending")
    post.fill_in(language="zh", family_en="Mallory")
    with sqlite_database.read() as session:
        person = session.query(Subscriber).one()
        assert (person.language, person.family_en, person.chosen_at) == ("en", "", None)


# -- list bombing and machines ---------------------------------------------------------------------------


def test_an_address_gets_one_mail_an_hour(post: Post):
    """However often and from wherever forms are filled in; the answer stays the same."""
    pages = [post.fill_in() for _ in range(3)]
    assert {page.url.path for page in pages} == {"/join/observer/sent"}
    assert len(post.mails) == 1


def test_a_silenced_address_gets_one_mail_a_week(post: Post, make):
    """Mail to dead addresses costs our name."""
    known(make, "bad_mailbox")
    doorkeeper = post.client.app.state.house.doorkeeper
    doorkeeper.count(sign_up.WHERE_MAILS_CAME_BACK, "join", KEYS.address_hash("ann@example.org"))
    assert post.fill_in().url.path == "/join/observer/sent"
    assert post.mails == []


def test_a_form_sent_faster_than_a_person_reads_is_shown_again(post: Post):
    """Two seconds; the second press goes through with the same form."""
    page = post.fill_in(wait=1)
    assert page.status_code == 422
    assert "press the button once more" in page.text
    assert 'value="ann@example.org"' in page.text
    assert post.mails == []


@pytest.mark.parametrize("ticket", ["forged", "a" * 34])
def test_a_form_of_nobodys_making_is_shown_again(post: Post, ticket):
    """Its ticket must be ours."""
    page = post.client.post(
        "/join/observer", data={"address": "a@example.org", "language": "en", "agreed": "1", "ticket": ticket}
    )
    assert page.status_code == 422
    assert post.mails == []


def test_a_form_is_good_for_a_day(post: Post):
    """An old one is shown again, filled in, with a fresh ticket."""
    page = post.fill_in(wait=90_000)
    assert page.status_code == 422
    again = re.search(r'name="ticket" value="(\w+)"', page.text)[1]
    post.later(seconds=3)
    answers = {"address": "ann@example.org", "language": "en", "agreed": "1", "ticket": again}
    assert post.client.post("/join/observer", data=answers).url.path == "/join/observer/sent"
    assert len(post.mails) == 1


def test_a_form_works_once(post: Post):
    """Pressing twice is one sign-up; one ticket serves no list of addresses."""
    page = post.client.get("/join/observer")
    ticket = re.search(r'name="ticket" value="(\w+)"', page.text)[1]
    post.later(seconds=5)
    for address in ("one@example.org", "two@example.org"):
        answers = {"address": address, "language": "en", "agreed": "1", "ticket": ticket}
        assert post.client.post("/join/observer", data=answers).url.path == "/join/observer/sent"
    assert [to for to, _, _ in post.mails] == ["one@example.org"]


def test_a_machine_that_fills_in_what_people_cannot_see_is_told_nothing(post: Post):
    """It gets the usual answer and no mail goes out."""
    page = post.fill_in(website="https://spam.example")
    assert page.url.path == "/join/observer/sent"
    assert post.mails == []


def solved(ticket: str) -> str:
    return next(str(work) for work in count() if tickets.is_solved(ticket, str(work)))


def test_in_busy_times_a_form_takes_a_puzzle_or_a_sum(post: Post):
    """The eleventh form from one place within an hour; ten people behind one address are not disturbed."""
    for number in range(10):
        assert post.fill_in(f"p{number}@example.org").url.path == "/join/observer/sent"
    page = post.fill_in("p10@example.org")
    assert "do a sum" in page.text
    assert len(post.mails) == 10
    ticket = re.search(r'name="ticket" value="(\w+)"', page.text)[1]
    one, other = map(int, re.search(r"How much is (\d+) plus (\d+)", page.text).groups())
    answers = {"address": "p10@example.org", "language": "en", "agreed": "1", "ticket": ticket}
    page = post.client.post("/join/observer", data={**answers, "sum": str(one + other)})
    assert page.url.path == "/join/observer/sent"
    page = post.fill_in("p11@example.org")
    ticket = re.search(r'name="ticket" value="(\w+)"', page.text)[1]
    answers = {**answers, "address": "p11@example.org", "ticket": ticket}
    assert "do a sum" in post.client.post("/join/observer", data={**answers, "work": "0", "sum": "1"}).text
    assert post.client.post("/join/observer", data={**answers, "work": solved(ticket)}).url.path.endswith(
        "sent"
    )
    assert len(post.mails) == 12


def test_a_host_is_stopped_at_a_hundred_forms_an_hour_and_ipv6_counts_by_network(post: Post):
    """A /64 is one customer: its 2**64 addresses are no more than one."""
    answers = {"address": "a@example.org", "language": "en", "agreed": "1"}
    app = post.client.app
    codes = []
    for number in range(102):
        with TestClient(app, client=(f"2001:db8::{number:x}", 50000)) as client:
            page = client.post("/join/observer", data=answers)
            codes.append(page.status_code)
    assert codes[:100] == [200] * 100
    assert codes[100:] == [429, 429]
    assert "wait an hour" in page.text
    with TestClient(app, client=("2001:db8:0:1::1", 50000)) as client:
        assert client.post("/join/observer", data=answers).status_code == 200


# -- other sites -----------------------------------------------------------------------------------------


def test_a_form_on_another_site_leads_to_a_page_with_one_button(post: Post):
    """Nothing is mailed before that: another site cannot make its visitors' browsers sign people up."""
    answers = {"address": "ann@example.org", "language": "zh", "agreed": "1", "page_language": "zh"}
    page = post.client.post("/join/observer", data=answers, headers={"origin": "https://ngo.example"})
    assert page.status_code == 200
    assert '<html lang="zh-CN">' in page.text
    assert 'value="ann@example.org"' in page.text
    assert post.mails == []
    ticket = re.search(r'name="ticket" value="(\w+)"', page.text)[1]
    post.later(seconds=3)
    post.client.post("/join/observer", data={**answers, "ticket": ticket})
    assert [to for to, _, _ in post.mails] == ["ann@example.org"]


def test_what_another_site_posts_is_escaped(post: Post):
    """It may hold anything."""
    answers = {"address": '"><script>alert(1)</script>', "language": "en", "agreed": "1"}
    page = post.client.post("/join/observer", data=answers)
    assert "<script>alert" not in page.text


def test_only_named_sites_may_show_the_form_in_a_frame_and_it_sets_no_cookie(post: Post, sqlite_database):
    """frame-ancestors names them; no site is named by default."""
    page = post.client.get("/embed/observer.html?lang=zh")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    post.settings = post.settings.model_copy(
        update={"embed_sites": "https://ngo.example https://www.un.example:8443"}
    )
    with post.browser() as client:
        page = client.get("/embed/observer.html?lang=zh")
        assert (
            "frame-ancestors https://ngo.example https://www.un.example:8443;"
            in page.headers["content-security-policy"]
        )
        assert "x-frame-options" not in page.headers
        assert "set-cookie" not in page.headers
        ordinary = client.get("/join/observer")
        assert ordinary.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in ordinary.headers["content-security-policy"]
    page = post.fill_in(path="/embed/observer.html")
    assert page.url.path == "/embed/observer/sent"
    assert len(post.mails) == 1


def test_a_sign_up_for_no_publication_is_404(post: Post):
    """As any other address of ours that does not exist."""
    assert post.client.get("/join/none").status_code == 404
    assert post.client.post("/join/none").status_code == 404


def test_an_address_that_is_none_is_named_beside_its_field(post: Post, sqlite_database):
    """Known or not does not matter here: it is only read."""
    page = post.fill_in("ann@example")
    assert page.status_code == 422
    assert "is not an e-mail address" in page.text
    with sqlite_database.read() as session:
        assert session.query(SignUp).count() == 0


def test_a_ticket_of_another_publication_is_none():
    """One form is for one publication."""
    ticket = tickets.issue(KEYS, 1, NOON, 7)
    tickets.check(KEYS, ticket, 1, NOON + timedelta(seconds=5))
    with pytest.raises(tickets.Stale):
        tickets.check(KEYS, ticket, 2, NOON + timedelta(seconds=5))
