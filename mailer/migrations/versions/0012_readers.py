"""Readers: sign-ups, changes of address, a welcome by mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the change."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    json = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")
    op.create_table(
        "sign_ups",
        sa.Column("id", number, nullable=False),
        sa.Column("publication_id", number, nullable=False),
        sa.Column("subscriber_id", number, nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("topics", json, nullable=False),
        sa.Column("names", json, nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.id"], name=op.f("fk_sign_ups_publication_id_publications")
        ),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscribers.id"], name=op.f("fk_sign_ups_subscriber_id_subscribers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ups")),
    )
    op.create_index(op.f("ix_sign_ups_subscriber_id"), "sign_ups", ["subscriber_id"], unique=False)
    op.create_table(
        "address_changes",
        sa.Column("id", number, nullable=False),
        sa.Column("subscriber_id", number, nullable=False),
        sa.Column("publication_id", number, nullable=False),
        sa.Column("address", sa.String(length=320), nullable=True),
        sa.Column("old_hash", sa.String(length=32), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["publications.id"],
            name=op.f("fk_address_changes_publication_id_publications"),
        ),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscribers.id"], name=op.f("fk_address_changes_subscriber_id_subscribers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_changes")),
    )
    op.create_index(
        op.f("ix_address_changes_subscriber_id"), "address_changes", ["subscriber_id"], unique=False
    )
    with op.batch_alter_table("subscribers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("address_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "publications", sa.Column("welcomes", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
