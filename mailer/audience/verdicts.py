"""Verdicts: what became of each row of a file, a million of them in a few megabytes; and the report. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload
from uuid import UUID

from mailer.audience.intake import Verdict

_WORDS = tuple(Verdict)
_PLACE = {word: place for place, word in enumerate(_WORDS)}


class RowVerdict(NamedTuple):
    """What became of a row; ``message`` is a sentence where there is something to say."""

    line: int
    verdict: Verdict
    message: str


class Verdicts(Sequence[RowVerdict]):
    """Verdicts in the order of their lines. Only those with a message take more than five octets."""

    def __init__(self, rows: Iterable[RowVerdict] = ()) -> None:
        self._lines = array("L")
        self._words = bytearray()
        self._messages: dict[int, str] = {}
        for row in rows:
            self.add(row.line, row.verdict, row.message)

    def add(self, line: int, verdict: Verdict, message: str = "") -> None:
        """Append a verdict."""
        if message:
            self._messages[len(self._words)] = message
        self._lines.append(line)
        self._words.append(_PLACE[verdict])

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows there are of each verdict, none left out."""
        found = Counter(self._words)
        return {verdict: found[place] for place, verdict in enumerate(_WORDS)}

    def __len__(self) -> int:
        return len(self._words)

    @overload
    def __getitem__(self, place: int) -> RowVerdict: ...

    @overload
    def __getitem__(self, place: slice) -> list[RowVerdict]: ...

    def __getitem__(self, place: int | slice) -> RowVerdict | list[RowVerdict]:
        if isinstance(place, slice):
            return [self._row(each) for each in range(*place.indices(len(self)))]
        return self._row(range(len(self))[place])

    def _row(self, place: int) -> RowVerdict:
        message = self._messages.get(place, "")
        return RowVerdict(self._lines[place], _WORDS[self._words[place]], message)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verdicts):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        raise TypeError("verdicts grow: they are no keys")


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. ``id`` None: a dry run, nothing was written; ``known``: verdicts it may give."""

    id: UUID | None
    verdicts: Verdicts
    known: tuple[Verdict, ...] = _WORDS

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows there are of each verdict it may give, none left out."""
        found = self.verdicts.counts
        return {verdict: found[verdict] for verdict in self.known}
