"""``mailer bench send``: a small run of the real thing, whose three counts agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailer.bench import issue
from mailer.content.compile import compile_edition
from mailer.content.document import LANGUAGES, Language
from mailer.content.look import Look
from mailer.content.problems import errors
from mailer.content.theme import Places
from mailer.settings import Settings
from tests.bench.test_ground import schemas
from tests.shell import Person

_SMALL = ("bench", "send", "--recipients", 200, "--rounds", 1, "--workers", 1, "--connections", 4, "--json")
_KEYS = {
    "letters", "accepted", "seconds", "per_second", "cpu_us_per_letter", "cpu_us", "peak_rss_mb", "share",
    "sink_received", "against", "wire_bytes", "launch_seconds", "launch_cpu_us_per_letter", "rounds",
}  # fmt: skip


def agrees(figures: dict[str, Any]) -> None:
    """Every letter launched was accepted and was received, and the figures are figures."""
    assert set(figures) == _KEYS
    assert (figures["letters"], figures["accepted"], figures["sink_received"]) == (200, 200, 200)
    assert all(figures[name] > 0 for name in ("seconds", "per_second", "cpu_us_per_letter", "peak_rss_mb"))
    assert set(figures["share"]) == {"assembling", "wire", "ledger", "broker"}
    assert sum(figures["share"].values()) == pytest.approx(1, abs=0.01)
    assert figures["wire_bytes"] == pytest.approx(60 * 1024, rel=0.02)


def test_embedded_on_sqlite(tmp_path: Path) -> None:
    """Without any server: the embedded worker, and nothing is written where the caller's data are."""
    person = Person(tmp_path)
    figures = person.process(*_SMALL, "--script", "chinese", "--against", "smtplib").json
    agrees(figures)
    assert figures["against"]["smtplib"]["ratio"] > 0
    assert figures["cpu_us"]["postgres"] is None
    assert not (person.data / "mailer.db").exists()


def test_production(tmp_path: Path, production: Settings) -> None:
    """PostgreSQL, a broker and Celery's own workers; the schema is gone afterwards."""
    told = {"DATABASE_URL": production.database, "REDIS_URL": production.redis_url}
    figures = Person(tmp_path).process(*_SMALL, "--dkim", "ed25519", **told).json
    agrees(figures)
    assert figures["cpu_us"]["postgres"] is not None
    assert schemas(production.database) == set()


def test_letters_are_assembled(tmp_path: Path) -> None:
    """``bench compile`` measures both scripts at the size asked for."""
    figures = Person(tmp_path).process("bench", "compile", "--json").json
    assert set(figures) == {"latin", "chinese"}
    for told in figures.values():
        assert told["html_bytes"] == pytest.approx(64 * 1024, rel=0.05)
        assert told["text_bytes"] == pytest.approx(21 * 1024, rel=0.02)
        assert min(told["letter_us"], told["composed_us"]) > 0
        assert told["slots"] > 2 * issue.LINKS


def test_a_relay_must_have_a_port(tmp_path: Path) -> None:
    """Wrong usage is told before anything is made."""
    said = Person(tmp_path)("bench", "send", "--relay", "localhost")
    assert said.status == 2
    assert "HOST:PORT" in said.err


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_issue_is_a_real_one(language: Language) -> None:
    """At any weight: no error, 25 tracked links."""
    for characters in (0, 5_000, 40_000):
        document = issue.document(language, characters)
        places = Places(
            base="https://news.example", web="https://news.example/issues/1/en", other="", figures={}
        )
        look = Look(organisation="Secretariat", address="1 River Road", accent="#0b6b4f")
        assert errors(document) == ()
        assert len(compile_edition(document, look=look, places=places).links) == issue.LINKS


def test_a_weight_that_cannot_be_had_is_told() -> None:
    """A letter lighter than its own frame, or heavier than its articles may be."""
    assert 4_950 <= issue.grown(lambda characters: characters, 5_000) <= 5_050
    with pytest.raises(issue.NoSuchWeight):
        issue.grown(lambda characters: 9_000 + characters, 5_000)
    with pytest.raises(issue.NoSuchWeight):
        issue.grown(lambda characters: min(characters, 4_000), 5_000)
