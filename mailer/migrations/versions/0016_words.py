"""A million people are found by words.

SQLite rebuilds a table by dropping it, and its triggers with it: a later revision that does so with
``subscribers`` has to make the triggers anew. ``tests/audience/test_finding.py`` notices.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

_SIGNS = "!\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~"
_BLANKS = " " * (len(_SIGNS) - 1)
_WORDS = (
    "to_tsvector('simple'::regconfig, translate(coalesce(address_key, '') || ' ' || name_en || ' ' || name_zh"
    " || ' ' || substr(name_zh, 2) || ' ' || substr(name_zh, 3), "
    f"'{_SIGNS}', '{_BLANKS}'))"
)
_OF = (
    "coalesce({row}.address_key, '') || ' ' || {row}.name_en || ' ' || {row}.name_zh"
    " || ' ' || substr({row}.name_zh, 2) || ' ' || substr({row}.name_zh, 3)"
)
_OLD, _NEW = _OF.format(row="old"), _OF.format(row="new")
_INTO = "INSERT INTO subscriber_words"
_FORGET = f"{_INTO} (subscriber_words, rowid, words) VALUES ('delete', old.id, {_OLD});"
_LEARN = f"{_INTO} (rowid, words) VALUES (new.id, {_NEW});"
_ON_SQLITE = (
    "CREATE VIRTUAL TABLE subscriber_words USING fts5(words, content='')",
    f"{_INTO} (rowid, words) SELECT id, {_OF.format(row='subscribers')} FROM subscribers",  # noqa: S608 - ours
    f"CREATE TRIGGER subscriber_words_new AFTER INSERT ON subscribers BEGIN {_LEARN} END",
    f"CREATE TRIGGER subscriber_words_gone AFTER DELETE ON subscribers BEGIN {_FORGET} END",
    "CREATE TRIGGER subscriber_words_changed AFTER UPDATE OF address_key, name_en, name_zh ON subscribers"
    f" BEGIN {_FORGET} {_LEARN} END",
)


def upgrade() -> None:
    """Make the change."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in _ON_SQLITE:
            op.execute(statement)
    else:
        op.execute(f"CREATE INDEX ix_subscribers_words ON subscribers USING gin ({_WORDS})")
