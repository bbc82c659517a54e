"""The issue that is sent: invented news in one script, grown until its letter weighs what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import cycle, islice
from typing import Literal

from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.address import parse
from mailer.content.document import (
    Article,
    Contact,
    ContactEntry,
    Document,
    Language,
    Link,
    Masthead,
    Section,
)
from mailer.delivery import campaigns, letters
from mailer.delivery.store import Campaign
from mailer.errors import Invalid
from mailer.issues import editions, freeze, publications
from mailer.issues.publications import Presence
from mailer.issues.store import Publication
from mailer.settings import Settings

Script = Literal["latin", "chinese"]
LANGUAGE: dict[Script, Language] = {"latin": "en", "chinese": "zh"}
SENDER = "newsletter@secretariat.example"
ARTICLES = 10
LINKS = 25  # that are tracked
NEAR = 0.02  # of the weight asked for, by which a letter may differ from it

_PARAGRAPH = {"en": 420, "zh": 160}  # characters
_TRIES = 12
_SHELL = Actor(None, "shell")


class NoSuchWeight(Invalid):
    """No letter of this weight can be made: say another with --wire-kb, such as 60."""


Weigh = Callable[[Session, Campaign, Settings, datetime], int]
"""Octets of what a campaign's issue is in its only language, as it stands."""


def on_wire(session: Session, campaign: Campaign, settings: Settings, now: datetime) -> int:
    """Weigh a letter, header and all."""
    reader = parse("reader-000001@north.example")
    letter = letters.trial(session, campaign, recipient=reader, language=None, settings=settings, now=now)
    return letter.octets


def in_text(session: Session, campaign: Campaign, settings: Settings, now: datetime) -> int:
    """Weigh the plain text, not encoded."""
    _, compiled = freeze.blueprint_of(session, campaign.issue_id, campaign.languages[0], settings=settings)
    return compiled.text_bytes


def publish(
    session: Session,
    *,
    script: Script,
    octets: int,
    weigh: Weigh,
    settings: Settings,
    now: datetime,
    articles: int = ARTICLES,
) -> Campaign:
    """Store a publication with one issue that weighs about ``octets``; return a draft of its campaign.

    :raises NoSuchWeight: too light for its links, or so heavy that articles would be shortened
    """
    language, of = LANGUAGE[script], publication(session, now)

    def take_in(characters: int, issue_id: int | None) -> int:
        text = document(language, characters, articles)
        edition = editions.take_in(session, text, publication=of, issue_id=issue_id, now=now, actor=_SHELL)
        return edition.issue_id

    draft = campaigns.create(session, issue_id=take_in(0, None), audience="everyone", now=now, actor=_SHELL)

    def weight(characters: int) -> int:
        take_in(characters, draft.issue_id)
        return weigh(session, draft, settings, now)

    grown(weight, octets)
    return draft


def grown(weight: Callable[[int], int], wanted: int) -> int:
    """Return how many characters bring ``weight``, which grows with them, within half of NEAR of ``wanted``.

    :raises NoSuchWeight: no number does
    """
    low, high = 0, wanted
    for _ in range(_TRIES):
        middle = (low + high) // 2
        found = weight(middle)
        if abs(found - wanted) <= wanted * NEAR / 2:
            return middle
        low, high = (middle, high) if found < wanted else (low, middle)
    raise NoSuchWeight


def document(language: Language, characters: int, articles: int = ARTICLES) -> Document:
    """Return an issue with about ``characters`` of news in so many articles, and LINKS links in all.

    Every article leads to its report while links last; those that are left stand in the texts.
    """
    words = _WORDS[language]
    inline = max(LINKS - articles, 0)
    news = [
        Article(
            headline=f"{words['headline']} {n}",
            dateline=words["dateline"],
            body=_body(
                language, characters // articles, n, links=inline // articles + (n <= inline % articles)
            ),
            read_more=Link(url=f"https://partners.example/{language}/report-{n}") if n <= LINKS else None,
        )
        for n in range(1, articles + 1)
    ]
    return Document(
        language=language,
        masthead=Masthead(title=words["title"], issuer=words["issuer"], number="1", date=date(2026, 11, 20)),
        preheader=words["preheader"],
        sections=(
            Section(title=words["lead"], blocks=tuple(news[:3])),
            Section(title=words["news"], blocks=tuple(news[3:])),
            Section(
                title=words["contact"],
                blocks=(Contact(entries=(ContactEntry(label=words["issuer"], phone="+00 0000 0000"),)),),
            ),
        ),
    )


