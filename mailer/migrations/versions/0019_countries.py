"""A million people are no trouble: found by country, counted by indexes alone; partners find theirs by words.

What partners look for is kept in words that begin with the partner's number (p12xann): one partner's search
meets no other's people, and takes no longer for them. Triggers on memberships and addresses keep them: who
rebuilds one of these tables on SQLite has to make its triggers anew. ``tests/audience/test_members.py``
notices.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"

_IN_ADDRESSES = ".@-_+!#$%&'*/=?^`{|}~"  # RFC 5322 section 3.2.3
_IN_NAMES = ".-'’·,()\"&/+，、（）\u3000"  # SQLite replaces them one by one, and no more at once
_NAMED = (
    "{row}.name_en || ' ' || {row}.name_zh"
    " || ' ' || substr({row}.name_zh, 2) || ' ' || substr({row}.name_zh, 3)"
)
_WHOLE = (  # of every membership
    "INSERT INTO member_words ({columns}) SELECT memberships.id, {words} FROM memberships"
    " JOIN subscribers ON subscribers.id = memberships.subscriber_id"
)
_OF_NEW = "SELECT new.id, {words} FROM subscribers WHERE subscribers.id = new.subscriber_id"
_THEIRS = "(SELECT id FROM memberships WHERE subscriber_id = new.id)"


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_subscribers_country", "subscribers", ["country", "address_key"], unique=False)
    op.drop_index("ix_subscribers_address_hash", "subscribers")
    op.create_index("ix_subscribers_address_hash", "subscribers", ["address_hash", "id"], unique=False)
    current = ["partner_id", "ended_at", "confirmed_at", "paused_until", "subscriber_id"]
    op.create_index("ix_memberships_current", "memberships", current, unique=False)
    for statement in _on_sqlite() if op.get_bind().dialect.name == "sqlite" else _on_postgres():
        op.execute(statement)


def _on_sqlite() -> list[str]:
    def plain(told: str, signs: str) -> str:
        for sign in signs:
            told = "replace({}, '{}', ' ')".format(told, sign.replace("'", "''"))
        return told

    def words(row: str) -> str:
        address = plain("coalesce(subscribers.address_key, '')", _IN_ADDRESSES)
        told = f"' ' || {address} || ' ' || {plain(_NAMED.format(row=row), _IN_NAMES)}"
        return f"replace({told}, ' ', ' p' || {row}.partner_id || 'x')"

    learn = f"INSERT INTO member_words (rowid, words) {_OF_NEW.format(words=words('new'))};"
    forget = "DELETE FROM member_words WHERE rowid = old.id;"
    whole = _WHOLE.format(columns="rowid, words", words=words("memberships"))
    anew = f"DELETE FROM member_words WHERE rowid IN {_THEIRS};"  # noqa: S608 - ours
    return [
        "CREATE VIRTUAL TABLE member_words USING fts5(words)",
        whole,
        f"CREATE TRIGGER member_words_new AFTER INSERT ON memberships BEGIN {learn} END",
        f"CREATE TRIGGER member_words_gone AFTER DELETE ON memberships BEGIN {forget} END",
        "CREATE TRIGGER member_words_changed AFTER UPDATE OF partner_id, subscriber_id, name_en, name_zh"
        f" ON memberships BEGIN {forget} {learn} END",
        "CREATE TRIGGER member_words_elsewhere AFTER UPDATE OF address_key ON subscribers"
        f" BEGIN {anew} {whole} WHERE memberships.subscriber_id = new.id; END",
    ]


def _on_postgres() -> list[str]:
    def words(row: str) -> str:
        told = f"coalesce(subscribers.address_key, '') || ' ' || {_NAMED.format(row=row)}"
        return f"member_words_of({row}.partner_id, {told})"

    signs = "".join({**dict.fromkeys(_IN_ADDRESSES), **dict.fromkeys(_IN_NAMES)})

    def function(body: str) -> str:
        return f"RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$"

    into = "INSERT INTO member_words (membership_id, words)"
    whole = _WHOLE.format(columns="membership_id, words", words=words("memberships"))
    many = whole.replace("FROM memberships", "FROM written AS memberships")
    anew = "ON CONFLICT (membership_id) DO UPDATE SET words = excluded.words"
    one = f"{into} {_OF_NEW.format(words=words('new'))} {anew}"
    gone = "DELETE FROM member_words USING gone WHERE member_words.membership_id = gone.id"
    changed = " OR ".join(
        f"old.{each} IS DISTINCT FROM new.{each}"
        for each in ("partner_id", "subscriber_id", "name_en", "name_zh")
    )
    return [
        "CREATE TABLE member_words (membership_id bigint CONSTRAINT pk_member_words PRIMARY KEY,"
        " words tsvector NOT NULL)",
        "CREATE FUNCTION member_words_of(partner bigint, told text) RETURNS tsvector IMMUTABLE LANGUAGE sql"
        " RETURN to_tsvector('simple'::regconfig, replace(' ' || translate(told,"
        " '{}', '{}'), ' ', ' p' || partner || 'x'))".format(signs.replace("'", "''"), " " * len(signs)),
        whole,
        "CREATE INDEX ix_member_words ON member_words USING gin (words)",
        f"CREATE FUNCTION member_words_new() {function(many)}",
        "CREATE TRIGGER member_words_new AFTER INSERT ON memberships REFERENCING NEW TABLE AS written"
        " FOR EACH STATEMENT EXECUTE FUNCTION member_words_new()",
        f"CREATE FUNCTION member_words_gone() {function(gone)}",
        "CREATE TRIGGER member_words_gone AFTER DELETE ON memberships REFERENCING OLD TABLE AS gone"
        " FOR EACH STATEMENT EXECUTE FUNCTION member_words_gone()",
        f"CREATE FUNCTION member_words_changed() {function(one)}",
        "CREATE TRIGGER member_words_changed AFTER UPDATE ON memberships FOR EACH ROW"
        f" WHEN ({changed}) EXECUTE FUNCTION member_words_changed()",
        "CREATE FUNCTION member_words_elsewhere() "
        + function(f"{whole} WHERE memberships.subscriber_id = new.id {anew}"),
        "CREATE TRIGGER member_words_elsewhere AFTER UPDATE OF address_key ON subscribers FOR EACH ROW"
        " WHEN (old.address_key IS DISTINCT FROM new.address_key) EXECUTE FUNCTION member_words_elsewhere()",
    ]
