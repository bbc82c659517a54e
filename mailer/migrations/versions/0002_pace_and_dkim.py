"""Pace and DKIM."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "dkim_keys",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("selector", sa.String(length=63), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signs_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("domain", "selector", name=op.f("pk_dkim_keys")),
    )
    op.create_table(
        "limits",
        sa.Column("lane", sa.String(length=255), nullable=False),
        sa.Column("per_second", sa.Double(), nullable=True),
        sa.Column("per_hour", sa.Integer(), nullable=True),
        sa.Column("connections", sa.Integer(), nullable=True),
        sa.Column("letters", sa.Integer(), nullable=True),
        sa.Column("set_by", sa.String(length=320), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_limits")),
    )
    op.create_table(
        "mail_domains",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("looked_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_mail_domains")),
    )
    op.create_table(
        "slowdowns",
        sa.Column("lane", sa.String(length=255), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_slowdowns")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_attempts_campaign_id_deliveries"), type_="foreignkey")

    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lane", sa.String(length=255), server_default="", nullable=False))

    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.add_column(sa.Column("window", sa.String(length=200), server_default="", nullable=False))
        batch_op.add_column(sa.Column("local_time", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sa.String(length=40), server_default="", nullable=False))
        batch_op.drop_constraint(batch_op.f("fk_deliveries_partner_id_partners"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_deliveries_campaign_id_campaigns"), type_="foreignkey")

    with op.batch_alter_table("publications", schema=None) as batch_op:
        batch_op.add_column(sa.Column("window", sa.String(length=200), server_default="", nullable=False))

    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "letters",
                sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
                server_default="0",
                nullable=False,
            )
        )
        batch_op.add_column(sa.Column("composing", sa.Double(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("wire", sa.Double(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("recording", sa.Double(), server_default="0", nullable=False))

    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE deliveries SET (fillfactor = 50)")
