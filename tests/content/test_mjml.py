"""The door to the mjml library: what it refuses, and what it keeps whole."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from mailer.content import slots
from mailer.content.mjml import BadMjml, to_html


def letter(inside: str) -> str:
    """Wrap content of a column."""
    return (
        '<mjml lang="en"><mj-head><mj-title>T</mj-title></mj-head><mj-body><mj-section><mj-column>'
        f"{inside}</mj-column></mj-section></mj-body></mjml>"
    )


class Page(HTMLParser):
    """Collects attributes of pictures and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.alts: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.alts += [value or "" for name, value in attrs if tag == "img" and name == "alt"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ("<mj-txet>Lost</mj-txet>", "<mj-txet>"),
        ("<mj-text><script>1</script></mj-text>", "<script>"),
        ("<p>HTML outside a text</p>", "<p>"),
        ("<mj-section></mj-section>", "<mj-section>"),
        ("<mj-text><mj-image/></mj-text>", "<mj-image>"),
        ('<mj-text colour="red">x</mj-text>', "colour"),
        ("words outside", "words outside"),
        ("<mj-text><p>x</mj-text>", "<mj-text>"),
    ],
)
def test_what_the_library_would_drop_in_silence_is_refused_by_name(inside, what):
    """An unknown tag, attribute or nesting would vanish with its content: it fails loudly instead."""
    with pytest.raises(BadMjml, match=what):
        to_html(letter(inside))


def test_the_message_says_the_line():
    """Templates are long."""
    with pytest.raises(BadMjml, match=r"^Line 3 of the MJML uses the unknown tag <mj-hero>"):
        to_html(letter("\n\n<mj-hero/>"))


def test_an_unclosed_document_is_refused():
    """Half a template is no letter."""
    with pytest.raises(BadMjml, match="never closes <mjml>"):
        to_html("<mjml><mj-body></mj-body>")


def test_no_outside_font_is_loaded():
    """The library would call Google's font server unless told not to."""
    html = to_html(letter('<mj-text font-family="Roboto, Ubuntu, Arial">x</mj-text>'))
    assert "googleapis" not in html
    assert "http" not in html.replace("http://www.w3.org/1999/xhtml", "").replace("http-equiv", "")


def test_neighbouring_conditional_comments_are_one():
    """Each pair costs 40 bytes, and Gmail counts."""
    assert "<![endif]--><!--[if mso | IE]>" not in to_html(letter("<mj-text>x</mj-text>" * 3))


def test_slots_come_through_text_and_attributes():
    """The library writes such signs in attributes as Rust's debug notation unless we step in."""
    mark = slots.mark(slots.TOKEN)
    html = to_html(
        letter(f'<mj-text><a href="https://a.example/{mark}/1">{mark}</a></mj-text><mj-image src="{mark}"/>')
    )
    assert html.count(mark) == 3


# Trimmed, because an HTML reader may trim an attribute and collapses spaces in text.
anything = st.text(st.characters(exclude_categories=["Cs"])).map(slots.clean).map(str.strip)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_attribute_text_survives(text):
    """Quotes, backslashes, combining accents, emoji: the reader's program sees what the author wrote."""
    html = to_html(letter(f'<mj-image src="x" alt="{escape(text)}"/>'))
    assert Page(html).alts == [text]


@settings(max_examples=150, deadline=None)
@given(anything)
def test_text_survives(text):
    """Only runs of spaces and line ends become one space, as every HTML reader does."""
    html = to_html(letter(f"<mj-text><p>⟦{escape(text)}⟧</p></mj-text>"))
    body = Page(html).text.partition("⟦")[2].partition("⟧")[0]
    assert _single_spaced(body) == _single_spaced(text.partition("⟧")[0])


def _single_spaced(text: str) -> str:
    for sign in "\t\r\n\f":
        text = text.replace(sign, " ")
    return " ".join(part for part in text.split(" ") if part)
