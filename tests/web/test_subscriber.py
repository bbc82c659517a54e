"""What a reader can do from a letter, and what somebody it was forwarded to cannot."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from PIL import Image
from starlette.testclient import TestClient

from mailer.audience import topics
from mailer.audience.store import Subscriber, Subscription
from mailer.delivery import campaigns
from mailer.delivery.store import CampaignState, Event, EventKind
from mailer.issues import figures
from mailer.signing import Purpose
from mailer.web.app import create_app
from tests.make import KEYS, NOON
from tests.smtphost import SmtpHost

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140"}


@pytest.fixture
def delivery(make):
    """One letter to Ann, in English."""
    return make.delivery("ann@example.org", campaign=make.campaign())


def token(delivery, purpose=Purpose.LINK):
    return KEYS.sign(purpose, delivery.campaign_id, delivery.n)


def state_of(database):
    with database.read() as session:
        return session.query(Subscription).one().state


def events(database, kind):
    with database.read() as session:
        return session.query(Event).filter(Event.kind == kind).count()


def test_looking_at_the_leave_page_changes_nothing(visit, delivery, sqlite_database):
    """Scanners follow every link of a letter."""
    page = visit().get(f"/leave/{token(delivery, Purpose.LEAVE)}")
    assert page.status_code == 200
    assert "ann@example.org" not in page.text  # a forwarded letter does not tell whose it was
    assert "a•••@example.org" in page.text
    assert state_of(sqlite_database) == "confirmed"


def test_one_bare_post_leaves(visit, delivery, sqlite_database):
    """RFC 8058 §3.2: no cookie, no sign-in, no further page; told twice, it is one leave."""
    path = f"/leave/{token(delivery, Purpose.LEAVE)}"
    for _ in range(2):
        answer = visit().client.post(path, data={"List-Unsubscribe": "One-Click"}, follow_redirects=False)
        assert answer.status_code == 200
    assert state_of(sqlite_database) == "left"
    assert events(sqlite_database, EventKind.LEAVE) == 1


def test_leaving_by_the_button_can_be_undone(visit, delivery, sqlite_database):
    """The page after leaving offers the way back."""
    visitor, path = visit(), f"/leave/{token(delivery, Purpose.LEAVE)}"
    page = visitor.client.post(path, data={"reason": "too many letters"})
    assert "You have left" in page.text
    page = visitor.client.post(f"{path}/undo")
    assert "You are subscribed again." in page.text
    assert state_of(sqlite_database) == "confirmed"
    with sqlite_database.read() as session:  # the words on the button that was pressed
        assert session.query(Subscription).one().consent_wording == "That was a mistake: subscribe me again"


def test_a_letter_found_later_brings_nobody_back(visit, delivery, sqlite_database):
    """Law 3: after a day only a link mailed to the address itself undoes a leave."""
    visitor, path = visit(), f"/leave/{token(delivery, Purpose.LEAVE)}"
    visitor.client.post(path)
    with sqlite_database.write() as session:
        session.query(Subscription).one().changed_at = NOON - timedelta(days=2)
    page = visitor.client.post(f"{path}/undo")
    assert page.url.path == f"/preferences/{token(delivery)}"
    assert state_of(sqlite_database) == "left"


def test_a_link_of_another_purpose_leaves_nothing(visit, delivery, sqlite_database):
    """A click token is in every forwarded letter's links; it cannot unsubscribe its reader."""
    assert visit().client.post(f"/leave/{token(delivery)}").status_code == 404
    assert state_of(sqlite_database) == "confirmed"


def test_a_click_leads_to_the_stored_address_and_is_counted(visit, delivery, sqlite_database):
    """Law 7: the address comes from the frozen letter."""
    answer = visit().client.get(
        f"/c/{token(delivery)}/0",
        headers=BROWSER,
        follow_redirects=False,
    )
    assert answer.headers["location"] == "https://example.org/report"
    assert events(sqlite_database, EventKind.CLICK) == 1


@pytest.mark.parametrize("tail", ["1", "-1", "99999", "0?to=https://evil.example", "x"])
def test_a_link_that_the_letter_does_not_have_leads_nowhere(visit, delivery, tail):
    """Nothing in the address of a click says where it leads."""
    answer = visit().client.get(f"/c/{token(delivery)}/{tail}", follow_redirects=False)
    if tail.startswith("0?"):
        assert answer.headers["location"] == "https://example.org/report"
    else:
        assert answer.status_code == 404


