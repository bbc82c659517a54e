"""What holds for every page: both languages, no inline script or style, errors people can read."""

from __future__ import annotations

import re

import pytest
from fastapi import HTTPException
from starlette.testclient import TestClient

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import Role
from mailer.audience.intake import Consent
from mailer.audience.store import ConsentKind, Import, Membership
from mailer.audience.uploads import steps
from mailer.database import Base, Database
from mailer.delivery.store import Campaign, CampaignState
from mailer.issues.store import Issue
from mailer.settings import Settings
from mailer.signing import Purpose
from mailer.web import forms
from mailer.web.app import create_app
from tests.make import KEYS, NOON
from tests.web.conftest import routes

_INLINE = re.compile(r"<script(?![^>]*\bsrc=)|\son[a-z]+=\"|\sstyle=\"|<style|javascript:", re.IGNORECASE)

_UNLABELLED = re.compile(r'<(input|select|textarea)(?![^>]*(\bid=|type="(hidden|checkbox|radio)"))')


def files_of_people(make, partner):
    """A checked file of the secretariat's and of a partner's, and one that the partner took in."""
    kept = []
    for partner_id, text in (
        (None, "email\nbad\nann@gmial.com\n"),
        (partner.id, "email\nben@example.org\n"),
    ) * 2:
        with make.database.write() as session:
            upload = steps.keep(
                session, content=text.encode(), name="people.csv", partner_id=partner_id, now=NOON,
                publication_id=make.within(session).publication().id, consent=Consent(ConsentKind.INVITED),
                actor=SYSTEM,
            )  # fmt: skip
            steps.check(session, upload, keys=KEYS, now=NOON)
            kept.append(upload.public_id)
    with make.database.write() as session:
        steps.start(session, steps.get(session, kept[3], partner_id=partner.id), Consent(ConsentKind.INVITED))
    steps.work(make.database, keys=KEYS, clock=lambda: NOON)
    with make.database.read() as session:
        return kept[:2], session.query(Import).one().public_id


@pytest.fixture
def every_page(app, make, sign_in, outbox):
    """Every page there is, as (visitor, path)."""
    partner = make.partner("ours")
    person = make.subscriber("ann@example.org", partner=partner)
    campaign = make.campaign(CampaignState.SENDING)
    delivery = make.delivery(campaign=campaign, subscriber=person, partner=partner)
    make.campaign(CampaignState.APPROVED, issue=make.issue())
    suppression, event = make.suppression("ann@example.org"), make.event(delivery, detail="550 no")
    rule, segment = make.own_rule("no such luck"), make.segment("language = zh and opened ever")
    make.topic("climate")
    outbox.record(received_at=NOON, mail_from="", recipients=["a@example.org"], content=b"Subject: x\n\nbody")
    with make.database.read() as session:
        membership = session.query(Membership).one().public_id
        issue = session.get(Issue, campaign.issue_id).public_id
        approved = session.query(Campaign).filter(Campaign.state == "approved").one().public_id
    uploads, taken_in = files_of_people(make, partner)
    letter = KEYS.sign(Purpose.LINK, delivery.campaign_id, delivery.n)
    tokens = {
        "/leave/{token}": KEYS.sign(Purpose.LEAVE, delivery.campaign_id, delivery.n),
        "/confirm/{token}": KEYS.sign(Purpose.CONFIRM, person.id, 1),
        "/my/{token}": KEYS.sign(Purpose.PREFERENCES, person.id, 1),
        "/welcome/{token}": KEYS.sign(Purpose.PREFERENCES, person.id, 1),
        "/joining/{token}": KEYS.sign(Purpose.SIGN_UP, make.sign_up(person).id),
        "/address/{token}": KEYS.sign(Purpose.NEW_ADDRESS, make.address_change(person).id),
        "/data/{token}": KEYS.sign_briefly(Purpose.DATA, person.id, expires=NOON),
        "/data/{token}/export": KEYS.sign_briefly(Purpose.DATA, person.id, expires=NOON),
        "/erase/{token}": KEYS.sign_briefly(Purpose.ERASE, person.id, expires=NOON),
    }
    admin, manager = sign_in(Role.ADMIN), sign_in(Role.PARTNER, partner_id=partner.id)
    pages = []
    for route in routes(app):
        if "GET" not in route.methods:
            continue
        known = {
            "{token}": tokens.get(route.path, letter),
            "{campaign}": approved if route.path.endswith("/launch") else campaign.public_id,
            "{issue}": issue,
            "{person}": person.public_id if route.path.startswith("/admin") else membership,
            "{language}": "en",
            "{figure}": "accepted",
            "{letter}": "1",
            "{user}": 1,
            "{event}": event.id,
            "{rule}": rule.id,
            "{segment}": segment.id,
            "{upload}": uploads[route.path.startswith("/partner")],
            "{file}": taken_in,
            "{suppression}": suppression.id,
            "{code}": partner.code if route.path.startswith("/admin/partners") else "observer",
            "{kind}": "csv",
        }
        path = route.path
        for place, value in known.items():
            path = path.replace(place, str(value))
        if "{" not in path:
            pages.append((manager if path.startswith("/partner") else admin, path))
    assert len(pages) > 30
    return pages