def publication(session: Session, now: datetime) -> Publication:
    return publications.add(
        session,
        code="bench",
        sender_address=SENDER,
        desk_address="desk@secretariat.example",
        presences={
            language: Presence(
                name=words["title"], sender_name=words["issuer"], organisation=words["issuer"],
                postal_address=words["address"],
            )
            for language, words in _WORDS.items()
        },
        now=now,
        actor=_SHELL,
    )  # fmt: skip


def _body(language: Language, characters: int, number: int, *, links: int) -> str:
    paragraphs = list(_paragraphs(language, characters, number))
    for place in range(links):
        url = f"https://partners.example/{language}/source-{number}-{place}"
        paragraphs[place % len(paragraphs)] += f" [{_WORDS[language]['source']}]({url})"
    return "\n\n".join(paragraphs)


def _paragraphs(language: Language, characters: int, number: int) -> Iterator[str]:
    gap = " " if language == "en" else ""
    told = _SENTENCES[language]
    text = ""
    for sentence in islice(cycle(told), number, None):
        text = f"{text}{gap}{sentence}".strip()
        if len(text) >= min(_PARAGRAPH[language], characters):
            yield text[: max(characters, 1)]
            characters, text = characters - len(text), ""
        if characters <= 0:
            return


_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Green Partners Observer",
        "issuer": "Secretariat of the Green Partners Coalition",
        "address": "Green House, 1 Lakeside Road, Example City 000000",
        "preheader": "What partners did this month, and what it cost.",
        "lead": "Lead story", "news": "Coalition news", "contact": "Contact",
        "headline": "A harbour, a railway and a lake: report", "dateline": "Example City, 20 November 2026",
        "source": "Read the figures",
    },
    "zh": {
        "title": "绿色伙伴观察",
        "issuer": "绿色伙伴联盟秘书处",
        "address": "示例市湖滨路1号绿色大厦，邮编 000000",
        "preheader": "本月伙伴们做了什么，花了多少。",
        "lead": "要闻", "news": "联盟动态", "contact": "联系我们",
        "headline": "港口、铁路与湖泊：报告之", "dateline": "示例市，2026年11月20日",
        "source": "查看数据",
    },
}  # fmt: skip

_SENTENCES: dict[Language, tuple[str, ...]] = {
    "en": (
        "The harbour laid a second cable, and the ships that lie at its quay now keep their engines still.",
        "Élise Dubreuil, who leads the works, says the noise at night has fallen by half.",
        "Three towns upstream sent their meters’ readings for the first time – all of them late.",
        "The railway counts 1,204 goods trains a month; a year ago there were 740.",
        "Nobody had asked the fishers, so the Secretariat went and asked them.",
        "A school in Søndervig planted reeds along the ditch behind its yard, and the water cleared.",
        "What it costs is written down to the last coin, and anyone may look.",
        "The bank’s answer took eleven weeks; its next one, its director promises, will take three.",
    ),
    "zh": (
        "港口铺设了第二条岸电电缆，停泊的船只从此可以关闭发动机。",
        "负责工程的林晓女士说，夜间的噪声降低了一半。",
        "上游三个城镇首次报送了监测读数，虽然都晚了几天。",
        "铁路每月开行货运列车一千二百零四列，一年前是七百四十列。",
        "没有人问过渔民的意见，于是秘书处派人去问。",
        "一所乡村小学在校园后的水渠边种下芦苇，渠水渐渐变清。",
        "每一笔花费都记在账上，谁都可以查阅。",
        "银行的答复用了十一周，行长承诺下一次只用三周。",
    ),
}