def test_the_pixel_is_a_picture_whoever_asks(visit, delivery, sqlite_database):
    """A forged token counts nothing and breaks no picture."""
    real = visit().get(f"/o/{token(delivery)}.gif", headers=BROWSER)
    forged = visit().get("/o/forged.gif")
    assert real.headers["content-type"] == forged.headers["content-type"] == "image/gif"
    assert real.headers["cache-control"] == "no-store"
    assert events(sqlite_database, EventKind.OPEN) == 1


def test_a_letters_own_link_never_opens_preferences(visit, delivery, sqlite_database):
    """A forwarded letter: its link only offers to mail one to the address itself."""
    visitor = visit()
    page = visitor.get(f"/preferences/{token(delivery)}")
    assert "ann@example.org" not in page.text
    for forged in (token(delivery), token(delivery, Purpose.LEAVE)):
        assert visitor.get(f"/my/{forged}").status_code == 404
        assert visitor.client.post(f"/my/{forged}", data={"language": "zh"}).status_code == 404
        assert visitor.client.post(f"/my/{forged}/leave").status_code == 404
    assert state_of(sqlite_database) == "confirmed"


def test_the_link_is_mailed_to_the_address_itself_and_opens_preferences(
    settings, sqlite_database, delivery, make
):
    """The whole way: ask, read the mail, choose language and topics."""
    make.topic("climate")
    with SmtpHost() as host:
        chosen = settings.model_copy(update={"smtp_url": host.url})
        with TestClient(create_app(chosen, sqlite_database, clock=lambda: NOON)) as client:
            page = client.post(f"/preferences/{token(delivery)}")
            assert "on its way" in page.text
            [received] = host.letters
            assert received.recipient == "ann@example.org"
            text = message_from_bytes(received.body, policy=policy.default).get_content()
            path = re.search(r"/my/[a-z2-7]+", text)[0]
            client.post(f"{path}/letters/observer", data={"topics": ["climate"]})
            page = client.post(path, data={"language": "zh"})
            assert "Saved." in page.text or "已保存" in page.text
    with sqlite_database.read() as session:
        person = session.query(Subscriber).one()
        assert person.language == "zh"
        assert topics.chosen(session, person.id, make.publication().id) == ["climate"]


def test_a_preferences_link_is_asked_for_three_times_an_hour_at_most(settings, sqlite_database, delivery):
    """Nobody fills a mailbox by pressing a button in a forwarded letter."""
    with SmtpHost() as host:
        chosen = settings.model_copy(update={"smtp_url": host.url})
        with TestClient(create_app(chosen, sqlite_database, clock=lambda: NOON)) as client:
            answers = [client.post(f"/preferences/{token(delivery)}").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert len(host.letters) == 3


def test_an_old_preferences_link_no_longer_opens(visit, delivery):
    """It lasts a day, rounded up to midnight."""
    old = KEYS.sign(Purpose.PREFERENCES, delivery.subscriber_id, 1, expires=NOON - timedelta(days=1))
    assert visit().get(f"/my/{old}").status_code == 410
    assert visit().client.post(f"/my/{old}/leave").status_code == 410


def test_an_unknown_language_or_topic_changes_nothing(visit, delivery, sqlite_database):
    """The form comes back with a note."""
    path = (
        f"/my/{KEYS.sign(Purpose.PREFERENCES, delivery.subscriber_id, 1, expires=NOON + timedelta(days=1))}"
    )
    assert visit().client.post(path, data={"language": "xx"}).status_code == 422
    letters = f"{path}/letters/observer"
    assert visit().client.post(letters, data={"topics": ["none"]}).status_code == 404
    assert visit().client.post(letters, data={"every": "7"}).status_code == 422
    with sqlite_database.read() as session:
        assert session.query(Subscriber).one().language == "en"


def test_the_web_version_is_public_once_sent_and_not_before(visit, make, sqlite_database):
    """A draft is nobody's business."""
    issue = make.issue()
    draft = make.campaign(CampaignState.REVIEW, issue=issue)
    path = f"/issues/{issue.public_id}/en"
    assert visit().get(path).status_code == 404
    with sqlite_database.write() as session:
        campaigns.get(session, draft.id).launched_at = NOON
    page = visit().get(path)
    assert "<p>Edition" in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_figure_is_served_with_its_own_type(visit, sqlite_database):
    """By the digest of its content, so a browser may keep it for good."""
    out = io.BytesIO()
    Image.new("RGB", (3, 2)).save(out, "PNG")
    with sqlite_database.write() as session:
        figure = figures.add(session, out.getvalue())
    answer = visit().get(f"/figures/{figure.name}")
    assert answer.headers["content-type"] == figure.media_type
    assert answer.content == figure.content
    assert "immutable" in answer.headers["cache-control"]
    assert visit().get("/figures/none.png").status_code == 404
