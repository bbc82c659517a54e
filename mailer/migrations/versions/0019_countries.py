"""A million people are no trouble: found by country."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_subscribers_country", "subscribers", ["country", "address_key"], unique=False)
