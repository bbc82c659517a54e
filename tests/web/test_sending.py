"""The administrator's pages about sending: what keeps letters back, and keys that sign them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from starlette.testclient import TestClient

from mailer.accounts.store import Role
from mailer.delivery import dkim_dns, dkim_keys, lanes, store
from mailer.delivery.dkim import Algorithm
from mailer.delivery.store import CampaignState, DkimKey
from mailer.sentence import Sentence
from mailer.settings import Settings
from mailer.web.app import create_app
from tests.make import NOON, SECRET

PATH = "/admin/sending"
KEYS = "/admin/sending/keys"
HOUR = timedelta(hours=1)


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def row(page, name):
    """The cells of a destination's row, as text."""
    found = re.search(rf'<tr>\s*<th scope="row">{re.escape(name)}.*?</tr>', page.text, re.DOTALL)
    assert found, f"no row for {name}"
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


# --- who may look ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMIN, Role.PARTNER)])
@pytest.mark.parametrize("path", [PATH, KEYS])
def test_only_administrators_see_how_letters_are_sent(sign_in, role, path):
    """For colleagues of the secretariat it is forbidden, and no menu leads there."""
    visitor = sign_in(role)
    assert visitor.get(path).status_code == 403
    assert PATH not in visitor.get("/desk/issues").text


def test_for_partners_the_pages_do_not_exist(sign_in):
    """Neither to look at nor to post to."""
    partner = sign_in(Role.PARTNER)
    for path in (PATH, KEYS):
        assert partner.get(path).status_code == 404
    for path in ("limits", "limits/clear", "keys", "keys/check", "keys/activate", "keys/retire"):
        assert partner.post(f"{PATH}/{path}", lane="gmail").status_code == 404


# --- pace -----------------------------------------------------------------------------------------------


def test_destinations_show_their_limit_and_when_their_letters_go(admin, make, sqlite_database):
    """Defaults are there without anybody having set them; letters of all campaigns are counted."""
    campaign = make.campaign(CampaignState.SENDING)
    make.batch(campaign, 1, 10_000, lane="gmail")
    make.batch(campaign, 10_001, 10_300)
    with sqlite_database.write() as session:
        lanes.slow_down(session, "yahoo", said="421 4.7.0 [TSS04] deferred", now=NOON)
    page = admin.get(PATH)
    gmail = row(page, "Gmail")
    for words in ("10 a second · 20,000 an hour · 5 connections · 50 letters on each", "default"):
        assert words in gmail
    assert "10,000 in about 30 minutes" in gmail
    assert "without limit 300 300 at once" in row(page, "All other destinations")
    yahoo = row(page, "Yahoo")
    assert "rests until 12:01 (UTC)" in yahoo
    assert "asked us 1 time in a row to slow down: 421 4.7.0 [TSS04] deferred" in yahoo


def test_a_limit_is_set_changed_and_taken_back(admin):
    """The form comes filled with what holds now; who set it is shown; the activity log has both."""
    form = admin.get(f"{PATH}?lane=gmail").text
    assert "Limit of Gmail" in form
    assert re.search(r'name="per_hour"[^>]*value="20000"', form)
    page = admin.post(f"{PATH}/limits", lane="Gmail", per_second="0.5", connections="2")
    assert page.url.path == PATH
    assert "Gmail: 0.5 a second · 2 connections" in page.text
    assert "set by admin@example.org" in row(page, "Gmail")
    page = admin.post(f"{PATH}/limits/clear", lane="gmail")
    assert "20,000 an hour" in row(page, "Gmail")
    assert "set by" not in row(page, "Gmail")
    assert admin.post(f"{PATH}/limits/clear", lane="gmail").status_code == 404
    log = admin.get("/admin/activity").text
    assert "limit.set" in log
    assert "limit.clear" in log


def test_a_domain_gets_a_limit_and_empty_fields_lift_one(admin):
    """A letter or two a day is written so that it does not read as none."""
    page = admin.post(f"{PATH}/limits", lane="City.example", per_second="0.00002", letters="1")
    assert "2e-05 a second · 1 letter on each" in row(page, "city.example")
    page = admin.post(f"{PATH}/limits", lane="city.example")
    assert "without limit" in row(page, "city.example")
    assert "Remove the limit" in row(page, "city.example")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lane": "gmail", "per_second": "fast"}, "Please write a number."),
        ({"lane": "gmail", "per_hour": "1.5"}, "Please write a number."),
        ({"lane": "gmail", "per_second": "-1"}, "leave a field empty"),
        ({"lane": "gmail", "per_second": "nan"}, "leave a field empty"),
        ({"lane": "no such place"}, "There is no such destination"),
        ({"per_second": "5"}, "Please fill this in."),
    ],
)
def test_a_limit_that_cannot_be_kept_comes_back_with_the_reason(admin, sqlite_database, fields, words):
    """What was typed is still there, and nothing is set."""
    page = admin.post(f"{PATH}/limits", **fields)
    assert page.status_code == 422
    assert words in page.text
    assert all(f'value="{value}"' in page.text for value in fields.values())
    with sqlite_database.read() as session:
        assert not lanes.set_limits(session)


