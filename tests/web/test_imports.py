"""Import pages: a file is looked at, tried, taken in and put back, by the secretariat and by a partner."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from functools import partial
from html import unescape

import pytest
from sqlalchemy import func, select

from mailer.accounts.store import Role
from mailer.audience.store import ConsentKind, Import, Membership, Subscriber, Subscription
from mailer.audience.uploads import steps
from mailer.audience.uploads.store import Upload
from mailer.delivery import inviting
from mailer.web import invitations
from tests.make import KEYS, NOON
from tests.smtphost import SmtpHost

PEOPLE = "邮箱,姓名,语言\nli@example.org,李敏,zh\nann@gmial.com,Ann Lee,en\nbad,Nobody,en\n"
SECRETARIAT, PARTNER = "/admin/subscribers/import", "/partner/import"
CONSENT = {"wording": "new", "new_wording": "I want the letter.", "new_wording_language": "en",
           "how": "Form on our old site, 2024."}  # fmt: skip


@pytest.fixture
def admin(sign_in, make):
    """An administrator; there is a newsletter."""
    make.publication()
    return sign_in(Role.ADMIN)


@pytest.fixture
def ours(make):
    """A partner that may vouch."""
    make.publication()
    return make.partner("ours", trusted=True)


@pytest.fixture
def manager(sign_in, ours):
    """Its manager."""
    return sign_in(Role.PARTNER, partner_id=ours.id)


def send(visitor, text=PEOPLE, name="people.csv", path=SECRETARIAT):
    """Upload a file; the page that follows."""
    raw = text if isinstance(text, bytes) else text.encode()
    return visitor.post(path, files={"file": (name, raw)})


@pytest.fixture
def work(sqlite_database):
    """The worker's turn."""
    return lambda: steps.work(sqlite_database, keys=KEYS, clock=lambda: NOON)


def people(database):
    """Addresses of everybody known."""
    with database.read() as session:
        return sorted(session.scalars(select(Subscriber.address)))


def told(page):
    """Counts by verdict, as the page shows them."""
    shown = re.findall(r'<a class="figure"[^>]*><b>([\d,]+)</b>', page.text)
    return [int(n.replace(",", "")) for n in shown]


def test_a_file_is_checked_row_by_row_and_changes_nothing(admin, sqlite_database):
    """Counts, a verdict for each row, a likely slip pointed out."""
    page = send(admin)
    assert page.status_code == 200
    assert told(page) == [2, 0, 0, 1]
    assert "Did you mean ann@gmail.com?" in page.text
    assert "is not an e-mail address" in page.text
    assert people(sqlite_database) == []


def test_the_file_is_taken_in_with_its_evidence(admin, work, sqlite_database):
    """The secretariat says what people agreed to and how; a worker does the rest."""
    path = send(admin).url.path
    page = admin.post(f"{path}/run", **CONSENT)
    assert "Being taken in" in page.text
    assert people(sqlite_database) == []
    assert work()
    assert not work()
    page = admin.get(path)
    assert told(page) == [2, 0, 0, 1]
    assert "can be undone until 21 Nov 2026, 20:00" in page.text
    assert people(sqlite_database) == ["ann@gmial.com", "li@example.org"]
    with sqlite_database.read() as session:
        consent = session.scalars(select(Subscription)).first()
        assert consent.consent_kind == ConsentKind.IMPORTED
        assert consent.consent_wording == "I want the letter."
        assert consent.consent_origin == "Form on our old site, 2024. · people.csv:2"
        assert consent.consent_by == admin.user.email


