"""Loading: what is written in bulk reads back as it was."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from mailer.audience.store import Partner, PartnerKind
from mailer.loading import load, loading
from tests.make import NOON

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
SPECIAL = st.sampled_from(["\\N", "\\", "\t", "\n\r", "\\.", '"', "'", ",", "NULL", ""])


def rows(texts):
    """Partners of these names."""
    return [
        {
            "code": str(uuid7()), "name_zh": name, "name_en": "", "kind": PartnerKind.NGO, "country": "NO",
            "language": "en", "zone": None, "seats": None if n % 2 else n, "trusted": bool(n % 2),
            "created_at": NOON,
        }
        for n, name in enumerate(texts)
    ]  # fmt: skip


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT | SPECIAL, max_size=6))
def test_whatever_is_written_reads_back(database, texts):
    """Signs that COPY knows, what looks like nothing, any script; numbers, truth, instants, enumerations."""
    with database.write() as session:
        written = rows(texts)
        load(session, Partner.__table__, written)
        columns = [Partner.__table__.c[name] for name in (written[0] if written else ["code"])]
        query = select(*columns).where(Partner.code.in_([row["code"] for row in written]))
        assert [dict(row) for row in session.execute(query.order_by(Partner.id)).mappings()] == written
        session.rollback()


def test_where_nothing_is_written_nothing_is_begun(postgres_database):
    """A known person brought in alone opens no COPY."""
    with postgres_database.write() as session:
        server = session.connection().connection.driver_connection.pgconn
        with loading(session, Partner.__table__, ["code"]) as write:
            write([])
            assert server.transaction_status != TransactionStatus.ACTIVE


def test_what_the_database_refuses_is_an_error_without_the_row(database):
    """As from any other statement, and no value of a row stands in it."""
    written = rows(["same", "same"])
    written[1]["code"] = written[0]["code"]
    with pytest.raises(IntegrityError) as refused, database.write() as session:
        load(session, Partner.__table__, written)
    assert written[0]["code"] not in str(refused.value)


def test_an_instant_without_a_zone_is_refused(database):
    """A bug, not a value."""
    written = [{**rows(["x"])[0], "created_at": datetime(2026, 11, 20)}]  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="naive"), database.write() as session:
        load(session, Partner.__table__, written)
