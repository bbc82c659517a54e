"""``mailer issue``: what is not already told by a journey."""

from __future__ import annotations

from mailer.settings import templates
from tests.shell import Person


def test_a_file_is_attached_to_an_issue_and_taken_off(mailer: Person) -> None:
    """The command says what it did; a file that is not there is told in a sentence."""
    imported = mailer("issue", "import", templates() / "sample" / "issue-en.md", "--json").json
    leaflet = mailer.data.parent / "leaflet.pdf"
    leaflet.write_bytes(b"%PDF-1.7 x")
    said = mailer("issue", "attach", imported["issue"], leaflet)
    assert "leaflet.pdf" in said.out
    assert mailer("issue", "detach", imported["issue"], 1).status == 0
    missing = mailer("issue", "attach", imported["issue"], leaflet.with_name("other.pdf"))
    assert (missing.status, missing.out) == (1, "")
    assert "check its name" in missing.sentence