def test_a_file_of_those_who_left_is_remembered_without_words_of_consent(admin, work, sqlite_database):
    """Nobody comes in by it: there is nothing to agree to. The suppression leads back to the file."""
    page = send(admin, "Email Address,UNSUB_TIME\nann@example.org,2020-01-02 03:04:05\n", "unsubscribed.csv")
    assert told(page) == [0, 0, 0, 0, 1]
    assert "1 person who left or bounced elsewhere is remembered" in page.text
    assert "<span>ann@example.org</span>" in page.text
    assert 'name="how"' not in page.text
    path = page.url.path
    admin.post(f"{path}/run")
    assert work()
    done = admin.get(path)
    assert told(done) == [0, 0, 0, 0, 1]
    assert people(sqlite_database) == []
    listed = admin.get("/admin/suppressions")
    assert "left another list" in listed.text
    shown = admin.get(re.search(r'href="(/admin/suppressions/\d+)"', listed.text)[1]).text
    assert f'<a href="{done.url.path}">unsubscribed.csv</a>' in shown
    admin.post(f"{done.url.path}/undo")
    work()
    assert "left another list" not in admin.get("/admin/suppressions").text


def test_consent_has_to_be_said(admin, work):
    """Without it the page comes back with a note beside the field, and nothing runs."""
    path = send(admin).url.path
    page = admin.post(f"{path}/run", **CONSENT | {"how": ""})
    assert page.status_code == 422
    assert 'id="how-wrong"' in page.text
    assert "I want the letter." in page.text
    assert 'id="wording-wrong"' in admin.post(f"{path}/run", wording="Whatever.", how="A form.").text
    assert 'id="new_wording-wrong"' in admin.post(f"{path}/run", wording="new", how="A form.").text
    assert not work()


def test_known_words_of_consent_are_chosen_and_new_ones_become_a_version(admin, work, sqlite_database):
    """A person's page names the version; the next file is offered the new words too."""
    path = send(admin).url.path
    page = admin.get(path).text
    known = unescape(re.search(r'name="wording" value="([^"]+agreed[^"]+)"', page)[1])
    admin.post(f"{path}/run", wording=known, how="A form.")
    work()
    path = send(admin, "email\nfresh@example.org\n").url.path
    admin.post(f"{path}/run", **CONSENT)
    work()
    with sqlite_database.read() as session:
        ids = dict(session.execute(select(Subscriber.address, Subscriber.public_id)).all())
        consents = set(session.scalars(select(Subscription.consent_wording)))
    assert consents == {known, "I want the letter."}
    assert "wording English, as delivered" in admin.get(f"/admin/subscribers/{ids['li@example.org']}").text
    assert "wording English, version 1" in admin.get(f"/admin/subscribers/{ids['fresh@example.org']}").text
    assert 'value="I want the letter."' in admin.get(send(admin, "email\nnext@example.org\n").url.path).text


def test_an_import_is_undone_within_a_day(admin, work, sqlite_database, app):
    """Not later, and not twice."""
    path = send(admin).url.path
    admin.post(f"{path}/run", **CONSENT)
    work()
    done = admin.get(path).url.path
    page = admin.post(f"{done}/undo")
    assert "Being put back" in page.text
    assert page.headers["refresh"]
    assert "being put back" in admin.get(SECRETARIAT).text
    assert people(sqlite_database) == ["ann@gmial.com", "li@example.org"]
    assert admin.post(f"{done}/undo").status_code == 200  # a second click
    state = admin.get(f"{done}/progress").json()
    assert (state["state"], state["figures"]) == ("undoing", {"done": "0", "rows": "2"})
    assert not work()
    assert admin.get(f"{done}/progress").json()["state"] == "undone"
    assert "2 rows were put back." in admin.get(done).text
    assert people(sqlite_database) == []
    assert admin.post(f"{done}/undo").status_code == 409


def test_after_a_day_an_import_stays(admin, work, sqlite_database):
    """The page offers no button, and the address answers why."""
    path = send(admin).url.path
    admin.post(f"{path}/run", **CONSENT)
    work()
    done = admin.get(path).url.path
    with sqlite_database.write() as session:
        session.scalars(select(Import)).one().finished_at = NOON - timedelta(hours=25)
    assert "/undo" not in admin.get(done).text
    page = admin.post(f"{done}/undo")
    assert page.status_code == 409
    assert "within 24 hours" in page.text


