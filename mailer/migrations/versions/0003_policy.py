"""Policy: settings, held and undone decisions, storms, dormant addresses, alerts; suppressions by sender."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "policy_settings",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("set_by", sa.String(length=320), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_policy_settings")),
    )
    op.create_table(
        "tallies",
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destination", sa.String(length=255), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("slot", "destination", "category", name=op.f("pk_tallies")),
    )
    op.create_table(
        "storms",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("destination", sa.String(length=255), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bad", sa.Integer(), nullable=False),
        sa.Column("letters", sa.Integer(), nullable=False),
        sa.Column("usual", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=320), nullable=False),
        sa.Column("believed_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storms")),
    )
    op.create_index(op.f("ix_storms_destination"), "storms", ["destination"])
    op.create_table(
        "alerts",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("campaign_id", _BIG, nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_table(
        "suppression_imports",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_imports")),
        sa.UniqueConstraint("public_id", name=op.f("uq_suppression_imports_public_id")),
    )
    op.create_table(
        "dormant",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("subscriber_id", _BIG, nullable=False),
        sa.Column("event_id", _BIG, nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_by", sa.String(length=320), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=320), nullable=False),
        sa.Column("answer", sa.String(length=20), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("suppression_id", _BIG, nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_dormant_event_id_events")),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscribers.id"], name=op.f("fk_dormant_subscriber_id_subscribers")
        ),
        sa.ForeignKeyConstraint(
            ["suppression_id"], ["suppressions.id"], name=op.f("fk_dormant_suppression_id_suppressions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dormant")),
    )
    op.create_index(op.f("ix_dormant_subscriber_id"), "dormant", ["subscriber_id"])
    with op.batch_alter_table("suppressions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sender", sa.String(length=320), nullable=True))
        batch_op.add_column(sa.Column("released_why", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("added_by", sa.String(length=320), server_default="", nullable=False))
        batch_op.add_column(sa.Column("import_id", _BIG, nullable=True))
        batch_op.create_index(batch_op.f("ix_suppressions_import_id"), ["import_id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_suppressions_import_id_suppression_imports"),
            "suppression_imports",
            ["import_id"],
            ["id"],
        )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("undone_by", sa.String(length=320), server_default="", nullable=False))
        batch_op.add_column(sa.Column("undone_why", sa.Text(), server_default="", nullable=False))
        batch_op.create_check_constraint(
            batch_op.f("ck_decisions_undoing_has_undoer"), "undone_at IS NULL OR undone_by <> ''"
        )
        for name, column in (
            ("ix_decisions_held", "until"),
            ("ix_decisions_suppression_id", "suppression_id"),
        ):
            there = sa.text(f"{column} IS NOT NULL")
            batch_op.create_index(name, [column], sqlite_where=there, postgresql_where=there)
