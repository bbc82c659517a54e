"""Migrations: what the revisions make is what the models say, on both databases."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import Column, MetaData, func, select, text

from mailer import migrations
from mailer.cli import cli
from mailer.cli.db import NoHeartbeat
from mailer.database import Database
from tests import servers
from tests.make import NOON

SQLITE_CATALOGUE = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
POSTGRES_CATALOGUE = (
    """
    SELECT 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public'
    """,
    """
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
)


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """A database without any table: on SQLite and on PostgreSQL."""
    database = Database(empty_url)
    yield database
    database.close()


def catalogue(database: Database) -> set[tuple[object, ...]]:
    """Return all that the database itself says of its tables, columns, constraints and indexes."""
    queries = (SQLITE_CATALOGUE,) if database.dialect == "sqlite" else POSTGRES_CATALOGUE
    with database.read() as session:
        rows = [tuple(row) for query in queries for row in session.execute(text(query))]
    return {row for row in map(_plain, rows) if "alembic_version" not in row and not _of_revisions(row)}


def _of_revisions(row: tuple[object, ...]) -> bool:
    """Whether revisions alone make it: words and lists of people; ``tests/audience`` tries it."""
    return any(isinstance(value, str) and migrations.is_of_revisions(value) for value in row)


def _plain(row: tuple[object, ...]) -> tuple[object, ...]:
    """Drop what only says how a statement was laid out: white space, quotes, the order of a table's lines."""
    return tuple(_statement(value) if isinstance(value, str) else value for value in row)


def _statement(sql: str) -> str:
    lines = re.split(r",(?![^()]*\))|[\n\t]+|\)$", sql.replace('"', ""))  # SQLite adds columns at its end
    return "\n".join(sorted(line.strip() for line in lines if line.strip()))


def test_revisions_make_what_the_models_say(empty: Database) -> None:
    """Tables made by the revisions equal tables made from the models, to the last check and index."""
    migrations.upgrade(empty)
    revised = catalogue(empty)
    with empty.write() as session:
        migrations.models().drop_all(session.connection())
        migrations.models().create_all(session.connection())
    assert revised == catalogue(empty)
    assert len(revised) > 30


def _known(name: str | None, kind: str, _parents: object) -> bool:
    return not migrations.is_of_revisions(name or "")


def test_alembic_finds_nothing_to_change(database: Database) -> None:
    """Autogeneration over the newest revision writes an empty one."""
    with database.read() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "include_name": _known}
        )
        assert compare_metadata(context, migrations.models()) == []


def test_upgrading_twice_changes_nothing(empty: Database) -> None:
    """The second start finds the schema in place."""
    migrations.upgrade(empty)
    before = catalogue(empty)
    migrations.upgrade(empty)
    assert catalogue(empty) == before
    assert migrations.current(empty) == migrations.head()


def test_processes_that_start_at_once_upgrade_once(empty_url: str) -> None:
    """Web, worker and beat start together on an empty database: each finds the whole schema."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(4) as pool:
        assert pool.map(_upgrade, [empty_url] * 4) == [migrations.head()] * 4
        pool.close()
        pool.join()


def test_an_upgrade_keeps_every_row(empty: Database) -> None:
    """A row in each table of the first release, each pointing to others: all are there afterwards."""
    with empty.reshape() as session:
        command.upgrade(migrations.config(session.connection()), "0001")
    first = MetaData()
    first.reflect(empty.engine)
    tables = [table for table in first.sorted_tables if table.name != "alembic_version"]
    with empty.write() as session:
        for table in tables:
            session.execute(table.insert().values({it.name: _some(it) for it in table.columns if _asked(it)}))
    migrations.upgrade(empty)
    with empty.read() as session:
        counts = {it.name: session.scalar(select(func.count()).select_from(it)) for it in tables}
    assert counts == dict.fromkeys(counts, 1)
    assert len(counts) > 30


def _asked(column: Column[Any]) -> bool:
    return not column.nullable or bool(column.foreign_keys)


def _some(column: Column[Any]) -> object:
    """A value of the column's type; all numbers are 1, so that every key finds its row."""
    kind = column.type.python_type
    if column.name == "role":
        return "partner"  # who has a partner must be a partner's manager
    if column.name == "public_id":
        return UUID(int=1) if kind is UUID else UUID(int=1).hex
    values: dict[type, object] = {int: 1, str: "ab", bool: False, float: 1.0, bytes: b"", object: {}}
    return {**values, datetime: NOON, date: NOON.date()}[kind]


def _upgrade(url: str) -> str | None:
    database = Database(url)
    try:
        migrations.upgrade(database)
        return migrations.current(database)
    finally:
        database.close()


def test_a_failed_upgrade_leaves_nothing_behind(empty: Database) -> None:
    """A revision that fails half-way is undone whole: the next start begins from the beginning."""
    with empty.write() as session:
        session.execute(text("CREATE TABLE users (id INTEGER)"))  # in the way of the first revision
    before = catalogue(empty)
    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(empty)
    assert catalogue(empty) == before
    assert migrations.current(empty) is None


def test_a_newer_database_is_refused(sqlite_database: Database) -> None:
    """An older mailer does not touch what a newer one has changed."""
    with sqlite_database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.NewerSchema, match="install that version"):
        migrations.upgrade(sqlite_database)


def test_check_changes_nothing(empty: Database) -> None:
    """Asking for the state of an empty database leaves it empty and says what to do."""
    with pytest.raises(migrations.OlderSchema, match="mailer db upgrade"):
        migrations.check(empty)
    assert catalogue(empty) == set()


def test_file_names_say_the_order_that_alembic_knows() -> None:
    """The newest revision is known without loading Alembic."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_heads() == [migrations.head()]
    assert {revision.revision for revision in script.walk_revisions()} == migrations.revisions()


def test_a_current_database_is_left_without_loading_alembic(sqlite_database: Database) -> None:
    """Every command upgrades first: where nothing is to do it must cost next to nothing."""
    program = (
        "import sys; from mailer import migrations; from mailer.database import Database;"
        f"migrations.upgrade(Database({sqlite_database.engine.url.render_as_string()!r}));"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_asking_from_the_shell_makes_no_database(tmp_path: Path) -> None:
    """`db check` and `db heartbeat` on an empty folder say what to do and leave it empty."""
    for question in ("check", "heartbeat"):
        answer = CliRunner().invoke(cli, ["--data", str(tmp_path / "new"), "db", question])
        assert isinstance(answer.exception, migrations.OlderSchema)
    assert list(tmp_path.iterdir()) == []


def test_the_shell_upgrades_and_checks(tmp_path: Path) -> None:
    """`db upgrade` makes what `db check` asks for; nobody sweeps it yet."""
    for question in ("upgrade", "check"):
        answer = CliRunner().invoke(cli, ["--data", str(tmp_path), "db", question])
        assert (answer.exit_code, migrations.head() in answer.output) == (0, True)
    answer = CliRunner().invoke(cli, ["--data", str(tmp_path), "db", "heartbeat"])
    assert isinstance(answer.exception, NoHeartbeat)


@pytest.mark.postgres
def test_rows_go_and_numbering_begins_anew(postgres_url: str) -> None:
    """The tests' own broom: between two tests every table of PostgreSQL is emptied."""
    database = Database(postgres_url)
    insert = "INSERT INTO segments (name, rule, created_at) VALUES ('all', 'everyone', now()) RETURNING id"
    with database.write() as session:
        assert session.execute(text(insert)).scalar() == 1
    servers.empty_tables(postgres_url)
    with database.write() as session:
        assert session.execute(text(insert)).scalar() == 1
    database.close()
