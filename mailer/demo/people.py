"""The demonstration's people: invented partners and readers, each with a fate. Pure, and the same every time.

All addresses are under domains reserved for examples (RFC 2606, RFC 6761): none can belong to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mailer.audience.names import Names


class Fate(StrEnum):
    """What happens to a reader of the demonstration."""

    READS = "reads"
    LEFT = "left before"
    PENDING = "never confirmed"
    SILENCED = "suppressed before"
    UNKNOWN = "mailbox refused as unknown"
    FULL = "mailbox refused as full"
    UNWELCOME = "letter refused by policy"
    GREYLISTED = "deferred by greylisting"
    BUSY = "deferred as busy"
    BOUNCES = "accepted, reported unknown later"
    OVERFLOWS = "accepted, reported full later"
    DISABLED = "accepted, reported disabled later"
    DELAYED = "accepted, reported delayed"
    AWAY = "answers that they are away"
    COMPLAINS = "reports the letter as spam"
    LEAVES = "leaves with one click"
    OPENS = "opens the letter"
    CLICKS = "opens the letter and follows a link"


# Of every hundred readers, the odd ones; the others read, open or click. Small demonstrations get the first.
_ODD = {
    3: Fate.UNKNOWN,
    5: Fate.GREYLISTED,
    7: Fate.BOUNCES,
    9: Fate.LEFT,
    11: Fate.COMPLAINS,
    13: Fate.LEAVES,
    15: Fate.FULL,
    17: Fate.SILENCED,
    19: Fate.OVERFLOWS,
    21: Fate.AWAY,
    23: Fate.DELAYED,
    25: Fate.PENDING,
    27: Fate.BUSY,
    29: Fate.UNWELCOME,
    31: Fate.DISABLED,
    47: Fate.UNKNOWN,
    63: Fate.LEFT,
    79: Fate.BOUNCES,
}


@dataclass(frozen=True)
class Organisation:
    """A partner of the demonstration."""

    code: str
    name_zh: str
    name_en: str
    kind: str
    country: str
    language: str
    domain: str
    trusted: bool = False


PARTNERS = (
    Organisation("lakes", "湖泊保护部", "Ministry of Lakes", "ministry", "CN", "zh", "lakes.example", True),
    Organisation(
        "winds", "风能研究院", "Institute of Winds", "think_tank", "CN", "zh", "winds.example", True
    ),
    Organisation("rails", "绿色铁路公司", "Green Rail Company", "company", "CN", "zh", "rails.example"),
    Organisation(
        "harbour", "港口城市联盟", "Harbour Cities League", "ngo", "SG", "en", "harbour.example", True
    ),
    Organisation("steppe", "草原环境部", "Ministry of the Steppe", "ministry", "MN", "en", "steppe.example"),
    Organisation("delta", "三角洲基金会", "Delta Foundation", "ngo", "PK", "en", "delta.example"),
    Organisation(
        "fjord", "峡湾气候署", "Fjord Climate Agency", "ministry", "NO", "en", "fjord.example", True
    ),
    Organisation("forest", "国际森林组织", "World Forest Body", "un", "KE", "en", "forest.example", True),
    Organisation("coral", "珊瑚研究中心", "Coral Research Centre", "think_tank", "LA", "en", "coral.example"),
    Organisation("copper", "铜业协会", "Copper Association", "company", "KZ", "en", "copper.example"),
    Organisation("alpine", "高山大学", "Alpine University", "think_tank", "CH", "en", "alpine.example"),
    Organisation("savings", "绿色储蓄银行", "Green Savings Bank", "company", "AM", "en", "savings.example"),
)

TOPICS = {
    "climate": ("气候与能源", "Climate and energy"),
    "cities": ("宜居城市", "Liveable cities"),
    "nature": ("自然修复", "Nature restored"),
    "finance": ("绿色金融", "Green finance"),
}

_FAMILIES = (
    ("林", "Lin"), ("陈", "Chen"), ("赵", "Zhao"), ("周", "Zhou"), ("孙", "Sun"), ("何", "He"), ("高", "Gao"),
)  # fmt: skip
_GIVEN = (
    ("晓", "Xiao"), ("明远", "Mingyuan"), ("思齐", "Siqi"), ("文", "Wen"), ("海燕", "Haiyan"), ("青", "Qing"),
)  # fmt: skip
_TITLES_ZH = ("女士", "先生", "处长", "教授", "主任")
_ABROAD = (
    ("Amara", "Okafor"), ("Søren", "Lund"), ("Aigul", "Nurlanova"), ("Élise", "Dubreuil"),
    ("Tariq", "Mehmood"), ("Keo", "Vongsa"), ("Ana", "Petrosyan"),
    ("Bat-Erdene", "Ganbold"), ("Mei Ling", "Tan"),
)  # fmt: skip
_TITLES_EN = ("Dr", "Ms", "Mr", "Professor", "")
_FREE_MAIL = ("example.org", "example.com", "example.net")


@dataclass(frozen=True)
class Reader:
    """A reader of the demonstration."""

    address: str
    names: Names
    language: str
    country: str
    partner: str
    fate: Fate


def readers(count: int) -> Iterator[Reader]:
    """Give ``count`` readers, with distinct addresses."""
    for i in range(count):
        partner = PARTNERS[(i * 5 + i // 100) % len(PARTNERS)]
        chinese = partner.language == "zh"
        names = _chinese(i) if chinese else _foreign(i)
        family, given = (names.family_en, names.given_en)
        stem = f"{given}.{family}".lower().replace(" ", "").replace("-", "")
        local = "".join(sign for sign in stem if sign.isascii())
        domain = _FREE_MAIL[i % 3] if i % 10 == 6 else partner.domain
        yield Reader(
            f"{local}{i + 1}@{domain}", names, partner.language, partner.country, partner.code, _fate(i)
        )


def _fate(i: int) -> Fate:
    odd = _ODD.get(i % 100)
    if odd is not None:
        return odd
    return Fate.CLICKS if i % 8 == 0 else Fate.OPENS if i % 4 == 0 else Fate.READS


def _chinese(i: int) -> Names:
    family, given = _FAMILIES[i % len(_FAMILIES)], _GIVEN[(i // 7) % len(_GIVEN)]
    return Names(
        family_zh=family[0],
        given_zh=given[0],
        honorific_zh=_TITLES_ZH[i % len(_TITLES_ZH)],
        family_en=family[1],
        given_en=given[1],
        honorific_en=_TITLES_EN[i % 2],
    )


def _foreign(i: int) -> Names:
    given, family = _ABROAD[i % len(_ABROAD)]
    return Names(given_en=given, family_en=family, honorific_en=_TITLES_EN[i % len(_TITLES_EN)])
