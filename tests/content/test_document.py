"""The document: what it holds, how it is counted, what it says is missing."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given, settings

from mailer.content import document as d
from mailer.content.problems import BadDocument, errors, problems, read_json
from tests.strategies import documents

HEAD = d.Masthead(title="Harbour Letter", issuer="The office", number="3", date=datetime.date(2026, 5, 1))


EVENT = d.BannerText(title="Forum", date="1 May", place="Oslo")


def edition(*blocks: d.Block, title: str = "News") -> d.Document:
    return d.Document(language="en", masthead=HEAD, sections=(d.Section(title=title, blocks=blocks),))


def said(*blocks: d.Block) -> list[str]:
    return [str(problem) for problem in problems(edition(*blocks))]


@settings(max_examples=100)
@given(documents)
def test_every_document_comes_back_from_its_json(document: d.Document) -> None:
    """What is stored is what was written."""
    assert read_json(document.model_dump_json()) == document


def test_a_line_holds_no_break_and_a_body_only_one_kind() -> None:
    """Line ends of every system become one; a headline stays on its line; control characters go."""
    article = d.Article(headline=" A\r\nB\x00 ", body="one\r\ntwo\u2028three\x07\rfour\n")
    assert (article.headline, article.body) == ("A B", "one\ntwo\nthree\nfour")


def test_an_empty_number_is_no_number() -> None:
    """A number field left blank still has to be asked for."""
    assert d.Masthead(title="x", number="  ").number is None


def test_people_are_counted_singly_and_contacts_by_block() -> None:
    """Two moderators of one block are two, two entries of one contact are one."""
    two = (d.Person(name="A"), d.Person(name="B"))
    entries = (d.ContactEntry(mail="a@example.org"), d.ContactEntry(fax="1"))
    quotes = (d.Quote(text="x"), d.Quote(text="y"), d.Quote(text="z"))
    blocks = (d.Moderators(people=two), d.Contact(entries=entries), d.Quotes(quotes=quotes), d.Divider())
    assert d.stats(edition(*blocks)) == {
        "sections": 1, "articles": 0, "quotes": 3, "moderators": 2, "banners": 0, "contacts": 1,
    }  # fmt: skip


def test_characters_are_counted_without_space_and_without_markdowns_backslashes() -> None:
    """Six of the title, two of the number, four of the section, and a body of three: a, star, b."""
    masthead = d.Masthead(title="Letter", number="No")
    section = d.Section(title="New s", blocks=(d.Text(body="a \\*\n b"),))
    document = d.Document(language="en", masthead=masthead, sections=(section,))
    assert d.content_characters(document) == 6 + 2 + 4 + 3


def test_a_whole_document_has_no_problem() -> None:
    """Nothing is asked for where nothing is missing."""
    assert said(d.Article(headline="Open", body="The harbour is open.")) == []


def test_number_and_date_are_asked_for() -> None:
    """Nobody invents them, so nothing goes out without them."""
    section = d.Section(title="News", blocks=(d.Text(body="x"),))
    document = d.Document(language="en", masthead=d.Masthead(title="t", issuer="i"), sections=(section,))
    assert [str(problem) for problem in errors(document)] == [
        "Masthead: the number of the issue is missing; write it in the head",
        "Masthead: the date of the issue is missing; write it in the head",
    ]


def test_a_missing_attribution_is_named_by_section_and_quote() -> None:
    """The editor finds the third quote of the named collection without counting blocks."""
    quotes = [d.Quote(text="x", attribution=who, title="Mayor") for who in ("Ann", "Bo", "")]
    assert said(d.Quotes(title="Voices", quotes=tuple(quotes))) == [
        "Section 1 “News”, quote 3 of “Voices”: the attribution is missing; say who said it"
    ]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (d.Article(headline="", body="x"), "article (block 1): the headline is missing"),
        (d.Article(headline="Open"), "article “Open”: there is no text"),
        (
            d.Article(headline="Open", body="x", read_more=d.Link(url="javascript:alert(1)")),
            "article “Open”: the “read more” address must start with http",
        ),
        (
            d.Article(headline="Open", figures=(d.Figure(src="a.png"),)),
            "article “Open”, figure 1: the alternative text is missing",
        ),
        (d.Text(body=""), "text (block 1): it is empty"),
        (d.Quotes(quotes=()), "the quotes (block 1): there is no quote in it"),
        (
            d.Quotes(quotes=(d.Quote(text="", attribution="Ann", title="Mayor"),)),
            "quote 1 of the quotes (block 1): the words are missing",
        ),
        (
            d.Quotes(quotes=(d.Quote(text="x", attribution="Ann"),)),
            "quote 1 of the quotes (block 1): the office of Ann is missing",
        ),
        (d.Moderators(label="Talk", people=()), "moderators “Talk”: nobody is named"),
        (d.Moderators(people=(d.Person(name=""),)), "moderators (block 1): the name of person 1 is missing"),
        (
            d.Banner(zh=EVENT.model_copy(update={"title": ""}), en=EVENT),
            "event “Forum”: the Chinese title is missing",
        ),
        (
            d.Banner(zh=EVENT, en=EVENT.model_copy(update={"place": ""})),
            "event “Forum”: the place in English is missing",
        ),
        (d.Figure(src="", alt="a"), "figure (block 1): the picture's file is missing"),
        (d.Button(label="", url="https://a.example"), "button (block 1): the label is missing"),
        (d.Button(label="Go", url="a.example"), "button “Go”: the address must start with http"),
        (d.Contact(entries=()), "contact (block 1): there is no entry"),
        (
            d.Contact(entries=(d.ContactEntry(label="Press", mail="a b@c.example"),)),
            "contact (block 1), entry 1 “Press”: “a b@c.example” is not a mail address",
        ),
    ],
)  # fmt: skip
def test_each_block_says_what_it_lacks(block: d.Block, problem: str) -> None:
    """One problem, with the block's own name in front."""
    (only,) = said(block)
    assert only.startswith(f"Section 1 “News”, {problem}")