def test_columns_without_known_names_are_said_on_screen(admin, work, sqlite_database):
    """The first rows are shown, the column of addresses is guessed by what stands in it."""
    page = send(admin, "Kontakt;Wer;Tel\nann@example.org;Ann Lee;1\nben@example.org;Ben Ode;2\n")
    assert told(page) == [2, 0, 0, 0]
    path = page.url.path
    page = admin.get(f"{path}?edit=1")
    assert "Ben Ode" in page.text
    assert re.search(r'<option value="address" selected', page.text)
    fields = {
        "label": ["Kontakt", "Wer", "Tel"],
        "column-0": "address",
        "column-1": "name",
        "column-2": "",
        "tab": "",
    }
    page = admin.post(f"{path}/columns", **fields)
    assert told(page) == [2, 0, 0, 0]
    admin.post(f"{path}/run", **CONSENT)
    work()
    with sqlite_database.read() as session:
        assert sorted(session.scalars(select(Subscriber.name_en))) == ["Ann Lee", "Ben Ode"]


def test_a_file_without_addresses_asks_for_the_column(admin, sqlite_database):
    """And can be sent again; nothing is lost, nothing changed."""
    page = send(admin, "name,phone\nAnn,13800138000\n")
    assert page.status_code == 200
    assert "No column is named" in page.text
    assert 'name="column-1"' in page.text
    assert people(sqlite_database) == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "locked with a password"),
    ],
)
def test_what_is_no_table_is_refused_at_once(admin, sqlite_database, raw, words):
    """Beside the form, and no trace of the file is kept."""
    page = send(admin, raw)
    assert page.status_code == 422
    assert words in page.text
    with sqlite_database.read() as session:
        assert session.scalar(select(func.count()).select_from(Upload)) == 0


def test_a_file_that_is_too_large_says_what_to_do(admin):
    """40 MB are the limit, with room for the form around the file."""
    page = send(admin, b"email\n" + b"ann@example.org\n" * 2_600_000)
    assert page.status_code in (413, 422)
    assert "40 MB" in page.text


def test_verdicts_are_filtered_paged_and_downloaded(admin):
    """The table in a browser and the file for a spreadsheet say the same; no cell runs as a formula."""
    rows = "".join(f"reader{n}@example.org\n" for n in range(60)) + "=1+1@\n"
    page = send(admin, f"email\n{rows}")
    assert "1–50 of 61" in page.text
    path = page.url.path
    assert "reader59@" in admin.get(f"{path}?page=2").text
    refused = admin.get(f"{path}?show=refused").text
    assert "1–1 of 1" in refused
    answer = admin.get(f"{path}/verdicts.csv")
    cells = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert cells[0] == ["Line", "Address", "Verdict", "Why"]
    assert len(cells) == 62
    assert cells[-1][1] == "'=1+1@"
    assert cells[1][:3] == ["2", "reader0@example.org", "added"]


def test_a_long_file_is_checked_by_a_worker(admin, work, sqlite_database):
    """The request is short; the page says how far it is, and shows the verdicts once they are there."""
    rows = "".join(f"reader{n}@example.org\n" for n in range(steps.AT_ONCE + 1))
    page = send(admin, f"email\n{rows}")
    assert "Being checked" in page.text
    assert page.headers["refresh"]
    path = page.url.path
    state = admin.get(f"{path}/progress").json()
    assert (state["state"], state["figures"]["rows"]) == ("checking", "2,001")
    assert work()
    assert told(admin.get(path)) == [2001, 0, 0, 0]
    admin.post(f"{path}/run", **CONSENT)
    assert work()
    assert told(admin.get(path)) == [2001, 0, 0, 0]