def test_relays_workers_and_trouble_are_told(admin, make, settings, sqlite_database):
    """Limits and the warm-up of each relay, without its password; where the workers' time went."""
    campaign = make.campaign(CampaignState.SENDING, trouble="The relay mx.example:25 is away.")
    make.batch(campaign, 1, 400)
    spent = store.Spent(letters=12_000, composing=1, wire=8, recording=1)
    with sqlite_database.write() as session:
        store.beat(session, worker="m/worker-1", machine="m", now=NOON, spent=spent)
    first = date(2026, 11, 18).isoformat()
    urls = (
        f"smtp://desk:hush@mx.example:587?per_hour=5000&warmup={first} smtp://127.0.0.1:25?warmup=2026-01-01"
    )
    cookie = admin.client.cookies["mailer-session"]
    chosen = Settings(data=settings.data, secret=SECRET, smtp_url=urls)
    with TestClient(create_app(chosen, sqlite_database, clock=lambda: NOON)) as client:
        client.cookies.set("mailer-session", cookie)
        page = client.get(PATH, headers={"accept-language": "en"})
    assert "hush" not in page.text
    assert "5,000 an hour" in page.text
    assert "day 3 of its warm-up: 200 letters today" in page.text
    assert "At the pace of the first relay the 400 letters that wait take about 2 days." in page.text
    assert "warmed up since 1 Jan 2026" in page.text
    assert "The relay mx.example:25 is away." in page.text
    assert "now 12,000 1,200 10.0% 80.0% 10.0%" in row(page, "m/worker-1")


@pytest.mark.parametrize(
    ("rests", "says"),
    [
        ([HOUR, 2 * HOUR], "rests until 14:00 (UTC) at 2 workers"),
        ([-HOUR, HOUR], "rests until 13:00 (UTC) at 1 worker"),
        ([-HOUR, -HOUR], "is tried with one letter at 2 workers"),
    ],
)
def test_a_relay_that_fails_workers_is_told_with_the_reason(admin, sqlite_database, rests, says):
    """Each has its own breaker; one that was not seen of late is passed over."""
    why = Sentence("The relay {relay} refuses our letters ({reply}).", relay="mx.example:25", reply="554 No")
    with sqlite_database.write() as session:
        for n, rest in enumerate(rests):
            failing = [store.Failing("mx.example:25", NOON + rest, why)]
            store.beat(session, worker=f"m/w{n}", machine="m", now=NOON, failing=failing)
        gone = [store.Failing("gone.example:25", NOON + HOUR, why)]
        store.beat(session, worker="m/gone", machine="m", now=NOON - HOUR, failing=gone)
        store.beat(session, worker="m/well", machine="m", now=NOON)
    text = " ".join(re.sub("<[^>]+>", " ", admin.get(PATH).text).split())
    assert f"mx.example:25 {says} The relay mx.example:25 refuses our letters (554 No)." in text
    assert "gone.example" not in text
    assert "No campaign reports trouble" not in text


def test_a_campaign_that_stopped_by_itself_is_pointed_out(admin, make):
    """Paused because all relays refuse it, or not launched: an administrator is told, wherever it stands."""
    make.campaign(CampaignState.PAUSED, trouble="Every relay refuses these letters.")
    make.campaign(CampaignState.SCHEDULED, trouble="The launch failed.")
    page = admin.get(PATH).text
    assert "Every relay refuses these letters." in page
    assert "The launch failed." in page


def test_without_a_relay_or_a_worker_the_page_says_so(admin):
    """A newcomer's installation: everything is caught, nothing was sent yet."""
    page = admin.get(PATH).text
    assert "the built-in listener catches every letter" in page
    assert "No worker was seen within a day." in page


def test_a_relay_that_cannot_be_read_does_not_break_the_page(admin, settings, sqlite_database):
    """It is when something is wrong that people come here."""
    cookie = admin.client.cookies["mailer-session"]
    chosen = Settings(data=settings.data, secret=SECRET, smtp_url="smtp://mx.example?warmup=soon")
    with TestClient(create_app(chosen, sqlite_database, clock=lambda: NOON)) as client:
        client.cookies.set("mailer-session", cookie)
        page = client.get(PATH, headers={"accept-language": "en"})
    assert page.status_code == 200
    assert "says warmup=soon" in page.text


# --- keys -----------------------------------------------------------------------------------------------


def the_key(database, selector="m20261120r"):
    with database.read() as session:
        return session.get_one(DkimKey, ("news.example", selector))


def record(key):
    return dkim_dns.record(Algorithm(key.algorithm), key.public)


@pytest.fixture
def key(admin, make, sqlite_database):
    """A key of the publication's domain, just made on the page."""
    make.publication()
    page = admin.post(KEYS, domain="news.example", algorithm="rsa-sha256")
    assert "The key m20261120r is made." in page.text
    return the_key(sqlite_database)


def test_a_domain_whose_letters_go_unsigned_is_pointed_out(admin, make):
    """The form for its key comes filled in."""
    make.publication()
    page = admin.get(KEYS).text
    assert "Letters from this domain go unsigned" in page
    assert re.search(r'name="domain"[^>]*value="news.example"', page)


