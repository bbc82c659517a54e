"""JSON from strangers, looked into without ever raising: what is missing or of another kind is nothing."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

TEXT_LIMIT = 10_000  # characters read of one text
_MILLISECONDS = 100_000_000_000  # from here on a number of seconds would lie in the year 5138


class Node:
    """A value of a JSON document."""

    __slots__ = ("raw",)

    def __init__(self, raw: object) -> None:
        self.raw = raw

    @classmethod
    def parse(cls, body: bytes | str) -> Node | None:
        """Read a document; None: it is no JSON."""
        try:
            return cls(json.loads(body))
        except (ValueError, RecursionError):
            return None

    def at(self, *path: str) -> Node:
        """Return what lies at the end of a path of names."""
        found = self.raw
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return Node(found)

    def each(self, *path: str) -> list[Node]:
        """Return the items of a list; one object alone is a list of one."""
        found = self.at(*path).raw
        if isinstance(found, list):
            return [Node(item) for item in found]
        return [Node(found)] if isinstance(found, dict) else []

    def names(self) -> list[str]:
        """Return the names in an object."""
        return list(self.raw) if isinstance(self.raw, dict) else []

    def text(self, *path: str) -> str:
        """Return a text, or a number as text."""
        found = self.at(*path).raw
        if isinstance(found, str):
            return found[:TEXT_LIMIT]
        plain = isinstance(found, (int, float)) and not isinstance(found, bool)
        return json.dumps(found) if plain and abs(found) < 10**30 else ""  # type: ignore[arg-type]

    def text_whole(self, *path: str) -> str:
        """Return a text however long: documents come within documents."""
        found = self.at(*path).raw
        return found if isinstance(found, str) else ""

    def texts(self, *path: str) -> list[str]:
        """Return the texts of a list; one alone is a list of one."""
        found = self.at(*path).raw
        return [
            text for item in (found if isinstance(found, list) else [found]) if (text := Node(item).text())
        ]

    def word(self, *path: str) -> str:
        """Return a text as tables write it: lower case, no spaces around it."""
        return self.text(*path).strip().lower()

    def flag(self, *path: str) -> bool | None:
        """Return what is true or false."""
        found = self.at(*path).raw
        return found if isinstance(found, bool) else None

    def number(self, *path: str) -> float | None:
        """Return a number, which some write as text."""
        try:
            found = float(self.text(*path))
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    def code(self, *path: str) -> int | None:
        """Return an SMTP reply code (RFC 5321 §4.2): 400 to 599."""
        found = self.number(*path)
        return int(found) if found is not None and 400 <= found < 600 else None

    def instant(self, *path: str) -> datetime | None:
        """Return an instant, written as seconds or milliseconds since 1970 or as ISO 8601 says."""
        number = self.number(*path)
        try:
            if number is not None:
                return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
            found = datetime.fromisoformat(self.text(*path).strip())
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            return None