def test_an_import_goes_on_after_a_worker_died(admin, sqlite_database, monkeypatch):
    """What was committed is not taken in again; the next worker does the rest, once the lease has run out."""
    monkeypatch.setattr("mailer.audience.imports.CHUNK", 10)
    rows = "".join(f"reader{n}@example.org\n" for n in range(30))
    path = send(admin, f"email\n{rows}").url.path
    admin.post(f"{path}/run", **CONSENT)
    calls = iter(range(100))

    def clock():
        if next(calls) == 8:
            raise KeyboardInterrupt  # as a kill: nothing is tidied up
        return NOON

    with pytest.raises(KeyboardInterrupt):
        steps.work(sqlite_database, keys=KEYS, clock=clock)
    before = len(people(sqlite_database))
    assert 0 < before < 30
    assert not steps.work(sqlite_database, keys=KEYS, clock=lambda: NOON + timedelta(minutes=1))
    assert steps.work(sqlite_database, keys=KEYS, clock=lambda: NOON + timedelta(minutes=11))
    assert len(people(sqlite_database)) == 30
    with sqlite_database.read() as session:
        assert session.scalar(select(func.count()).select_from(Import)) == 1
    assert told(admin.get(path)) == [30, 0, 0, 0]


def test_a_partner_imports_its_own_people_and_chooses_how_they_consent(manager, ours, work, sqlite_database):
    """A trusted one answers for them."""
    path = send(manager, path=PARTNER).url.path
    assert manager.post(f"{path}/run").status_code == 422
    manager.post(f"{path}/run", consent="vouched")
    work()
    assert told(manager.get(path)) == [2, 0, 0, 1]
    with sqlite_database.read() as session:
        assert {each.partner_id for each in session.scalars(select(Membership))} == {ours.id}
        assert {each.consent_kind for each in session.scalars(select(Membership))} == {ConsentKind.VOUCHED}


@pytest.fixture
def untrusted(make, sign_in):
    """The manager of a partner that may not vouch."""
    make.publication()
    return sign_in(Role.PARTNER, partner_id=make.partner("theirs", name_zh="他们的研究所").id)


def test_people_of_a_partner_that_may_not_vouch_are_asked_little_by_little(
    untrusted, work, make, settings, sqlite_database, visit, monkeypatch
):
    """A mail each, in turns; none to who left or complained. The link leads to the button."""
    monkeypatch.setattr(inviting, "AT_ONCE", 3)
    left = make.subscriber("left@example.org", subscribed=False)
    make.subscription(left, state="left")
    make.suppression("angry@example.org", "complaint")
    addresses = [f"{who}@example.org" for who in ("ann", "left", "angry", "ben", "cho")]
    path = send(untrusted, "\n".join(["email", *addresses]), path=PARTNER).url.path
    assert "asked by mail" in untrusted.get(path).text
    untrusted.post(f"{path}/run")
    work()
    with sqlite_database.read() as session:
        states = session.scalars(select(Subscription.state).order_by(Subscription.state)).all()
        assert states == ["left", "pending", "pending", "pending", "pending"]
    with SmtpHost() as host:
        relay = settings.model_copy(update={"smtp_url": host.url})

        def turn(seconds):
            return inviting.invite(
                sqlite_database, settings=relay, clock=lambda: NOON + timedelta(seconds=seconds)
            )

        assert turn(0)
        assert [letter.recipient for letter in host.letters] == ["ann@example.org"]
        assert not turn(9)
        assert turn(10)
        assert turn(20)
        assert not turn(60)
        assert sorted(letter.recipient for letter in host.letters) == [
            "ann@example.org", "ben@example.org", "cho@example.org",
        ]  # fmt: skip
        text = message_from_bytes(host.letters[0].body, policy=policy.default).get_content()
    assert "他们的研究所推荐您" in text
    assert "是的，订阅" in visit().get(re.search(r"/confirm/[a-z2-7]+", text)[0]).text


