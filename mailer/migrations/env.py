"""What Alembic runs around revisions: over the caller's connection, inside the caller's transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from mailer import migrations


def render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our own types as SQLAlchemy's: a revision must not change when the code does."""
    if kind == "type" and isinstance(item, TypeDecorator) and type(item).__module__.startswith("mailer."):
        return f"sa.{item.impl_instance!r}"
    if kind == "type" and isinstance(item, JSONB):
        return "postgresql.JSONB()"  # Alembic would write a Text() that nothing imports
    return False


def known(name: str | None, kind: str, _parents: object) -> bool:
    """Say whether the models know of it: what finds people by words they do not, see revision 0009."""
    return not migrations.is_of_revisions(name or "")


def run(connection: Connection) -> None:
    """Run the revisions that were asked for."""
    context.configure(
        connection=connection,
        target_metadata=migrations.models() if context.config.attributes.get("compare") else None,
        render_item=render,
        include_name=known,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,  # SQLite as well: our connections begin by themselves, not the driver
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
