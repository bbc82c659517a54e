"""The administrator's pages of what came back: looked through, understood, undone; rules; suppressions."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from mailer.accounts.store import Role
from mailer.audience.store import Suppression
from mailer.delivery import events
from mailer.delivery.events import News
from mailer.delivery.store import Case, EventKind, OwnRule
from mailer.feedback import alerts, dormant, policy, record, storms
from mailer.feedback.store import Decision, Storm
from mailer.sentence import Sentence
from tests.feedback import samples
from tests.make import KEYS, NOON
from tests.web.conftest import hidden

INBOX, RULES, LIST = "/admin/feedback", "/admin/rules", "/admin/suppressions"
SAID = "RCPT: 554 Service not offered to this correspondent (ref 8821)"


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


@pytest.fixture
def tell(make, sqlite_database):
    """Something comes back about a new letter; the event, decided about."""

    def told(to="", category="unknown", detail=SAID, *, letter=None, **given):
        letter = letter or make.delivery(to)
        facts = {"kind": EventKind.BOUNCE, "at": NOON, "source": "smtp", "permanent": True, **given}
        news = News(campaign_id=letter.campaign_id, n=letter.n, category=category, detail=detail, **facts)
        with sqlite_database.write() as session:
            [event] = events.record_many(session, [news])
            policy.apply_pending(session, now=NOON)
        return event

    return told


def plain(page):
    """A page's text, tags and runs of space taken out."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


# --- who may look ---------------------------------------------------------------------------------------

PAGES = (INBOX, f"{INBOX}/1", f"{INBOX}/1/mail", RULES, f"{RULES}/new", f"{RULES}/1", LIST, f"{LIST}/new",
         f"{LIST}/1", f"{LIST}/export", f"{LIST}/import", "/admin/dormant", "/admin/storms")  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_administrators_see_what_came_back(sign_in, role, path):
    """For colleagues it is forbidden and no menu leads there; for partners it does not exist."""
    visitor = sign_in(role)
    assert visitor.get(path).status_code == (404 if role is Role.PARTNER else 403)
    assert INBOX not in visitor.get("/").text


# --- the inbox ------------------------------------------------------------------------------------------


def test_an_empty_inbox_says_what_will_come_here(admin):
    """And where to go on."""
    assert "Nothing waits for you" in admin.get(INBOX).text
    assert "Nothing has come back yet" in admin.get(f"{INBOX}?view=all").text
    assert "Nothing like that" in admin.get(f"{INBOX}?view=all&category=rate").text


def test_what_nobody_understands_comes_first_and_everything_is_a_click_away(admin, tell):
    """The page opens on what waits for a person."""
    tell("ann@example.org")
    tell("bob@example.org", "mailbox_full", "RCPT: 552 5.2.2 full")
    waiting, everything = admin.get(INBOX).text, admin.get(f"{INBOX}?view=all").text
    assert "ann@example.org" in waiting
    assert "bob@example.org" not in waiting
    assert "bob@example.org" in everything
    assert "mailbox is full <b>1</b>" in everything


def test_filters_live_in_the_address_and_narrow_the_list(admin, make, tell):
    """By what the page offers; an address from elsewhere that makes no sense is said, not guessed at."""
    partner, campaign = make.partner("mee"), make.campaign()
    tell(category="bad_mailbox", letter=make.delivery("ann@example.org", campaign=campaign, partner=partner,
                                                      provider="qq"))  # fmt: skip
    tell("bob@example.org", "rate", at=NOON - timedelta(days=9))
    for query in ("category=bad_mailbox", "kind=bounce&provider=qq", "partner=mee", "provider=qq",
                  f"campaign={campaign.public_id}", "since=2026-11-20&until=2026-11-20",
                  "action=none&partner=mee", "search=ANN@example.org"):  # fmt: skip
        page = admin.get(f"{INBOX}?view=all&{query}").text
        assert "ann@example.org</a>" in page, query
        assert "bob@example.org</a>" not in page, query
    assert "bob@example.org</a>" in admin.get(f"{INBOX}?view=all&provider=other").text
    for query in ("partner=nobody", "campaign=00000000-0000-7000-8000-000000000000", "search=zebra"):
        assert "Nothing like that" in admin.get(f"{INBOX}?view=all&{query}").text
    wrong = admin.get(f"{INBOX}?since=yesterday")
    assert wrong.status_code == 422
    assert "write a date" in wrong.text


