"""The sample issue that the product ships: whole in both languages, the same in both, and its own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from mailer.content.compile import GMAIL_CLIP, compile_edition
from mailer.content.document import (
    LANGUAGES,
    Article,
    Banner,
    Document,
    Language,
    Quotes,
    content_characters,
    stats,
)
from mailer.content.look import Look
from mailer.content.markdown import from_markdown, to_markdown
from mailer.content.problems import problems
from mailer.content.theme import Places
from mailer.settings import templates

SEED = Path(__file__).parents[3] / "shared" / "seed" / "issue-2019.txt"
BASE = "https://news.example.org"


def text(language: Language) -> str:
    """The edition's file as it is shipped."""
    return (templates() / "sample" / f"issue-{language}.md").read_text(encoding="utf-8")


def edition(language: Language) -> Document:
    """The edition read."""
    return from_markdown(text(language))


def articles(document: Document) -> list[Article]:
    """Every article in reading order."""
    return [block for section in document.sections for block in section.blocks if isinstance(block, Article)]


def pictures() -> list[str]:
    """The names by which the Chinese edition calls its figures."""
    return [figure.src for article in articles(edition("zh")) for figure in article.figures]


def shape(document: Document) -> list[object]:
    """What both languages must share: blocks, pictures, and what marks up each body."""
    return [
        (block.kind, *(_marks(block) if isinstance(block, Article) else ()))
        for section in document.sections
        for block in section.blocks
    ]


def _marks(article: Article) -> tuple[object, ...]:
    lines = article.body.splitlines()
    links = re.findall(r"\]\((\S+)\)", article.body)
    links += [article.read_more.url] if article.read_more else []
    return (
        [figure.src for figure in article.figures],
        len(article.body.split("\n\n")),
        article.body.count("**"),
        [re.match(r"- |\d\. |#+ |", line)[0] for line in lines],  # "" always matches
        [re.sub(r"/(zh|en)(?=/|$)", "", link) for link in links],
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_has_the_shape_of_a_real_issue(language):
    """Five sections, ten articles, 25 quotes in two collections, and one of each of the rest."""
    document = edition(language)
    assert stats(document) == {
        "sections": 5,
        "articles": 10,
        "quotes": 25,
        "moderators": 2,
        "banners": 1,
        "contacts": 1,
    }
    blocks = [block for section in document.sections for block in section.blocks]
    assert [len(block.quotes) for block in blocks if isinstance(block, Quotes)] == [15, 10]
    assert {"text", "button", "divider"} <= {block.kind for block in blocks}


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_whole(language):
    """An editor would find nothing to mend: no error, no warning, number, date and preheader said."""
    document = edition(language)
    assert problems(document) == ()
    assert (document.language, document.masthead.number) == (language, "7")
    assert document.masthead.date is not None
    assert document.preheader
    assert from_markdown(to_markdown(document)) == document


@pytest.mark.parametrize("language", LANGUAGES)
def test_everyone_quoted_is_presented_in_full(language):
    """Name, office, organisation and country, and nobody speaks twice."""
    blocks = [block for section in edition(language).sections for block in section.blocks]
    quotes = [quote for block in blocks if isinstance(block, Quotes) for quote in block.quotes]
    assert all(it.attribution and it.title and it.organisation and it.country for it in quotes)
    assert len({it.attribution for it in quotes}) == 25


def test_both_languages_say_the_same():
    """Block for block: the same kinds, pictures, paragraphs, lists, emphasis and destinations."""
    zh, en = edition("zh"), edition("en")
    assert shape(zh) == shape(en)
    assert zh.masthead.date == en.masthead.date


def test_the_event_is_the_same_in_both_editions():
    """A banner holds both languages, so its two copies must not drift apart."""
    zh, en = (
        [
            block
            for section in edition(language).sections
            for block in section.blocks
            if isinstance(block, Banner)
        ]
        for language in LANGUAGES
    )
    assert zh == en


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_fits_into_one_letter(language):
    """A long issue, as real ones are, and yet no mail program cuts it."""
    document = edition(language)
    places = Places(
        base=BASE,
        web=f"{BASE}/issues/7/{language}",
        other=f"{BASE}/issues/7/other",
        figures=dict.fromkeys(pictures(), f"{BASE}/figures/0123456789abcdef0123.png"),
    )
    look = Look(
        organisation=document.masthead.issuer, address="Green House\n1 Lakeside Road", accent="#0b6b4f"
    )
    assert compile_edition(document, look=look, places=places).html_bytes < 0.9 * GMAIL_CLIP
    assert content_characters(document) > 12_000


@pytest.mark.parametrize("src", pictures())
def test_figures_are_light_and_wide(src):
    """1,200 pixels for a sharp column of 600, at most 60 KB, in a form that every mail program shows."""
    file = templates() / "sample" / src
    with Image.open(file) as picture:
        assert (picture.format, picture.width) == ("PNG", 1200)
    assert file.stat().st_size <= 60_000


def test_every_figure_is_used():
    """Nothing lies in the folder that no edition shows."""
    folder = templates() / "sample" / "figures"
    assert sorted(file.name for file in folder.iterdir()) == sorted(Path(src).name for src in pictures())


@pytest.mark.parametrize("language", LANGUAGES)
def test_addresses_are_reserved_for_examples(language):
    """RFC 2606: no click and no reply can reach a stranger."""
    hosts = re.findall(r"(?:https?://|[\w.]+@)([\w.-]+)", text(language))
    assert hosts
    assert all(host.endswith(".example") for host in hosts)


@pytest.mark.skipif(not SEED.exists(), reason="the real past issue is not here to compare with")
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_borrowed(language):
    """No run of twelve characters stands in the real past issue as well."""
    seed = "".join(SEED.read_text(encoding="utf-8").split())
    borrowed = {seed[start : start + 12] for start in range(len(seed) - 11)}
    own = "".join(text(language).split())
    assert [
        own[start : start + 12] for start in range(len(own) - 11) if own[start : start + 12] in borrowed
    ] == []
