"""What an editor should look at in an imported text. Nothing here changes it: a doubt is only a question."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailer.content.readers.draft import Doubt
from mailer.content.readers.front import Contents
from mailer.content.readers.pages import HEADING_WIDTH, Row, has_chinese, width
from mailer.sentence import Sentence

_HAN = "\u3400-\u9fff"
_LATIN_WORD = re.compile(rf"[{_HAN}，、”]\s*(and|or|of|the|in|for|with|to|by|on)\s*(?=[{_HAN}“])")
_ASCII_SIGN = re.compile(rf"(?<=[{_HAN}”』》）])\s?[,;:!?()]|[,;!?()](?=[{_HAN}“])")
_HALF_SPACE = re.compile(rf"[{_HAN}] +[0-9A-Z]|[0-9A-Z] +[{_HAN}]")
_HAN_SPACE = re.compile(rf"[{_HAN}，。；] +[{_HAN}]")
_FULL_WIDTH = re.compile("[０-９Ａ-Ｚａ-ｚ]+")
_FULL_SIGN = re.compile(r"(?<=[A-Za-z0-9])[，。；：！？（）](?=[ A-Za-z0-9])")
_TWICE = re.compile(r"\b([A-Za-z]{2,})\s+\1\b", re.IGNORECASE)
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[\w-]+\.)+[^\W\d_]{2,}")
_HOST = re.compile(r"(?:@|https?://(?:www\.)?|\bwww\.)((?:[a-z0-9-]+\.)+[a-z]{2,})", re.IGNORECASE)
_ACRONYM = re.compile(r"\b[A-Z]{4,8}\b")
_EVENT = re.compile("联盟|论坛|会议|大会|年会|峰会|倡议|议程|公约|研讨会|组织|计划")
_NAME_LENGTH = 8  # characters of a Chinese name that are compared; shorter names differ by right
_ALIKE = 0.6  # share of characters in common from which two titles are held against each other


@dataclass
class Findings:
    """What the reader took lines for, each with its line number."""

    headlines: list[tuple[int, str]] = field(default_factory=list)
    sections: list[tuple[int, str]] = field(default_factory=list)
    people: list[tuple[int, str, str]] = field(default_factory=list)
    mails: list[tuple[int, str]] = field(default_factory=list)


def look_over(findings: Findings, rows: Sequence[Row], contents: Contents) -> Iterator[Doubt]:
    """Ask every question of the lines the text was made from."""
    listed = {line for line, _, _ in contents.items}
    body = [row for row in rows if row.number not in listed]
    if contents.items:
        yield from _headlines(findings, contents.items)
        yield from _sections(findings, contents)
    for row in body:
        yield from _signs(row)
    yield from _uneven_spaces(body)
    yield from _mails(findings.mails, rows)
    yield from _hosts(rows)
    yield from _offices(findings.people, body)
    yield from _names(body)


def _headlines(findings: Findings, items: Sequence[tuple[int, str, str]]) -> Iterator[Doubt]:
    """Hold headlines against the contents list, the likest pairs first."""
    pairs = sorted(
        (
            (difflib.SequenceMatcher(None, item[1], head[1], autojunk=False).ratio(), head, item)
            for head in findings.headlines
            for item in items
        ),
        reverse=True,
    )
    partner: dict[int, int] = {}
    for likeness, head, item in pairs:
        if likeness < _ALIKE or head[0] in partner or item[0] in partner.values():
            continue
        partner[head[0]] = item[0]
        if head[1] != item[1]:
            differs = Sentence(
                "The headline differs from the contents list, line {line}: {title}",
                line=item[0],
                title=item[1],
            )
            yield Doubt(head[0], differs)
    for line, title in findings.headlines:
        if line not in partner:
            yield Doubt(line, Sentence("The headline is not in the contents list: {title}", title=title))
    for line, title, _ in items:
        if line not in partner.values():
            missing = Sentence("No article has this headline of the contents list: {title}", title=title)
            yield Doubt(line, missing)


def _sections(findings: Findings, contents: Contents) -> Iterator[Doubt]:
    filled = {section for _, _, section in contents.items}
    for line, title in findings.sections:
        if title not in contents.sections:
            yield Doubt(line, Sentence("The section is not in the contents list: {title}", title=title))
        elif title not in filled:
            empty = Sentence("The contents list names the section and no article of it: {title}", title=title)
            yield Doubt(line, empty)


def _signs(row: Row) -> Iterator[Doubt]:
    return (Doubt(row.number, what) for what in _signs_in(row.text))


def _signs_in(text: str) -> Iterator[Sentence]:
    """Signs of one script among the other's."""
    for word in _LATIN_WORD.findall(text):
        yield Sentence("The English word “{word}” stands inside a Chinese sentence.", word=word)
    if width(text) > HEADING_WIDTH / 2 and (signs := _ASCII_SIGN.findall(text)):
        kinds = " ".join(sorted({sign.strip() for sign in signs}))
        yield Sentence(
            "Half-width punctuation in Chinese text, {times} times: {kinds}", times=len(signs), kinds=kinds
        )
    if full := _FULL_WIDTH.search(text):
        yield Sentence("Full-width letters or digits: “{found}”.", found=full[0])
    if not has_chinese(text) and (sign := _FULL_SIGN.search(text)):
        yield Sentence("The full-width sign “{sign}” stands in an English sentence.", sign=sign[0])
    if twice := _TWICE.search(text):
        yield Sentence("The word “{word}” stands twice in a row.", word=twice[1])
    if width(text) > HEADING_WIDTH and (space := _HAN_SPACE.search(text)):
        yield Sentence("A space stands inside a Chinese sentence: “{found}”.", found=space[0])


