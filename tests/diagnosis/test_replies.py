"""What providers and mail systems document of their replies, asked one by one.

``tests/data/replies.tsv`` holds a reply a line: provider, the MX that gives it, the reply, what its source
says it means (several where the source leaves it open), whether the address is dead (1, 0, or empty where the
source does not tell), and the source. Codes and names of errors are the provider's, the words around ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mailer.diagnosis import Category, diagnose_reply, provider_of

DOCUMENTED = Path(__file__).parent.parent / "data" / "replies.tsv"


class Documented(NamedTuple):
    """One line of the list, and what we make of it."""

    provider: str
    mx: str
    reply: str
    category: str
    dead: str
    source: str

    def asked(self) -> str:
        """The reply with our judgement on it, for whoever reads a failure."""
        diagnosis = diagnose_reply(self.reply, self.mx)
        got = f"{diagnosis.category.value}{' dead' if diagnosis.dead else ''} by {diagnosis.reason}"
        return f"{self.mx} {self.reply!r}: {got}, not {self.category} {self.dead} ({self.source})"


ROWS = [
    Documented(*line.split("\t"))
    for line in DOCUMENTED.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def test_every_line_is_whole() -> None:
    """A label outside the vocabulary, or a host of somebody else, would test nothing."""
    assert len({row.reply for row in ROWS}) == len(ROWS) >= 120
    for row in ROWS:
        assert {Category(name) for name in row.category.split("|")}, row
        assert (provider_of(row.mx) or "") == row.provider, row
        assert row.dead in ("0", "1", ""), row
        assert row.source.startswith(("https://", "http://", "RFC ")), row


def test_documented_replies_are_put_where_their_source_puts_them() -> None:
    """At least 95 % of them."""
    wrong = [
        row.asked()
        for row in ROWS
        if diagnose_reply(row.reply, row.mx).category not in row.category.split("|")
    ]
    assert len(wrong) <= 0.05 * len(ROWS), "\n".join(wrong)


def test_documented_deaths_are_seen() -> None:
    """At least 95 % of addresses that a source calls gone."""
    gone = [row for row in ROWS if row.dead == "1"]
    missed = [row.asked() for row in gone if not diagnose_reply(row.reply, row.mx).dead]
    assert len(missed) <= 0.05 * len(gone), "\n".join(missed)


def test_hardly_a_living_reader_is_called_dead() -> None:
    """At most 1 % (law 4)."""
    living = [row for row in ROWS if row.dead == "0"]
    silenced = [row.asked() for row in living if diagnose_reply(row.reply, row.mx).dead]
    assert len(silenced) <= 0.01 * len(living), "\n".join(silenced)
