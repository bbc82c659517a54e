"""From an uploaded file to letters on their way, each step by the role that may take it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from mailer.accounts.store import Role
from mailer.content.markdown import to_markdown
from mailer.delivery import lanes, store
from mailer.delivery.store import BatchState, Campaign, CampaignState, Delivery
from mailer.issues.store import Attachment, Edition, Issue
from tests.make import NOON, document
from tests.smtphost import SmtpHost

NOTHING = "00000000-0000-7000-8000-000000000000"
SOURCE = to_markdown(document("en", body="Water is back."))


@pytest.fixture
def editor(sign_in):
    return sign_in(Role.EDITOR, email="ed@example.org")


def uploaded(visitor, text=SOURCE, name="issue.md", **fields):
    return visitor.post("/desk/issues/new", files={"file": (name, text.encode())}, **fields)


def the(database, table):
    with database.read() as session:
        return session.query(table).one()


def test_an_empty_desk_says_what_to_do_next(editor, sign_in):
    """The editor is led to the upload; who may not upload is not."""
    assert "Upload an issue" in editor.get("/desk/issues").text
    assert "Upload an issue" not in sign_in(Role.VIEWER).get("/desk/issues").text
    assert "No campaign yet" in editor.get("/desk/campaigns").text


def test_an_uploaded_issue_is_shown_with_what_it_holds(editor):
    """Title, number and date from the file, counts, and no problem."""
    page = uploaded(editor)
    assert "Green Observer, no. 12" in page.text
    assert "20 Nov 2026" in page.text
    assert "1 section · 1 article" in page.text


def test_number_and_date_are_asked_for_and_never_guessed(editor, sqlite_database):
    """A file that does not say them is taken in; they are given on the issue's page."""
    bare = "\n".join(line for line in SOURCE.splitlines() if not line.startswith(("number:", "date:")))
    page = uploaded(editor, bare)
    assert "Number and date are missing" in page.text
    page = editor.post(f"{page.url.path}/number", number="7", date="2026-11-30")
    assert "no. 7" in page.text
    assert "30 Nov 2026" in page.text
    assert the(sqlite_database, Edition).document["masthead"]["number"] == "7"


def test_what_the_reader_of_a_text_guessed_and_left_out_is_listed(editor):
    """Doubts with their lines, and every dropped line with its reason."""
    text = (
        "绿色观察\n\n动态\n\n河流归来\n\n第一段写得很长很完整，说明了发生的事情。\n\n绿色观察    1\n\n"
        "森林归来\n\n第二段 and 其他内容也写得很完整。\n\n绿色观察    2\n"
    )
    page = uploaded(editor, text, name="issue.txt")
    assert page.status_code == 200
    assert "to look at" in page.text or "left out" in page.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("issue.pdf", b"%PDF-1.7", "give a .md or a .txt file"),
        ("issue.txt", b"\x89PNG\r\n\x1a\n\x00\x00", "not a text file"),
        ("issue.txt", b"   ", "holds no text"),
        ("issue.md", b"no front matter at all", ""),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_sentence_and_changes_nothing(
    editor, sqlite_database, name, content, words
):
    """The form comes back; nothing half-read is left behind."""
    page = editor.post("/desk/issues/new", files={"file": (name, content)})
    assert page.status_code == 422
    assert words in page.text
    assert 'role="alert"' in page.text
    with sqlite_database.read() as session:
        assert session.query(Issue).count() == 0


def test_no_file_is_named_beside_the_field(editor):
    """An empty upload is not an error page."""
    page = editor.post("/desk/issues/new", number="1")
    assert page.status_code == 422
    assert 'id="file-wrong"' in page.text


def test_an_upload_larger_than_any_issue_is_refused(editor, monkeypatch):
    """Reading stops at the limit."""
    monkeypatch.setattr("mailer.web.app.UPLOAD_LIMIT", 10_000)
    assert uploaded(editor, "x" * 20_000).status_code == 413


def test_an_edition_is_edited_as_text(editor, sqlite_database):
    """What was saved is what is shown the next time."""
    path = uploaded(editor).url.path
    page = editor.get(f"{path}/en/edit")
    assert "## Rivers return" in page.text
    changed = SOURCE.replace("Rivers return", "Rivers stay")
    page = editor.post(f"{path}/en/edit", text=changed, version="1", then="preview")
    assert page.url.path == f"{path}/en/preview"
    assert "Rivers stay" in editor.get(f"{path}/en/edit").text


