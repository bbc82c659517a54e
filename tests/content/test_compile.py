"""A document becomes a letter: what stands in it, what it weighs, how it is shortened."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mailer.content import readers, slots
from mailer.content.compile import GMAIL_CLIP, Compiled, TooLong, compile_edition, fit
from mailer.content.document import Article, Button, Document, Figure, Masthead, Quote, Quotes, Section
from mailer.content.links import BadLink
from mailer.content.look import BadColour, Look, contrast
from mailer.content.theme import MissingFigure
from tests.content import editions
from tests.strategies import documents


class Page(HTMLParser):
    """What a browser would find: visible text, tags with attributes, ids and where anchors lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        self.words += "" if self._hidden else data

    def all(self, tag: str, attribute: str) -> list[str]:
        """Return the attribute of every such tag that has it."""
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def compiled(document: Document, **more: object) -> Compiled:
    """Compile with the tests' look and places."""
    return compile_edition(document, look=editions.LOOK, places=editions.PLACES, **more)


def page(document: Document, **more: object) -> Page:
    """Compile, fill the reader's values in, and read."""
    return Page(slots.fill(compiled(document, **more).html, editions.READER, escape))


def test_contents_lead_to_headings():
    """Every anchor of the contents is the id of a heading, in the same order."""
    found = page(editions.zh())
    anchors = [href.removeprefix("#") for href in found.all("a", "href") if href.startswith("#")]
    ids = [attrs["id"] for tag, attrs in found.tags if tag in ("h2", "h3") and "id" in attrs]
    assert anchors == ids == ["s1", "a1", "s2", "a2", "s3"]
    assert found.all("a", "name") == ids  # Outlook follows names only


def test_headings_are_headings():
    """One h1, then sections, then articles and collections."""
    tags = [tag for tag, _ in page(editions.zh()).tags if re.fullmatch("h[1-6]", tag)]
    assert tags == ["h1", "h2", "h3", "h2", "h3", "h3", "h3", "h2"]


def test_language_is_told_to_screen_readers():
    """On the document, on the other edition's link, and on each half of an event."""
    found = page(editions.zh())
    assert found.all("html", "lang") == ["zh-CN"]
    assert found.all("div", "lang")[1:] == ["zh-CN", "en"]
    assert set(found.all("a", "lang")) == {"en"}


def test_the_letter_holds_what_the_law_and_the_reader_want():
    """Who sends it, from where, why, and every way out."""
    found = page(editions.zh())
    words = found.words
    assert all(
        piece in words
        for piece in ("Basin & Coalition", "000000 Linjiang", "订阅了《流域观察》", "尊敬的李部长")
    )
    hrefs = found.all("a", "href")
    assert all(editions.READER[name] in hrefs for name in ("view", "preferences", "unsubscribe", "other"))


def test_dark_mode_is_declared_and_styled():
    """Clients look for the meta tags, the media query, or (Outlook) a data attribute."""
    made = compiled(editions.zh()).html
    assert '<meta name="color-scheme" content="light dark"' in made
    assert "@media (prefers-color-scheme:dark)" in made
    assert "[data-ogsc]" in made


def test_nothing_is_loaded_from_elsewhere():
    """Pictures come from the web app; no font, style sheet or script from anywhere."""
    found = page(editions.zh())
    assert all(src.startswith("https://news.example.org/") for src in found.all("img", "src"))
    assert not {"link", "script", "iframe"} & {tag for tag, _ in found.tags}
    assert "@import" not in compiled(editions.zh()).html


def test_every_picture_has_its_words():
    """The open pixel has none, on purpose."""
    assert page(editions.zh()).all("img", "alt") == ["河堤与“观景台”", ""]


def test_the_preheader_comes_first():
    """It is the line an inbox shows; without one the first headlines serve."""
    assert page(editions.zh()).words.partition("二十三座城市")[0].strip() == "流域观察 第12期"
    assert "Cities share water levels" in page(editions.en()).words[:60]


def test_clicks_of_both_parts_share_one_table():
    """The same address in two articles, a button and the text has one number."""
    made = compiled(editions.zh())
    assert made.links == (
        "https://data.example.org/water?lang=zh&year=2026",
        "https://www.example.org/news/1",
        "https://forum.example.org/register",
        "https://www.example.org",
    )
    assert made.html.count(f"/c/{slots.mark(slots.TOKEN)}/0") == 2


def test_a_preview_for_anybody_has_no_slots():
    """Archive and `issue compile` show direct links and track nobody."""
    made = compiled(editions.zh(), personal=False)
    for part in (made.html, made.text, made.mjml):
        assert slots.split(part)[1] == []
        assert "https://news.example.org/c/" not in part
    assert "/o/" not in made.html
    assert made.links == compiled(editions.zh()).links


def test_an_author_cannot_write_a_slot():
    """The two signs are taken out of every text, and of the publication's settings."""
    forged = slots.mark(slots.UNSUBSCRIBE)
    document = editions.en().model_copy(update={"subject": forged, "preheader": forged})
    honest = compiled(editions.en())
    made = compile_edition(document, look=replace(editions.LOOK, address=forged), places=editions.PLACES)
    assert slots.split(made.html)[1] == slots.split(honest.html)[1]
    assert slots.split(made.text)[1] == slots.split(honest.text)[1]


