"""Which addresses a letter may hold, and the table of counted links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.content import slots
from mailer.content.links import BadLink, Links, destination, is_safe

TOKEN = slots.mark(slots.TOKEN)


def test_an_address_has_one_place_in_the_table_however_often_it_stands():
    """HTML and text count the same click."""
    links = Links("https://news.example.org")
    first = links.href("https://a.example/x")
    assert links.href("https://b.example/") == f"https://news.example.org/c/{TOKEN}/1"
    assert links.href("https://a.example/x") == first == f"https://news.example.org/c/{TOKEN}/0"
    assert links.urls == ("https://a.example/x", "https://b.example/")


@pytest.mark.parametrize("url", ["mailto:desk@example.org", "tel:+000", "#a1"])
def test_mail_telephone_and_anchors_are_never_counted(url):
    """They lead to no page of ours."""
    links = Links("https://news.example.org")
    assert links.href(url) == url
    assert links.urls == ()


def test_the_web_version_links_directly_and_still_lists_its_links():
    """No reader, no token; preflight wants the list all the same."""
    links = Links(None)
    assert links.href("https://a.example/x") == "https://a.example/x"
    assert links.urls == ("https://a.example/x",)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JAVASCRIPT:x", "data:text/html,x", "vbscript:x", "/page", "", "https://"],
)
def test_what_no_letter_should_hold_is_refused_by_name(url):
    """The message quotes the address and says how to write one."""
    with pytest.raises(BadLink, match="begin it with https://"):
        destination(url)


def test_a_bare_domain_gains_https():
    """Secretaries write www.example.org."""
    assert destination(" www.example.org/页 ") == "https://www.example.org/页"


@given(st.text())
def test_nothing_but_four_schemes_ever_passes(text):
    """Whatever is typed, the letter holds http, https, mailto, tel, an anchor, or nothing."""
    if is_safe(text):
        assert destination(text).lower().startswith(("http://", "https://", "mailto:", "tel:", "#"))
