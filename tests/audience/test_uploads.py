"""Uploads, on both databases: each step is taken once, whoever takes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.accounts.audit import SYSTEM, Actor
from mailer.accounts.store import AuditEntry
from mailer.audience import imported, imports, subscribers
from mailer.audience.intake import Consent, Verdict
from mailer.audience.names import Names
from mailer.audience.sheets.columns import Layout
from mailer.audience.store import ConsentKind, Subscriber
from mailer.audience.uploads import packing, steps, store
from mailer.audience.uploads.packing import Told
from mailer.audience.uploads.store import Step, Upload
from mailer.sentence import Sentence
from tests.make import KEYS, NOON

IMPORTED = Consent(ConsentKind.IMPORTED, "Agreed.")


@pytest.fixture
def kept(database, make):
    """A file that came over the web; give back its row."""
    publication = make.publication()

    def kept(text="email\nann@example.org\nben@example.org\nbad\n", **given):
        with database.write() as session:
            upload = steps.keep(
                session, content=text.encode(), name="people.csv", publication_id=publication.id,
                consent=IMPORTED, now=NOON, actor=SYSTEM, **given,
            )  # fmt: skip
            steps.check(session, upload, keys=KEYS, now=NOON)
            return upload.public_id

    return kept


@pytest.fixture
def work(database):
    """A worker's turn, so many minutes after noon."""
    return lambda minutes=0: steps.work(database, keys=KEYS, clock=lambda: NOON + timedelta(minutes=minutes))


def test_a_file_goes_its_way_once(kept, work, database):
    """Checked, started, taken in; the verdicts of check and import are the same."""
    public_id = kept()
    with database.write() as session:
        upload = steps.get(session, public_id, partner_id=None)
        checked = list(steps.checked(upload))
        steps.start(session, upload, IMPORTED)
        with pytest.raises(steps.NotNow):
            steps.start(session, upload, IMPORTED)
    assert [work(), work()] == [True, False]
    with database.read() as session:
        upload = steps.get(session, public_id, partner_id=None)
        assert (upload.step, upload.done, upload.rows, upload.content) == (Step.DONE, 3, 3, None)
        done = store.imports(session, None)[0][0]
        assert list(steps.reported(session, done)) == checked
    assert [row.verdict for row in checked] == [Verdict.ADDED, Verdict.ADDED, Verdict.REFUSED]
    assert [row.address for row in checked] == ["ann@example.org", "ben@example.org", "bad"]


def test_a_layout_is_kept_with_the_file_for_every_reading(kept, work, database):
    """What a person said about the columns holds for the check and for the import."""
    public_id = kept("name,mail\nAnn Lee,ann@example.org\n")
    with database.write() as session:
        upload = steps.get(session, public_id, partner_id=None)
        steps.lay_out(session, upload, Layout({"name": "notes", "mail": "address"}))
        steps.check(session, upload, keys=KEYS, now=NOON)
        steps.start(session, upload, IMPORTED)
    work()
    with database.read() as session:
        assert store.imports(session, None)[0][0].finished_at == NOON
        assert session.query(steps.Import).one().file_hash != ""


def test_two_workers_never_have_the_same_file(kept, database):
    """Until the lease has run out."""
    public_id = kept()
    with database.write() as session:
        steps.start(session, steps.get(session, public_id, partner_id=None), IMPORTED)
    with database.write() as session:
        assert store.lease(session, "one", NOON, NOON + timedelta(minutes=10)) is not None
    with database.write() as session:
        assert store.lease(session, "two", NOON, NOON + timedelta(minutes=10)) is None
        later = NOON + timedelta(minutes=11)
        upload_id = store.lease(session, "two", later, later + timedelta(minutes=10))
        assert upload_id is not None
        assert not store.advance(session, upload_id, "one", later, 5)
        assert store.advance(session, upload_id, "two", later, 5)


def test_a_file_that_turns_out_bad_while_it_waits_says_why(kept, database, work):
    """The step is failed, the trouble is a sentence, and no worker tries again."""
    public_id = kept()
    with database.write() as session:
        upload = steps.get(session, public_id, partner_id=None)
        steps.start(session, upload, IMPORTED)
        upload.content = b"nothing"
    assert [work(), work()] == [True, False]
    with database.read() as session:
        upload = steps.get(session, public_id, partner_id=None)
        assert upload.step == Step.FAILED
        assert "No column is named" in upload.trouble


@pytest.fixture
def taken(kept, work, database, monkeypatch):
    """A file of 30 people that was taken in, ten rows a transaction; give back the import's public id."""
    monkeypatch.setattr("mailer.audience.imports.CHUNK", 10)
    public_id = kept("email\n" + "".join(f"reader{n}@example.org\n" for n in range(30)))
    with database.write() as session:
        steps.start(session, steps.get(session, public_id, partner_id=None), IMPORTED)
    work()
    with database.read() as session:
        return store.imports(session, None)[0][0].public_id