def test_an_empty_document_is_told_what_it_needs() -> None:
    """The first thing missing is the first thing said."""
    document = d.Document(language="en", masthead=d.Masthead(title=""))
    assert [problem.where for problem in errors(document)] == ["Masthead"] * 3 + ["Document"]


def test_sections_need_titles_and_may_be_empty_with_a_warning() -> None:
    """The contents list is made of titles; an empty section is only odd."""
    found = problems(edition(title=""))
    assert [(problem.severity, problem.where) for problem in found] == [
        ("error", "Section 1"),
        ("warning", "Section 1"),
    ]


def broken(change: object) -> str:
    raw = json.loads(edition(d.Quotes(title="Voices", quotes=(d.Quote(text="x"),))).model_dump_json())
    raw["sections"][0]["blocks"][0]["quotes"].append(change)
    with pytest.raises(BadDocument) as caught:
        read_json(json.dumps(raw))
    return str(caught.value)


def test_wrong_json_is_told_by_block_and_field() -> None:
    """A person reads which quote lacks which field, not a path of numbers."""
    place = "Section 1 “News”, block 1 “Voices”, quote 2"
    assert broken({"attribution": "Ann"}) == f"{place} “Ann”, text: this is missing; add it"
    assert (
        broken({"text": "x", "said": 1}) == f"{place}, said: nothing of this name belongs here; take it out"
    )
    assert broken({"text": 7}) == f"{place}, text: this should be a valid string"


def test_several_wrong_fields_are_counted_after_the_first() -> None:
    """One sentence for the command line, all of them on the page."""
    assert broken({}).endswith("this is missing; add it")
    with pytest.raises(BadDocument, match=r"1 more like this") as caught:
        read_json('{"language": "fr"}')
    assert [problem.where for problem in caught.value.problems] == ["Language", "Masthead"]


def test_what_is_not_json_is_said_so() -> None:
    """A cut-off file is not a document with missing fields."""
    with pytest.raises(BadDocument, match="it is not JSON"):
        read_json('{"language": "en", ')


def test_an_empty_contact_entry_is_refused() -> None:
    """Nothing would be shown for it, and nothing of it would survive the Markdown form."""
    entry = '{"language": "en", "masthead": {"title": "t"}, "sections": [{"title": "s", "blocks": [%s]}]}'
    with pytest.raises(
        BadDocument, match="Section 1 “s”, block 1, entry 1: a contact entry needs at least one"
    ):
        read_json(entry % '{"kind": "contact", "entries": [{}]}')