def _sections(*blocks: object) -> Document:
    return Document(language="en", masthead=Masthead(title="T"), sections=[{"title": "S", "blocks": blocks}])


def test_a_dangerous_button_is_refused():
    """It would otherwise stand in ten thousand letters."""
    with pytest.raises(BadLink, match="javascript:alert"):
        compiled(_sections(Button(label="Go", url="javascript:alert(1)")))


def test_a_missing_picture_is_named():
    """A letter with a broken picture cannot be called back."""
    with pytest.raises(MissingFigure, match=r"lost\.png"):
        compiled(_sections(Figure(src="lost.png")))


@pytest.mark.parametrize("accent", ["red", "#123", "#12345g", "#0b5d4b;}"])
def test_an_accent_is_six_digits(accent):
    """It goes into style attributes."""
    with pytest.raises(BadColour):
        Look("O", "A", accent=accent)


@given(st.integers(0, 0xFFFFFF))
def test_whatever_the_accent_words_can_be_read(colour):
    """WCAG's 4.5 by day and 7 by night for links, and for words on the masthead."""
    look = Look("O", "A", accent=f"#{colour:06x}")
    assert contrast(look.link, "#ffffff") >= 4.5
    assert contrast(look.night_link, "#1c2221") >= 7
    assert contrast(look.on_accent, look.accent) >= 4.5


@settings(max_examples=60, deadline=None)
@given(documents)
def test_any_document_compiles_and_keeps_its_words(document):
    """Every plain text an author wrote can be read in the HTML and stands in the text part."""
    try:
        made = compiled(_mended(document))
    except (BadLink, MissingFigure):
        reject()  # a link or picture inside a body
    seen, text = _tight(Page(made.html).words), _tight(made.text)
    for words in map(_tight, _plain_texts(document)):
        assert words in seen
        assert words in text


def _mended(document: Document) -> Document:
    """Give every link and picture an address; the strategy writes any text there."""
    stored = re.sub(r'"url":"(?:[^"\\]|\\.)*"', '"url":"https://a.example/"', document.model_dump_json())
    return Document.model_validate_json(re.sub(r'"src":"(?:[^"\\]|\\.)*"', '"src":"dyke.png"', stored))


def _plain_texts(document: Document) -> list[str]:
    found = [document.masthead.title, document.masthead.issuer]
    for section in document.sections:
        found.append(section.title)
        for block in section.blocks:
            match block:
                case Article():
                    found += [block.headline, block.dateline]
                case Quotes():
                    found += [field for quote in block.quotes for field in (quote.text, quote.attribution)]
                case Button():
                    found.append(block.label)
    return [slots.clean(text) for text in found]


def _tight(text: str) -> str:
    return "".join(text.split())


def test_a_long_edition_is_shortened_longest_article_first():
    """No more articles than needed; each leads to its place in the web version."""
    whole = compiled(editions.long())
    made = fit(editions.long(), look=editions.LOOK, places=editions.PLACES, limit=whole.html_bytes - 2000)
    assert made.shortened == ("Article 8",)
    assert made.html_bytes <= whole.html_bytes - 2000
    assert "https://news.example.org/issues/12/zh#a8" in made.links
    assert "Read on in the web version" in made.html


def test_an_edition_that_fits_is_left_alone():
    """Nothing is cut without need."""
    made = fit(editions.zh(), look=editions.LOOK, places=editions.PLACES)
    assert made == compiled(editions.zh())
    assert made.html_bytes < GMAIL_CLIP


@settings(max_examples=20, deadline=None)
@given(st.integers(10_000, 50_000))
def test_the_result_is_under_the_limit_or_says_it_cannot_be(limit):
    """And it says how long it still is."""
    try:
        assert (
            fit(editions.long(), look=editions.LOOK, places=editions.PLACES, limit=limit).html_bytes <= limit
        )
    except TooLong as error:
        assert "take out some quotes" in str(error)  # noqa: PT017  either outcome is right, by the limit


def test_without_a_web_version_nothing_is_cut():
    """There would be nowhere to read on."""
    with pytest.raises(TooLong):
        fit(editions.long(), look=editions.LOOK, places=replace(editions.PLACES, web=""), limit=25_000)


def test_cards_are_cheap():
    """A section per quote would cost 1.2 KB each; a card in the common table stays under 0.6 KB."""

    def octets(count: int) -> int:
        quotes = Quotes(quotes=(Quote(text="Said.", attribution="A", title="B"),) * count)
        return compiled(_sections(quotes)).html_bytes

    assert (octets(25) - octets(5)) / 20 < 600


def test_section_titles_may_be_empty():
    """A run of blocks without a heading is no line of the contents."""
    document = Document(
        language="en",
        masthead=Masthead(title="T"),
        sections=(Section(title="", blocks=(Article(headline="H"),)),),
    )
    assert not [href for href in page(document).all("a", "href") if href.startswith("#")]


SEED = Path(__file__).parents[3] / "shared" / "seed" / "issue-2019.txt"


@pytest.mark.skipif(not SEED.exists(), reason="the sample of a real issue is not beside the checkout")
def test_a_real_issue_passes_gmail_whole():
    """25 quotes and 10 articles, 37 KB of text, well under the clip with every slot filled."""
    made = compiled(readers.read(SEED).document)
    assert made.html_bytes < GMAIL_CLIP * 0.8
    assert made.text_bytes < made.html_bytes