def test_a_second_page_goes_on_behind_the_first(admin, make, tell):
    """And leads back to the newest."""
    campaign = make.campaign()
    for number in range(52):
        tell(letter=make.delivery(f"reader{number}@example.org", campaign=campaign))
    first = admin.get(INBOX)
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    second = admin.get(html.unescape(older[1]))
    assert "reader51@" in first.text
    assert "reader1@example.org" not in first.text
    assert "reader0@" in second.text
    assert "Newest</a>" in second.text


def test_a_page_of_cases_is_left_as_it_is(admin, tell):
    """They wait no more, and stay among everything."""
    found = [tell("ann@example.org"), tell("bob@example.org")]
    page = admin.post(f"{INBOX}/settle", event=[str(each) for each in found], next=INBOX)
    assert "2 are looked at." in page.text
    assert "Nothing waits for you" in page.text
    assert "ann@example.org" in admin.get(f"{INBOX}?view=all").text


def test_an_erased_reader_is_shown_as_erased(admin, make, tell, sqlite_database):
    """No address is left to show."""
    reader = make.subscriber("gone@example.org")
    event = tell(letter=make.delivery(subscriber=reader))
    with sqlite_database.write() as session:
        row = session.get_one(type(reader), reader.id)
        row.address = row.address_key = None
    for path in (INBOX, f"{INBOX}/{event}"):
        page = admin.get(path).text
        assert "erased address" in page
        assert "gone@example.org" not in page


# --- one case -------------------------------------------------------------------------------------------


def test_a_case_shows_its_grounds_its_letter_and_what_was_decided(admin, make, tell):
    """From the reply to the rule that read it, to the campaign, to the policy's reason."""
    partner = make.partner("mee", name_en="The Ministry")
    letter = make.delivery(subscriber=make.subscriber("ann@example.org", partner=partner), provider="qq")
    event = tell(category="bad_mailbox", detail="RCPT: 550 no such user", letter=letter, dead=True,
                 reason='"no such user"')  # fmt: skip
    page = plain(admin.get(f"{INBOX}/{event}"))
    for words in ("RCPT: 550 no such user", "mailbox does not exist",
                  'mail systems mean this by "no such user"',
                  "The receiving system says outright", "The Ministry", "Green Observer", "QQ Mail",
                  "the relay, while we were sending", "silenced"):  # fmt: skip
        assert words in page
    assert admin.get(f"{INBOX}/999").status_code == 404


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("status 5.2.1", "the status 5.2.1 means this (RFC 3463)"),
        ("code 552", "the reply code 552 means this (RFC 5321)"),
        ("own rule 7", "own rule 7 says so"),
        ("gmx: nemesis esmtp", "documents it: “nemesis esmtp” https://postmaster.gmx.net"),
        ("busy or blocked for now", "busy or blocked for now"),
        ("", "nothing that is known was said"),
    ],
)
def test_whatever_decided_is_named(admin, tell, reason, words):
    """A provider's own table with its source, a status, a code, a rule of the house."""
    assert words in plain(admin.get(f"{INBOX}/{tell(reason=reason)}"))


def test_the_mail_is_shown_as_text_and_can_be_downloaded(admin, make, sqlite_database):
    """Nothing of it is ever run: what looks like a page is shown as letters."""
    letter = make.delivery("ann@example.org")
    raw = samples.dsn(("ann@example.org", "550 5.1.1 <script>alert(1)</script> unknown"))
    with sqlite_database.write() as session:
        heard = record.hear(session, raw=raw, envelope_to=samples.return_path(letter), now=NOON, keys=KEYS)
    page = admin.get(f"{INBOX}/{heard.events[0]}")
    assert "Your letter is on its last page." in page.text
    assert "Reporting-MTA: dns; relay.example.net" in page.text
    assert "<script>alert" not in page.text
    mail = admin.get(f"{INBOX}/{heard.events[0]}/mail")
    assert mail.content == raw
    assert mail.headers["content-type"] == "message/rfc822"
    assert "attachment" in mail.headers["content-disposition"]


def test_news_without_a_mail_says_so(admin, tell):
    """And there is nothing to download."""
    event = tell()
    assert (
        "There is none: the mail system said so while we were sending" in admin.get(f"{INBOX}/{event}").text
    )
    assert admin.get(f"{INBOX}/{event}/mail").status_code == 404


