"""The Markdown form of a document: readable, typed by hand, lossless."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.content import document as d
from mailer.content.markdown import BadMarkdown, from_markdown, to_markdown
from tests.strategies import MARKUP, documents

HEAD = "---\nlanguage: en\ntitle: Harbour Letter\n---\n"

TYPED = """\
---
language: en
title: "Harbour: a letter"
number: 7
date: 2026-05-01
# a remark of the editor's
---

# News
An introduction typed right under the section.

## Three ports join
*Oslo, 25 April*
![A quay](quay.png "Before the rain"){credit="A. Photographer"}

First paragraph.

### A heading of the body
- a list

[Read on](https://example.org/a_(b))

:::quotes Voices
> Two lines
> of one quote.
>
> And a second paragraph.
> — Ann Lee | Mayor | Port of A | Norway

> Nobody knows who said this.
:::

:::moderators Dialogue session
- Bo \\| Bee | Chair
:::

:::banner
en: Forum | 1 May | Oslo
zh: 论坛 | 5月1日 | 奥斯陆
:::

:::divider
:::

:::button
[Join](mailto:a@example.org)
:::

:::contact
label: Secretariat
mail: a@example.org

person: Cy
:::
"""


def part(text: str) -> d.Block:
    return from_markdown(f"{HEAD}# S\n{text}\n").sections[0].blocks[0]


@settings(max_examples=300)
@given(documents)
def test_every_document_comes_back_from_its_markdown(document: d.Document) -> None:
    """Nothing an author wrote is lost or moved, whatever signs it holds."""
    assert from_markdown(to_markdown(document)) == document


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.sampled_from((*MARKUP, HEAD, "\n# ", "\n:::\n")), st.text(max_size=3))).map("".join)
)
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    """Whatever a person types, it is a document that keeps its form, or a sentence with a line number."""
    try:
        document = from_markdown(HEAD + text)
    except BadMarkdown as error:
        refusal: BadMarkdown | None = error
    else:
        refusal = None
        assert from_markdown(to_markdown(document)) == document
    assert refusal is None or str(refusal).startswith(f"Line {refusal.line}: ")


def test_a_document_typed_by_hand_is_read() -> None:
    """The form of the module's docstring, with the liberties an editor takes."""
    document = from_markdown(TYPED)
    assert document.masthead == d.Masthead(
        title="Harbour: a letter", number="7", date=datetime.date(2026, 5, 1)
    )
    intro, article, voices, moderators, banner, divider, button, contact = document.sections[0].blocks
    assert intro == d.Text(body="An introduction typed right under the section.")
    assert article == d.Article(
        headline="Three ports join",
        dateline="Oslo, 25 April",
        body="First paragraph.\n\n### A heading of the body\n- a list",
        figures=(
            d.Figure(src="quay.png", alt="A quay", caption="Before the rain", credit="A. Photographer"),
        ),
        read_more=d.Link(url="https://example.org/a_(b)", label="Read on"),
    )
    assert voices == d.Quotes(
        title="Voices",
        quotes=(
            d.Quote(
                text="Two lines\nof one quote.\n\nAnd a second paragraph.",
                attribution="Ann Lee",
                title="Mayor",
                organisation="Port of A",
                country="Norway",
            ),
            d.Quote(text="Nobody knows who said this."),
        ),
    )
    assert moderators == d.Moderators(
        label="Dialogue session", people=(d.Person(name="Bo | Bee", title="Chair"),)
    )
    assert isinstance(banner, d.Banner)
    assert banner.zh == d.BannerText(title="论坛", date="5月1日", place="奥斯陆")
    assert divider == d.Divider()
    assert button == d.Button(label="Join", url="mailto:a@example.org")
    assert contact == d.Contact(
        entries=(d.ContactEntry(label="Secretariat", mail="a@example.org"), d.ContactEntry(person="Cy"))
    )


def test_a_typed_document_is_written_as_it_was_typed() -> None:
    """The form is stable: written again, only the liberties are gone."""
    written = to_markdown(from_markdown(TYPED))
    assert "# News\n\nAn introduction typed right under the section.\n\n## Three ports join\n*Oslo" in written
    assert (
        ":::quotes Voices\n> Two lines\n> of one quote.\n>\n> And a second paragraph.\n> — Ann Lee |"
        in written
    )
    assert to_markdown(from_markdown(written)) == written


def test_headings_of_a_body_do_not_become_sections() -> None:
    """A body's own ``#`` is written with a backslash and comes back without."""
    article = d.Article(headline="H", body="# one\n## two\n### three\n:::\n\\# four")
    document = d.Document(
        language="en", masthead=d.Masthead(title="t"), sections=(d.Section(title="S", blocks=(article,)),)
    )
    written = to_markdown(document)
    assert "\n\\# one\n\\## two\n### three\n\\:::\n\\\\# four" in written
    assert from_markdown(written) == document


def test_files_from_other_systems_are_read() -> None:
    """A byte order mark and CRLF line ends, as Windows writes them."""
    document = from_markdown("\ufeff" + TYPED.replace("\n", "\r\n"))
    assert document == from_markdown(TYPED)


@pytest.mark.parametrize("dash", ["—", "——", "–", "--"])
def test_every_dash_names_the_speaker(dash: str) -> None:
    """Editors do not all have an em dash on their keyboard."""
    assert part(f":::quotes\n> x\n> {dash} Ann\n:::") == d.Quotes(
        quotes=(d.Quote(text="x", attribution="Ann"),)
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("no head", 1, "must start with its head"),
        ("---\nlanguage: fr\ntitle: x\n---", 1, "must say “language: zh” or “language: en”"),
        ("---\nlanguage: en\n---", 1, "newsletter's name"),
        ("---\nlanguage: en\ntitel: x\n---", 3, "“titel: x” is not one of the lines"),
        ("---\nlanguage: en\ntitle: x\ntitle: y\n---", 4, "“title” is given twice"),
        ('---\nlanguage: en\ntitle: "x\n---', 3, "quotation marks"),
        ("---\nlanguage: en\ntitle: x\ndate: 1 May\n---", 1, "“1 May” must be written as year-month-day"),
        (HEAD + "stray words", 5, "before the first section"),
        (HEAD + "# S\n:::quote\n:::", 6, "no block called “quote”; there are: text, quotes"),
        (HEAD + "# S\n:::", 6, "closes nothing"),
        (HEAD + "# S\n:::quotes Voices\n> x", 6, "in the quotes “Voices”, the end is missing"),
        (HEAD + "# S\n:::quotes\n## H", 7, "in the quotes, “## H” comes before its end"),
        (HEAD + "# S\n:::quotes Voices\nx\n:::", 7, "in the quotes “Voices”, every line of a quote"),
        (HEAD + "# S\n:::moderators\nAnn\n:::", 7, "every person's line starts with “- ”"),
        (HEAD + "# S\n:::moderators\n- a|b|c|d|e\n:::", 7, "at most 4 parts"),
        (HEAD + "# S\n:::banner\nzh: x\n:::", 6, "the line “en: title | date | place” is missing"),
        (HEAD + "# S\n:::banner\nfr: x\n:::", 7, "“fr: x” is not one of the lines"),
        (HEAD + "# S\n:::contact\nphone 7\n:::", 7, "“phone 7” is not one of the lines"),
        (HEAD + "# S\n:::figure\na.png\n:::", 6, "in the figure, the line must read"),
        (HEAD + "# S\n:::button\n:::", 6, "exactly one line must stand"),
        (HEAD + "# S\n:::button\nx\n:::", 6, "in the button, the line must read [label](address)"),
        (HEAD + "# S\n:::divider\nx\n:::", 6, "nothing may stand between"),
    ],
)
def test_a_mistake_is_told_by_line_and_block(text: str, line: int, what: str) -> None:
    """The editor goes to the line and knows what to change."""
    with pytest.raises(BadMarkdown) as caught:
        from_markdown(text)
    assert caught.value.line == line
    assert what in str(caught.value)
