"""Imports of many: killed and resumed, two at once, undone in sets, the same as one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.accounts.audit import SYSTEM
from mailer.audience import imports, subscribers
from mailer.audience.imports import Job
from mailer.audience.intake import Consent, Person, Verdict
from mailer.audience.names import Names
from mailer.audience.sheets.sheet import read
from mailer.audience.store import (
    ConsentKind,
    Import,
    ImportPart,
    ImportRow,
    Membership,
    Partner,
    Subscriber,
    Subscription,
)
from tests.make import KEYS, NOON, SECRET

MANY = imports.CHUNK * 3


def people(count, start=0):
    """A file of so many people, the last of whom stands there twice."""
    rows = [f"reader{n}@example.org,Ann {n}" for n in range(start, start + count)]
    return "\n".join(["email,name", *rows, rows[-1].upper()]).encode()


@pytest.fixture
def job(make):
    """A file on its way in."""
    publication = make.publication()

    def job(raw, partner=None):
        return Job(
            sheet=read(raw, "many.csv"), publication_id=publication.id, keys=KEYS, actor=SYSTEM,
            consent=Consent(ConsentKind.IMPORTED, "Agreed."), partner_id=partner.id if partner else None,
        )  # fmt: skip

    return job


def count(database, table):
    """How many rows a table has."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def wait_for(true, seconds=60):
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_import_that_was_killed_goes_on_without_doubles(database, make, tmp_path):
    """SIGKILL in the middle: what was committed stays, the same command does the rest and no more."""
    make.publication()
    file = tmp_path / "many.csv"
    file.write_bytes(people(MANY))
    words = (sys.executable, "-m", "mailer.cli", "subscribers", "import", str(file), "--json")
    where = {
        **os.environ, "MAILER_DATA": str(tmp_path / "data"), "MAILER_SECRET": SECRET,
        "MAILER_DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
    }  # fmt: skip
    first = subprocess.Popen(words, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: count(database, ImportPart) or first.poll() is not None)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert 0 < count(database, Subscriber) < MANY
    again = subprocess.run(words, env=where, capture_output=True, check=True)
    assert f'"added": {MANY}'.encode() in again.stdout
    assert [count(database, table) for table in (Subscriber, Subscription, Import)] == [MANY, MANY, 1]


def test_two_imports_at_once_take_turns(database, make, job):
    """Each is whole, and whom both bring stands there once."""
    files = [people(MANY // 3), people(MANY // 3, start=MANY // 6)]
    found = []
    threads = [
        threading.Thread(
            target=lambda raw=raw: found.append(imports.run(database, job(raw), clock=lambda: NOON).counts)
        )
        for raw in files
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts[Verdict.ADDED] for counts in found) == MANY // 2
    assert sum(counts[Verdict.UNCHANGED] for counts in found) == MANY // 6
    assert count(database, Subscriber) == MANY // 2


def test_many_are_undone_but_those_who_changed(database, make, job):
    """Who left, whom somebody edited, who was written to; everybody else is gone without a trace."""
    partner = make.partner("ours", trusted=True)
    report = imports.run(database, job(people(1_000), partner), clock=lambda: NOON)
    with database.write() as session:
        ids = {}
        for n in (1, 2, 3):
            ids[n] = subscribers.by_address(session, f"reader{n}@example.org")
        later = NOON + timedelta(days=1)
        subscribers.edit(
            session, subscriber_id=ids[1].id, now=later, actor=SYSTEM, names=Names(name_en="New Name")
        )
        membership = session.scalars(select(Membership).where(Membership.subscriber_id == ids[2].id)).one()
        membership.notes = "met in Oslo"
    make.delivery(subscriber=ids[3])
    undone = imports.undo(database, report.id, clock=lambda: NOON, actor=SYSTEM)
    assert undone == imports.Undone(997, 3)
    with database.read() as session:
        left = session.scalars(select(Subscriber.id).order_by(Subscriber.id)).all()
        assert left == sorted(person.id for person in ids.values())
        assert session.scalars(select(Membership.subscriber_id)).all() == [ids[2].id]
        assert session.scalars(select(Subscription.subscriber_id)).all() == []
    assert len(imports_report(database, report.id).verdicts) == 1_001


def imports_report(database, public_id: UUID):
    """What an import did, read anew."""
    with database.read() as session:
        return imports.report(session, public_id)


def test_people_who_are_new_through_and_through_have_no_row(database, job):
    """A million verdicts take no million rows; the report tells every one of them all the same."""
    report = imports.run(database, job(people(10)), clock=lambda: NOON)
    assert count(database, ImportRow) == 1
    assert imports_report(database, report.id) == report
    assert [row.verdict for row in report.verdicts[9:]] == [Verdict.ADDED, Verdict.REFUSED]
    assert report.verdicts[-1].line == 12


ADDRESSES = st.sampled_from(
    ["ann@example.org", "Ann@Example.org", "ben@example.org", "李@例子.example", "bad"]
)
NAMES = st.builds(
    Names, name_zh=st.sampled_from(["", "李敏"]), given_en=st.sampled_from(["", "Ann"]),
    family_en=st.sampled_from(["", "Lee"]), honorific_en=st.sampled_from(["", "Dr"]),
)  # fmt: skip
PEOPLE = st.lists(
    st.builds(
        Person, address=ADDRESSES, names=NAMES, language=st.sampled_from(["", "en", "xx"]),
        country=st.sampled_from(["", "FR"]), notes=st.sampled_from(["", "n\x00"]),
        origin=st.sampled_from(["", "\x00list.csv:1"]),
        partner_id=st.none() | st.just(-1),
    ),
    max_size=7,
)  # fmt: skip


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=PEOPLE)
def test_many_at_once_become_what_they_would_one_by_one(database, make, crowd):
    """The same verdicts and the same rows, whoever stands beside whom."""
    partner = make.publication() and (_partner(database) or make.partner("ours").id)
    crowd = [person._replace(partner_id=person.partner_id and partner) for person in crowd]

    def outcome(steps):
        given = {"keys": KEYS, "now": NOON, "actor": SYSTEM, "publication_id": make.publication().id}
        with database.write() as session:
            taken = [
                result
                for step in steps
                for result in subscribers.take_in(
                    session, step, consent=Consent(ConsentKind.IMPORTED), **given
                )
            ]
            told = [(result.verdict, str(result.refusal or "")) for result in taken]
            rows = [_rows(session, table) for table in (Subscriber, Membership, Subscription)]
            session.rollback()
        return told, rows

    assert outcome([crowd]) == outcome([[person] for person in crowd])


def _partner(database):
    with database.read() as session:
        return session.scalar(select(Partner.id))


def _rows(session, table):
    """The rows of a table, without the ids that the database gives."""
    own = table.__table__.c
    columns = [column for column in own if column.name not in ("id", "public_id", "subscriber_id")]
    return sorted(map(str, session.execute(select(*columns)).all()))