def test_a_suppression_is_undone_with_a_reason(admin, tell, sqlite_database):
    """Without a reason the form comes back; undone, the reader is written to again."""
    event = tell(category="bad_mailbox", dead=True, status="5.1.1")
    assert admin.post(f"{INBOX}/{event}/undo").status_code == 422
    page = admin.post(f"{INBOX}/{event}/undo", why="she wrote to us")
    assert "Undone by admin@example.org: she wrote to us" in plain(page)
    with sqlite_database.read() as session:
        assert session.query(Suppression).one().released_by == "admin@example.org"
    assert admin.post(f"{INBOX}/{event}/undo", why="again").status_code == 409


def test_a_reader_is_suppressed_by_hand_from_a_case(admin, make, tell, sqlite_database):
    """For one publication or all, until a day or for good; the case waits no more."""
    event = tell("ann@example.org")
    assert admin.post(f"{INBOX}/{event}/suppress").status_code == 422
    assert admin.post(f"{INBOX}/{event}/suppress", note="x", scope="nothing").status_code == 422
    assert admin.post(f"{INBOX}/{event}/suppress", note="x", until="2020-01-01").status_code == 422
    page = admin.post(f"{INBOX}/{event}/suppress", note="asked", scope="observer", until="2027-01-31")
    assert "Nobody writes to this address any more." in page.text
    with sqlite_database.read() as session:
        made = session.query(Suppression).one()
        assert (made.publication_id, made.note, made.added_by) == (
            make.publication().id,
            "asked",
            "admin@example.org",
        )
        assert session.get_one(Case, event).open is False


def test_a_case_is_left_as_it_is_and_looked_at_again(admin, tell):
    """One button each way."""
    event = tell()
    assert "it stays as it is" in admin.post(f"{INBOX}/{event}/settle").text
    assert "It waits for a person again." in admin.post(f"{INBOX}/{event}/reopen").text


# --- own rules ------------------------------------------------------------------------------------------

RULE = {"words": "not offered to this correspondent", "category": "policy"}


def test_a_rule_is_begun_from_a_case_tried_saved_and_switched_off(admin, tell, sqlite_database):
    """Trying shows before and after and keeps nothing; saving leads to the rule."""
    event = tell("ann@example.org")
    form = admin.get(f"{RULES}/new?event={event}").text
    assert "Service not offered to this correspondent (ref</textarea>" in form
    tried = plain(admin.post(f"{RULES}/try", **RULE, event=str(event)))
    assert "1 of 1 bounce would be judged otherwise." in tried
    assert "reason not understood → becomes refused by a rule 1" in tried
    with sqlite_database.read() as session:
        assert session.query(OwnRule).count() == 0
    page = admin.post(RULES, **RULE, note="they tell us so")
    assert "Saved:" in page.text
    assert "they tell us so" in admin.get(RULES).text
    number = int(page.url.path.rsplit("/", 1)[1])
    edited = admin.post(RULES, **{**RULE, "category": "reputation"}, number=str(number))
    assert edited.url.path == page.url.path
    assert "The rule is switched off" in admin.post(f"{RULES}/{number}/switch", on="0").text
    assert "switched off" in admin.get(RULES).text
    assert "The rule is asked again." in admin.post(f"{RULES}/{number}/switch", on="1").text
    log = admin.get("/admin/activity").text
    assert all(action in log for action in ("rule.add", "rule.edit", "rule.off", "rule.on"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"category": "policy"}, "fits every reply"),
        ({"words": "not here"}, "Please fill this in."),
        ({**RULE, "dead": "1"}, "Only bad_mailbox and bad_domain"),
        ({**RULE, "code": "9"}, "no reply code"),
        ({**RULE, "provider": "nobody"}, "No provider is called"),
    ],
)
@pytest.mark.parametrize("path", [RULES, f"{RULES}/try"])
def test_a_rule_that_cannot_be_comes_back_with_the_reason(admin, sqlite_database, path, fields, words):
    """What was written is still there, and nothing is saved."""
    page = admin.post(path, **fields)
    assert page.status_code == 422
    assert words in plain(page)
    assert fields.get("words", "") in page.text
    with sqlite_database.read() as session:
        assert session.query(OwnRule).count() == 0


