"""Bad input: one clear sentence that says what to do, status 1, and nothing changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailer.settings import templates
from tests.shell import Person

SAMPLE = templates() / "sample"


@pytest.fixture
def mailer(tmp_path: Path) -> Person:
    """Somebody at a shell in an empty folder."""
    return Person(tmp_path)


@pytest.fixture
def furnished(mailer: Person) -> Person:
    """Somebody whose installation holds an issue."""
    assert mailer("issue", "import", SAMPLE / "issue-en.md").status == 0
    return mailer


def contents(folder: Path) -> dict[str, str]:
    """Every file with what it holds; SQLite's own side files aside."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }


def broken_sample(folder: Path, line: str) -> Path:
    """Copy the English sample without the first line that begins so."""
    shutil.copytree(SAMPLE, folder)
    file = folder / "issue-en.md"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.remove(next(it for it in lines if it.startswith(line)))
    file.write_text("".join(lines), encoding="utf-8")
    return file


FILES = {
    "issue.md": os.urandom(3000) + b"\x00\xff",
    "issue.txt": b"\x00\x01\x02" * 500,
    "empty.md": b"",
    "blank.txt": b" \n\n",
    "issue.pdf": b"%PDF-1.4",
    "missing.md": None,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", ["import", "check", "compile"])
def test_an_issue_file_that_cannot_be_read(mailer: Person, verb: str, name: str) -> None:
    """Binary, empty, missing, or of a kind that is not read."""
    content = FILES[name]
    if content is not None:
        (mailer.folder / name).write_bytes(content)
    before = contents(mailer.folder)
    out = ("--out", "out") if verb == "compile" else ()
    assert f"“{name}”" in mailer("issue", verb, name, *out).sentence
    assert contents(mailer.folder) == before


def test_a_document_with_a_missing_attribution_names_the_block(mailer: Person) -> None:
    """The section, the quote and its collection; import, compile and the demonstration refuse it alike."""
    file = broken_sample(mailer.folder / "issue", "> — ")
    before = contents(mailer.folder)
    for words in (
        ("issue", "import", file),
        ("issue", "compile", file, "--out", "out"),
        ("demo", "--issue", file, "--recipients", "10", "--no-serve"),
    ):
        sentence = mailer(*words).sentence
        assert "quote 1 of" in sentence
        assert "the attribution is missing; say who said it" in sentence
    assert contents(mailer.folder) == before
    said = mailer("issue", "check", file)
    assert (said.status, said.err) == (1, "")
    assert "the attribution is missing" in said.out


def test_a_picture_that_is_not_there_is_named(mailer: Person) -> None:
    """A letter with a hole in it is not made."""
    folder = mailer.folder / "issue"
    shutil.copytree(SAMPLE, folder)
    picture = next((folder / "figures").iterdir())
    picture.unlink()
    before = contents(folder)
    assert picture.name in mailer("demo", "--issue", folder / "issue-en.md", "--no-serve").sentence
    assert picture.name in mailer("issue", "import", folder / "issue-en.md").sentence
    assert contents(folder) == before
    assert mailer("issue", "list").out.startswith("No issue yet")


BAD_ROWS = """\
email,name_en,language
ann@example.org,Ann,en
not an address,Bob,en
,Carol,en
dan@example.org,Dan,xx
"""


def test_a_list_with_bad_rows_names_their_lines(mailer: Person) -> None:
    """Good rows come in; each bad one has its line and what is wrong. A dry run brings nobody in."""
    (mailer.folder / "people.csv").write_text(BAD_ROWS)
    for options in (("--dry-run",), ()):
        told = mailer("subscribers", "import", "people.csv", "--json", "--consent", "asked", *options).json
        refused = {row["line"] for row in told["verdicts"] if row["verdict"] == "refused"}
        assert {3, 4} <= refused
        assert (told["added"] + told["refused"], told["rows"]) == (4, 4)
    people = mailer.folder / "out.csv"
    assert mailer("subscribers", "export", "--out", people).status == 0
    assert "ann@example.org" in people.read_text()


def test_a_list_that_is_none_changes_nothing(furnished: Person) -> None:
    """Binary, empty, of another kind, or not there."""
    (furnished.folder / "empty.csv").touch()
    (furnished.folder / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (furnished.folder / "names.csv").write_text("name,town\nAnn,Oslo\n")
    for name in ("empty.csv", "binary.csv", "names.csv", "missing.csv"):
        assert furnished("subscribers", "import", name, "--consent", "asked").sentence
    assert furnished("segment", "count", "everyone").out.startswith("0 people")


@pytest.mark.parametrize(
    "words",
    [
        ("campaign", "status", 77), ("campaign", "launch", 77), ("campaign", "report", 77, "--json"),
        ("campaign", "create", 77), ("campaign", "test", 77, "--to", "ann@example.org"),
        ("campaign", "uncertain", 77), ("issue", "export", 77, "--out", "x.md"), ("issue", "check", 77),
        ("issue", "number", 77, "--number", "1"), ("publication", "set", "nothing", "--zone", "Asia/Tokyo"),
        ("issue", "import", SAMPLE / "issue-zh.md", "--publication", "nothing"),
        ("campaign", "create", 1, "--audience", "colour = red"),
        ("campaign", "create", 1, "--at", "tomorrow"),
        ("campaign", "create", 1, "--lang", "zh"),
        ("campaign", "cancel", 1, "--as", "nobody@example.org"),
        ("issue", "export", 1, "--out", "x.doc"),
        ("issue", "export", 1, "--out", "no/such/folder/x.md"),
    ],
    ids=lambda words: " ".join(Path(str(word)).name for word in words),
)  # fmt: skip
def test_what_is_not_there_is_said(mailer: Person, words: tuple[object, ...]) -> None:
    """Unknown numbers, names, rules and times; nothing is made on the way."""
    assert mailer("issue", "import", SAMPLE / "issue-en.md").status == 0
    before = {name: mailer(*name.split()).out for name in ("campaign list --json", "issue list --json")}
    assert mailer(*words).sentence
    assert {name: mailer(*name.split()).out for name in before} == before


def test_a_relay_out_of_reach(furnished: Person) -> None:
    """A test letter and a demonstration say which, before anything is sent."""
    nobody = "smtp://127.0.0.1:9"
    assert furnished("issue", "number", 1, "--number", "1", "--date", "2026-11-20").status == 0
    assert furnished("campaign", "create", 1).status == 0
    sentence = furnished("campaign", "test", 1, "--to", "ann@example.org", SMTP_URL=nobody).sentence
    assert "127.0.0.1:9 cannot be reached" in sentence
    assert "cannot be reached" in furnished("demo", "--smtp", nobody, "--data", "demo").sentence
    assert "this machine only" in furnished("demo", "--smtp", "smtp://example.org:25").sentence
    assert "smtp://user:password@" in furnished("demo", "--smtp", "mail").sentence
    assert not (furnished.folder / "demo").exists()


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql+psycopg://mailer:hush@127.0.0.1:9/mailer", "check MAILER_DATABASE_URL"),
        ("mysql://localhost/mailer", "MAILER_DATABASE_URL"),
        ("the database", "write it like"),
        ("sqlite:////proc/no/such/folder/mailer.db", "data folder"),
    ],
)
def test_a_wrong_database_url(mailer: Person, url: str, hint: str) -> None:
    """No password in the sentence, and no data folder left behind."""
    for words in (("issue", "list"), ("serve",), ("demo", "--data", "data", "--no-serve"), ("db", "upgrade")):
        sentence = mailer.process(*words, DATABASE_URL=url).sentence
        assert hint in sentence
        assert "hush" not in sentence
    assert list(mailer.folder.iterdir()) == []


