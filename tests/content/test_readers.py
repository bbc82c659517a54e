"""Readers: a file an editor has becomes a draft, and every character of it is accounted for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.content import document as d
from mailer.content.markdown import from_markdown, to_markdown
from mailer.content.readers import Draft, Unreadable, decode, read, read_text
from mailer.content.readers.people import split_person

ISSUES = Path(__file__).parents[1] / "data" / "issues"
SEED = Path(__file__).parents[3] / "shared" / "seed" / "issue-2019.txt"

LINES = (
    "", "", "要闻", "News", "- 会议召开", "A meeting in Oslo .... 3", "会议召开", "3", "第 2 页",
    "Page 4 of 9", "\f", "——某国部长 李远", "— Ann Lee, Minister of Water", "环境部部长\n李远",
    "Moderator: Ann Lee", "联合主持：研究所所长 安明", "论坛全体会议", "PLENARY OF THE FORUM", "Fax: 1",
    "2026.5.1 中国·北京", "1 MAY 2026 OSLO", "邮箱: a b@example.org", "联系我们",
    "<https://example.org/a>", "更多信息", "目录", "长" * 61, "长" * 61 + "。", "A sentence. " * 12,
    "cut at the", "# x", "1. x", "2026) x", "发言集锦", "\x07*a_ [b](c) <d> &amp; # e", "\u3000\u3000缩进。",
)  # fmt: skip


def texts_of(draft: Draft) -> str:
    return to_markdown(draft.document)


def characters(text: str) -> int:
    return sum(1 for char in text if not char.isspace())


def count_json(document: d.Document) -> int:
    """Count an exported document the plain way: every JSON string but the form's own words."""
    total = 0
    waiting: list[object] = [json.loads(document.model_dump_json())]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [value for key, value in item.items() if key not in ("kind", "language", "date")]
            waiting += [item["date"]] if "place" in item else []
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str):
            total += characters(item)
    return total


def count_markdown(text: str) -> int:
    """Count an exported Markdown file by taking its signs away, without the program's own reader."""
    _, head, body = text.split("---\n", 2)
    words = re.sub(r"^(language: \w+|\w+: |date: .*)", "", head, flags=re.MULTILINE)
    body = re.sub(r"^(:::(\w+)?|#{1,2} |> — |>|- (?=.*\|)|[a-z]+: )", "", body, flags=re.MULTILINE)
    body = re.sub(r"^\[(.*)\]\((.*)\)$", r"\1\2", body, flags=re.MULTILINE).replace("|", "")
    return characters(words.replace('"', "")) + characters(body)


def visible(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and not char.isspace())


def law_of_accounts(text: str, draft: Draft) -> None:
    """What was read is what was written, less what is listed as dropped; what is listed stood in its line."""
    rows = text.split("\n")
    for piece in draft.dropped:
        assert piece.text
        assert visible(piece.text) in visible(rows[piece.line - 1])
    left = characters(text) - sum(characters(piece.text) for piece in draft.dropped)
    assert draft.body_characters == {"source": left, "document": left}


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=12)), max_size=25).map("\n".join))
def test_every_text_is_read_without_losing_a_character(text: str) -> None:
    """Whatever the lines are taken for, none vanishes unlisted, and the draft can be edited as Markdown."""
    text = decode(text.replace("\x00", "").encode())
    draft = read_text(text)
    law_of_accounts(text, draft)
    assert d.content_characters(draft.document) == draft.body_characters["document"]
    assert from_markdown(to_markdown(draft.document)) == draft.document


def test_chinese_lines_without_blank_ones_in_gb18030() -> None:
    """One line per paragraph, page heads between them, as an old editor saves it."""
    raw = (ISSUES / "gbk-lines.txt").read_bytes()
    draft = read(raw, "gbk-lines.txt")
    law_of_accounts(decode(raw), draft)
    assert d.stats(draft.document) == {
        "sections": 3, "articles": 2, "quotes": 2, "moderators": 0, "banners": 0, "contacts": 1,
    }  # fmt: skip
    assert (draft.document.language, draft.document.masthead.number) == ("zh", "第12期")
    article, voices = draft.document.sections[0].blocks
    assert isinstance(article, d.Article)
    assert isinstance(voices, d.Quotes)
    assert "每季度举行一次线上例会，由各成员" in article.body
    assert [(quote.attribution, quote.title) for quote in voices.quotes] == [
        ("林远航", "东屿国环境部部长"),
        ("安娜·贝里", "候鸟观测中心主任"),
    ]
    doubts = {(doubt.line, doubt.what.split(" ")[0]) for doubt in draft.doubts}
    assert {(27, "The"), (32, "The")} <= doubts