def test_a_broken_text_names_the_line_and_is_kept(editor, sqlite_database):
    """Nothing typed is lost, nothing broken is stored."""
    path = uploaded(editor).url.path
    broken = SOURCE.replace("language: en", "language: klingon") + "\nkept as typed"
    page = editor.post(f"{path}/en/edit", text=broken, version="1")
    assert page.status_code == 422
    assert "kept as typed" in page.text
    assert the(sqlite_database, Edition).version == 1


def test_two_editors_do_not_overwrite_each_other(editor):
    """The second to save is told, with their text kept."""
    path = uploaded(editor).url.path
    editor.post(f"{path}/en/edit", text=SOURCE.replace("back", "here"), version="1")
    late = editor.post(f"{path}/en/edit", text=SOURCE.replace("back", "late"), version="1")
    assert late.status_code == 409
    assert "Somebody else has saved" in late.text
    assert "Water is late" in late.text


def test_the_preview_is_a_frame_that_may_do_nothing(editor):
    """The letter runs no script, sends no form, and leaves its frame for nothing."""
    path = uploaded(editor).url.path
    page = editor.get(f"{path}/en/preview")
    assert f'src="{path}/en/letter"' in page.text
    assert 'sandbox="allow-popups' in page.text
    letter = editor.get(f"{path}/en/letter")
    policy = letter.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "; sandbox" in policy
    assert "allow-scripts" not in policy
    assert letter.headers["x-frame-options"] == "SAMEORIGIN"
    assert "Rivers return" in letter.text


def test_the_preview_shows_light_and_dark_whatever_this_device_prefers(editor):
    """A reader's dark mode is shown to an editor whose own screen is light, and the reverse."""
    path = uploaded(editor).url.path
    light, dark = editor.get(f"{path}/en/letter").text, editor.get(f"{path}/en/letter?dark=true").text
    assert "prefers-color-scheme" not in light.replace('content="light dark"', "")
    assert "(max-width: 0)" in light
    assert "(min-width: 0)" in dark


def test_author_text_cannot_write_into_the_page(editor):
    """Titles and errors are escaped wherever they are shown."""
    page = uploaded(editor, SOURCE.replace("Green Observer", "<script>alert(1)</script>"))
    assert "<script>alert" not in page.text
    assert "<script>alert" not in editor.get("/desk/issues").text
    assert "<script>alert" not in editor.get(f"{page.url.path}/en/letter").text


@pytest.fixture
def issue(make, editor):
    """An issue in two languages for two readers, one of whom has left."""
    make.subscriber("ann@example.org")
    make.subscriber("li@example.org", language="zh")
    gone = make.subscriber("gone@example.org", subscribed=False)
    make.subscription(gone, state="left")
    return make.issue("12")


def planned(editor, issue, **fields):
    given = {"audience": "everyone", "languages": ["zh", "en"], "fallback": "1", **fields}
    return editor.post(f"/desk/issues/{issue.public_id}/campaign", **given)


def test_an_audience_is_counted_while_it_is_written(editor, issue):
    """Letters by language and who gets none; a rule that cannot be read says where."""
    ask = {"audience": "everyone", "languages": ["zh", "en"], "fallback": "1"}
    path, json = f"/desk/issues/{issue.public_id}/count", {"accept": "application/json"}
    count = editor.get(path, params=ask, headers=json)
    assert count.json()["total"] == 2
    assert "has left 1" in count.json()["message"]
    wrong = editor.get(path, params={**ask, "audience": "colour = red"}, headers=json)
    assert "colour" in wrong.json()["error"]


def test_a_rule_that_cannot_be_read_comes_back_with_its_trouble(editor, issue, sqlite_database):
    """No campaign is made of it."""
    page = planned(editor, issue, audience="language ~ zh")
    assert page.status_code == 422
    assert "language ~ zh" in page.text
    with sqlite_database.read() as session:
        assert session.query(Campaign).count() == 0


def test_a_campaign_needs_an_edition(editor, issue):
    """Nothing ticked: a note beside the question."""
    page = editor.post(f"/desk/issues/{issue.public_id}/campaign", audience="everyone")
    assert page.status_code == 422
    assert 'id="languages-wrong"' in page.text


