"""Hypothesis strategies shared by the stages: any document, any text a person or a machine may put in it."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from mailer.content import document as d

T = TypeVar("T")

MARKUP = (
    "# ", "## ", "### ", ":::", ":::quotes", "![", "](", ")", "![a](b)", "[c](d)", '"', "<", ">", "|", "\\",
    "> ", "- ", "— ", "——", "--", "*", "**", "---", "{credit=", "zh: ", "title: ", "&amp;", "<b>", "{{x}}",
    "\n", "\n\n", "  \n", " ", "\t", "\u3000", "\u2028", "\r\n", "\x00", "\ufeff", "’",
    "绿色", "，", "：", "（", "“", "中文 and Latin", "Ωμέγα", "👩‍🔬", "é", "0",
)  # fmt: skip

texts = st.one_of(
    st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=4)), max_size=7).map("".join),
    st.sampled_from(("", "Green Observer", "绿色观察")),
)

links = st.builds(d.Link, url=texts, label=texts)
figures = st.builds(d.Figure, src=texts, alt=texts, caption=texts, credit=texts)
quotes = st.builds(d.Quote, text=texts, attribution=texts, title=texts, organisation=texts, country=texts)
people = st.builds(d.Person, name=texts, title=texts, organisation=texts, country=texts)
banner_texts = st.builds(d.BannerText, title=texts, date=texts, place=texts)
contact_entries = (
    st.fixed_dictionaries(dict.fromkeys(d.ContactEntry.model_fields, texts))
    .filter(lambda values: any(map(d.clean_line, values.values())))
    .map(lambda values: d.ContactEntry(**values))
)


def _few(items: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, max_size=3).map(tuple)


blocks = st.one_of(
    st.builds(
        d.Article,
        headline=texts,
        dateline=texts,
        body=texts,
        figures=_few(figures),
        read_more=st.none() | links,
    ),
    st.builds(d.Text, body=texts),
    st.builds(d.Quotes, title=texts, quotes=_few(quotes)),
    st.builds(d.Moderators, label=texts, people=_few(people)),
    st.builds(d.Banner, zh=banner_texts, en=banner_texts),
    figures,
    st.builds(d.Button, label=texts, url=texts),
    st.just(d.Divider()),
    st.builds(d.Contact, entries=_few(contact_entries)),
)
sections = st.builds(d.Section, title=texts, blocks=st.lists(blocks, max_size=4).map(tuple))
mastheads = st.builds(
    d.Masthead, title=texts, issuer=texts, number=st.none() | texts, date=st.none() | st.dates()
)
documents = st.builds(
    d.Document,
    language=st.sampled_from(d.LANGUAGES),
    masthead=mastheads,
    subject=texts,
    preheader=texts,
    sections=st.lists(sections, max_size=3).map(tuple),
)
"""Any document at all: every block, every field, empty fields, markup signs, several scripts."""
