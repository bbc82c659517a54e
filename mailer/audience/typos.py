"""Typos in well-known mail domains: suggested to a person, never mended. Pure.

A suggestion is a question: the address is taken in as it stands, because somebody may really be there.
"""

from __future__ import annotations

from functools import lru_cache

from mailer.sentence import Sentence

_KNOWN = """
gmail.com googlemail.com hotmail.com hotmail.co.uk hotmail.fr outlook.com outlook.fr live.com
live.cn msn.com yahoo.com yahoo.com.cn yahoo.cn yahoo.co.jp yahoo.co.uk yahoo.fr yahoo.de ymail.com
icloud.com me.com mac.com aol.com protonmail.com proton.me fastmail.com zoho.com gmx.com gmx.net
gmx.de web.de t-online.de mail.ru yandex.ru yandex.com rambler.ru orange.fr wanadoo.fr laposte.net
free.fr libero.it naver.com daum.net hanmail.net mail.com email.com rediffmail.com uol.com.br qq.com
vip.qq.com foxmail.com 163.com vip.163.com 163.net 126.com vip.126.com yeah.net 139.com 188.com
189.cn sina.com sina.cn sina.com.cn vip.sina.com sohu.com vip.sohu.com aliyun.com alimail.com
tom.com 21cn.com 263.net 263.net.cn wo.cn wo.com.cn chinaren.com sogou.com
"""
KNOWN = frozenset(_KNOWN.split())
"""Domains of mailboxes that anybody can have, in the world and in China."""

_SLIPS = {
    "com": "con cmo ocm comm coom cim vom xom cpm som conm comn cm om co c0m coml cin comcom col cok xcom",
    "net": "ner nett met nte het ent",
    "cn": "cnn ch xn nc cnm",
    "ru": "ry tu",
    "fr": "fe rf",
    "de": "ed dr",
}  # what a finger makes of a top-level domain
_MEANT = {slip: tld for tld, slips in _SLIPS.items() for slip in slips.split()}

_OWN = {
    "qqq.com": "qq.com", "qq.com.com": "qq.com", "qq.coom": "qq.com", "qq.vom": "qq.com", "wq.com": "qq.com",
    "1163.com": "163.com", "1633.com": "163.com", "16.com": "163.com", "63.com": "163.com",
    "1126.com": "126.com", "1266.com": "126.com", "12.com": "126.com", "26.com": "126.com",
    "1139.com": "139.com", "1399.com": "139.com", "189.com": "189.cn", "yeah.com": "yeah.net",
    "foxmai.com": "foxmail.com", "gmail.com.cn": "gmail.com", "hotmail.com.cn": "hotmail.com",
    "qq.co.cn": "qq.com", "163.com.cn": "163.com", "126.com.cn": "126.com",
}  # fmt: skip
"""Slips of names too short to be told by their likeness."""

_SHORTEST = 5  # letters of a name that one slip leaves recognisable
_LONG = 7  # letters of a name that two slips leave recognisable


def note(address: str) -> str:
    """Return what to ask about an address whose domain looks mistyped, else ""."""
    at = address.rfind("@")
    meant = suggestion(address[at + 1 :].lower())
    return Sentence("Did you mean {address}?", address=f"{address[:at]}@{meant}") if meant else ""


@lru_cache(maxsize=4096)
def suggestion(domain: str) -> str:
    """Return the well-known domain that was probably meant, "" when there is nothing to ask.

    ``domain``: lower case, without a dot at its end.
    """
    if domain in KNOWN:
        return ""
    if domain in _OWN:
        return _OWN[domain]
    name, _, last = domain.rpartition(".")
    mended = f"{name}.{_MEANT[last]}" if last in _MEANT else domain
    if mended in KNOWN:
        return mended
    return next((known for known in _ALIKE if _alike(mended, known)), "")


def _alike(domain: str, known: str) -> bool:
    """Tell whether a domain is a slip of the name of ``known``, under the same top-level domain."""
    name, _, last = domain.rpartition(".")
    meant, _, its_last = known.rpartition(".")
    if last != its_last or abs(len(name) - len(meant)) > 2:
        return False
    return distance(name, meant) <= (2 if len(meant) >= _LONG and name[:1] == meant[:1] else 1)


_ALIKE = sorted(
    known
    for known in KNOWN
    if known.count(".") == 1 and len(known.partition(".")[0]) >= _SHORTEST and known not in ("email.com",)
)


def distance(one: str, other: str) -> int:
    """Return how many slips make one of the other: a letter more, less, wrong, or two changed about."""
    older: list[int] = []
    old = list(range(len(other) + 1))
    for n, letter in enumerate(one, 1):
        new = [n]
        for m, meant in enumerate(other, 1):
            best = min(old[m] + 1, new[m - 1] + 1, old[m - 1] + (letter != meant))
            if n > 1 and m > 1 and letter == other[m - 2] and one[n - 2] == meant:
                best = min(best, older[m - 2] + 1)
            new.append(best)
        older, old = old, new
    return old[-1]
