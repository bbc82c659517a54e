"""An issue's editions come in, are edited by one after another, and are frozen as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import date

import pytest
from PIL import Image

from mailer.accounts.audit import Actor
from mailer.content.document import Article, Document, Figure, Section
from mailer.database import Database
from mailer.errors import Conflict, Invalid, NotFound
from mailer.issues import editions, figures, freeze, publications
from mailer.issues.editions import EditedMeanwhile, MissingFigure, NumberTaken
from mailer.issues.figures import MAX_WIDTH, BadFigure
from mailer.issues.freeze import NotReady
from mailer.settings import Settings
from tests.make import NOON, Make, document

SHELL = Actor(None, "shell")


def picture(width: int = 40, mode: str = "RGB", kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, 30)).save(out, kind)
    return out.getvalue()


def with_figure(src: str) -> Document:
    figure = Figure(src=src, alt="A river")
    article = Article(headline="Rivers return", body="Water is back.", figures=(figure,))
    return document().model_copy(update={"sections": (Section(title="News", blocks=(article, figure)),)})


def test_a_file_becomes_an_issue_and_the_second_language_joins_it(database: Database) -> None:
    """On an empty database the publication is named as the masthead says."""
    with database.write() as session:
        first = editions.take_in(session, document("zh"), now=NOON, actor=SHELL)
        second = editions.take_in(session, document("en"), now=NOON, actor=SHELL, issue_id=first.issue_id)
        issue = editions.get(session, first.issue_id)
        assert (issue.number, issue.date) == ("12", date(2026, 11, 20))
        assert second.issue_id == issue.id
        assert editions.languages(session, issue.id) == ["zh", "en"]
        assert publications.voice(session, issue.publication_id, "zh").name == "绿色观察"
        assert editions.document(second) == document("en")


def test_a_file_read_again_replaces_the_edition_and_counts_a_version(database: Database) -> None:
    """So that what was approved of the one before is void."""
    with database.write() as session:
        first = editions.take_in(session, document(), now=NOON, actor=SHELL)
        again = editions.take_in(
            session, document(headline="Another"), now=NOON, actor=SHELL, issue_id=first.issue_id
        )
        assert (again.id, again.version) == (first.id, 2)


def test_two_editors_do_not_overwrite_each_other(database: Database, make: Make) -> None:
    """The second to save is told so, and nothing of the first is lost."""
    issue = make.issue(languages=["en"])
    with database.write() as session:
        opened = editions.edition(session, issue.id, "en")
        change = {"edition_id": opened.id, "version": opened.version, "now": NOON, "actor": SHELL}
        editions.save(session, document=document(headline="First"), **change)
        with pytest.raises(EditedMeanwhile):
            editions.save(session, document=document(headline="Second"), **change)
        assert "First" in str(editions.edition(session, issue.id, "en").document)


def test_an_edition_keeps_its_language(database: Database, make: Make) -> None:
    """A Chinese text pasted over the English one is refused."""
    issue = make.issue(languages=["en"])
    with database.write() as session:
        opened = editions.edition(session, issue.id)
        with pytest.raises(Invalid, match="language"):
            editions.save(
                session, edition_id=opened.id, document=document("zh"), version=1, now=NOON, actor=SHELL
            )


def test_a_number_belongs_to_one_issue(database: Database, make: Make) -> None:
    """Of a publication; naming the issue lets a file in that has the same number."""
    issue = make.issue("12", languages=["zh"])
    with database.write() as session:
        with pytest.raises(NumberTaken):
            editions.take_in(session, document(), now=NOON, actor=SHELL, publication=make.publication())
        taken = editions.take_in(session, document(), now=NOON, actor=SHELL, issue_id=issue.id)
        assert taken.issue_id == issue.id


def test_an_issue_without_that_edition_says_so(database: Database, make: Make) -> None:
    """And an issue that is not there."""
    issue = make.issue(languages=["en"])
    with database.read() as session:
        with pytest.raises(NotFound, match="zh"):
            editions.edition(session, issue.id, "zh")
        with pytest.raises(NotFound, match="mailer issue list"):
            editions.get(session, 999)


def test_number_and_date_reach_every_masthead(database: Database, make: Make) -> None:
    """They are asked for once."""
    issue = make.issue("7")
    with database.write() as session:
        facts = {"issue_id": issue.id, "number": "70", "date": date(2027, 1, 2)}
        editions.name_and_date(session, **facts, now=NOON, actor=SHELL)
        for language in ("zh", "en"):
            masthead = editions.document(editions.edition(session, issue.id, language)).masthead
            assert (masthead.number, masthead.date) == ("70", date(2027, 1, 2))


# -- figures --


def test_pictures_are_stored_by_content_and_the_document_names_them_so(database: Database) -> None:
    """The same picture twice is one row; a picture that was stored needs not be given again."""
    with database.write() as session:
        given = {"river.png": picture()}
        first = editions.take_in(session, with_figure("river.png"), now=NOON, actor=SHELL, pictures=given)
        found = editions.document(first)
        names = {figure.src for figure in editions.figures_of(found)}
        assert names == {figures.add(session, picture()).name}
        editions.take_in(session, found, now=NOON, actor=SHELL, issue_id=first.issue_id)


def test_a_picture_that_is_not_there_is_named(database: Database) -> None:
    """Nothing is stored."""
    with database.read() as session, pytest.raises(MissingFigure, match=r"river\.png"):
        editions.take_in(session, with_figure("river.png"), now=NOON, actor=SHELL)


@pytest.mark.parametrize(
    ("mode", "kind", "media_type"), [("RGB", "PNG", "image/jpeg"), ("RGBA", "PNG", "image/png")]
)
def test_a_picture_is_made_fit_for_mail(
    sqlite_database: Database, mode: str, kind: str, media_type: str
) -> None:
    """Not wider than a letter needs; transparent ones stay so."""
    with sqlite_database.write() as session:
        stored = figures.add(session, picture(MAX_WIDTH * 2, mode, kind))
        assert (stored.width, stored.media_type) == (MAX_WIDTH, media_type)


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", picture()[:40]])
def test_what_is_no_picture_is_refused(sqlite_database: Database, content: bytes) -> None:
    """SVG and torn files too."""
    with sqlite_database.write() as session, pytest.raises(BadFigure):
        figures.add(session, content)


def test_a_decompression_bomb_is_refused_unopened(sqlite_database: Database) -> None:
    """A few bytes that claim 270 million pixels: the claim is enough."""
    with sqlite_database.write() as session, pytest.raises(BadFigure, match="too large"):
        figures.add(session, _claiming(30_000, 9_000))


def test_a_picture_that_only_ghostscript_reads_is_refused(sqlite_database: Database) -> None:
    """PostScript is a program; none runs here."""
    with sqlite_database.write() as session, pytest.raises(BadFigure):
        figures.add(session, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nquit\n")


def _claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


# -- freezing --


def test_the_same_text_freezes_to_the_same_bytes_once(
    database: Database, make: Make, settings: Settings
) -> None:
    """Asked twice, there is one row; another text has another hash."""
    issue = make.issue(languages=["en"])
    with database.write() as session:
        wanted = {"issue_id": issue.id, "languages": ["en"], "settings": settings, "now": NOON}
        (first,), (again,) = freeze.freeze(session, **wanted), freeze.freeze(session, **wanted)
        assert first.id == again.id
        opened = editions.edition(session, issue.id)
        editions.save(
            session, edition_id=opened.id, document=document(headline="Another"), version=1, now=NOON,
            actor=SHELL,
        )  # fmt: skip
        (other,) = freeze.freeze(session, **wanted)
        assert other.hash != first.hash
        assert other.version == 2


def test_an_edition_with_errors_is_not_frozen(database: Database, make: Make, settings: Settings) -> None:
    """The message names the block."""
    empty = document().model_copy(update={"sections": ()})
    issue = make.issue(languages=["en"], documents={"en": empty})
    with database.write() as session, pytest.raises(NotReady, match=r"^Mend this before it can be sent: \S"):
        freeze.freeze(session, issue_id=issue.id, languages=["en"], settings=settings, now=NOON)


# -- publications --


def test_a_publication_is_made_once_and_changed_in_part(database: Database) -> None:
    """Its code is its name; what is not given stays."""
    presence = publications.Presence(
        name="Observer", sender_name="Observer", organisation="Secretariat", postal_address="1 River Road"
    )
    facts = {"code": "observer", "sender_address": "news@example.org", "presences": {"en": presence}}
    with database.write() as session:
        made = publications.add(session, **facts, now=NOON, actor=SHELL)
        assert (made.list_id, made.desk_address) == ("observer.example.org", "news@example.org")
        with pytest.raises(Conflict):
            publications.add(session, **facts, now=NOON, actor=SHELL)
        changed = publications.change(session, code="observer", zone="Europe/Rome", now=NOON, actor=SHELL)
        assert (changed.zone, changed.sender_address) == ("Europe/Rome", "news@example.org")
        with pytest.raises(Invalid, match="time zone"):
            publications.change(session, code="observer", zone="Mars/Base", now=NOON, actor=SHELL)
