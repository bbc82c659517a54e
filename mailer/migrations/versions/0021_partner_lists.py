"""A partner's list is read from an index: by address or name, and whose letters come back.

A membership repeats what its list goes by. Triggers on memberships and addresses keep it: who rebuilds one of
these tables on SQLite has to make its triggers anew. ``tests/audience/test_partner_lists.py`` notices.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_CURRENT = "ended_at IS NULL"
_BOUNCES = "released_at IS NULL AND reason IN ('bad_domain', 'bad_mailbox', 'inactive', 'mailbox_full')"
_INDEXES: dict[str, tuple[list[str], str]] = {
    "held": (["subscriber_id", "ended_at", "confirmed_at"], ""),
    "ended": (["ended_at"], "ended_at IS NOT NULL"),
    "by_name": (["called", "id"], _CURRENT),
    "by_address": (
        ["address_key", "language", "confirmed_at", "paused_until", "address_hash", "joined_at", "id"],
        _CURRENT,
    ),
}
_COLUMNS = "address_key, address_hash, called"
_MOVED = "address_key, address_hash"


def upgrade() -> None:
    """Make the change."""
    op.add_column("memberships", sa.Column("address_key", sa.String(length=320)))
    op.add_column("memberships", sa.Column("address_hash", sa.String(length=32)))
    op.add_column("memberships", sa.Column("called", sa.String(length=320)))
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(WRITTEN[op.get_bind().dialect.name])
    op.drop_index("ix_memberships_current", "memberships")
    for name, (columns, which) in _INDEXES.items():
        where = sa.text(which) if which else None
        op.create_index(
            f"ix_memberships_{name}", "memberships", ["partner_id", *columns],
            postgresql_where=where, sqlite_where=where,
        )  # fmt: skip
    bounces = sa.text(_BOUNCES)
    op.create_index(
        "ix_suppressions_bounces", "suppressions", ["address_hash", "since", "until"],
        postgresql_where=bounces, sqlite_where=bounces,
    )  # fmt: skip
    for statement in _on_sqlite() if sqlite else _on_postgres():
        op.execute(statement)


def _called(row: str, person: str = "subscribers") -> str:
    return f"lower(coalesce(nullif({row}.name_zh, ''), nullif({row}.name_en, ''), {person}.address_key))"


def _values(row: str) -> str:
    return f"subscribers.address_key, subscribers.address_hash, {_called(row)}"


def _written(which: str) -> str:
    """Return what writes the columns of memberships."""
    return (
        f"UPDATE memberships SET ({_COLUMNS}) = (SELECT {_values('memberships')}"  # noqa: S608 - ours
        f" FROM subscribers WHERE subscribers.id = memberships.subscriber_id) WHERE {which}"
    )


WRITTEN = {  # of all memberships
    "sqlite": _written("true"),
    "postgresql": f"UPDATE memberships SET ({_COLUMNS}) = ROW ({_values('memberships')})"  # noqa: S608 - ours
    " FROM subscribers WHERE subscribers.id = memberships.subscriber_id",  # at once, not row by row
}


def _on_sqlite() -> list[str]:
    own, theirs = "memberships.id = new.id", "memberships.subscriber_id = new.id"
    write = f"BEGIN {_written(own)}; END"
    return [
        f"CREATE TRIGGER memberships_listed_new AFTER INSERT ON memberships {write}",
        "CREATE TRIGGER memberships_listed AFTER UPDATE OF subscriber_id, name_zh, name_en ON memberships"
        f" {write}",
        f"CREATE TRIGGER memberships_listed_elsewhere AFTER UPDATE OF {_MOVED} ON subscribers"
        f" BEGIN {_written(theirs)}; END",
    ]


def _on_postgres() -> list[str]:
    # who gives the person another address at the same time is waited for: KEY SHARE, as of a foreign key;
    # who changes a name waits for nobody
    own = (
        f"SELECT {_values('new')} INTO new.address_key, new.address_hash, new.called"  # noqa: S608 - ours
        " FROM subscribers WHERE id = new.subscriber_id FOR KEY SHARE; RETURN new;"
    )
    named = f"new.called := {_called('new', 'new')}; RETURN new;"
    theirs = (
        "UPDATE memberships SET subscriber_id = subscriber_id"  # so that the other trigger runs
        " WHERE subscriber_id = new.id; RETURN NULL;"
    )
    return [
        _function("memberships_listed", own),
        "CREATE TRIGGER memberships_listed BEFORE INSERT OR UPDATE OF subscriber_id ON memberships"
        " FOR EACH ROW EXECUTE FUNCTION memberships_listed()",
        _function("memberships_listed_named", named),
        "CREATE TRIGGER memberships_listed_named BEFORE UPDATE OF name_zh, name_en ON memberships"
        " FOR EACH ROW EXECUTE FUNCTION memberships_listed_named()",
        _function("memberships_listed_elsewhere", theirs),
        f"CREATE TRIGGER memberships_listed_elsewhere AFTER UPDATE OF {_MOVED} ON subscribers FOR EACH ROW"
        " WHEN (old.address_key IS DISTINCT FROM new.address_key"
        " OR old.address_hash IS DISTINCT FROM new.address_hash)"
        " EXECUTE FUNCTION memberships_listed_elsewhere()",
    ]


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
