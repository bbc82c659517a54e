"""Segments: what each is for, and which campaigns took their audience from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the change."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
    # SQLite rebuilds the table, and reads the default '' of this column back as ('')
    window = sa.Column("window", sa.String(length=200), server_default="", nullable=False)
    with op.batch_alter_table("campaigns", schema=None, reflect_args=(window,)) as batch_op:
        batch_op.add_column(sa.Column("segment_id", number, nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_campaigns_segment_id_segments"),
            "segments",
            ["segment_id"],
            ["id"],
            ondelete="SET NULL",
        )
        batch_op.create_index(batch_op.f("ix_campaigns_segment_id"), ["segment_id"], unique=False)
