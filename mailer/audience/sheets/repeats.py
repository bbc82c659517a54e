"""Repeats: the same address further up in a file, found without keeping every address.

A first pass marks each address in a map of bits; one whose bit is marked already may be a repeat. A second
pass compares only those, by their whole text: nothing is called a repeat that is none.
"""

from __future__ import annotations

from mailer.audience.sheets.people import Row
from mailer.sentence import Sentence

_BITS = 1 << 27  # 16 MB: of a million addresses, four in a thousand are compared for nothing


class Suspects:
    """The addresses of a file that may stand in it twice."""

    def __init__(self) -> None:
        self._seen: bytearray | None = bytearray(_BITS >> 3)
        self._twice: set[int] = set()

    def meet(self, key: str) -> None:
        """Note one address, in the first pass."""
        assert self._seen is not None
        sign = hash(key)
        byte, bit = (sign >> 3) & (len(self._seen) - 1), 1 << (sign & 7)
        if self._seen[byte] & bit:
            self._twice.add(sign)
        else:
            self._seen[byte] |= bit

    def settle(self) -> None:
        """End the first pass: the map is given back."""
        self._seen = None

    def __contains__(self, key: str) -> bool:
        return hash(key) in self._twice


class Repeats:
    """A second pass: each repeat is refused, under the same partner."""

    def __init__(self, suspects: Suspects) -> None:
        self._suspects, self._first = suspects, dict[tuple[str, str], int]()

    def judged(self, row: Row, key: str) -> Row:
        """Return the row, refused if its address stands further up."""
        if row.person is None or key not in self._suspects:
            return row
        line = self._first.setdefault((key, row.partner), row.line)
        if line == row.line:
            return row
        again = Sentence("The same address stands on line {line} already.", line=line)
        return row._replace(person=None, refusal=again, note="")
