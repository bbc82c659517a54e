"""The page of an issue: what stops it, what is worth a look, what was guessed; in the reader's language."""

from __future__ import annotations

import re
from html import unescape

import pytest

from mailer.accounts.store import Role

_TEXT = (
    "绿色观察\n\n动态\n\n河流归来\n\n第一段写得很长很完整，说明了发生的事情 and 结果如何，河水又清了。\n\n"
    "绿色观察    1\n\n森林归来\n\n"
    "第二段和其他内容也写得很完整，说明了发生的事情和结果如何。\n\n绿色观察    2\n"
)


@pytest.fixture
def issue(sign_in):
    """The page's address and who looks at it."""
    editor = sign_in(Role.EDITOR, email="ed@example.org")
    page = editor.post("/desk/issues/new", files={"file": ("issue.txt", _TEXT.encode())})
    return editor, page.url.path


def _said(html: str) -> str:
    """The words of the page's main part, without tags."""
    return unescape(re.sub(r"<[^>]+>", " ", html[html.index("<main") : html.index("</main>")]))


def test_what_stops_an_issue_and_what_is_only_worth_a_look_stand_apart(issue):
    """The number stops it; the issuer may be left out."""
    editor, path = issue
    words = _said(editor.get(path).text)
    stops, _, looks = words.partition("Worth a look:")
    assert "Masthead: the number of the issue is missing" in stops.partition("Before it can be sent:")[2]
    assert "Masthead: the issuer is missing" in looks
    assert "the issuer is missing" not in stops


def test_doubts_dropped_lines_and_problems_are_told_in_chinese(issue):
    """The same rows, kept as template and values, with the file's own words in place."""
    editor, path = issue
    words = _said(editor.get(f"{path}?lang=zh").text)
    assert "中文句子中有英文单词“and”。" in words
    assert "刊头：缺少期号" in words
    assert "页眉或页脚" in words
    english = re.findall(r"[A-Za-z]{3,}", words.replace("ed@example.org", ""))
    assert set(english) <= {"and"}, english


def test_a_refused_edit_is_explained_in_chinese(issue):
    """Line and block, with what stood there shown as text, never as HTML."""
    editor, path = issue
    form = editor.get(f"{path}/zh/edit").text
    version = re.search(r'name="version" value="(\d+)"', form)
    text = "---\nlanguage: zh\ntitle: 观察\n---\n\n# 动态\n\n:::quotes <b>名</b>\nhello\n:::\n"
    editor.get(f"{path}?lang=zh")
    page = editor.post(f"{path}/zh/edit", text=text, version=version[1] if version else "1")
    assert page.status_code == 422
    assert "第 9 行：" in page.text
    assert "引语的每一行都以“&gt;”开头" in page.text
    assert "“&lt;b&gt;名&lt;/b&gt;”" in page.text
