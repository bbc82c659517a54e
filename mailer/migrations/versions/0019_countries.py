"""A million people are no trouble: found by country, counted by indexes alone."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_subscribers_country", "subscribers", ["country", "address_key"], unique=False)
    op.drop_index("ix_subscribers_address_hash", "subscribers")
    op.create_index("ix_subscribers_address_hash", "subscribers", ["address_hash", "id"], unique=False)
    current = ["partner_id", "ended_at", "confirmed_at", "paused_until", "subscriber_id"]
    op.create_index("ix_memberships_current", "memberships", current, unique=False)
