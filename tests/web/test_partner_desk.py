"""The pages of a partner's desk: home, people, bounced addresses, report, requests, team, activity."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from mailer.accounts.store import Role, User
from mailer.audience.store import Membership, MembershipTopic, Partner, Subscriber
from mailer.delivery.store import DeliveryState, EventKind
from mailer.diagnosis.verdict import Category
from mailer.web import advice, i18n
from tests.make import NOON
from tests.smtphost import SmtpHost
from tests.web.conftest import hidden
from tests.web.test_partner import with_relay

DAY = timedelta(days=1)


@pytest.fixture
def ours(make):
    """A partner that may vouch, with seats to lose."""
    return make.partner("ours", name_en="Our Ministry", name_zh="我部", trusted=True, seats=4)


@pytest.fixture
def theirs(make):
    """One that may not."""
    return make.partner("theirs", name_en="Their Institute")


@pytest.fixture
def manager(make, sign_in, ours):
    """The first one's manager."""
    make.publication()
    return sign_in(Role.PARTNER, partner_id=ours.id, email="me@ours.example", name="Me Manager")


@pytest.fixture
def member(make, ours):
    """A person of ours, their membership."""

    def member(address, partner=ours, **given):
        reader = make.subscriber(address)
        return make.membership(partner, reader, **{"language": "en", **given})

    return member


def path_of(tie):
    return f"/partner/people/{tie.public_id}"


def test_a_new_partner_is_led_to_adding_people(manager):
    """Nothing else on the page would be of use."""
    page = manager.get("/").text
    assert "Who should receive the newsletter?" in page
    assert 'href="/partner/people/add"' in page


def test_the_home_page_counts_people_and_names_what_needs_doing(manager, make, member):
    """Each figure opens into as many people; each trouble has its button beside it."""
    member("ann@ours.example")
    member("gone@ours.example")
    make.suppression("gone@ours.example")
    member("late@ours.example", confirmed_at=None, consent_at=NOON - 8 * DAY, consent_kind="invited")
    member("away@ours.example", paused_until=NOON + DAY)
    page = manager.get("/partner").text
    for words in (
        "4 of 4 seats taken", "Letters to 1 address come back.", "Hardly a seat is free.",
        "1 person has not answered for more than a week.", "Nobody else looks after your people.",
    ):  # fmt: skip
        assert words in page, words
    for path in re.findall(r'class="figure" href="(/partner/people[^"]*)"', page)[1:]:
        assert "1 person</caption>" in manager.get(path.replace("&amp;", "&")).text
    assert manager.get("/partner/people?waiting=long").text.count('scope="row"') == 1
    make.suppression("late@ours.example")  # whose invitation came back has an address to mend first
    page = manager.get("/partner").text
    assert "Letters to 2 addresses come back." in page
    assert "not answered" not in page


def test_the_last_issue_and_its_figures_open_into_letters(manager, make, ours, member):
    """Only ours are counted; the table of letters can be taken home."""
    campaign = make.campaign()
    ties = [member(f"{name}@ours.example", name_en=name) for name in ("ann", "=cmd")]
    for tie, state in zip(ties, (DeliveryState.ACCEPTED, DeliveryState.REJECTED), strict=True):
        letter = make.delivery(campaign=campaign, subscriber=reader_of(make, tie), state=state)
        make.attempt(letter, category="policy" if state is DeliveryState.REJECTED else None, reply="said")
    make.delivery(campaign=campaign)
    assert f"/partner/report/{campaign.public_id}" in manager.get("/partner").text
    assert "Green Observer, no." in manager.get("/partner/report").text
    page = manager.get(f"/partner/report/{campaign.public_id}?fate=returned").text
    assert "1 letter</caption>" in page
    assert "refused the letter" in page
    table = manager.get(f"/partner/report/{campaign.public_id}/letters.csv")
    rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert [row[0] for row in rows] == ["Name", "'=cmd", "ann"]
    assert rows[1][2:5] == [
        "came back", "A rule of their organisation’s mail system refused the letter.", "said",
    ]  # fmt: skip


def reader_of(make, tie):
    with make.database.read() as session:
        return session.get(Subscriber, tie.subscriber_id)


