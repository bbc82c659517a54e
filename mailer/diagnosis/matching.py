"""Finding known words in what was said: thousands of phrases at the price of a few.

A phrase is written in lower case; " … " stands for up to GAP characters of anything ("user … not found").
An ``Index`` files each phrase under four characters that few others share, so that only those phrases are
looked for whose four characters stand in the words at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from mailer.diagnosis.reply import TEXT_LIMIT

Phrase = tuple[str, ...]
Gram = tuple[str, str, str, str]
T = TypeVar("T")

GAP = 60  # characters that " … " may span


def normal(text: str) -> str:
    """Lower case, single spaces, straight quotes, "^" in front: the form phrases are written in."""
    return "^" + " ".join(text[:TEXT_LIMIT].lower().replace("’", "'").replace("`", "'").split())


def pieces(phrase: str) -> Phrase:
    """Cut a phrase as people write it into what ``says`` looks for."""
    return tuple(phrase.split(" … ")) if phrase else ()


def says(words: str, phrase: Phrase) -> bool:
    """Tell whether ``words`` (normal) hold every piece in order, at most GAP characters apart."""
    if not phrase:
        return True
    first, *rest = phrase
    start = words.find(first)
    while start >= 0:
        at = start + len(first)
        for piece in rest:
            found = words.find(piece, at, at + GAP + len(piece))
            if found < 0:
                break
            at = found + len(piece)
        else:
            return True
        start = words.find(first, start + 1)
    return False


def grams(words: str) -> set[Gram]:
    """Return every four characters that follow each other."""
    return set(zip(words, words[1:], words[2:], words[3:], strict=False))


class Index(Generic[T]):
    """Rows of (phrase, what it stands for), asked in their order."""

    def __init__(self, rows: Iterable[tuple[str, T]]) -> None:
        self._rows = tuple((pieces(phrase), row) for phrase, row in rows)
        common = Counter(gram for parts, _ in self._rows for gram in _grams_of(parts))
        self._short: list[int] = []  # phrases of fewer than four characters, and of none
        self._filed: dict[Gram, list[int]] = {}
        for at, (parts, _) in enumerate(self._rows):
            if of := _grams_of(parts):
                self._filed.setdefault(min(of, key=lambda gram: (common[gram], gram)), []).append(at)
            else:
                self._short.append(at)

    def heard(self, words: str, known: set[Gram]) -> Iterator[T]:
        """Yield what the ``words`` (normal, with their ``grams``) say, first row first."""
        filed = self._filed
        candidates = [at for gram in filed.keys() & known for at in filed[gram]]
        candidates += self._short
        candidates.sort()
        for at in candidates:
            parts, row = self._rows[at]
            if says(words, parts):
                yield row


def _grams_of(parts: Phrase) -> set[Gram]:
    return set().union(*map(grams, parts))
