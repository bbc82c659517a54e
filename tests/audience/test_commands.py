"""The commands for people and accounts: what scripts depend on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from mailer import cli
from mailer.audience.evidence.store import ConsentWording
from mailer.audience.store import Subscription
from mailer.database import Database
from tests.audience.workbooks import workbook

PEOPLE = "email,name\nann@example.org,Ann Lee\nbad,\n"


@pytest.fixture
def mailer(tmp_path: Path, monkeypatch, capsys):
    """Run a command in an empty folder; give back status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def mailer(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mailer", *words])
        try:
            cli.main()
            status = 0
        except SystemExit as left:
            status = int(left.code or 0)
        return (status, *capsys.readouterr())

    return mailer


def test_an_import_prints_one_object(mailer, tmp_path):
    """The shape that scripts read; the dry run differs only in having no id."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    _, dry, _ = mailer("subscribers", "import", "people.csv", "--dry-run", "--json")
    status, out, err = mailer("subscribers", "import", "people.csv", "--consent", "Agreed.", "--json")
    tried, done = json.loads(dry), json.loads(out)
    assert (status, err, tried.pop("import")) == (0, "", None)
    assert done.pop("import")
    assert done == tried == {
        "rows": 2, "added": 1, "updated": 0, "unchanged": 0, "refused": 1, "kept_away": 0,
        "verdicts": [
            {"line": 2, "verdict": "added", "message": ""},
            {"line": 3, "verdict": "refused", "message": done["verdicts"][1]["message"]},
        ],
    }  # fmt: skip


def test_words_of_consent_are_kept_as_versions(mailer, tmp_path):
    """New words become one, with a number to name them by; the evidence holds the words themselves."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "more.csv").write_text("email\nbob@example.org\n")
    for file, said in (("people.csv", "They  asked for it."), ("more.csv", "1"), ("people.csv", "en:1")):
        assert mailer("subscribers", "import", file, "--wording", said, "--json")[0] == 0
    database = Database(f"sqlite:///{tmp_path / 'data' / 'mailer.db'}")
    with database.read() as session:
        assert [(each.version, each.text) for each in session.scalars(select(ConsentWording))] == [
            (1, "They asked for it.")
        ]
        assert set(session.scalars(select(Subscription.consent_wording))) == {"They asked for it."}
    database.close()
    status, _, err = mailer("subscribers", "import", "more.csv", "--wording", "7")
    assert (status, "no version 7" in err) == (1, True)
    status, _, err = mailer("subscribers", "import", "more.csv", "--wording", "0")
    assert (status, "write en:0 or zh:0" in err) == (1, True)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\x89PNG", "a picture"), (b"name\nAnn\n", "No column")]
)
def test_a_bad_file_is_one_sentence(mailer, tmp_path, content, words):
    """Status 1, nothing on standard output, and nothing changed."""
    if content is not None:
        (tmp_path / "people.csv").write_bytes(content)
    status, out, err = mailer("subscribers", "import", "people.csv")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert words in err
    assert not (tmp_path / "data").exists()


def test_a_workbook_and_columns_of_other_names_are_imported(mailer, tmp_path):
    """--sheet chooses among several, --map says what a column means; what is wrong is said and stops it."""

    def others(book, _sheet):
        book.add_worksheet("Andra").write_column(0, 0, ["Vem", "Ben Ode", "Cho Kim"])
        book.get_worksheet_by_name("Andra").write_column(
            0, 1, ["E-post", "ben@example.org", "cho@example.org"]
        )

    (tmp_path / "people.xlsx").write_bytes(workbook([["email"], ["ann@example.org"]], others))
    status, _, err = mailer("subscribers", "import", "people.xlsx")
    assert (status, "“People”, “Andra”" in err, "with --sheet" in err) == (1, True, True)
    words = ("subscribers", "import", "people.xlsx", "--sheet", "Andra")
    status, out, _ = mailer(*words, "--map", "E-post=address, Vem=name", "--json")
    assert (status, json.loads(out)["added"]) == (0, 2)
    mailer("subscribers", "export", "--out", "out.csv")
    assert "Ben Ode" in (tmp_path / "out.csv").read_text("utf-8-sig")
    status, _, err = mailer(*words, "--map", "Epost=address")
    assert (status, "no column “Epost”" in err) == (1, True)
    assert mailer(*words, "--map", "nonsense")[0] == 2