def test_a_time_is_read_in_the_zone_it_was_written_in(editor, issue, sqlite_database):
    """09:30 in Shanghai is 01:30 UTC."""
    page = planned(editor, issue, day="2026-12-01", hour="09:30", zone="Asia/Shanghai")
    assert "1 Dec 2026, 09:30 (UTC+8)" in page.text
    assert the(sqlite_database, Campaign).scheduled_at.isoformat() == "2026-12-01T01:30:00+00:00"
    page = planned(editor, issue, day="2026-12-01", zone="Mars/Olympus")
    assert page.status_code == 422
    assert "is not a time zone" in page.text


def test_a_campaign_may_keep_to_hours_and_to_readers_own_clocks(editor, issue, sqlite_database):
    """The form says how to write it, keeps what was typed, and the campaign's page says both."""
    assert "mon-fri 08:00-18:00" in editor.get(f"/desk/issues/{issue.public_id}/campaign").text
    hours = {"window": "Mon-Fri 8:00-18:00", "local_time": "1"}
    page = planned(editor, issue, day="2026-12-01", **hours)
    assert "mon-fri 08:00-18:00" in page.text
    assert "Every reader at this hour of their own time zone" in page.text
    plan = editor.get(f"{page.url.path}/plan").text
    assert 'name="local_time" value="1" checked' in plan
    assert 'value="mon-fri 08:00-18:00"' in plan
    kept = the(sqlite_database, Campaign)
    assert (kept.window, kept.local_time) == ("mon-fri 08:00-18:00", True)


def test_hours_that_cannot_be_kept_come_back_with_a_word_of_advice(editor, issue):
    """A window nobody can read; a reader's own hour without an hour. In Chinese, too."""
    page = planned(editor, issue, window="office hours")
    assert page.status_code == 422
    assert "write it like" in page.text
    assert "office hours" in page.text
    page = planned(editor, issue, local_time="1")
    assert page.status_code == 422
    assert "needs a day and an hour" in page.text


def test_a_campaign_outside_its_window_says_when_it_goes_on(make, editor):
    """It is Friday, eight in the evening where the publication is."""
    campaign = make.campaign(CampaignState.SENDING, window="mon-fri 08:00-18:00")
    make.batch(campaign, 1, 500)
    page = editor.get(f"/desk/campaigns/{campaign.public_id}")
    assert "It waits for its send window, which opens Monday 08:00 (UTC+8)." in page.text
    assert "mon-fri 08:00-18:00" in page.text


def test_a_campaign_says_in_a_line_why_its_letters_wait(make, editor, sqlite_database):
    """A destination asked us to slow down; one is kept to its pace; some come again."""
    campaign = make.campaign(CampaignState.SENDING)
    make.batch(campaign, 1, 400, lane="gmail")
    make.batch(campaign, 401, 8_400, lane="qq")
    make.batch(campaign, 8_401, 8_410, attempt=2, due_at=NOON + timedelta(days=2))
    with sqlite_database.write() as session:
        store.beat(session, worker="m/w", machine="m", now=NOON)
        lanes.slow_down(session, "gmail", said="421 4.7.28", now=NOON)
    path = f"/desk/campaigns/{campaign.public_id}"
    said = [
        "Gmail asked us to slow down: 400 letters wait until 20:01 (UTC+8).",
        "8,000 letters go at the pace that QQ Mail accepts: about 60 minutes left.",
        "10 letters were deferred by their mail systems and are tried again, the next Sunday 20:00 (UTC+8).",
    ]
    assert editor.get(f"{path}/progress").json()["waits"] == said
    page = editor.get(path).text
    assert all(text in page for text in said)
    chinese = editor.get(f"{path}?lang=zh").text
    assert "QQ 邮箱" in chinese
    assert "星期日 20:00 (UTC+8)" in chinese


def test_every_reason_to_wait_has_its_words(make, editor, sqlite_database):
    """Also where one letter waits, or a worker or a relay is at fault."""
    lonely = make.campaign(CampaignState.SENDING, trouble="The relay is away.")
    make.batch(lonely, 1, 1)
    make.batch(lonely, 2, 2, due_at=NOON + timedelta(hours=2))
    make.batch(lonely, 3, 4, begun_to=2, state=BatchState.ORPHANED, owner="m/w")
    page = editor.get(f"/desk/campaigns/{lonely.public_id}").text
    for words in (
        "The relay is away.",
        "Nothing is being sent: no worker was seen for a minute, and 1 letter waits.",
        "1 letter waits for its reader&#39;s own hour: 22:00 (UTC+8).",
        "A worker stopped while 2 letters were on their way.",
    ):
        assert words in page
    paused = make.campaign(CampaignState.PAUSED)
    make.batch(paused, 1, 500)
    assert "Paused: 500 letters wait" in editor.get(f"/desk/campaigns/{paused.public_id}").text
    idle = make.campaign(CampaignState.SENT)
    assert 'data-waits role="status" hidden' in editor.get(f"/desk/campaigns/{idle.public_id}").text


