"""Cases, which the bounce inbox lists, and an admin's own rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "own_rules",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=True),
        sa.Column("code", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("dead", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.String(length=320), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=320), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_rules")),
    )
    op.create_table(
        "cases",
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("campaign_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("partner_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("judges", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("settled_by", sa.String(length=320), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_cases_event_id_events")),
        sa.ForeignKeyConstraint(["judges"], ["events.id"], name=op.f("fk_cases_judges_events")),
        sa.ForeignKeyConstraint(["rule_id"], ["own_rules.id"], name=op.f("fk_cases_rule_id_own_rules")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_cases")),
    )
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.create_index("ix_cases_at", ["at", "event_id"], unique=False)
        batch_op.create_index(
            "ix_cases_campaign", ["campaign_id", "category", "at", "event_id"], unique=False
        )
        batch_op.create_index("ix_cases_campaign_at", ["campaign_id", "at", "event_id"], unique=False)
        batch_op.create_index("ix_cases_category", ["category", "at", "event_id"], unique=False)
        batch_op.create_index("ix_cases_judges", ["judges"], unique=False)
        batch_op.create_index("ix_cases_kind", ["kind", "category", "at", "event_id"], unique=False)
        batch_op.create_index("ix_cases_letter", ["campaign_id", "n"], unique=False)
        batch_op.create_index(
            "ix_cases_open",
            ["at", "event_id"],
            unique=False,
            postgresql_where=sa.text("open"),
            sqlite_where=sa.text("open"),
        )
        batch_op.create_index(
            "ix_cases_open_category",
            ["category", "at", "event_id"],
            unique=False,
            postgresql_where=sa.text("open"),
            sqlite_where=sa.text("open"),
        )
        batch_op.create_index("ix_cases_partner", ["partner_id", "category", "at", "event_id"], unique=False)
        batch_op.create_index("ix_cases_provider", ["provider", "category", "at", "event_id"], unique=False)
        batch_op.create_index("ix_cases_rule", ["rule_id", "at", "event_id"], unique=False)
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index("ix_decisions_action", ["action", "event_id"], unique=False)
    op.execute(
        """
        INSERT INTO cases (event_id, kind, at, campaign_id, n, category, provider, partner_id, reason, open)
        SELECT events.id, events.kind, events.at, events.campaign_id, events.n,
               coalesce(events.category, 'unknown'), deliveries.provider, deliveries.partner_id, '',
               events.kind = 'bounce' AND coalesce(events.category, 'unknown') IN ('unknown', 'technical')
        FROM events
        JOIN deliveries ON deliveries.campaign_id = events.campaign_id AND deliveries.n = events.n
        WHERE events.kind IN ('bounce', 'delay', 'complaint', 'auto_reply')
        """
    )
