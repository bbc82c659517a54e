"""Segments on their pages: built by clicking or written, counted, explained, saved; without any script."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from mailer.accounts.store import Role
from mailer.audience import segments
from mailer.audience.store import PartnerGroup, Segment
from mailer.delivery.store import CampaignState, EventKind
from mailer.web import builder
from tests.audience.strategies import rules
from tests.make import NOON


@pytest.fixture
def editor(make, sign_in):
    make.publication()
    return sign_in(Role.EDITOR)


_INPUTS = re.compile(
    r"<input ([^>]*)>"
    r'|<select id="[^"]*" name="([^"]+)".*?</select>'
    r'|<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>',
    re.DOTALL,
)


def fields_of(html):
    """What a browser would send of the editor's form."""
    form = re.search(r"<form[^>]*data-look=.*?</form>", html, re.DOTALL)[0]
    found = {}
    for tag in _INPUTS.finditer(form):
        if tag[2]:
            chosen = re.findall(r'<option value="([^"]*)" selected', tag[0]) or re.findall(
                r'<option value="([^"]*)"', tag[0]
            )
            found.setdefault(tag[2], []).append(chosen[0])
        elif tag[3]:
            found[tag[3]] = [tag[4]]
        else:
            facts = dict(re.findall(r'(\w+)="([^"]*)"', tag[1]))
            if facts.get("type") != "checkbox" or " checked" in tag[1]:
                found.setdefault(facts["name"], []).append(facts.get("value", ""))
    return found


class Editing:
    """Somebody in front of the editor: presses buttons, fills in, and has no script."""

    def __init__(self, visitor, path="/desk/segments/new"):
        self.visitor = visitor
        self.page = visitor.get(path)

    def press(self, do, **filled):
        fields = {**fields_of(self.page.text), **filled}
        self.page = self.visitor.post("/desk/segments/look", **{**fields, "do": do})
        assert self.page.status_code == 200
        return self

    def fill(self, **filled):
        """``field_0_1`` is the field of that path."""
        return self.press("look", **{_path(name): value for name, value in filled.items()})

    def save(self, **filled):
        self.page = self.visitor.post("/desk/segments", **{**fields_of(self.page.text), **filled})
        return self

    @property
    def rule(self):
        return fields_of(self.page.text).get("rule", [None])[0] or re.search(
            r"As text: <code>(.*?)</code>", self.page.text
        )[1].replace("&#34;", '"')

    @property
    def total(self):
        return re.search(r"<b data-total>(.*?)</b>", self.page.text)[1]


def _path(name):
    first, *rest = name.split("_")
    return f"{first}.{'.'.join(rest)}" if rest else first


def test_a_rule_is_built_by_buttons_counted_and_saved(editor, make, sqlite_database):
    """(language = zh and partner.kind = ministry) or opened in last 90 days, without a script."""
    ministry = make.partner(kind="ministry")
    make.subscriber(language="zh", partner=ministry)
    make.subscriber(language="zh")
    opener = make.subscriber(language="en")
    make.event(make.delivery(subscriber=opener), EventKind.OPEN)
    desk = Editing(editor)
    assert desk.total == "3"
    assert "No condition yet: everyone is meant." in desk.page.text
    desk.press("group ").fill(join="any", join_0="all")
    assert (desk.rule, desk.total) == ("language = zh", "2")
    desk.press("add 0").fill(field_0_1="partner.kind")
    assert (desk.rule, desk.total) == ("language = zh and partner.kind = ministry", "1")
    desk.press("add ").fill(field_1="opened")
    assert desk.rule == "(language = zh and partner.kind = ministry) or opened in last 90 days"
    assert desk.total == "2"
    saved = desk.save(name="Ministries and openers", description="For invitations").page
    assert "“Ministries and openers” is saved." in saved.text
    assert "opened in last 90 days" in saved.text
    with sqlite_database.read() as session:
        row = session.query(Segment).one()
    assert row.rule == "(language = zh and partner.kind = ministry) or opened in last 90 days"
    assert (row.name, row.description) == ("Ministries and openers", "For invitations")
    listed = editor.get("/desk/segments").text
    assert "Ministries and openers" in listed
    assert editor.get(f"/desk/segments/{row.id}/count").json() == {"message": "2"}


def test_conditions_and_groups_are_taken_out_again(editor):
    """The rest stays as it was, in its order."""
    desk = Editing(editor).press("add ").press("group ").press("add 1")
    desk.fill(field_1_1="country").fill(value_1_1="FR", ask_1_1="not_is")
    assert desk.rule == "language = zh and (language = zh or country != FR)"
    desk.press("remove 1.0")
    assert desk.rule == "language = zh and country != FR"
    desk.press("remove 1")
    assert desk.rule == "language = zh"


def test_a_value_for_another_question_does_not_stay(editor):
    """A country is no language; what both questions understand stays."""
    desk = Editing(editor).press("add ").fill(field_0="country").fill(value_0="FR")
    assert desk.rule == "country = FR"
    assert desk.fill(ask_0="not_is").rule == "country != FR"
    assert desk.fill(ask_0="in").rule == "country in (FR)"
    assert desk.fill(value_0=["FR", "DE", ""]).rule == "country in (FR, DE)"
    assert desk.fill(field_0="joined").rule == f"joined = {NOON.date()}"
    assert desk.fill(ask_0="last").rule == "joined in last 90 days"