def test_an_empty_page_of_keys_says_what_to_do(admin):
    """No publication, no key."""
    assert "No key yet" in admin.get(KEYS).text


def test_a_key_goes_from_made_to_signing(admin, key, names, sqlite_database):
    """Its record is shown whole; it is activated once the DNS has it, and not before."""
    page = admin.get(KEYS).text
    assert "m20261120r._domainkey.news.example" in page
    assert record(key) in page
    assert "signs nothing yet" in page
    which = {"domain": "news.example", "selector": key.selector}
    missing = admin.post(f"{KEYS}/check", **which)
    assert "There is no TXT record at m20261120r._domainkey.news.example" in missing.text
    refused = admin.post(f"{KEYS}/activate", **which)
    assert refused.status_code == 409
    assert "publish it, and wait until the DNS shows it" in refused.text
    assert the_key(sqlite_database).signs_from is None
    names["m20261120r._domainkey.news.example"] = [record(key)]
    assert "It can be activated now." in admin.post(f"{KEYS}/check", **which).text
    page = admin.post(f"{KEYS}/activate", **which)
    assert "m20261120r signs for news.example." in page.text
    assert "go unsigned" not in page.text
    assert the_key(sqlite_database).signs_from == NOON


def test_a_record_that_is_not_this_keys_is_shown(admin, key, names):
    """Escaped: whoever controls a domain's DNS writes nothing into our pages."""
    names["m20261120r._domainkey.news.example"] = ["v=DKIM1; p=<b>AAAA</b>"]
    page = admin.post(f"{KEYS}/check", domain="news.example", selector=key.selector).text
    assert "is not this key&#39;s" in page
    assert "&lt;b&gt;AAAA" in page


def test_the_last_key_is_retired_only_on_a_second_word(admin, key, names, sqlite_database):
    """Letters would go unsigned; the record must stay for those on their way."""
    names["m20261120r._domainkey.news.example"] = [record(key)]
    which = {"domain": "news.example", "selector": key.selector}
    admin.post(f"{KEYS}/activate", **which)
    page = admin.post(f"{KEYS}/retire", **which)
    assert page.status_code == 409
    assert "retire it all the same" in page.text
    assert "Retire it all the same</button>" in page.text
    page = admin.post(f"{KEYS}/retire", **which, last="1")
    assert "is gone for good" in page.text
    assert "Leave its DNS record until" in page.text
    assert the_key(sqlite_database).secret == ""
    assert "dkim.retire" in admin.get("/admin/activity").text


def test_a_second_key_takes_the_first_ones_place(admin, key, names, sqlite_database):
    """The first is shown as replaced, with the time until which its record must stay."""
    admin.post(KEYS, domain="news.example", algorithm="rsa-sha256", selector="next")
    for each in (key, the_key(sqlite_database, "next")):
        names[dkim_dns.record_name("news.example", each.selector)] = [record(each)]
        page = admin.post(f"{KEYS}/activate", domain="news.example", selector=each.selector)
    assert "replaced" in page.text
    assert "27 Nov 2026, 12:00 (UTC)" in page.text


def test_a_parents_key_signs_for_its_child(admin, key, names, make, sqlite_database):
    """And the child's letters do not go unsigned."""
    names["m20261120r._domainkey.news.example"] = [record(key)]
    admin.post(f"{KEYS}/activate", domain="news.example", selector=key.selector)
    with sqlite_database.write() as session:
        session.merge(make.publication()).sender_address = "desk@north.news.example"
    page = admin.get(KEYS).text
    assert "signed with the keys of news.example" in page
    assert "go unsigned" not in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"domain": "nonsense"}, "This is not a domain"),
        ({"domain": "news.example", "selector": "a b"}, "A selector is one word"),
        ({"domain": "news.example", "algorithm": "rot13"}, "choose one from the list"),
    ],
)
def test_a_key_that_cannot_be_made_says_why(admin, sqlite_database, fields, words):
    """And none is made."""
    page = admin.post(KEYS, **fields)
    assert page.status_code == 422
    assert words in page.text
    with sqlite_database.read() as session:
        assert not dkim_keys.listing(session)


def test_a_silent_dns_is_said_and_a_key_of_nobody_is_not_found(settings, admin, key, sqlite_database):
    """Neither yes nor no: the key stays as it is."""

    def silent(_name):
        raise dkim_dns.DnsSilent

    cookie = admin.client.cookies["mailer-session"]
    with TestClient(create_app(settings, sqlite_database, clock=lambda: NOON, look_up=silent)) as client:
        client.cookies.set("mailer-session", cookie)
        which = {"csrf": admin.csrf, "domain": "news.example", "selector": key.selector}
        for verb in ("check", "activate"):
            page = client.post(f"{KEYS}/{verb}", data=which, headers={"accept-language": "en"})
            assert "The DNS gives no answer" in page.text
    assert the_key(sqlite_database).signs_from is None
    for verb in ("check", "activate", "retire"):
        assert admin.post(f"{KEYS}/{verb}", domain="news.example", selector="none").status_code == 404