def test_english_broken_at_a_fixed_width() -> None:
    """Wrapped lines, dotted contents, numbered page heads, every kind of speaker, a banner."""
    raw = (ISSUES / "wrapped-english.txt").read_bytes()
    draft = read(ISSUES / "wrapped-english.txt")
    law_of_accounts(decode(raw), draft)
    assert d.stats(draft.document) == {
        "sections": 4, "articles": 2, "quotes": 3, "moderators": 1, "banners": 1, "contacts": 1,
    }  # fmt: skip
    written = texts_of(draft)
    assert "*Lisbon, 2 March 2026*" in written
    assert "from a dam at least six hours in advance." in written
    assert "autumn.\n\nObservers from four other basins attended." in written
    assert "> — Jonas Lindqvist | Director, Basin Research Institute" in written
    assert "> — Rosa Ferreira | Deputy Secretary, Ministry of Rural Affairs" in written
    assert "zh: 阿尔马河伙伴论坛 | 2026年6月9日 | 里斯本" in written
    assert "- instructions need pictures\n- one person" in written
    assert "[Read the handbook](https://rivercommons.example/handbook)" in written
    assert "label: Press\nperson: Ines Vale" in written
    whats = " ".join(doubt.what for doubt in draft.doubts)
    assert "“the” stands twice" in whats
    assert "“rivercomons.example” may be a misspelling of “rivercommons.example”" in whats


def test_a_bare_text_keeps_markup_signs_as_signs() -> None:
    """No contents list: the short line above a headline is a section; a star stays a star."""
    draft = read(ISSUES / "bare.txt")
    assert [section.title for section in draft.document.sections] == ["News"]
    assert "a \\* marks" in texts_of(draft)
    assert "\\<b> is" in texts_of(draft)
    assert any("“News” was taken for a section's name" in doubt.what for doubt in draft.doubts)


@pytest.mark.parametrize(
    ("lines", "name", "title", "sure"),
    [
        (["某国环境部部长 李远航"], "李远航", "某国环境部部长", True),
        (["某国副总理兼环境部部长 安娜·贝里"], "安娜·贝里", "某国副总理兼环境部部长", True),
        (["某大学金融研究院", "研究中心主任 马远"], "马远", "某大学金融研究院研究中心主任", True),
        (["某国际组织执行秘书", "安娜·贝里"], "安娜·贝里", "某国际组织执行秘书", True),
        (["某研究所总裁贝里"], "贝里", "某研究所总裁", False),
        (["气候特使 Ann Lee"], "Ann Lee", "气候特使", True),
        (["秘书长 李 明"], "李 明", "秘书长", True),
        (["Ann Lee, Minister of Water, Tamar"], "Ann Lee", "Minister of Water, Tamar", True),
        (["Ann Lee", "Minister of Water, Tamar"], "Ann Lee", "Minister of Water, Tamar", True),
        (["Director, Water Institute", "Ann Lee"], "Ann Lee", "Director, Water Institute", True),
        (["Ann Lee"], "Ann Lee", "", True),
    ],
)
def test_a_name_and_an_office_are_told_apart(lines: list[str], name: str, title: str, sure: bool) -> None:
    """Chinese writes the office first, English the name; where no sign parts them, it is a guess."""
    person = split_person(lines)
    assert (person.name, person.title, person.sure) == (name, title, sure)


def test_a_gap_between_whole_paragraphs_is_no_cut() -> None:
    """Only a paragraph without its full stop goes on after the page's end."""
    cut = "长" * 61
    draft = read_text(f"通讯\n\n标题\n\n{cut}\n\n\n\n{cut}。\n\n\n\n{cut}。\n")
    (article,) = draft.document.sections[0].blocks
    assert isinstance(article, d.Article)
    assert article.body == f"{cut}{cut}。\n\n{cut}。"