def _uneven_spaces(rows: Sequence[Row]) -> Iterator[Doubt]:
    """Spaces between Chinese and digits, where the rest of the text sets none."""
    spaced = [row for row in rows if _HALF_SPACE.search(row.text) and width(row.text) > HEADING_WIDTH]
    tight = sum(1 for row in rows if re.search(rf"[{_HAN}][0-9A-Z]", row.text))
    if len(spaced) < tight:
        for row in spaced:
            uneven = Sentence(
                "Spaces around digits or Latin letters, {times} times; elsewhere there are none.",
                times=len(_HALF_SPACE.findall(row.text)),
            )
            yield Doubt(row.number, uneven)


def _mails(mails: Sequence[tuple[int, str]], rows: Sequence[Row]) -> Iterator[Doubt]:
    acronyms = {word for row in rows for word in _ACRONYM.findall(row.text)}
    for line, mail in mails:
        if not _MAIL.fullmatch(mail):
            yield Doubt(line, Sentence("“{mail}” is not a mail address: see what it should be.", mail=mail))
        local = mail.partition("@")[0].upper()
        for word in sorted(acronyms):
            if len(local) > 3 and local != word and is_slip(local, word):
                slip = Sentence(
                    "“{mail}” may be a misspelling: the text elsewhere has “{word}”.", mail=mail, word=word
                )
                yield Doubt(line, slip)


def _hosts(rows: Sequence[Row]) -> Iterator[Doubt]:
    places: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        for host in _HOST.findall(row.text):
            places[host.casefold()].append(row.number)
    hosts = sorted(places, key=lambda host: (-len(places[host]), places[host][0]))
    for n, host in enumerate(hosts):
        for other in hosts[n + 1 :]:
            if is_slip(host, other):
                slip = Sentence(
                    "The domain “{other}” may be a misspelling of “{host}” (line {line}).",
                    other=other,
                    host=host,
                    line=places[host][0],
                )
                yield Doubt(places[other][0], slip)


def is_slip(one: str, other: str) -> bool:
    """Tell whether one letter added, lost, changed or swapped with its neighbour turns one into the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    start = next((n for n, char in enumerate(short) if char != long[n]), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = (
        short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    )
    return swapped or short[start + 1 :] == long[start + 1 :]


def _offices(people: Sequence[tuple[int, str, str]], rows: Sequence[Row]) -> Iterator[Doubt]:
    """A speaker who is given another office, or only a part of the name, in running text."""
    prose = [row for row in rows if width(row.text) > HEADING_WIDTH]
    for line, name, title in people:
        if not title or not has_chinese(name):
            continue
        for row in prose:
            if row.number != line and (other := _other_form(row.text, name, title)):
                said = Sentence(
                    "“{this}” is “{other}” in line {line}.",
                    this=f"{title} {name}",
                    other=other,
                    line=row.number,
                )
                yield Doubt(line, said)
                break


def _other_form(text: str, name: str, title: str) -> str | None:
    at = text.find(name)
    if at >= 0:
        said = re.split("[，。；：“”,;:（）]", text[:at])[-1][-len(title) :]
        near = difflib.SequenceMatcher(None, said, title, autojunk=False).ratio() >= _ALIKE
        tail = re.split("[、和及由与]", said)[-1]
        alike = said[:2] != title[:2] and title.endswith(tail)  # a part of the office is no other office
        agrees = alike or said == title
        return said + name if said and near and not agrees else None
    part = re.split("[·•]", name)[0]
    return title + part if part != name and title + part in text else None


def _names(rows: Sequence[Row]) -> Iterator[Doubt]:
    """The same name with its words in another order, or with one character more: the rarer is doubted."""
    places: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        for found in _EVENT.finditer(row.text):
            for length in (_NAME_LENGTH, _NAME_LENGTH + 1):
                start = found.end() - length
                window = text_window(row.text, start, found.end())
                if window:
                    places[window].append(row.number)
    by_letters: dict[str, list[str]] = defaultdict(list)
    for name in sorted(places, key=lambda name: (-len(places[name]), places[name][0])):
        by_letters["".join(sorted(name))].append(name)
    for common, *others in by_letters.values():
        for other in others:
            yield from _doubted(other, common, places)
    for name in places:
        for n in range(1, len(name) - 1):
            shorter = name[:n] + name[n + 1 :]
            doubled = name[n] == name[n + 1]
            if len(name) > _NAME_LENGTH and doubled and shorter in places:
                rare, common = sorted((name, shorter), key=lambda form: len(places[form]))
                yield from _doubted(rare, common, places)


def text_window(text: str, start: int, end: int) -> str | None:
    """Return that stretch of text if it is all Chinese characters and digits, else None."""
    stretch = text[max(start, 0) : end]
    return stretch if start >= 0 and re.fullmatch(f"[{_HAN}0-9]+", stretch) else None


def _doubted(rare: str, common: str, places: dict[str, list[int]]) -> Iterator[Doubt]:
    for line in sorted(set(places[rare])):
        called = Sentence(
            "“{rare}” is called “{common}” elsewhere (line {line}).",
            rare=rare,
            common=common,
            line=places[common][0],
        )
        yield Doubt(line, called)
