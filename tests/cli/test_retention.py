"""``mailer retention``: a dry run, a run, and periods."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from tests.shell import Person, Said


def told_by(said: Said) -> list[Any]:
    return [json.loads(line) for line in said.out.splitlines()]


def test_a_dry_run_counts_and_a_run_forgets(mailer: Person) -> None:
    """One object per kind on standard output."""
    mailer("db", "upgrade")
    database = Database(f"sqlite:///{mailer.folder / 'data' / 'mailer.db'}")
    with database.write() as session:
        old = datetime.now(UTC) - timedelta(days=1_200)
        audit.record(session, now=old, actor=SYSTEM, action="a.b", subject="c")
    database.close()
    for options in (("--dry-run",), ()):
        told = {each["key"]: each for each in told_by(mailer("retention", "run", "--json", *options))}
        assert told["audit"]["forgotten"] == 1
        assert told["audit"]["dry_run"] == bool(options)
    told = {each["key"]: each for each in told_by(mailer("retention", "list", "--json"))}
    assert (told["audit"]["days"], told["audit"]["forgotten"]) == (1_095, 1)


def test_a_period_is_set_for_a_time_or_for_ever(mailer: Person) -> None:
    """What is too short is refused in a sentence."""
    assert mailer("retention", "set", "audit", "forever").status == 0
    told = {each["key"]: each["days"] for each in told_by(mailer("retention", "list", "--json"))}
    assert told["audit"] is None
    refused = mailer("retention", "set", "audit", "3")
    assert refused.status == 1
    assert "90 days at least" in refused.err
    assert mailer("retention", "set", "audit", "soon").status == 2
