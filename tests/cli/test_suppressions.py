"""``mailer suppressions``: the list as an administrator keeps it from a shell."""

from __future__ import annotations

import json

import pytest

from tests.shell import Person


def listed(mailer: Person, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in mailer("suppressions", "list", *words, "--json").out.splitlines()]


def test_an_address_is_silenced_found_explained_and_released(mailer: Person) -> None:
    """By hand, with a reason; the whole way there and back."""
    assert mailer("suppressions", "add", "ann@example.org", "--why", "she asked").out == "Suppression 1.\n"
    [row] = listed(mailer, "ann@example.org")
    assert (row["reason"], row["note"], row["added_by"]) == ("manual", "she asked", "shell")
    told = mailer("suppressions", "why", "1", "--json").json
    assert (told["note"], told["steps"]) == ("she asked", [])
    assert mailer("suppressions", "release", "1", "--why", "she is back").status == 0
    assert listed(mailer) == []
    assert [row["released_by"] for row in listed(mailer, "--state", "over")] == ["shell"]
    assert "no such suppression in force" in mailer("suppressions", "release", "1").sentence


def test_a_file_is_tried_taken_in_and_undone(mailer: Person) -> None:
    """A verdict per row; the export names whom it can."""
    file = mailer.folder / "old.csv"
    file.write_text("email,reason\nann@example.org,complaint\nnobody,\n")
    tried = mailer("suppressions", "import", str(file), "--dry-run", "--json").json
    assert (tried["import"], tried["added"], tried["refused"], listed(mailer)) == (None, 1, 1, [])
    done = mailer("suppressions", "import", str(file))
    assert "1 added, 0 unchanged, 1 refused" in done.out
    assert "line 3: refused" in done.err
    assert [row["reason"] for row in listed(mailer)] == ["complaint"]
    out = mailer.folder / "out.csv"
    assert "1 suppressions written" in mailer("suppressions", "export", "--out", str(out)).out
    assert out.read_text("utf-8-sig").splitlines()[1].startswith(",complaint,old.csv:2,")
    made = mailer("suppressions", "imports").out.split()[0]
    assert mailer("suppressions", "undo", made).out == "1 suppressions released.\n"
    assert "undone already" in mailer("suppressions", "undo", made).sentence


@pytest.mark.parametrize(
    "words",
    [
        ("add", "nobody", "--why", "x"),
        ("add", "ann@example.org", "--why", " "),
        ("add", "ann@example.org", "--why", "x", "--until", "2020-01-01"),
        ("import", "missing.csv"),
        ("why", "7"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(mailer: Person, words: tuple[str, ...]) -> None:
    """Nothing is written."""
    assert mailer("suppressions", *words).sentence
    assert listed(mailer) == []
