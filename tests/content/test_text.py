"""The plain-text part."""

from __future__ import annotations

from mailer.content import slots
from mailer.content.compile import compile_edition
from mailer.content.document import Article, Document, Masthead, Section
from tests.content import editions


def text(document: Document, *, personal: bool = True) -> str:
    """Compile and fill the reader's values in."""
    made = compile_edition(document, look=editions.LOOK, places=editions.PLACES, personal=personal)
    return slots.fill(made.text, editions.READER)


def test_it_reads_from_top_to_bottom_like_the_letter():
    """Issuer, title, salutation, contents, sections, footer."""
    letter = text(editions.zh())
    order = ["流域联盟秘书处", "流域观察\n========", "第12期 · 2026年11月20日", "尊敬的李部长：", "本期目录"]
    order += [
        "头条\n====",
        "城市商定共享水位\n----",
        "会议主题是“与水同行”，为期两天。",
        "\n-- \nBasin & Coalition",
    ]
    places = [letter.index(piece) for piece in order]
    assert places == sorted(places)


def test_every_kind_of_block_is_there():
    """What a reader of HTML sees, a reader of text can read."""
    letter = text(editions.zh())
    for piece in (
        "[河堤与“观景台” 会场外的河堤。 图：秘书处]",
        "河流不认识边界。\n—— 林书瑶，水务局局长",
        "—— 阿米娜，示例国",
        "联合主持人\n周明远，秘书长",
        "流域论坛\n2027年5月8日\n临江\n\nRiver Forum\n8 May 2027\nLinjiang",
        "* * *",
        "秘书处\n邮箱：desk@example.org\n网址：www.example.org",
        "许安\n邮箱：editor#example.org\n电话：+00 000",
    ):
        assert piece in letter


def test_links_are_counted_by_the_same_number_as_in_html():
    """One table for both parts."""
    letter, token = text(editions.zh()), editions.READER["token"]
    assert f"开放数据 <https://news.example.org/c/{token}/0>网站" in letter
    assert f"阅读全文：https://news.example.org/c/{token}/1" in letter


def test_text_is_not_escaped():
    """An ampersand is an ampersand: escaping is for HTML."""
    document = Document(
        language="en",
        masthead=Masthead(title="R&D <weekly>"),
        sections=(Section(title="A & B", blocks=(Article(headline="“5 < 6”", body="Q&A"),)),),
    )
    letter = text(document)
    assert all(piece in letter for piece in ("R&D <weekly>", "A & B", "“5 < 6”", "Q&A", "Basin & Coalition"))


def test_the_web_version_names_no_reader():
    """No salutation, no way to leave, direct links."""
    letter = text(editions.zh(), personal=False)
    assert "https://data.example.org/water?lang=zh&year=2026" in letter
    assert not any(editions.READER[name] in letter for name in ("salutation", "token", "unsubscribe"))