def test_a_campaign_goes_from_draft_to_letters_by_three_hands(editor, issue, sign_in, sqlite_database):
    """The editor asks, another approves, the sender sees the count and the zone and launches."""
    approver, sender = sign_in(Role.APPROVER), sign_in(Role.SENDER)
    path = planned(editor, issue).url.path
    assert "Waiting for approval" in editor.post(f"{path}/ask").text
    assert editor.post(f"{path}/approve").status_code == 403
    assert "Approved" in approver.post(f"{path}/approve").text
    assert approver.post(f"{path}/launch").status_code == 403
    confirm = sender.get(f"{path}/launch")
    assert "Send 2 letters now?" in confirm.text
    assert "Asia/Shanghai" in confirm.text
    with sqlite_database.read() as session:
        assert session.query(Delivery).count() == 0  # looking launches nothing
    page = sender.post(f"{path}/launch")
    assert "0</span> / <span" in page.text
    with sqlite_database.read() as session:
        assert session.query(Delivery).count() == 2


def test_an_approver_sends_a_campaign_back_with_a_word(editor, issue, sign_in):
    """Saying no is no dead end: the author reads why, changes it and asks again; the word is gone then."""
    approver = sign_in(Role.APPROVER)
    path = planned(editor, issue).url.path
    editor.post(f"{path}/ask")
    assert editor.post(f"{path}/reject", why="No.").status_code == 403
    assert approver.post(f"{path}/reject", why=" ").status_code == 422
    assert "Sent back" in approver.post(f"{path}/reject", why="The <date> is wrong.").text
    page = editor.get(path).text
    assert f"{approver.user.email} sent it back: The &lt;date&gt; is wrong." in page
    assert "Ask for approval" in page
    page = editor.post(f"{path}/ask").text
    assert "sent it back" not in page
    assert "Approved" in approver.post(f"{path}/approve").text


def test_an_administrator_cannot_approve_what_they_made(sign_in, issue):
    """Two people, whatever the role: the page says so."""
    admin = sign_in(Role.ADMIN)
    path = planned(admin, issue).url.path
    admin.post(f"{path}/ask")
    page = admin.post(f"{path}/approve")
    assert page.status_code == 403
    assert "ask a colleague" in page.text


def test_a_change_after_approval_voids_it(editor, issue, sign_in):
    """The plan can be changed, and must then be approved anew."""
    approver, sender = sign_in(Role.APPROVER), sign_in(Role.SENDER)
    path = planned(editor, issue).url.path
    editor.post(f"{path}/ask")
    approver.post(f"{path}/approve")
    page = editor.post(f"{path}/plan", audience="language = zh", languages=["zh"])
    assert "An approval given before is void." in page.text
    assert sender.post(f"{path}/launch").status_code == 409


def test_a_campaign_with_errors_in_its_issue_is_not_frozen(editor, make):
    """The page says which block must be mended."""
    bare = document("en").model_copy(
        update={"masthead": document("en").masthead.model_copy(update={"number": None})}
    )
    issue = make.issue("9", languages=["en"], documents={"en": bare})
    path = planned(editor, issue, languages=["en"]).url.path
    page = editor.post(f"{path}/ask")
    assert page.status_code == 422
    assert "Masthead" in page.text


def test_a_campaign_on_its_way_is_paused_resumed_and_cancelled(make, sign_in):
    """And a button pressed too late says where the campaign stands."""
    campaign, sender = make.campaign(CampaignState.SENDING), sign_in(Role.SENDER)
    path = f"/desk/campaigns/{campaign.public_id}"
    assert "Paused" in sender.post(f"{path}/steer", move="pause").text
    assert "Being sent" in sender.post(f"{path}/steer", move="resume").text
    assert "Cancelled" in sender.post(f"{path}/steer", move="cancel").text
    late = sender.post(f"{path}/steer", move="resume")
    assert late.status_code == 409
    assert "was cancelled" in late.text


