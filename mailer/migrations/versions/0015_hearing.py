"""Hearing: mails that could not be stored, what is still to be done to those that were, tokens used once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("mailbox_seen", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owed", sa.String(length=10), server_default="", nullable=False))
    op.create_table(
        "mailbox_unstored",
        sa.Column("mailbox_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("uid", sa.String(length=200), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
            name=op.f("fk_mailbox_unstored_mailbox_id_mailboxes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "uid", name=op.f("pk_mailbox_unstored")),
    )
    op.create_table(
        "webhook_tokens",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("post", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_webhook_tokens")),
    )
    op.create_index(op.f("ix_webhook_tokens_at"), "webhook_tokens", ["at"], unique=False)
    there = sa.text("suppression_id IS NOT NULL")
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index("ix_decisions_silenced", ["at"], sqlite_where=there, postgresql_where=there)
    with op.batch_alter_table("answers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("passed_to", sa.String(length=320), server_default="", nullable=False))
        batch_op.add_column(sa.Column("passed_at", sa.DateTime(timezone=True), nullable=True))
