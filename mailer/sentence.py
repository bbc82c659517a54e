"""Sentences for a person: an English template and its values, so that the web can say them in Chinese too.

A ``Sentence`` is a string and reads in English wherever a string does: in the shell, in JSON, in a log.
The web looks its template up in the catalogue and puts the same values in (``web.i18n.tell``). Values are
plain text, or sentences of their own; templates are written in the code and never come from outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class Sentence(str):
    """``Sentence("Line {line} is empty", line=3)`` is "Line 3 is empty"; without values, braces stay."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        made = super().__new__(cls, template.format_map(values) if values else template)
        made.template, made.values = template, values
        return made

    def stored(self) -> dict[str, Any]:
        """Return the template and its values as JSON keeps them."""
        values = {name: _stored(value) for name, value in self.values.items()}
        return {"template": self.template, "values": values}

    @classmethod
    def restored(cls, row: Mapping[str, Any]) -> Self:
        """Return the sentence that was ``stored``; other keys of the row do not matter."""
        return cls(row["template"], **{name: _restored(value) for name, value in row["values"].items()})


def as_sentence(text: str) -> Sentence:
    """Return the text as a sentence: what is none yet has no values."""
    return text if isinstance(text, Sentence) else Sentence(text)


def _stored(value: object) -> object:
    if isinstance(value, Sentence):
        return value.stored()
    return value if isinstance(value, (int, float)) else str(value)


def _restored(value: Any) -> object:
    return Sentence.restored(value) if isinstance(value, Mapping) else value


class Told(TypeDecorator[str]):
    """A text column that keeps a sentence whole, as JSON of its template and values; other text as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if isinstance(value, Sentence):
            return json.dumps(value.stored(), ensure_ascii=False, sort_keys=True)
        return value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith('{"template":'):
            return value
        return Sentence.restored(json.loads(value))
