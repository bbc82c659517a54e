"""Reports: people's opens and clicks have an index of their own; a person's letters are found by campaign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Make the change."""
    visits = sa.text("kind IN ('open', 'click') AND substr(detail, 1, 7) <> 'machine'")
    op.create_index(
        "ix_events_visits", "events", ["campaign_id", "n", "kind"],
        postgresql_where=visits, sqlite_where=visits,
    )  # fmt: skip
    op.drop_index("ix_deliveries_subscriber_id", "deliveries")
    op.create_index("ix_deliveries_subscriber_id", "deliveries", ["subscriber_id", "campaign_id"])