def test_a_line_that_interrupts_paragraphs_again_and_again_is_a_page_head() -> None:
    """Without a number and unlike the issue's name, it is known by where it stands."""
    cut = "长" * 61
    draft = read_text(f"通讯\n\n标题\n\n{cut}\n\n内部资料\n\n{cut}。\n\n{cut}\n\n内部资料\n\n{cut}。\n")
    (article,) = draft.document.sections[0].blocks
    assert isinstance(article, d.Article)
    assert article.body == f"{cut}{cut}。\n\n{cut}{cut}。"
    assert [(piece.line, piece.text) for piece in draft.dropped] == [(7, "内部资料"), (13, "内部资料")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_every_usual_encoding_is_read(encoding: str) -> None:
    """By its mark, else as UTF-8, else as GB18030, the encoding of older Chinese files."""
    assert decode("绿色通讯\r\n第二行".encode(encoding)) == "绿色通讯\n第二行"


@pytest.mark.parametrize(
    ("raw", "name", "sentence"),
    [
        (b"\xff\xff\x00\x01", "a.txt", "not a text file in UTF-8 or GB18030"),
        (b"\x00\x01\x02", "a.txt", "not a text file"),
        (b" \n ", "a.txt", "holds no text"),
        (b"a book \n" * 100_000, "a.txt", "too long for a letter"),
        (b"x", "a.pages", "give a .md or a .txt file"),
        (b"PK", "a.docx", "choose “Save as”, then “Plain text (.txt)”"),
    ],
)
def test_an_unreadable_file_is_refused_in_a_sentence(raw: bytes, name: str, sentence: str) -> None:
    """The editor learns which file and what to do."""
    with pytest.raises(Unreadable, match=re.escape(sentence)):
        read(raw, name)


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """No stack trace for a mistyped name."""
    with pytest.raises(Unreadable, match=r"none\.txt” cannot be opened \(No such file"):
        read(tmp_path / "none.txt")


def test_a_markdown_file_is_read_whole(tmp_path: Path) -> None:
    """Nothing of it is dropped or guessed, and its head says its language."""
    path = tmp_path / "issue.md"
    path.write_text("---\nlanguage: zh\ntitle: 通讯\n---\n# 要闻\n## 标题\n正文。\n", encoding="utf-8")
    draft = read(path)
    assert (draft.dropped, draft.doubts, draft.body_characters) == ((), (), {"source": 9, "document": 9})
    with pytest.raises(Unreadable, match="“language: zh”, but “en” is asked for"):
        read(path, language="en")


@pytest.fixture(scope="module")
def seed() -> Draft:
    if not SEED.exists():
        pytest.skip("the seed issue is not on this machine")
    return read(SEED)


def blocks_of(draft: Draft, kind: type[d.Block]) -> list[d.Block]:
    return [
        block for section in draft.document.sections for block in section.blocks if isinstance(block, kind)
    ]


def test_the_seed_issue_becomes_a_clean_draft(seed: Draft) -> None:
    """Every block of the real issue is found, and number and date are left to be asked for."""
    assert d.stats(seed.document) == {
        "sections": 5, "articles": 10, "quotes": 25, "moderators": 2, "banners": 1, "contacts": 1,
    }  # fmt: skip
    assert (seed.document.masthead.number, seed.document.masthead.date) == (None, None)
    (contact,) = blocks_of(seed, d.Contact)
    assert isinstance(contact, d.Contact)
    assert [bool(entry.label) and bool(entry.mail) for entry in contact.entries] == [True, True]


def test_the_seed_issues_speakers_all_have_a_name_and_an_office(seed: Draft) -> None:
    """Fifteen behind a dash, ten above their words; no name holds an office, no office a name."""
    collections = [block.quotes for block in blocks_of(seed, d.Quotes) if isinstance(block, d.Quotes)]
    assert [len(quotes) for quotes in collections] == [15, 10]
    for quote in (quote for quotes in collections for quote in quotes):
        assert 2 <= len(quote.attribution) <= 10
        assert re.search("[长任裁事席阁官使书臣员]$", quote.title)
        assert not re.search(r"[\s—]", quote.title)


def test_every_character_of_the_seed_issue_is_accounted_for(seed: Draft) -> None:
    """The program's counts, and two counters that know nothing of the reader, agree."""
    law_of_accounts(decode(SEED.read_bytes()), seed)
    expected = seed.body_characters["document"]
    assert count_json(seed.document) == expected
    assert count_markdown(to_markdown(seed.document)) == expected


def test_the_seed_issues_cut_paragraphs_are_joined_and_no_others(seed: Draft) -> None:
    """Two paragraphs were cut by a page's end."""
    assert [doubt.line for doubt in seed.doubts if "a page's end had cut" in doubt.what] == [248, 296]
    for article in blocks_of(seed, d.Article):
        assert isinstance(article, d.Article)
        assert all(re.search("[。：]”?$", paragraph) for paragraph in article.body.split("\n\n"))


def test_the_seed_issues_oddities_are_doubted(seed: Draft) -> None:
    """What an attentive editor would ask about, each with its line."""
    asked = {(doubt.line, doubt.what.split(":")[0]) for doubt in seed.doubts}
    assert {
        (42, "The English word “and” stands inside a Chinese sentence."),
        (230, "The headline differs from the contents list, line 18"),
        (274, "The headline differs from the contents list, line 20"),
        (290, "The headline is not in the contents list"),
        (324, "The headline differs from the contents list, line 26"),
        (342, "The section is not in the contents list"),
    } <= asked
    assert any(line == 362 and "is not a mail address" in what for line, what in asked)
    assert any(line == 137 and "parted by guess" in what for line, what in asked)
    assert any(line == 244 and what.startswith("Half-width punctuation") for line, what in asked)