def test_who_was_not_asked_because_no_relay_answered_is_asked_later(
    untrusted, work, settings, sqlite_database
):
    """Nothing is lost, and nobody is asked twice."""
    path = send(untrusted, "email\nann@example.org\nben@example.org\n", path=PARTNER).url.path
    untrusted.post(f"{path}/run")
    work()

    def turn(at, url):
        relay = settings.model_copy(update={"smtp_url": url})
        return inviting.invite(sqlite_database, settings=relay, clock=lambda: at)

    assert turn(NOON, "smtp://127.0.0.1:1")
    with SmtpHost() as host:
        assert not turn(NOON + timedelta(minutes=1), host.url)
        assert turn(NOON + timedelta(minutes=6), host.url)
        assert sorted(letter.recipient for letter in host.letters) == [
            "ann@example.org",
            "ben@example.org",
        ]


def test_who_was_asked_one_by_one_is_not_asked_by_a_file_the_same_day(
    untrusted, work, app, settings, sqlite_database
):
    """Nor the other way round: one mail a day, whichever way they were brought."""
    untrusted.post("/partner/people/new", address="ann@example.org", language="en", consent="invited")
    path = send(untrusted, "email\nann@example.org\nben@example.org\n", path=PARTNER).url.path
    untrusted.post(f"{path}/run")
    work()
    with SmtpHost() as host:
        relay = settings.model_copy(update={"smtp_url": host.url})
        house = replace(app.state.house, settings=relay)
        with sqlite_database.read() as session:
            publication_id = session.scalars(select(Subscription.publication_id)).first()
        one_by_one = partial(invitations.invite, house, "ann@example.org", publication_id, "theirs")
        one_by_one(NOON)
        while inviting.invite(sqlite_database, settings=relay, clock=lambda: NOON + timedelta(hours=1)):
            pass
        one_by_one(NOON + timedelta(hours=23))
        assert sorted(letter.recipient for letter in host.letters) == ["ann@example.org", "ben@example.org"]
        one_by_one(NOON + timedelta(hours=25))
        assert len(host.letters) == 3


def test_verdicts_do_not_tell_whether_another_partner_holds_a_person(manager, make):
    """Same page, but for what our own file says."""
    theirs = make.partner("theirs")
    make.subscriber("known@example.org", partner=theirs, name_en="Somebody Known")
    known = send(manager, "email\nknown@example.org\n", path=PARTNER)
    fresh = send(manager, "email\nfresh@example.org\n", path=PARTNER)
    assert told(known) == told(fresh) == [1, 0, 0, 0]
    strip = lambda page: re.sub(r"(known|fresh)@|[0-9a-f-]{36}|value=\"[\w-]+\"", "", page.text)  # noqa: E731
    assert strip(known) == strip(fresh)


def test_a_partner_sees_neither_the_secretariats_files_nor_anothers(manager, admin, make, work):
    """They do not exist."""
    upload = send(admin).url.path.rpartition("/")[2]
    assert manager.get(f"{PARTNER}/{upload}").status_code == 404
    assert manager.get(f"{SECRETARIAT}/{upload}").status_code == 404
    admin.post(f"{SECRETARIAT}/{upload}/run", **CONSENT)
    work()
    done = admin.get(f"{SECRETARIAT}/{upload}").url.path.rpartition("/")[2]
    assert manager.get(f"{PARTNER}/done/{done}").status_code == 404
    assert manager.post(f"{PARTNER}/done/{done}/undo").status_code == 404
    assert done not in manager.get(PARTNER).text


def test_files_are_erased_within_a_day(admin, sqlite_database):
    """The page then says to send it again."""
    path = send(admin).url.path
    with sqlite_database.write() as session:
        steps.forget(session, now=NOON + timedelta(hours=24))
    with sqlite_database.read() as session:
        upload = session.scalars(select(Upload)).one()
        assert (upload.content, upload.verdicts) == (None, None)
    assert "Send it again" in admin.get(f"{path}?edit=1").text
