"""Statements that go straight to the driver, and the kept connection they go over."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mailer.database import Database, Prepared
from mailer.delivery.store import Delivery, Worker
from mailer.dialects import is_among

NOON = datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)
SETTINGS = ("plan_cache_mode", "enable_hashjoin", "enable_mergejoin")


def workers(session: Session, count: int) -> None:
    """Worker n was seen n hours after noon and has sent n letters."""
    for n in range(count):
        seen = NOON + timedelta(hours=n)
        session.add(Worker(id=f"w{n}", machine="m", started_at=NOON, seen_at=seen, letters=n))
    session.flush()


def test_a_prepared_statement_answers_as_the_session_does(database: Database) -> None:
    """Times are aware, parameters of every kind arrive, fixed values stay."""
    asked = (
        select(Worker.id, Worker.seen_at, Worker.letters)
        .where(Worker.seen_at > bindparam("since"), Worker.machine == "m")
        .order_by(Worker.id)
    )
    prepared = Prepared(asked)
    with database.steady() as steady, steady.write() as session:
        workers(session, 3)
        for since in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
            expected = [tuple(row) for row in session.execute(asked, {"since": since})]
            assert prepared.rows(session, since=since) == expected
        assert prepared.rows(session, since=NOON)[0] == ("w1", NOON + timedelta(hours=1), 1)


def test_a_list_of_numbers_is_one_parameter(database: Database) -> None:
    """However long it is, the statement stays the same."""
    prepared = Prepared(select(Worker.id).where(is_among(Worker.letters, "numbers")).order_by(Worker.id))
    with database.write() as session:
        workers(session, 5)
        for numbers in ([], [3], [0, 2, 4, 9]):
            found = [id_ for (id_,) in prepared.rows(session, numbers=numbers)]
            assert found == [f"w{n}" for n in numbers if n < 5]


def test_a_list_of_numbers_is_looked_up(database: Database) -> None:
    """Not asked of every row: a slice of a hundred letters costs the same in a campaign of a million."""
    found = select(Delivery.reason).where(Delivery.campaign_id == 1, is_among(Delivery.n, "numbers"))
    settings = {"sqlite": [], "postgresql": ["SET enable_seqscan = off"]}[database.dialect]
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}[database.dialect]
    with database.read() as session:
        for setting in settings:
            session.execute(text(setting))
        asked = found.params(numbers=[1]).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = " ".join(map(str, session.execute(text(f"{explain}{asked}"))))
    assert "(campaign_id=? AND n=?)" in plan or "(n = ANY" in plan, plan


def test_a_change_for_each_writes_what_is_common_once(database: Database) -> None:
    """Times among what is common are stored as the session stores them."""
    change = update(Worker).where(Worker.id == bindparam("who"))
    seen = Prepared(change.values(seen_at=bindparam("since"), letters=bindparam("count")))
    with database.write() as session:
        workers(session, 3)
        seen.run_each(session, [{"who": f"w{n}", "count": 9 - n} for n in range(2)], since=NOON)
    with database.read() as session:
        stored = session.execute(select(Worker.id, Worker.seen_at, Worker.letters).order_by(Worker.id))
        late = NOON + timedelta(hours=2)
        assert [tuple(row) for row in stored] == [("w0", NOON, 9), ("w1", NOON, 8), ("w2", late, 2)]


def test_a_prepared_change_is_part_of_the_transaction(database: Database) -> None:
    """It goes with whatever else the session has done, or not at all."""
    change = Prepared(update(Worker).where(Worker.id == "w0").values(letters=bindparam("count")))
    with database.write() as session:
        workers(session, 1)
    with suppress(RuntimeError), database.write() as session:
        change.run(session, count=7)
        raise RuntimeError
    with database.read() as session:
        assert session.scalars(select(Worker.letters)).all() == [0]


def test_its_errors_are_sqlalchemys_and_name_no_rows(database: Database) -> None:
    """Rows hold addresses, and errors reach the log (law 9)."""
    rename = Prepared(update(Worker).where(Worker.letters == 1).values(id=bindparam("name")))
    with database.write() as session:
        workers(session, 2)
    with pytest.raises(IntegrityError) as caught, database.write() as session:
        rename.run(session, name="w0")
    assert "w0" not in str(caught.value)


def test_a_kept_connection_is_given_back_as_it_was(postgres_database: Database) -> None:
    """Others plan for the values they ask with; after an error it is not given back at all."""
    database = postgres_database

    def settings() -> list[str]:
        with database.write() as session:
            return [str(session.scalar(text(f"SHOW {name}"))) for name in SETTINGS]

    before = settings()
    with database.steady() as steady, steady.write() as session:
        assert session.scalar(text("SHOW plan_cache_mode")) == "force_generic_plan"
    assert settings() == before
    with pytest.raises(RuntimeError), database.steady():
        raise RuntimeError
    assert settings() == before