def test_progress_is_told_in_figures_for_the_page_to_follow(make, sign_in):
    """State, share done, and the figures as they are written on the page."""
    delivery = make.delivery("ann@example.org")
    make.delivery("bob@example.org", campaign=make_same(make, delivery), state=0)
    viewer = sign_in(Role.VIEWER)
    with make.database.read() as session:
        campaign = session.get(Campaign, delivery.campaign_id)
    told = viewer.get(f"/desk/campaigns/{campaign.public_id}/progress").json()
    assert told["state"] == "sending"
    assert told["progress"] == 0.5
    assert told["figures"]["accepted"] == "1"
    assert set(told["figures"]) >= {"done", "deliveries", "bounced", "opened"}


def make_same(make, delivery):
    with make.database.read() as session:
        return session.get(Campaign, delivery.campaign_id)


def test_every_figure_of_the_report_opens_its_rows(make, sign_in):
    """The links of the page itself are followed."""
    partner = make.partner("mee", name_en="The Ministry")
    delivery = make.delivery("ann@example.org", partner=partner)
    make.event(delivery, category="mailbox_full", permanent=True, detail="452 4.2.2 over quota")
    path = f"/desk/campaigns/{make_same(make, delivery).public_id}"
    viewer = sign_in(Role.VIEWER)
    links = set(re.findall(rf'href="({path}/report/[^"]+)"', viewer.get(path).text))
    assert len(links) >= 14
    for link in links:
        assert viewer.get(link).status_code == 200, link
    rows = viewer.get(f"{path}/report/bounced:mailbox_full").text
    assert "ann@example.org" in rows
    assert "452 4.2.2 over quota" in rows
    assert "The Ministry" in rows
    assert viewer.get(f"{path}/report/nonsense").status_code == 404


def test_a_person_decides_about_uncertain_letters(make, sign_in):
    """The page says what either choice risks, and the figure moves."""
    delivery = make.delivery("ann@example.org", state=4)
    path = f"/desk/campaigns/{make_same(make, delivery).public_id}"
    sender = sign_in(Role.SENDER)
    assert "1 letter is uncertain" in sender.get(path).text
    assert "1 letter settled." in sender.post(f"{path}/uncertain", decision="accept").text
    assert "is uncertain" not in sender.get(path).text


def test_a_test_letter_is_a_real_one(editor, issue, settings, sqlite_database):
    """Each edition reaches the colleague, and the report does not know of it."""
    path = planned(editor, issue).url.path
    with SmtpHost() as host:
        house = editor.client.app.state.house
        object.__setattr__(house, "settings", settings.model_copy(update={"smtp_url": host.url}))
        page = editor.post(f"{path}/test", to="colleague@example.org")
    assert "on its way to colleague@example.org" in page.text
    assert [letter.recipient for letter in host.letters] == ["colleague@example.org"] * 2
    with sqlite_database.read() as session:
        assert session.query(Delivery).count() == 0


@pytest.mark.parametrize("path", ["issues/{}", "issues/{}/en/edit", "campaigns/{}", "campaigns/{}/progress"])
def test_what_does_not_exist_is_a_page_that_says_so(sign_in, path):
    """An id that is none, and one that is not even formed like one."""
    admin = sign_in(Role.ADMIN)
    for unknown in (NOTHING, "7", "x"):
        page = admin.get(f"/desk/{path.format(unknown)}")
        assert page.status_code == 404
        assert "Traceback" not in page.text


def test_a_file_is_attached_to_every_letter_and_taken_off_again(editor, sqlite_database):
    """What is refused says why; what is attached is listed with its size."""
    path = uploaded(editor).url.path
    page = editor.post(f"{path}/attach", files={"attachment": ("报告.pdf", b"%PDF-1.7 x")})
    assert "报告.pdf" in page.text
    kept = the(sqlite_database, Attachment)
    assert (kept.file_name, kept.language) == ("报告.pdf", None)
    refused = editor.post(f"{path}/attach", files={"attachment": ("tool.exe", b"MZ")})
    assert refused.status_code == 422
    assert "tool.exe" in refused.text
    page = editor.post(f"{path}/detach", attachment=str(kept.id))
    assert "报告.pdf" not in page.text