def test_people_are_filtered_and_sorted(manager, make, ours, member):
    """By language, state, topic and words; by name or the newest."""
    water = make.topic("water")
    ann = member("b@ours.example", name_en="Ann", language="zh")
    member("a@ours.example", name_en="Ben", joined_at=NOON + DAY)
    with make.database.write() as session:
        session.add(MembershipTopic(membership_id=ann.id, topic_id=water.id))
    for query in ("language=zh", "topic=water", "search=ann"):
        page = manager.get(f"/partner/people?{query}").text
        assert "b@ours.example" in page, query
        assert "a@ours.example" not in page, query
    order = lambda sort: re.findall(  # noqa: E731
        r">(Ann|Ben)</a></th>", manager.get(f"/partner/people?sort={sort}").text
    )
    assert (order(""), order("name"), order("newest")) == (["Ben", "Ann"], ["Ann", "Ben"], ["Ben", "Ann"])
    assert "Nobody on your list is like" in manager.get("/partner/people?state=paused").text


def test_several_people_are_added_at_once_and_bad_lines_stay_in_the_box(manager):
    """A verdict beside each; what was added need not be typed again."""
    box = "李敏 <li@ours.example>\nann at ours.example\nben@ours.example"
    page = manager.post("/partner/people/add", people=box, language="zh", consent="vouched").text
    assert page.count(">added<") == 2
    assert "is not an e-mail address" in page
    assert re.search(r"<textarea[^>]*>\s*ann at ours.example</textarea>", page)
    assert "2 people</caption>" in manager.get("/partner/people").text


def test_who_has_no_seat_is_named(manager):
    """The others have theirs."""
    box = "\n".join(f"p{number}@ours.example" for number in range(5))
    page = manager.post("/partner/people/add", people=box, language="en", consent="vouched").text
    assert page.count("Every seat of this partner is taken") == 1
    assert re.search(r"<textarea[^>]*>\s*p4@ours.example</textarea>", page)


def test_a_likely_slip_is_asked_about_and_the_address_taken_as_it_stands(manager):
    """Where several are typed, where one is, and where one is corrected."""
    asked = "Did you mean li@gmail.com?"
    box = {"people": "li@gmial.com\nben@ours.example", "language": "zh", "consent": "vouched"}
    page = manager.post("/partner/people/add", **box).text
    assert (page.count(">added<"), page.count("Did you mean"), asked in page) == (2, 1, True)
    one = {"language": "en", "consent": "vouched"}
    page = manager.post("/partner/people/new", address="ann@gmial.com", **one)
    assert "Did you mean ann@gmail.com?" in page.text
    assert "Correct the address" in page.text  # it is the person's own page
    page = manager.post(f"{page.url.path}/address", address="ann@gamil.com", consent="vouched")
    assert "The address is now ann@gamil.com. Did you mean ann@gmail.com?" in page.text


def test_nothing_is_added_before_consent_is_answered_for(manager):
    """The box keeps what was typed."""
    page = manager.post("/partner/people/add", people="ann@ours.example", language="en")
    assert page.status_code == 422
    assert "ann@ours.example</textarea>" in page.text
    assert 'id="consent-wrong"' in page.text


def test_a_person_is_edited_paused_and_let_go_on(manager, make, member):
    """Topics too; the page says until when."""
    make.topic("water")
    tie = member("ann@ours.example", name_en="Ann Lee")
    page = manager.post(path_of(tie), language="zh", name_en="Ann Lee", topics="water", notes="x")
    assert re.search(r'value="water" checked', page.text)
    assert 'value="Ann Lee"' in page.text
    page = manager.post(f"{path_of(tie)}/pause", until="2026-11-01")
    assert page.status_code == 422
    fold = page.text.partition("Pause letters for a while")[0].rpartition("<details")[2]
    assert "open" in fold  # what needs another look is in sight
    page = manager.post(f"{path_of(tie)}/pause", until="2026-12-01")
    assert "No letters until" in page.text
    assert "No letters until" not in manager.post(f"{path_of(tie)}/resume").text


def test_a_removed_person_is_put_back_by_one_press(manager, member):
    """The page that follows the removal offers it."""
    tie = member("ann@ours.example", name_en="Ann Lee")
    page = manager.post(f"{path_of(tie)}/remove").text
    assert "Removed by mistake?" in page
    assert "Ann Lee is on your list again." in manager.post(f"{path_of(tie)}/restore").text


def test_of_many_removed_people_the_last_are_shown_and_the_others_a_press_away(manager, member):
    """Whoever took a whole list off finds their people on the list again without scrolling past it."""
    for n in range(12):
        member(f"r{n:02}@ours.example", ended_at=NOON - (12 - n) * DAY / 2)
    member("ann@ours.example")
    page = manager.get("/partner/people").text
    assert "The last 10 people removed" in page
    assert page.count("Put back") == 10
    assert "r11@" in page
    assert "r01@" not in page
    assert "/partner/people?removed=all" in page
    page = manager.get("/partner/people?removed=all").text
    assert "12 people removed in the last week" in page
    assert page.count("Put back") == 12


