"""Who left or bounced in another system stays away: suppressions that came with an import of people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("suppressions") as batch_op:
        batch_op.add_column(sa.Column("people_import_id", _BIG, nullable=True))
        for empty in ("released_why", "added_by"):  # SQLite hands the default back in brackets
            batch_op.alter_column(empty, server_default="")
        batch_op.create_foreign_key(
            batch_op.f("fk_suppressions_people_import_id_imports"), "imports", ["people_import_id"], ["id"]
        )
    op.create_index(
        "ix_suppressions_people_import_id",
        "suppressions",
        ["people_import_id"],
        postgresql_where=sa.text("people_import_id IS NOT NULL"),
        sqlite_where=sa.text("people_import_id IS NOT NULL"),
    )
