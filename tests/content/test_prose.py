"""Markdown bodies: safe HTML, whole text, teasers that end where a sentence does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.content import prose
from tests.strategies import texts


def html(markdown: str) -> str:
    """Render with addresses as they are."""
    return prose.html(markdown, href=lambda url: url, src=lambda name: name, link_colour="#0b5d4b")


def plain(markdown: str) -> str:
    """Write with addresses as they are."""
    return prose.plain(markdown, href=lambda url: url)


def test_chinese_emphasis_beside_full_width_punctuation():
    """CommonMark alone would print the asterisks."""
    assert "<strong>重点：</strong>内容" in html("**重点：**内容")


def test_a_line_end_between_chinese_characters_is_no_space():
    """Chinese text is wrapped without meaning a space."""
    assert plain("上半\n下半") == "上半下半"
    assert plain("first\nsecond") == "first second"


def test_raw_html_is_shown_never_obeyed():
    """An author's angle brackets are text."""
    assert "<script" not in html("<script>alert(1)</script> <img src=x onerror=y>")
    assert "&lt;script&gt;" in html("<script>alert(1)</script>")


def test_headings_of_a_body_stand_below_the_letters_own():
    """h1 to h3 are the masthead's, the sections' and the articles'."""
    assert set(re.findall("<(h[1-6])", html("# A\n\n### B"))) == {"h4"}


@settings(max_examples=150, deadline=None)
@given(texts)
def test_html_holds_only_known_tags_and_safe_addresses(markdown):
    """Whatever an author types."""
    made = html(markdown)
    assert set(re.findall(r"<([a-z0-9]+)", made)) <= prose._TAGS
    assert not re.search(r"""(?:href|src)="\s*(?:javascript|data|vbscript):""", made, re.IGNORECASE)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1))
def test_plain_text_keeps_every_word(words):
    """And only words, where there is no markup."""
    assert plain(" ".join(words)).split() == words


def test_plain_text_shows_lists_quotes_tables_and_where_links_lead():
    """Each as people write them in mail."""
    body = "- one\n- two [site](https://a.example/)\n\n> said\n\n| a | b |\n|---|---|\n| c | d |"
    assert (
        plain(f"{body}\n\n3. three\n4. four")
        == "- one\n- two site <https://a.example/>\n\n> said\n\na | b\nc | d\n\n3. three\n4. four"
    )


def test_a_link_that_is_its_own_label_is_shown_once():
    """<https://…> needs no second copy."""
    assert plain("<https://a.example/x>") == "https://a.example/x"


@pytest.mark.parametrize(
    ("body", "length", "start"),
    [
        ("一句话。第二句话很长很长很长。", 6, "一句话。"),
        ("Short one. A second one that is long.", 15, "Short one\\."),
        ("First block.\n\nSecond block, long.", 20, "First block."),
        ("no sentence ends here at all", 18, "no sentence ends…"),
        ("short", 20, "short"),
    ],
)
def test_a_teaser_ends_where_a_sentence_does(body, length, start):
    """A whole block, else a sentence, else a word."""
    assert prose.teaser(body, length) == start


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(5, 60))
def test_a_teaser_is_no_longer_than_the_body_when_read(markdown, length):
    """And what it says stands at the beginning of the body."""
    whole, teaser = plain(markdown), plain(prose.teaser(markdown, length))
    assert len(teaser) <= max(len(whole), length + 1)
