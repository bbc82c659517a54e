"""The directory of partners, topics and words of consent, as the secretariat sees them."""

from __future__ import annotations

import pytest

from mailer.accounts.store import Role
from mailer.audience.store import Membership, Partner, PartnerGroup
from mailer.delivery.store import CampaignState
from tests.web.conftest import hidden


@pytest.fixture
def admin(sign_in):
    return sign_in(Role.ADMIN, email="admin@example.org")


def test_the_directory_is_filtered_from_the_address_of_the_page(admin, make):
    """Search, kind and trust; a filter that nothing matches says how to go on."""
    make.partner("mee", name_en="The Ministry", trusted=True)
    make.partner("unep", name_en="UN Environment", kind="un", country="KE")
    page = admin.get("/admin/partners?kind=un").text
    assert "UN Environment" in page
    assert "The Ministry" not in page.split("<table")[1]
    assert "The Ministry" in admin.get("/admin/partners?trusted=yes").text
    assert "No partner matches" in admin.get("/admin/partners?search=nobody").text


def test_everything_about_a_partner_is_on_one_page(admin, make):
    """People, managers, letters that came back, and what it is."""
    partner = make.partner("mee", name_en="The Ministry", seats=9)
    make._add(PartnerGroup(partner_id=partner.id, code="water"))
    make.user(Role.PARTNER, "li@mee.example", partner_id=partner.id)
    reader = make.subscriber("ann@example.org", partner=partner, name_en="Ann Lee")
    letter = make.delivery(campaign=make.campaign(CampaignState.SENT), subscriber=reader, partner=partner)
    make.event(letter, category="bad_mailbox")
    page = admin.get("/admin/partners/mee").text
    for words in ("1 of 9 seats taken", "li@mee.example", "Ann Lee", "1 letter", "mailbox does not exist"):
        assert words in page
    assert 'value="water"' in page


def test_a_partner_is_edited_and_a_wrong_value_keeps_the_form(admin, make, sqlite_database):
    """The whole form is written; nonsense is named beside it."""
    make.partner("mee", name_en="The Ministry")
    facts = {"name_en": "The Ministry of Ecology", "kind": "ministry", "country": "CN", "language": "zh"}
    assert "Saved." in admin.post("/admin/partners/mee", seats="12", groups="water，climate", **facts).text
    with sqlite_database.read() as session:
        partner = session.query(Partner).one()
        assert (partner.name_en, partner.seats) == ("The Ministry of Ecology", 12)
        assert {row.code for row in session.query(PartnerGroup)} == {"water", "climate"}
    page = admin.post("/admin/partners/mee", **facts | {"country": "Atlantis"})
    assert page.status_code == 422
    assert "is not a country" in page.text


def test_a_partner_leaves_after_a_preview_and_comes_back_by_a_button(admin, make, sqlite_database):
    """GET shows; POST does; the page of the partner takes it back."""
    partner = make.partner("mee", name_en="The Ministry")
    make.subscriber("ann@example.org", partner=partner)
    assert "1 person is no longer on its list" in admin.get("/admin/partners/mee/close").text
    page = admin.post("/admin/partners/mee/close")
    assert "has left" in page.text
    change = page.text.split("/admin/changes/")[1].split("/")[0]
    page = admin.post(f"/admin/changes/{change}/take-back", next="/admin/partners/mee")
    assert "Taken back." in page.text
    with sqlite_database.read() as session:
        assert session.query(Membership).one().ended_at is None


def test_two_entries_are_merged_after_a_preview(admin, make):
    """And the people stand on the list of the one that stays."""
    old, new = make.partner("old", name_en="Old"), make.partner("new", name_en="New")
    make.subscriber("ann@example.org", partner=old)
    assert new.closed_at is None
    assert "1 person moves" in admin.get("/admin/partners/old/merge?into=new").text
    page = admin.post("/admin/partners/old/merge", into="new")
    assert page.url.path == "/admin/partners/new"
    assert "ann@example.org" in page.text


def test_closing_and_merging_are_for_administrators(sign_in, make):
    """They close accounts; an editor may neither do them nor take them back."""
    make.partner("mee")
    editor = sign_in(Role.EDITOR)
    assert editor.get("/admin/partners/mee").status_code == 200
    for path in ("/admin/partners/mee/close", "/admin/partners/mee/merge"):
        assert editor.get(path).status_code == editor.post(path).status_code == 403


def test_the_directory_comes_in_from_a_file_that_is_checked_first(admin, make, sqlite_database):
    """The page carries the checked file to the button; a refused row keeps everything out."""
    make.publication()
    table = "code,name_en,kind,country,manager\nmoe,Ministry,ministry,CN,li@moe.example\n"
    page = admin.post("/admin/partners/import/check", files={"file": ("p.csv", table.encode())})
    assert "1 new manager would get a sign-in link by mail." in page.text
    with sqlite_database.read() as session:
        assert session.query(Partner).count() == 0
    taken = admin.post("/admin/partners/import", carried=hidden(page.text, "carried"), name="p.csv")
    assert "1 new manager gets a sign-in link by mail." in taken.text
    assert "li@moe.example" in admin.get("/admin/partners/moe").text
    wrong = {"file": ("p.csv", f"{table}sea,Sea,club,NO,\n".encode())}
    page = admin.post("/admin/partners/import/check", files=wrong)
    assert "is not a kind of partner" in page.text
    assert 'name="carried"' not in page.text


def test_topics_are_added_moved_renamed_and_retired(admin, make, sign_in):
    """What is not offered any more keeps its readers and says so."""
    make.topic("water", make.subscriber("ann@example.org"))
    fields = {"publication": "observer", "code": "climate", "name_zh": "气候", "name_en": "Climate"}
    assert "Readers can choose it" in admin.post("/admin/topics", **fields).text
    assert admin.post("/admin/topics", **fields).status_code == 409
    topic = hidden(admin.get("/admin/topics").text, "topic")
    admin.post("/admin/topics/change", topic=topic, do="rename", name_zh="水", name_en="Rivers")
    page = admin.post("/admin/topics/change", topic=topic, do="down").text
    assert page.index("Climate") < page.index("Rivers")
    page = admin.post("/admin/topics/change", topic=topic, do="retire").text
    assert "not offered any more" in page
    assert "Rivers" in page
    assert admin.post("/admin/topics/change", topic="99", do="up").status_code == 404


def test_words_of_consent_are_written_and_the_old_ones_stay_to_be_read(admin, make):
    """A new text is version 1; the delivered one is among the earlier versions."""
    make.publication()
    fields = {"publication": "observer", "kind": "sign_up", "language": "en"}
    page = admin.post("/admin/consent", text="Yes, send it to me.", **fields).text
    assert "Version 1 is in force." in page
    assert "Yes, send it to me." in page
    assert "Yes, I would like to receive {name} from {organisation} by e-mail." in page
    assert admin.post("/admin/consent", text="Yes, send it to me.", **fields).status_code == 409


def test_pages_of_people_do_not_exist_for_partners(sign_in, make):
    """The secretariat's pages are not theirs."""
    make.partner("mee")
    manager = sign_in(Role.PARTNER)
    for path in ("/admin/partners", "/admin/partners/mee", "/admin/subscribers", "/admin/topics",
                 "/admin/consent"):  # fmt: skip
        assert manager.get(path).status_code == 404
