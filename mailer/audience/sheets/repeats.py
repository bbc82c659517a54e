"""Repeats: the same address further up in a file, found without keeping every address.

A first pass marks each address in a map of bits; one whose bit is marked already may be a repeat. A second
pass compares only those, by their whole text: nothing is called a repeat that is none.
"""

from __future__ import annotations

from mailer.audience.sheets.people import Row
from mailer.sentence import Sentence

_MOST_BITS = 27  # 16 MB: of a million addresses, four in a thousand are compared for nothing
_LEAST_BITS = 16


class Suspects:
    """The addresses of a file that may stand in it twice. ``twice``: their hashes, this process's own."""

    def __init__(self, octets: int) -> None:
        """Make a map that suits a file of so many octets."""
        bits = min(max((octets << 7).bit_length(), _LEAST_BITS), _MOST_BITS)
        self._seen: bytearray | None = bytearray(1 << (bits - 3))
        self._last = (1 << (bits - 3)) - 1
        self.twice: set[int] = set()

    def meet(self, sign: int) -> None:
        """Note the hash of one address, in the first pass."""
        assert self._seen is not None
        byte, bit = (sign >> 3) & self._last, 1 << (sign & 7)
        if self._seen[byte] & bit:
            self.twice.add(sign)
        else:
            self._seen[byte] |= bit

    def settle(self) -> None:
        """End the first pass: the map is given back."""
        self._seen = None


class Repeats:
    """A second pass: each repeat is refused, under the same partner.

    That somebody has left outranks who stands further up, and nobody further down comes in.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], int] = {}
        self._gone: dict[str, int] = {}

    def judged(self, row: Row, key: str) -> Row:
        """Return the row of a suspect, refused if its address stands further up."""
        if row.gone:
            line = self._gone.setdefault(key, row.line)
        else:
            line = self._gone.get(key) or self._first.setdefault((key, row.partner), row.line)
        if line == row.line:
            return row
        again = Sentence("The same address stands on line {line} already.", line=line)
        return row._replace(person=None, refusal=again, note="", gone=None)
