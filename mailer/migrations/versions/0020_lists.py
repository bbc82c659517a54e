"""Lists of a million people: who is on a page is found in an index alone; indexes of NULLs are gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_FEW = (("subscribers", "merged_into"), ("memberships", "replaces_id"))  # columns that are NULL but for a few


def upgrade() -> None:
    """Make the change."""
    for table, column in _FEW:
        op.drop_index(f"ix_{table}_{column}", table)
        _index(f"ix_{table}_{column}", table, [column], f"{column} IS NOT NULL")
    columns = ["state", "subscriber_id"]
    _index("ix_subscriptions_not_confirmed", "subscriptions", columns, "state <> 'confirmed'")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("uq_subscribers_address_key", "subscribers", type_="unique")
        op.execute(
            "ALTER TABLE subscribers ADD CONSTRAINT uq_subscribers_address_key"
            " UNIQUE (address_key) INCLUDE (id, merged_into, address_hash)"
        )


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    kept = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=kept, sqlite_where=kept)