def ask_undo(database, public_id, actor=SYSTEM):
    """Have an import put back; the import as it stands then."""
    with database.write() as session:
        steps.undo(session, public_id, partner_id=None, now=NOON, actor=actor)
        return steps.find_import(session, public_id, partner_id=None)


def people(database):
    """How many there are."""
    with database.read() as session:
        return session.query(Subscriber).count()


def test_a_worker_undoes_an_import_and_a_second_click_changes_nothing(taken, work, database):
    """Who asked first is who asked; the log holds one undo and one end of it."""
    asked = ask_undo(database, taken, Actor(None, "ann@example.org"))
    assert (asked.to_undo, asked.undone_at, people(database)) == (30, None, 30)
    again = ask_undo(database, taken, Actor(None, "ben@example.org"))
    assert again.undo_asked_by == "ann@example.org"
    while work():
        pass
    with database.read() as session:
        done = steps.find_import(session, taken, partner_id=None)
        assert (done.restored, done.kept, done.undone_at) == (30, 0, NOON)
        deeds = (
            session.query(AuditEntry).filter(AuditEntry.action.like("import.und%")).order_by(AuditEntry.id)
        )
        assert [(deed.action, deed.actor) for deed in deeds] == [
            ("import.undo", "ann@example.org"), ("import.undone", "ann@example.org"),
        ]  # fmt: skip
    assert people(database) == 0
    with pytest.raises(imports.UndoneAlready):
        ask_undo(database, taken)


def test_an_undo_goes_on_after_a_worker_died(taken, work, database):
    """What was put back before stays put back and counted, whoever changed somebody meanwhile."""
    ask_undo(database, taken)
    calls = iter(range(10))

    def clock():
        if next(calls) == 2:
            raise KeyboardInterrupt  # as a kill: nothing is tidied up
        return NOON

    with pytest.raises(KeyboardInterrupt):
        steps.work(database, keys=KEYS, clock=clock)
    assert people(database) == 10
    with database.write() as session:
        person = subscribers.by_address(session, "reader0@example.org")
        subscribers.edit(
            session, subscriber_id=person.id, now=NOON, actor=SYSTEM, names=Names(name_en="New Name")
        )
    while work(minutes=1):
        pass
    with database.read() as session:
        done = steps.find_import(session, taken, partner_id=None)
        assert (done.restored, done.kept, done.undone_at) == (29, 1, NOON + timedelta(minutes=1))
    assert people(database) == 1


def test_an_undo_that_another_worker_is_at_is_passed_over(taken, database):
    """It holds up nobody; on SQLite writers wait for each other anyway."""
    if database.dialect == "sqlite":
        return
    ask_undo(database, taken)
    with database.write() as one, database.write() as two:
        assert imported.hold_next_to_undo(one) is not None
        assert imported.hold_next_to_undo(two) is None


def test_what_is_being_undone_is_not_gone_on_with(taken, database, kept):
    """The same file again is another import."""
    ask_undo(database, taken)
    with database.write() as session:
        done = steps.find_import(session, taken, partner_id=None)
        done.finished_at = None
        session.flush()
        assert imported.unfinished_import(session, done.file_hash, done.publication_id, None) is None


def test_another_partners_file_is_not_there(kept, make, database):
    """Nor the secretariat's; nor is a partner's the secretariat's."""
    ours, theirs = make.partner("ours"), make.partner("theirs")
    own = kept(partner_id=ours.id)
    with database.read() as session:
        assert steps.get(session, own, partner_id=ours.id)
        for partner_id in (theirs.id, None):
            with pytest.raises(steps.NoUpload):
                steps.get(session, own, partner_id=partner_id)


def test_files_are_forgotten(kept, database):
    """Their content within a day, that there was one within a week."""
    public_id = kept()
    with database.write() as session:
        steps.forget(session, now=NOON + timedelta(hours=22))
        assert steps.get(session, public_id, partner_id=None).content
    with database.write() as session:
        steps.forget(session, now=NOON + timedelta(hours=24))
    with database.write() as session:
        assert steps.get(session, public_id, partner_id=None).content is None
        steps.forget(session, now=NOON + timedelta(days=8))
        assert session.query(Upload).count() == 0


@given(
    st.lists(
        st.builds(
            Told,
            st.integers(1, 10**6),
            st.sampled_from(Verdict),
            st.text().filter(bool).map(lambda text: Sentence("“{text}” is wrong.", text=text)) | st.just(""),
            st.from_regex(r"[a-z@.]{0,20}", fullmatch=True),
        ),
        max_size=8,
    )
)
def test_packed_verdicts_come_back(rows):
    """Whatever the messages quote: line breaks, tabs, half of a pair."""
    readable = [row for row in rows if row.message.isprintable() or not row.message]
    assert list(packing.unpacked(packing.packed(readable))) == readable
    assert len(list(packing.unpacked(packing.packed(rows)))) == len(rows)
