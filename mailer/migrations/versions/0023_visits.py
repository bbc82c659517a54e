"""People's opens and clicks have an index of their own: reports count in it alone."""

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
