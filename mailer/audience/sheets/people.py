"""People: the cells of a row made a person, or a sentence that says why not. A million times: it is quick."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from mailer.audience import typos
from mailer.audience.intake import Person
from mailer.audience.names import Names
from mailer.audience.sheets import cells, foreign
from mailer.audience.sheets.columns import EITHER_SCRIPT, NAMED
from mailer.audience.sheets.delimited import Record
from mailer.audience.sheets.foreign import LEFT_THERE, Gone
from mailer.audience.sheets.guard import unguarded
from mailer.sentence import Sentence

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]").search

TOO_WIDE = Sentence("The row has more cells than the header: check its separators and quotes.")
NO_ADDRESS = Sentence("The row has no address: add it or remove the row.")
_NOBODY = Names()
_STRIP = str.strip


class Row(NamedTuple):
    """A row of a sheet. ``person`` None: ``refusal`` says why it cannot be taken in.

    ``note``: what a person should look at though the row is taken in, such as a likely slip. ``gone``: it is
    about somebody who left or bounced in another system.
    """

    line: int  # of the file, from 1
    person: Person | None
    partner: str = ""  # a partner's code, where the sheet has such a column
    refusal: str = ""  # a Sentence
    note: str = ""  # a Sentence
    gone: Gone | None = None


def rows(records: Iterable[Record], meanings: Sequence[str], file_name: str) -> Iterator[tuple[Row, str]]:
    """Yield each row in which something stands, and the key of its address, "" where it has none.

    ``meanings``: of each column, "" where it is left out; one is an address.
    """
    width = len(meanings)
    pick, place = _picking(meanings)
    named = _naming(place)
    language, country, zone, notes, partner = (
        place.get(each, -1) for each in ("language", "country", "zone", "notes", "partner")
    )
    history = foreign.history(place)
    origin, plain, slip = file_name[:150], cells.PLAIN, typos.note
    names = _NOBODY
    for line, cut in records:
        row = cut
        if len(row) != width:
            if any(cell.strip() for cell in row[width:]):
                yield Row(line, None, "", TOO_WIDE), ""
                continue
            row = [*row[:width], *[""] * (width - len(row))]
        got = [*map(_STRIP, pick(row)), ""]  # the last is what a column that is not there holds
        address, beside = got[0], ""
        if plain(address):
            key = address.lower()
        else:
            if not address and not any(map(_STRIP, row)):
                continue
            address, beside, refusal = cells.tidied(unguarded(address))
            if not address or refusal:
                yield Row(line, None, "", refusal or NO_ADDRESS), ""
                continue
            key = cells.key_of(address)
        for n, cell in enumerate(got):
            if "'" in cell:
                got[n] = unguarded(cell)
        said = f"{origin}:{line}"
        if history is not None:
            past, reason = history(got)
            if reason is not None:
                gone = Gone(address, reason, f"{said}: {past}") if reason else None
                yield Row(line, None, "", LEFT_THERE, "", gone), key if gone else ""
                continue
            said += past
        if named is not None:
            names = named(got, beside)
        elif beside or names is not _NOBODY:
            names = _beside(beside)
        person = Person(address, names, got[language], got[country], got[zone], None, got[notes], said)
        yield Row(line, person, got[partner], "", slip(address)), key


def _picking(
    meanings: Sequence[str],
) -> tuple[Callable[[Sequence[str]], Sequence[str]], Mapping[str, int]]:
    """Return what takes the cells that mean something out of a row, and where each then stands."""
    used = sorted(
        (each != "address", n) for n, each in enumerate(meanings) if each
    )  # the address comes first
    places = [n for _, n in used]
    place = {meanings[n]: at for at, n in enumerate(places)}
    if len(places) == 1:
        only = places[0]
        return (lambda row: (row[only],)), place
    return itemgetter(*places), place


def _naming(place: Mapping[str, int]) -> Callable[[Sequence[str], str], Names] | None:
    """Return what makes names of the cells taken out, None where no column holds any."""
    own = [(place[each], n) for n, each in enumerate(NAMED) if each in place]
    either = [
        (place[each], NAMED.index(f"{each}_zh"), NAMED.index(f"{each}_en"))
        for each in EITHER_SCRIPT
        if each in place
    ]
    if not own and not either:
        return None

    def named(got: Sequence[str], beside: str) -> Names:
        values = [""] * len(NAMED)
        for at, n in own:
            values[n] = got[at]
        for at, zh, en in either:
            cell = got[at]
            if cell:
                n = en if cell.isascii() or not _HAN(cell) else zh
                values[n] = values[n] or cell
        return Names._make(values) if any(values) else _beside(beside)

    return named


def _beside(name: str) -> Names:
    """Return the name that stood beside the address: ``Ann Lee <ann@example.org>``."""
    if not name:
        return _NOBODY
    return Names(name_zh=name) if _HAN(name) else Names(name_en=name)