def test_the_past_is_judged_by_a_rule_and_taken_back(admin, tell, sqlite_database):
    """The case shows both; taken back, it waits again."""
    event = tell("ann@example.org")
    path = admin.post(RULES, **{**RULE, "category": "bad_mailbox", "dead": "1"}).url.path
    assert "1 case is judged anew." in admin.post(f"{path}/judge").text
    with sqlite_database.write() as session:
        policy.apply_pending(session, now=NOON)
    page = plain(admin.get(f"{INBOX}/{event}"))
    assert "own rule 1 says so" in page
    assert "it was not understood before" in page
    assert "silenced" in page
    assert admin.post(f"{path}/undo").status_code == 422
    assert "1 case stands as before." in admin.post(f"{path}/undo", why="a mistake").text
    assert "ann@example.org" in admin.get(INBOX).text
    with sqlite_database.read() as session:
        assert session.query(Suppression).one().released_at is not None


def test_a_rule_that_is_not_there_is_said(admin):
    """To look at, to switch, to try as an edit."""
    assert admin.get(f"{RULES}/9").status_code == 404
    assert admin.post(f"{RULES}/9/switch", on="1").status_code == 404
    assert admin.post(RULES, **RULE, number="9").status_code == 404


# --- suppressions ---------------------------------------------------------------------------------------


def test_a_suppression_tells_why_back_to_the_mail(admin, tell):
    """From the list to the address, from the address to the reply."""
    event = tell("ann@example.org", "bad_mailbox", "RCPT: 550 5.1.1 nobody", dead=True, status="5.1.1")
    listed = admin.get(LIST)
    path = re.search(rf'href="({LIST}/\d+)"', listed.text)[1]
    assert f"{INBOX}/{event}" in listed.text
    page = plain(admin.get(path))
    assert "The receiving system says outright that there is no such mailbox." in page
    assert "RCPT: 550 5.1.1 nobody" in page
    released = admin.post(f"{LIST}/release", id=path.rsplit("/", 1)[1], why="alive", next=path)
    assert "It is over" in released.text
    assert "alive" in released.text
    assert admin.get(f"{LIST}/999").status_code == 404


def test_addresses_are_found_by_their_whole_or_their_beginning(admin, make):
    """Also an address that belongs to nobody we know: its hash tells."""
    make.subscriber("ann@example.org")
    make.suppression("ann@example.org")
    make.suppression("stranger@elsewhere.example", reason="complaint")
    assert "ann@example.org</a>" in admin.get(f"{LIST}?search=ann").text
    assert "address not kept</a>" in admin.get(f"{LIST}?search=Stranger@elsewhere.example").text
    assert "Nothing like that" in admin.get(f"{LIST}?search=zebra").text
    assert "ann@example.org</a>" not in admin.get(f"{LIST}?reason=complaint").text
    assert "Nothing like that" in admin.get(f"{LIST}?state=over").text


def test_an_address_is_added_by_hand(admin):
    """With a reason; nobody needs to be a reader."""
    page = admin.post(LIST, address="new@elsewhere.example", note="asked by telephone")
    assert "asked by telephone" in page.text
    wrong = admin.post(LIST, address="no address", note="x")
    assert wrong.status_code == 422
    assert 'value="no address"' in wrong.text


def test_a_file_is_checked_taken_in_and_undone(admin, sqlite_database):
    """Checking writes nothing and carries the file along; each row has its verdict."""
    file = ("list.csv", b"email,note\nann@example.org,left\nnot an address,x\n", "text/csv")
    checked = admin.post(f"{LIST}/import/check", files={"file": file})
    assert "What would happen: list.csv" in checked.text
    assert "refused" in checked.text
    with sqlite_database.read() as session:
        assert session.query(Suppression).count() == 0
    taken = admin.post(f"{LIST}/import", carried=hidden(checked.text, "carried"), name="list.csv")
    assert "Taken in: list.csv" in taken.text
    with sqlite_database.read() as session:
        assert session.query(Suppression).count() == 1
    undone = admin.post(f"{LIST}/import/undo", file=hidden(taken.text, "file"))
    assert "1 address can be written to again." in undone.text
    assert admin.post(f"{LIST}/import").status_code == 422
    assert admin.post(f"{LIST}/import", carried="not base 64!").status_code == 422
    assert admin.post(f"{LIST}/import", files={"file": ("x.csv", b"", "text/csv")}).status_code == 422


def test_the_export_is_a_table_that_no_spreadsheet_runs(admin, make):
    """Streamed; a cell that begins like a formula is guarded."""
    make.subscriber("ann@example.org")
    make.suppression("ann@example.org", note="=HYPERLINK(1)")
    answer = admin.get(f"{LIST}/export")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "ann@example.org" in answer.text
    assert "'=HYPERLINK(1)" in answer.text