def test_a_file_that_is_no_database(mailer: Person) -> None:
    """It is left as it is."""
    mailer.data.mkdir()
    (mailer.data / "mailer.db").write_text("these are my notes, not a database\n" * 50)
    before = contents(mailer.folder)
    for words in (("issue", "list"), ("serve",)):
        assert "no database" in mailer(*words).sentence
    assert contents(mailer.folder) == before


def test_a_data_folder_that_is_a_file(mailer: Person) -> None:
    """Named by the variable or by the option."""
    mailer.data.write_text("")
    assert "MAILER_DATA" in mailer("issue", "list").sentence
    assert "MAILER_DATA" in mailer("serve").sentence
    assert mailer("serve", "--data", mailer.data).status == 2


def test_settings_that_cannot_be_read(mailer: Person) -> None:
    """Each names its variable."""
    assert "MAILER_PORT" in mailer("issue", "list", PORT="eighty").sentence
    assert "MAILER_LISTENER_PORT" in mailer("serve", LISTENER_PORT="70000").sentence
    assert "MAILER_SECRET" in mailer("serve", SECRET="x").sentence
    assert "relay" in mailer("serve", SMTP_URL="mail.example.org").sentence


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use(mailer: Person, taken: int) -> None:
    """The web app's and the listener's; each says how to choose another."""
    assert "--port" in mailer("serve", "--port", taken).sentence
    assert "MAILER_LISTENER_PORT" in mailer("serve", LISTENER_PORT=str(taken)).sentence


def test_a_second_server_on_the_same_folder(mailer: Person) -> None:
    """It says so and ends; the first goes on, and stops when told."""
    with mailer.runs("serve") as first:
        first.line("mailer is served at ")
        assert "--data" in mailer.process("serve").sentence
        assert "--data" in mailer("demo", "--data", mailer.data, "--no-serve").sentence
        assert first.process.poll() is None
        assert first.end() == 0
