"""One invented issue in both languages, with every kind of block, for the tests of compilation."""

from __future__ import annotations

import datetime

from mailer.content.document import (
    Article,
    Banner,
    BannerText,
    Button,
    Contact,
    ContactEntry,
    Divider,
    Document,
    Figure,
    Link,
    Masthead,
    Moderators,
    Person,
    Quote,
    Quotes,
    Section,
    Text,
)
from mailer.content.look import Look
from mailer.content.theme import Places

LOOK = Look(organisation="Basin & Coalition", address="1 Embankment Road\n000000 Linjiang")
PLACES = Places(
    base="https://news.example.org",
    web="https://news.example.org/issues/12/zh",
    other="https://news.example.org/issues/12/en",
    figures={"dyke.png": "https://news.example.org/figures/dyke.png"},
)
READER = {
    "salutation": "尊敬的李部长：",
    "token": "ab2cd3ef4gh5ij6kl7mn2op3qr4st5uv6w",
    "view": "https://news.example.org/view/ab2cd3?a=1&b=2",
    "preferences": "https://news.example.org/preferences/ab2cd3",
    "unsubscribe": "https://news.example.org/leave/ab2cd3",
    "other": "https://news.example.org/other/ab2cd3",
    "to_name": "李明",
    "to_address": "li.ming@example.org",
    "date": "Fri, 20 Nov 2026 08:00:00 +0000",
    "message_id": "<ab2cd3@news.example.org>",
    "unsubscribe_mail": "leave+ab2cd3@news.example.org",
}

_ZH_BODY = """代表们来到河畔，讨论如何让堤岸与湿地一同承担雨水。**会议主题是“与水同行”，**为期两天。

- 上游每十分钟报告一次水位；
- 结果公布在[开放数据](https://data.example.org/water?lang=zh&year=2026)网站上。
"""
_EN_BODY = """Delegates met to ask how dykes and wetlands can share the rain. **The theme** was water.

1. Gauges upstream report every ten minutes;
2. results stand on the [open data site](https://data.example.org/water?lang=zh&year=2026).
"""


def zh() -> Document:
    """Return the Chinese edition."""
    return Document(
        language="zh",
        masthead=Masthead(
            title="流域观察", issuer="流域联盟秘书处", number="12", date=datetime.date(2026, 11, 20)
        ),
        preheader="二十三座城市商定共享水位",
        sections=(
            Section(
                title="头条",
                blocks=(
                    Article(
                        headline="城市商定共享水位",
                        dateline="2026年11月18日，临江",
                        body=_ZH_BODY,
                        figures=(
                            Figure(
                                src="dyke.png",
                                alt="河堤与“观景台”",
                                caption="会场外的河堤。",
                                credit="秘书处",
                            ),
                        ),
                        read_more=Link(url="https://www.example.org/news/1"),
                    ),
                ),
            ),
            Section(
                title="动态",
                blocks=(
                    Text(body="以下是秋天的消息。"),
                    Banner(
                        zh=BannerText(title="流域论坛", date="2027年5月8日", place="临江"),
                        en=BannerText(title="River Forum", date="8 May 2027", place="Linjiang"),
                    ),
                    Quotes(
                        title="发言集锦",
                        quotes=(
                            Quote(text="河流不认识边界。", attribution="林书瑶", title="水务局局长"),
                            Quote(text="先培训人，\n再买设备。", attribution="阿米娜", country="示例国"),
                        ),
                    ),
                    Moderators(label="联合主持人", people=(Person(name="周明远", title="秘书长"),)),
                    Divider(),
                    Button(label="报名", url="https://forum.example.org/register"),
                    Article(headline="湿地手册发布", body=_ZH_BODY),
                ),
            ),
            Section(
                title="联系",
                blocks=(
                    Contact(
                        entries=(
                            ContactEntry(label="秘书处", mail="desk@example.org", web="www.example.org"),
                            ContactEntry(person="许安", mail="editor#example.org", phone="+00 000"),
                        )
                    ),
                ),
            ),
        ),
    )


def en() -> Document:
    """Return a short English edition."""
    return Document(
        language="en",
        masthead=Masthead(title="The Basin Observer", number="12", date=datetime.date(2026, 11, 20)),
        sections=(
            Section(title="News", blocks=(Article(headline="Cities share water levels", body=_EN_BODY),)),
        ),
    )


def long() -> Document:
    """Return an English edition of eight articles of different length, well above 30 KB of HTML."""
    sentence = "Gauges upstream report every ten minutes, and the towns below hear of it at once. "
    articles = tuple(
        Article(headline=f"Article {number}", body="\n\n".join([sentence * 5] * number))
        for number in range(1, 9)
    )
    return en().model_copy(update={"sections": (Section(title="News", blocks=articles),)})