def test_what_is_not_filled_in_is_marked_and_nothing_is_counted(editor):
    """An unfinished condition is no error of the page."""
    desk = Editing(editor).press("add ").fill(field_0="domain")
    assert "Choose or write a value." in desk.page.text
    assert "Complete the marked condition" in desk.page.text
    assert "data-total" not in desk.page.text
    assert desk.fill(value_0="gov cn").rule == 'domain = "gov cn"'


def test_text_and_builder_are_two_forms_of_one_rule(editor):
    """Switching keeps everything; text that cannot be read stays text, and the place is marked."""
    desk = Editing(editor).press("text")
    desk.press("look", rule="not (language = zh or 国家 = FR) 且 topic contains wat")
    desk.press("builder")
    assert desk.rule == "not (language = zh or country = FR) and topic contains wat"
    assert desk.press("text").rule == "not (language = zh or country = FR) and topic contains wat"
    desk.press("builder", rule="language = zh and colour = red")
    assert desk.rule == "language = zh and colour = red"
    assert "<mark>colour</mark>" in desk.page.text
    assert "At position 19 found “colour”" in desk.page.text


def test_an_unfinished_condition_survives_the_text_form(editor):
    """Its text says what is missing, at its place."""
    desk = Editing(editor).press("add ").press("add ").fill(field_1="name").press("text")
    assert desk.rule.replace("&#34;", '"') == 'language = zh and name = ""'
    assert "a value cannot be blank" in desk.page.text


@given(rules)
def test_a_draft_of_any_rule_is_that_rule(rule):
    """The builder can show every rule there is."""
    assert segments.parse(str(builder.of(rule))) == rule


def test_a_person_is_told_why(editor, make):
    """Each condition with a tick or a cross, and the facts it saw."""
    partner = make.partner("moe", name_en="Ministry of Education")
    make._add(PartnerGroup(partner_id=partner.id, code="rivers"))
    reader = make.subscriber("ann@example.org", language="zh", partner=partner)
    campaign = make.campaign(issue=make.issue("12"))
    make.event(make.delivery(subscriber=reader, campaign=campaign), EventKind.OPEN)
    make.event(make.delivery(subscriber=reader), EventKind.CLICK, detail="machine: curl/")
    rule = "partner.group = rivers and not (opened in last 9 days or clicked ever)"
    desk = Editing(editor, f"/desk/segments/new?rule={rule}").press("look", why="Ann@example.org")
    shown = re.sub(r"<[^>]+>|\s+", " ", desk.page.text)
    shown = re.sub(" +", " ", shown)
    assert "ann@example.org is not in the audience." in shown
    assert "✓ Partner’s thematic group: is rivers rivers" in shown
    assert "✗ none of these holds" in shown
    assert (
        "✓ Opened a letter: in the last 9 days 20 Nov 2026, 20:01 (UTC+8) · Green Observer, no. 12" in shown
    )
    assert "✗ Clicked a link: ever nothing known" in shown
    assert "Nobody here has the address" in desk.press("look", why="bob@example.org").page.text


def test_a_name_is_asked_for_and_given_once(editor, make):
    """The draft is kept while it is asked again."""
    make.segment("everyone", "All")
    desk = Editing(editor).press("add ").save(name="")
    assert desk.page.status_code == 422
    assert "has 1 to 100 characters" in desk.page.text
    assert desk.save(name="All").page.status_code == 409
    assert desk.save(name="everyone").page.status_code == 422
    assert desk.rule == "language = zh"
    assert desk.save(name="Chinese").page.status_code == 200


def test_a_segment_is_changed_copied_and_deleted(editor, make, sqlite_database):
    """A campaign made with it keeps its rule, and is shown beside the segment."""
    row = make.segment("language = zh", "Chinese")
    make.campaign(CampaignState.DRAFT, audience="language = zh", segment_id=row.id, issue=make.issue("7"))
    page = editor.get(f"/desk/segments/{row.id}")
    assert "Used by 1 campaign" in page.text
    assert "Green Observer, no. 7" in page.text
    desk = Editing(editor, f"/desk/segments/{row.id}").fill(value_0="en").save(name="English")
    assert "“English” is saved." in desk.page.text
    assert "This is the copy" in editor.post(f"/desk/segments/{row.id}/copy").text
    assert "“English” is gone" in editor.post(f"/desk/segments/{row.id}/delete").text
    assert editor.get(f"/desk/segments/{row.id}").status_code == 404
    with sqlite_database.read() as session:
        assert [(each.name, each.rule) for each in session.query(Segment)] == [
            ("English (2)", "language = en")
        ]


def test_too_many_conditions_are_refused(editor):
    """A form made by hand does not keep the server busy."""
    fields = {f"field.{number}": "language" for number in range(101)}
    answer = editor.post("/desk/segments/look", **fields)
    assert answer.status_code == 422
    assert "more than 100 conditions" in answer.text


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.ADMIN, 200), (Role.EDITOR, 200), (Role.VIEWER, 403), (Role.SENDER, 403), (Role.PARTNER, 404)],
)
def test_editors_and_administrators_alone_see_segments(sign_in, make, role, status):
    """They show addresses of every partner's people."""
    make.publication()
    row = make.segment("everyone")
    visitor = sign_in(role)
    for path in ("", "/new", f"/{row.id}", f"/{row.id}/count"):
        assert visitor.get(f"/desk/segments{path}").status_code == status