def test_an_import_is_listed_and_undone(mailer, tmp_path):
    """The id comes from the import itself or from the list."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    done = json.loads(mailer("subscribers", "import", "people.csv", "--json")[1])["import"]
    assert done in mailer("subscribers", "imports")[1]
    assert json.loads(mailer("subscribers", "undo", done, "--json")[1]) == {
        "import": done,
        "restored": 1,
        "kept": 0,
    }
    status, _, err = mailer("subscribers", "undo", done)
    assert (status, "undone already" in err) == (1, True)


def test_people_go_out_by_segment(mailer, tmp_path):
    """Saved under a name, counted, exported."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    mailer("subscribers", "import", "people.csv")
    assert "name contains ann" in mailer("segment", "save", "Anns", "name contains ann")[1]
    assert json.loads(mailer("segment", "count", "Anns", "--json")[1])["people"] == 1
    assert json.loads(mailer("segment", "list", "--json")[1])["name"] == "Anns"
    assert mailer("subscribers", "export", "--segment", "Anns", "--out", "out.csv")[0] == 0
    assert "ann@example.org" in (tmp_path / "out.csv").read_text("utf-8-sig")
    status, _, err = mailer("subscribers", "export", "--out", "no/such/folder.csv")
    assert (status, "cannot be written" in err) == (1, True)
    assert mailer("segment", "remove", "Anns")[0] == 0


def test_accounts_and_partners_are_made(mailer):
    """A partner manager needs a partner; the link signs in."""
    assert (
        mailer("partner", "add", "moe", "--kind", "ministry", "--country", "CN", "--name-en", "MoE")[0] == 0
    )
    assert mailer("user", "add", "m@example.org", "--role", "partner", "--partner", "moe")[0] == 0
    status, _, err = mailer("user", "add", "n@example.org", "--role", "partner")
    assert (status, "needs a partner" in err) == (1, True)
    assert "/sign-in/" in mailer("user", "link", "m@example.org")[1]
    assert mailer("user", "disable", "m@example.org")[0] == 0
    assert json.loads(mailer("user", "list", "--json")[1])["disabled"] is True
    assert json.loads(mailer("partner", "list", "--json")[1])["people"] == 0


def test_a_segment_is_shown_and_says_why(mailer, tmp_path):
    """Condition by condition, with what is known of the person."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    mailer("subscribers", "import", "people.csv")
    mailer("segment", "save", "Anns", "name contains ann and not opened ever", "--description", "Who?")
    shown = json.loads(mailer("segment", "show", "Anns", "--json")[1])
    assert shown == {"name": "Anns", "rule": "name contains ann and not opened ever", "description": "Who?"}
    judged = json.loads(mailer("segment", "why", "Anns", "ann@example.org", "--json")[1])
    assert (judged["in"], [part["in"] for part in judged["parts"]]) == (True, [True, True])
    assert "✓ not opened ever  []" in mailer("segment", "why", "Anns", "ann@example.org")[1]
    status, _, err = mailer("segment", "why", "Anns", "nobody@example.org")
    assert (status, "Nobody has that address" in err) == (1, True)
    status, _, err = mailer("segment", "save", "Got it", "received campaign 99")
    assert (status, "there is no such campaign" in err) == (1, True)


def test_the_directory_of_partners_comes_in_whole_or_not_at_all(mailer, tmp_path):
    """A refused row is told with its line, and the status says that nothing was written."""
    rows = "code,name_en,kind,country,manager\nmoe,Ministry,ministry,CN,li@moe.example\n"
    (tmp_path / "partners.csv").write_text(f"{rows}sea,Sea,club,NO,\n")
    status, out, err = mailer("partner", "import", "partners.csv")
    assert (status, "line 3: refused. “club” is not a kind of partner" in err) == (1, True)
    assert out.startswith("Nothing written")
    (tmp_path / "partners.csv").write_text(rows)
    tried = json.loads(mailer("partner", "import", "partners.csv", "--dry-run", "--json")[1])
    assert (tried["written"], tried["added"], mailer("partner", "list")[1]) == (False, 1, "")
    status, out, _ = mailer("partner", "import", "partners.csv")
    assert (status, "Written: 1 added" in out, "/sign-in/link: 1." in out) == (0, True, True)
    assert "moe" in mailer("partner", "list")[1]