def test_a_bounced_address_is_mended(manager, make, member, sqlite_database):
    """Why, what to do, and the new address; the old one stays silenced."""
    tie = member("gone@ours.example", name_en="Ann Lee")
    make.suppression("gone@ours.example")
    page = manager.get("/partner/bounced").text
    assert "There is no mailbox at this address." in page
    assert f"{path_of(tie)}/address" in page
    assert manager.post(f"{path_of(tie)}/address", address="gone", consent="vouched").status_code == 422
    page = manager.post(f"{path_of(tie)}/address", address="ann@ours.example", consent="vouched")
    assert "The address is now ann@ours.example." in page.text
    assert "Before, at gone@ours.example" in page.text
    assert "Every address works" in manager.get("/partner/bounced").text


def test_a_bounce_from_before_the_person_came_tells_nothing_of_others(manager, make, member):
    """That somebody wrote there earlier is another's business, until an issue goes out to this partner's."""
    tie = member("gone@ours.example", joined_at=NOON, confirmed_at=NOON)
    make.suppression("gone@ours.example", since=NOON - 400 * DAY)
    assert "Every address works" in manager.get("/partner/bounced").text
    for path in ("/partner", "/partner/people", path_of(tie)):
        for told in ("come back</span><b>1", "state=bounced", "no mailbox", "correct the address"):
            assert told not in manager.get(path).text.partition("<main")[2]
    make.campaign(launched_at=NOON + timedelta(minutes=1))
    page = manager.get("/partner/bounced").text
    assert "since 20 Nov 2026" in page
    assert "2025" not in page


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_category_has_advice_of_its_own(category, language):
    """What it means and what to do, in both languages."""
    i18n.use(language)
    found = advice.told(category)
    assert found.means and found.do  # noqa: PT018
    assert category == Category.UNKNOWN or found != advice.told("unknown")


def test_a_person_who_waits_is_asked_again_by_mail(make, sign_in, theirs, settings, member):
    """Once a day; also a reader whom somebody else's word has subscribed, so that the partner may know."""
    manager = sign_in(Role.PARTNER, partner_id=theirs.id)
    tie = member("ann@x.example", theirs, confirmed_at=None, consent_at=NOON - DAY, consent_kind="invited")
    with SmtpHost() as host:
        with_relay(manager, settings, host)
        assert "The question is on its way" in manager.post(f"{path_of(tie)}/ask").text
        assert manager.post(f"{path_of(tie)}/ask").status_code == 409
    [letter] = host.letters
    text = message_from_bytes(letter.body, policy=policy.default).get_content()
    assert "You receive it already." in text
    manager.client.post(re.search(r"/confirm/[a-z2-7]+", text)[0])
    assert "waits for an answer" not in manager.get(path_of(tie)).text


def test_seats_are_asked_for_and_granted(manager, sign_in, ours, settings, sqlite_database):
    """The partner is told by mail, in its language; the secretariat's list says what changes."""
    page = manager.post("/partner/requests", kind="seats", seats="30", words="two more offices")
    assert "waiting for the secretariat" in page.text
    editor = sign_in(Role.EDITOR)
    with SmtpHost() as host:
        with_relay(editor, settings, host)
        page = editor.get("/admin/requests").text
        assert "4 → 30" in page
        path = re.search(r"/admin/requests/[0-9a-f-]{36}", page)[0]
        assert editor.post(path, verdict="decline").status_code == 422
        assert "Answered." in editor.post(path, verdict="accept", answer="Welcome.").text
        assert editor.post(path, verdict="accept").status_code == 409
    [letter] = host.letters
    assert letter.recipient == "me@ours.example"
    with sqlite_database.read() as session:
        assert session.get(Partner, ours.id).seats == 30
    assert "Welcome." in manager.get("/partner/requests").text
    assert "Read the answer" not in manager.get("/partner").text  # nobody is on the list yet
    assert "4 → 30" in manager.get("/partner/activity").text


def test_a_request_is_withdrawn_by_its_own_partner_only(manager, make, ours, theirs):
    """Another's is not there."""
    own, other = make.request(ours), make.request(theirs)
    assert "Withdrawn." in manager.post(f"/partner/requests/{own.public_id}/withdraw").text
    assert manager.post(f"/partner/requests/{other.public_id}/withdraw").status_code == 404


