"""People: pauses, how often, a partner's topics for its people, thematic groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the change."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.add_column(sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("every_days", sa.Integer(), nullable=True))
    op.create_table(
        "membership_topics",
        sa.Column("membership_id", number, nullable=False),
        sa.Column("topic_id", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["membership_id"],
            ["memberships.id"],
            name=op.f("fk_membership_topics_membership_id_memberships"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["topic_id"], ["topics.id"], name=op.f("fk_membership_topics_topic_id_topics")
        ),
        sa.PrimaryKeyConstraint("membership_id", "topic_id", name=op.f("pk_membership_topics")),
    )
    op.create_index(op.f("ix_membership_topics_topic_id"), "membership_topics", ["topic_id"], unique=False)
    op.create_table(
        "partner_groups",
        sa.Column("partner_id", number, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["partner_id"], ["partners.id"], name=op.f("fk_partner_groups_partner_id_partners")
        ),
        sa.PrimaryKeyConstraint("partner_id", "code", name=op.f("pk_partner_groups")),
    )
    op.create_index(op.f("ix_partner_groups_code"), "partner_groups", ["code"], unique=False)
