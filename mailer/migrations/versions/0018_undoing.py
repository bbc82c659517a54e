"""Imports are undone by workers; how the consent of people in a file is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("undo_asked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("undo_asked_by", sa.String(length=320), server_default="", nullable=False)
        )
        for name in ("to_undo", "restored", "kept"):
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.String(length=200), server_default="", nullable=False))
    op.execute("UPDATE imports SET undo_asked_at = undone_at")