# letters are shown as they were sent, files are downloads, and a made-up letter has no bytes to show
_NOT_PAGES = re.compile(
    r"/(letter|html|raw|mail|export|count|progress)$|\.csv$|^/(c|o|view|issues|figures)/|^/sign-in/provider"
)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_is_whole_in_both_languages_and_runs_nothing_inline(every_page, language):
    """The policy forbids inline script and style, so no page may need them; no message is left English."""
    tag = {"zh": "zh-CN", "en": "en"}[language]
    for visitor, path in every_page:
        if _NOT_PAGES.search(path):
            continue
        page = visitor.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
        assert page.status_code == 200, path
        assert not _INLINE.search(page.text), path
        assert f'<html lang="{tag}">' in page.text
        assert page.text.count("<h1") == 1, path
        assert 'id="main"' in page.text
        assert not re.search(
            r"<(input|select|textarea)(?![^>]*(type=\"hidden\"|id=|type=\"(checkbox|radio)\"))", page.text
        ), path


def test_looking_at_every_page_changes_nothing(every_page, sqlite_database):
    """Law 5: a GET appends at most a click or an open; and a list taken away, who took it."""
    taken_away = ("/admin/subscribers.csv", "/partner/people.csv")
    visits, files = {"events", "event_keys", "event_inbox"}, {"audit_log"}
    for here, appended in ((False, visits), (True, files)):
        before = _rows(sqlite_database)
        for visitor, path in every_page:
            if (path in taken_away) == here:
                visitor.get(path)
        after = _rows(sqlite_database)
        assert {table for table in after if after[table] != before[table]} <= appended


def _rows(database):
    with database.read() as session:
        return {
            table.name: [tuple(row) for row in session.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }


def test_what_breaks_is_noted_and_shown_without_its_insides(app, visit):
    """One sentence for the person, the details for the log."""

    @app.get("/broken")
    def broken():
        raise RuntimeError("secret insides")

    page = visit().get("/broken")
    assert page.status_code == 500
    assert "Something broke" in page.text
    assert "secret insides" not in page.text
    assert "Traceback" not in page.text


def test_trouble_with_a_letters_link_shows_no_way_into_the_program(visit):
    """What is wrong and what to do, without figures; who looks for a page of ours is shown the home page."""
    letters, ours = visit().get("/my/forged?lang=en"), visit().get("/nothing?lang=en")
    assert (letters.status_code, ours.status_code) == (404, 404)
    assert "This link does not work" in letters.text
    assert "Home page" in ours.text
    assert "Home page" not in letters.text
    assert not any(">404<" in page.text for page in (letters, ours))


def test_a_form_that_expired_is_not_said_to_be_forbidden(sign_in):
    """It is sent again, from the page as it is now."""
    page = sign_in(Role.VIEWER).client.post("/account/sessions/close-others", data={"csrf": "old"})
    assert page.status_code == 403
    assert "Please send it again" in page.text
    assert "Not for this account" not in page.text


def test_an_error_asked_for_as_json_is_json(app, visit):
    """Scripts of our pages read one sentence."""

    @app.get("/refused")
    def refused():
        raise HTTPException(418)

    answer = visit().get("/refused", headers={"accept": "application/json"})
    assert (answer.status_code, list(answer.json())) == (418, ["error"])
    answer = visit().get("/desk/issues", headers={"accept": "application/json"})
    assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_a_database_out_of_reach_is_said_in_a_sentence(tmp_path):
    """503: it is not the visitor's fault, and may pass."""
    settings = Settings(data=tmp_path, secret="1:a-key-for-tests-only")
    lost = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with TestClient(create_app(settings, lost), raise_server_exceptions=False) as client:
        page = client.get("/desk/issues")
    lost.close()
    assert page.status_code == 503
    assert "database cannot be reached" in page.text


def test_static_files_may_be_kept_and_change_address_when_they_change(visit):
    """Their address carries a digest of their content."""
    page = visit().get("/sign-in").text
    address = re.search(r"/static/app\.css\?v=[0-9a-f]{12}", page)[0]
    assert "immutable" in visit().get(address).headers["cache-control"]


def test_behind_https_cookies_are_bound_to_the_host(tmp_path, sqlite_database):
    """`__Host-`: no sibling domain can set them; and browsers are told to stay with HTTPS."""
    settings = Settings(data=tmp_path, secret="1:a-key-for-tests-only", base_url="https://mailer.example")
    with TestClient(create_app(settings, sqlite_database), base_url="https://mailer.example") as client:
        page = client.get("/sign-in")
    assert page.headers["set-cookie"].startswith("__Host-visitor=")
    assert "secure" in page.headers["set-cookie"].lower()
    assert "strict-transport-security" in page.headers


def test_several_answers_to_one_question_are_kept():
    """One ticked box is a list of one."""
    assert forms.several({"topics": "forest"}, "topics") == ["forest"]
    assert forms.several({"topics": ["forest", "sea"]}, "topics") == ["forest", "sea"]
    assert forms.several({}, "topics") == []