# --- silent for long, storms, alerts --------------------------------------------------------------------


def test_addresses_silent_for_long_are_decided_about(admin, make, tell, sqlite_database):
    """Asked about, kept or suppressed, each with its button."""
    assert "Nothing waits for you" in admin.get("/admin/dormant").text
    readers = [make.subscriber(f"{name}@example.org") for name in ("ann", "bob", "eve")]
    found = {
        reader.id: (tell(letter=make.delivery(subscriber=reader)), Sentence("many came back"))
        for reader in readers
    }
    with sqlite_database.write() as session:
        dormant.list_many(session, found, now=NOON)
    with sqlite_database.read() as session:
        ann, bob, eve = (row.dormant.id for row in dormant.listing(session)[0])
    page = admin.get("/admin/dormant")
    assert "many came back" in page.text
    assert "ann@example.org" not in admin.get("/admin/dormant?search=bob").text
    assert "Its partners are asked." in admin.post("/admin/dormant", id=str(ann), answer="ask").text
    assert "ann@example.org" in admin.get("/admin/dormant?asked=true").text
    assert "written to as before" in admin.post("/admin/dormant", id=str(bob), answer="keep").text
    again = admin.post("/admin/dormant", id=str(eve), answer="suppress")
    assert again.status_code == 422
    assert 'id="why-wrong">Please fill this in.' in again.text
    assert "eve@example.org" in again.text
    assert "any more" in admin.post("/admin/dormant", id=str(eve), answer="suppress", why="no answer").text
    with sqlite_database.read() as session:
        assert session.query(Suppression).count() == 1


@pytest.mark.parametrize(("verb", "silenced"), [("release", 0), ("confirm", 1)])
def test_what_a_storm_holds_back_is_released_or_confirmed(admin, make, tell, sqlite_database, verb, silenced):
    """Only with a reason; the alert leads here."""
    assert "Nothing is held back" in admin.get("/admin/storms").text
    event = tell(letter=make.delivery(provider="qq"), category="bad_mailbox", dead=True)
    with sqlite_database.write() as session:
        decision = session.get_one(Decision, event)
        held = session.get(Suppression, decision.suppression_id)
        decision.action, decision.until, decision.suppression_id = "hold", NOON + timedelta(days=1), None
        session.flush()
        session.delete(held)
        session.add(Storm(destination="qq", began_at=NOON, bad=60, letters=200, usual=0.01))
        alerts.tell(session, alerts.About.STORM, Sentence("qq rages"), subject="qq", now=NOON)
    assert "qq rages" in admin.get(INBOX).text
    page = plain(admin.get("/admin/storms"))
    assert "60 of 200 letters" in page
    assert "1 suppression is held back." in page
    again = admin.post(f"/admin/storms/{verb}", id="1")
    assert again.status_code == 422
    assert 'id="why-wrong">Please fill this in.' in again.text
    assert "1 suppression is held back." in plain(again)
    admin.post(f"/admin/storms/{verb}", id="1", why="it was asked")
    with sqlite_database.read() as session:
        assert session.query(Suppression).count() == silenced
        assert storms.listing(session)[0].held == 0


def test_an_alert_stands_until_somebody_has_seen_it(admin, sqlite_database):
    """Then it is gone from the page."""
    with sqlite_database.write() as session:
        alerts.tell(session, alerts.About.REFUSED, Sentence("Gmail refuses us"), subject="gmail", now=NOON)
    page = admin.get(INBOX).text
    assert "Gmail refuses us" in page
    assert "Gmail refuses us" not in admin.post(f"{INBOX}/alerts/settle", alert=hidden(page, "alert")).text
    assert admin.post(f"{INBOX}/alerts/settle", alert="99").status_code == 404


def test_every_page_is_there_in_chinese(admin, tell, make, sqlite_database):
    """With something on each of them."""
    event = tell("ann@example.org", "bad_mailbox", dead=True, status="5.1.1")
    admin.post(RULES, **RULE)
    for path in (INBOX, f"{INBOX}/{event}", RULES, f"{RULES}/1", f"{RULES}/new", LIST, f"{LIST}/1",
                 f"{LIST}/new", f"{LIST}/import", "/admin/dormant", "/admin/storms", "/admin/answers",
                 "/admin/policy"):  # fmt: skip
        page = admin.get(f"{path}?lang=zh")
        assert page.status_code == 200, path
        assert "退信" in page.text
