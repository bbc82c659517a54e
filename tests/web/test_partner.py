"""A partner's manager looks after their own people, and of everybody else learns nothing."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import Role
from mailer.audience.intake import Consent
from mailer.audience.store import ConsentKind, Import, Membership, Subscriber, Subscription
from mailer.audience.uploads import steps
from tests.make import KEYS, NOON, Make
from tests.smtphost import SmtpHost
from tests.web.conftest import routes

NAMES = {"name_zh": "", "honorific_zh": "", "given_en": "Ann", "family_en": "Lee", "honorific_en": "Dr"}


@pytest.fixture
def ours(make):
    return make.partner("ours", name_en="Our Ministry", trusted=True)


@pytest.fixture
def theirs(make):
    return make.partner("theirs", name_en="Their Institute")


@pytest.fixture
def manager(make, sign_in, ours):
    make.publication()
    return sign_in(Role.PARTNER, partner_id=ours.id)


def added(manager, address, **fields):
    given = {"address": address, "language": "en", "consent": "vouched", **NAMES, **fields}
    return manager.post("/partner/people/new", **given)


def test_a_manager_adds_changes_and_removes_a_person(manager, sqlite_database):
    """The whole of a manager's work, through the forms."""
    page = added(manager, "ann@ours.example")
    assert page.url.path == "/partner/people"
    assert "Ann Lee has been added." in page.text
    with sqlite_database.read() as session:
        person = session.query(Membership).one().public_id
    page = manager.post(f"/partner/people/{person}", language="zh", **{**NAMES, "family_en": "Li"})
    assert "Ann Li" in page.text
    page = manager.post(f"/partner/people/{person}/remove")
    assert "Ann Li is no longer on your list." in page.text
    assert manager.get(f"/partner/people/{person}").status_code == 404


def test_a_wrong_address_is_named_and_the_rest_of_the_form_is_kept(manager, sqlite_database):
    """Nothing is stored, nothing has to be typed twice."""
    page = added(manager, "ann at ours.example", notes="met in Geneva")
    assert page.status_code == 422
    assert "is not an e-mail address" in page.text
    assert "met in Geneva" in page.text
    with sqlite_database.read() as session:
        assert session.query(Subscriber).count() == 0


def test_consent_must_be_answered_for(manager):
    """A partner that may vouch says whether it does; else the form comes back, with a note beside it."""
    given = {"address": "ann@ours.example", "language": "en", **NAMES}
    page = manager.post("/partner/people/new", **given)
    assert page.status_code == 422
    assert 'id="consent-wrong"' in page.text


def test_the_list_is_searched_and_paged(manager, make, ours):
    """Fifty people a page; a search looks in addresses."""
    for number in range(60):
        make.subscriber(f"reader{number:02}@ours.example", partner=ours)
    page = manager.get("/partner/people")
    assert "1–50 of 60" in page.text
    assert "reader59@" in manager.get("/partner/people?page=2").text
    found = manager.get("/partner/people?search=reader07").text
    assert "1–1 of 1" in found


def test_an_address_another_partner_holds_looks_like_any_other(manager, make, theirs):
    """Same page, same words, same count; and the other partner's membership stays."""
    make.subscriber("known@example.org", partner=theirs, language="zh", name_en="Somebody Known")
    known, fresh = added(manager, "known@example.org"), added(manager, "fresh@example.org")
    assert known.status_code == fresh.status_code == 200
    assert known.url.path == fresh.url.path
    assert "Ann Lee has been added." in known.text
    assert "Somebody Known" not in known.text
    assert "1–2 of 2" in fresh.text


@pytest.fixture
def world(make: Make, theirs, outbox):
    """Everything a route could show: another partner's person, an issue, a campaign, a caught letter."""
    person = make.subscriber("secret@theirs.example", partner=theirs)
    with make.database.read() as session:
        membership = session.query(Membership).one().public_id
    request = make.request(theirs).public_id
    campaign = make.campaign()
    event = make.event(make.delivery(campaign=campaign, subscriber=person, partner=theirs))
    suppression, rule = make.suppression("secret@theirs.example"), make.own_rule("user is secret")
    with make.database.read() as session:
        issue = session.get(type(make.issue()), campaign.issue_id).public_id
    with make.database.write() as session:
        upload = steps.keep(
            session, content=b"email\nsecret@theirs.example\n", name="secret.csv", partner_id=theirs.id,
            publication_id=make.publication().id, consent=Consent(ConsentKind.INVITED), now=NOON,
            actor=SYSTEM,
        )  # fmt: skip
        steps.check(session, upload, keys=KEYS, now=NOON)
        steps.start(session, upload, upload.consent)
        upload_id = upload.public_id
    steps.work(make.database, keys=KEYS, clock=lambda: NOON)
    with make.database.read() as session:
        file = session.query(Import).one().public_id
    outbox.record(received_at=NOON, mail_from="", recipients=["secret@theirs.example"], content=b"Subject: x")
    return {
        "{person}": str(membership), "{issue}": str(issue), "{campaign}": str(campaign.public_id),
        "{language}": "zh", "{figure}": "accepted", "{letter}": "1",
        "{event}": str(event.id), "{user}": "1", "{suppression}": str(suppression.id), "{rule}": str(rule.id),
        "{request_id}": str(request),
        "{segment}": str(make.segment("name = secret").id),
        "{code}": "observer", "{mail}": "1", "{kind}": "csv", "{change}": "1", "{kept}": "1",
        "{gone}": "2",
        "{upload}": str(upload_id), "{file}": str(file),
    }  # fmt: skip