def test_a_colleague_is_invited_by_mail_and_signs_in(manager, visit, settings, ours, sqlite_database):
    """The link works once; what they see is the same desk."""
    with SmtpHost() as host:
        with_relay(manager, settings, host)
        page = manager.post("/partner/team", email="ann@ours.example", name="Ann", language="en")
        assert "on its way to ann@ours.example" in page.text
    [letter] = host.letters
    text = message_from_bytes(letter.body, policy=policy.default).get_content()
    colleague, path = visit(), re.search(r"/sign-in/[\w-]+", text)[0]
    csrf = hidden(colleague.get(path).text)
    assert "Our Ministry" in colleague.client.post(path, data={"csrf": csrf}).text
    assert "can no longer sign in" in manager.post("/partner/team/remove", email="ann@ours.example").text
    with sqlite_database.read() as session:
        assert session.query(User).filter_by(email="ann@ours.example").one().disabled_at == NOON


def test_without_a_relay_the_link_is_handed_over_and_caught_by_nobody(manager, visit, outbox):
    """All the secretariat reads the Outbox: a link in it would sign any of them in as a manager."""
    page = manager.post("/partner/team", email="ann@ours.example", name="Ann", language="en")
    assert outbox.count("") == 0
    path = re.search(r"/sign-in/[\w-]+", page.text)[0]
    colleague = visit()
    csrf = hidden(colleague.get(path).text)
    assert "Our Ministry" in colleague.client.post(path, data={"csrf": csrf}).text


def test_accounts_of_others_are_out_of_a_teams_reach(manager, make, theirs):
    """No link for them, no closing; one's own stays too."""
    make.user(Role.PARTNER, "them@theirs.example", partner_id=theirs.id)
    for email, status in (("them@theirs.example", 404), ("nobody@x.example", 404), ("me@ours.example", 409)):
        assert manager.post("/partner/team/remove", email=email).status_code == status
    assert manager.post("/partner/team/link", email="them@theirs.example").status_code == 404
    refused = manager.post("/partner/team", email="them@theirs.example", language="en")
    assert refused.status_code == 409
    assert "theirs" not in manager.get("/partner/team").text


def test_activity_says_in_words_who_did_what_with_whom(manager, make, theirs, member, sign_in):
    """Colleagues by name, everybody else by their office; nothing of other partners."""
    tie = member("ann@ours.example", name_en="Ann Lee")
    manager.post(f"{path_of(tie)}/remove")
    other = sign_in(Role.PARTNER, partner_id=theirs.id)
    other.post("/partner/people/new", address="x@theirs.example", language="en")
    page = manager.get("/partner/activity").text
    assert "took a person off the list" in page
    assert "Ann Lee" in page
    assert "Me Manager" in page
    assert "added a person" not in page
    assert "将人员移出名单" in manager.get("/partner/activity?lang=zh").text


def test_pages_of_a_person_are_the_same_whoever_else_holds_them(manager, make, theirs, sqlite_database):
    """Subscribed through another, gone, or complained: neither page, list nor report says so."""
    known, left = make.subscriber("known@x.example", partner=theirs), make.subscriber("left@x.example")
    campaign = make.campaign()
    for reader in (known, left):
        make.delivery(campaign=campaign, subscriber=reader)
    make.suppression("angry@x.example", "complaint")
    for name in ("known", "left", "angry", "fresh"):
        manager.post("/partner/people/new", address=f"{name}@x.example", language="en", consent="invited")
    with sqlite_database.write() as session:
        ids = [
            str(row.public_id)
            for row in session.query(Membership).filter(Membership.consent_kind == "invited")
        ]
    seen = set()
    for id in ids:
        text = manager.get(f"/partner/people/{id}").text.replace(id, "")
        seen.add(re.sub(r"(known|left|angry|fresh)@", "who@", text))
    assert len(ids) == 4
    assert len(seen) == 1
    assert "No issue yet" in manager.get("/partner/report").text


def test_what_became_of_letters_is_told_on_the_persons_page(manager, make, member):
    """In plain words, with those of the mail system for whoever understands them."""
    tie = member("ann@ours.example")
    letter = make.delivery(campaign=make.campaign(), subscriber=reader_of(make, tie))
    make.event(letter, EventKind.BOUNCE, category="mailbox_full", detail="552 5.2.2 over quota")
    page = manager.get(path_of(tie)).text
    assert "The mailbox is full." in page
    assert "552 5.2.2 over quota" in page
