"""Migrations: bring a database to the schema this version works with (Alembic).

Revisions are numbered files in ``versions/``; ``0001`` makes the tables of the first release. To write the
next one after changing a ``store.py``::

    python -m mailer.migrations "what changes"

It compares the models with what the revisions make and writes the difference; read it before you commit.
``tests/test_migrations.py`` proves that revisions and models agree on both databases.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, MetaData, inspect, text

from mailer.database import Base, Database
from mailer.errors import MailerError

if TYPE_CHECKING:
    from alembic.config import Config

_HERE = Path(__file__).parent
_LOCK = 0x6D61696C6572  # "mailer": PostgreSQL's advisory lock while a schema changes


class NewerSchema(MailerError):
    """A newer mailer has changed this database: install that version, or restore a backup made before."""


class OlderSchema(MailerError):
    """The database is not at this version's schema: run `mailer db upgrade`."""


_NO_MODEL = (
    "subscriber_words", "ix_subscribers_words", "member_words", "ix_member_words", "memberships_listed",
)  # fmt: skip


def is_of_revisions(name: str) -> bool:
    """Say whether a table, index or trigger is made by revisions alone: no model can declare it."""
    return name.startswith(_NO_MODEL)


def upgrade(database: Database) -> None:
    """Bring the database to the newest revision, in one transaction; do nothing when it is there.

    Safe when several processes start at once: one changes the schema, the others wait and find it done.

    :raises NewerSchema: the database knows a revision that this version does not
    """
    models()  # whoever writes rows next needs every table a row may refer to
    if current(database) == head():
        return
    from alembic import command  # half the time of a short command: only when there is work

    with _alone(database) as connection:
        if _revision(connection) != head():
            command.upgrade(config(connection), "head")


def check(database: Database) -> None:
    """Raise unless the database is at the newest revision.

    :raises OlderSchema: it is behind, or empty
    :raises NewerSchema: it is ahead
    """
    if current(database) != head():
        raise OlderSchema


def current(database: Database) -> str | None:
    """Return the database's revision; None: it is empty.

    :raises NewerSchema: the database knows a revision that this version does not
    """
    with database.read() as session:
        return _revision(session.connection())


def head() -> str:
    """Return the newest revision: files are numbered in their order."""
    return max(revisions())


def models() -> MetaData:
    """Return the tables of every stage, each declared in its ``store.py``."""
    root = _HERE.parent
    for store in sorted(root.rglob("store.py")):
        importlib.import_module(".".join(("mailer", *store.relative_to(root).with_suffix("").parts)))
    return Base.metadata


def config(connection: Connection) -> Config:
    """Return Alembic's configuration for revisions run over ``connection``, in its transaction."""
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["connection"] = connection
    return found


def revisions() -> set[str]:
    return {file.name[:4] for file in (_HERE / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")}


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and found not in revisions():
        raise NewerSchema
    return found


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction that no other process's upgrade runs beside: on SQLite, BEGIN IMMEDIATE sees to it."""
    with database.reshape() as session:
        if database.dialect == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield session.connection()