# what anybody may ask for: authorised by nothing, or by a token that was mailed
_OPEN = (
    "/sign-in",
    "/sign-out",
    "/account",  # one's own: it takes no id but that of a session, see test_account
    "/leave",
    "/preferences",
    "/my",
    "/c/",
    "/o/",
    "/view",
    "/issues/",
    "/figures",
    "/confirm",
    "/join",  # and /joining
    "/embed",
    "/welcome",
    "/address",
    "/data",
    "/erase",
    "/fresh",
    "/webhooks",  # by the proof that a provider gives
)
_OWN = {"/"} | {
    f"/partner{page}"
    for page in (
        "", "/people", "/people/new", "/people/add", "/bounced", "/report", "/requests", "/team",
        "/team/link", "/team/remove", "/activity", "/import", "/people.{kind}",
    )
}  # fmt: skip


def test_with_anothers_ids_every_route_answers_404(app, manager, world):
    """Law 6: over every route there is, also those that come later."""
    walked = 0
    for route in routes(app):
        if route.path.startswith(_OPEN):
            continue
        path = route.path
        for place, value in world.items():
            path = path.replace(place, value)
        assert "{" not in path, f"tell this test what {route.path} takes"
        for method in route.methods:
            answer = manager.client.request(
                method, path, data={"csrf": manager.csrf} if method == "POST" else None, follow_redirects=True
            )
            assert "secret@theirs.example" not in answer.text, route.path
            if route.path not in _OWN:
                assert answer.status_code == 404, f"{method} {route.path}"
            walked += 1
    assert walked > 40


def test_anothers_person_and_nobody_look_the_same(manager, world):
    """A 404 does not tell whether there is something to hide."""
    nobody = manager.get("/partner/people/00000000-0000-7000-8000-000000000000")
    anothers = manager.get(f"/partner/people/{world['{person}']}")
    assert nobody.status_code == anothers.status_code == 404
    strip = lambda page: page.text.replace(str(page.url.path), "")  # noqa: E731
    assert strip(nobody) == strip(anothers)


def test_the_secretariat_has_no_partner_desk(sign_in):
    """Nobody but a manager acts for a partner here."""
    assert sign_in(Role.ADMIN).get("/partner/people").status_code == 403


def test_a_bounced_address_says_what_to_do(manager, make, ours):
    """The partner is who can mend it."""
    make.subscriber("gone@ours.example", partner=ours)
    make.suppression("gone@ours.example")
    page = manager.get("/partner/people")
    assert "mailbox does not exist" in page.text
    assert "correct the address" in page.text


@pytest.fixture
def untrusted(make, sign_in, theirs):
    """The manager of a partner that may not vouch for consent."""
    make.publication()
    return sign_in(Role.PARTNER, partner_id=theirs.id)


def with_relay(visitor, settings, host):
    chosen = settings.model_copy(update={"smtp_url": host.url})
    object.__setattr__(visitor.client.app.state.house, "settings", chosen)


def test_a_person_who_is_not_vouched_for_is_asked_and_confirms_by_a_button(
    untrusted, visit, settings, sqlite_database
):
    """Double opt-in: the mail leads to a page, the page's button subscribes; looking does not."""
    with SmtpHost() as host:
        with_relay(untrusted, settings, host)
        added(untrusted, "ann@example.org")
    [letter] = host.letters
    text = message_from_bytes(letter.body, policy=policy.default).get_content()
    path = re.search(r"/confirm/[a-z2-7]+", text)[0]
    assert "Their Institute" in text
    person = visit()
    assert "Yes, subscribe me" in person.get(path).text
    with sqlite_database.read() as session:
        assert session.query(Subscription).one().state == "pending"
    assert "You are subscribed" in person.client.post(path).text
    with sqlite_database.read() as session:
        assert session.query(Subscription).one().state == "confirmed"


def test_who_left_or_must_not_be_written_to_is_not_asked_and_the_partner_sees_no_difference(
    untrusted, settings, make
):
    """The same page, and no mail: only the partner's own list grows."""
    gone = make.subscriber("gone@example.org", subscribed=False)
    make.subscription(gone, state="left")
    make.suppression("dead@example.org")
    with SmtpHost() as host:
        with_relay(untrusted, settings, host)
        pages = [added(untrusted, address) for address in ("gone@example.org", "dead@example.org")]
    assert not host.letters
    assert [page.status_code for page in pages] == [200, 200]
    assert all("Ann Lee has been added." in page.text for page in pages)
