"""The suppression list: added by hand, found again, released, and only as far as it was meant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.address import BadAddress
from mailer.audience import silenced, suppressions
from mailer.audience.silenced import State
from mailer.audience.store import Subscriber, Suppression
from mailer.audience.suppressions import BadUntil, NoReason, NoSuppression, Scope, Silence
from mailer.database import Database
from tests.make import KEYS, NOON, Make

DAY = timedelta(days=1)
ANN = Actor(None, "ann@example.org")


def add(database: Database, address: str = "ben@example.org", **given: object) -> int:
    facts = {"note": "asked by telephone", "now": NOON, "actor": ANN, "keys": KEYS, **given}
    with database.write() as session:
        return suppressions.add(session, address=address, **facts)  # type: ignore[arg-type]


def found(database: Database, search: str = "", **given: object) -> list[int]:
    facts = {"now": NOON, "keys": KEYS, **given}
    with database.read() as session:
        rows, total = suppressions.listing(session, search=search, **facts)  # type: ignore[arg-type]
    assert total == len(rows)
    return [row.id for row in rows]


def test_a_person_silences_an_address_and_says_why(database: Database, make: Make) -> None:
    """In any spelling, a reader's or not; the log names no address."""
    id = add(database, " Ben@Example.ORG ")
    with database.read() as session:
        made = suppressions.get(session, id)
        [entry] = audit.entries(session)
    assert (made.reason, made.note, made.added_by) == ("manual", "asked by telephone", ANN.name)
    assert made.address_hash == KEYS.address_hash("ben@example.org")
    assert (entry.action, "ben" in str(entry.after)) == ("suppression.add", False)


def test_the_same_said_twice_is_said_once_and_the_longer_end_counts(database: Database, make: Make) -> None:
    """Two people at two desks; another scope is something else."""
    id = add(database, until=NOON + DAY)
    assert add(database, until=NOON + 2 * DAY) == id
    assert add(database, until=NOON + DAY) == id
    with database.read() as session:
        assert suppressions.get(session, id).until == NOON + 2 * DAY
    assert add(database) == id
    assert add(database, until=NOON + DAY) == id
    with database.read() as session:
        assert suppressions.get(session, id).until is None
    assert add(database, scope=Scope(make.publication().id)) != id


def test_many_are_silenced_at_once_each_once(database: Database, make: Make) -> None:
    """The ids come in order, whether made now or known before."""
    hashes = [KEYS.address_hash(f"{number}@example.org") for number in (1, 2, 1, 3)]
    with database.write() as session:
        [known] = suppressions.suppress_many(
            session, [Silence(address_hash=hashes[3], reason="bad_mailbox", note="")], now=NOON
        )
        wanted = [Silence(address_hash=it, reason="bad_mailbox", note=str(n)) for n, it in enumerate(hashes)]
        ids = suppressions.suppress_many(session, wanted, now=NOON)
        notes = [suppressions.get(session, id).note for id in ids]
    assert (ids[0] == ids[2], ids[3] == known, len(set(ids))) == (True, True, 3)
    assert notes == ["0", "1", "0", ""]


def test_what_cannot_be_meant_is_refused(database: Database, make: Make) -> None:
    """Each says what is wrong, and nothing is written."""
    with pytest.raises(BadAddress):
        add(database, "ben")
    with pytest.raises(NoReason):
        add(database, note=" ")
    with pytest.raises(NoReason):
        add(database, reason="reputation")  # about us: it never silences anybody
    with pytest.raises(BadUntil):
        add(database, until=NOON)
    assert found(database) == []


def test_it_binds_what_it_is_meant_for(database: Database, make: Make) -> None:
    """Everywhere, one publication, or whatever has that sender."""
    one, other = make.publication("observer"), make.publication("digest")
    scopes = {
        "all@example.org": Scope(),
        "one@example.org": Scope(publication_id=one.id),
        "sender@example.org": Scope(sender="digest@news.example"),
        "both@example.org": Scope(publication_id=one.id, sender="digest@news.example"),
    }
    for address, scope in scopes.items():
        make.subscriber(address)
        add(database, address, scope=scope)
    make.subscriber("free@example.org")

    def silent(publication_id: int) -> set[str]:
        with database.read() as session:
            condition = suppressions.in_force(NOON, publication_id)
            return {str(it) for it in session.scalars(select(Subscriber.address).where(condition))}

    assert silent(one.id) == {"all@example.org", "one@example.org", "both@example.org"}
    assert silent(other.id) == {"all@example.org", "sender@example.org", "both@example.org"}


def test_the_list_is_searched_by_address_and_by_its_beginning(database: Database, make: Make) -> None:
    """A whole address is found by its hash, whoever it belongs to; a beginning, where it is still known."""
    make.subscriber("ann@example.org")
    make.subscriber("anna_b@example.org")
    ann, anna, stranger = (add(database, f"{name}@example.org") for name in ("ann", "anna_b", "stranger"))
    assert found(database) == [stranger, anna, ann]
    assert found(database, "ANN") == [anna, ann]
    assert found(database, "ann@example.org") == [ann]
    assert found(database, "anna_") == [anna]
    assert found(database, "stranger@example.org") == [stranger]
    assert found(database, "stranger") == []
    assert found(database, "%") == []


def test_the_list_is_filtered_by_reason_and_state(database: Database, make: Make) -> None:
    """In force, over, or all of them; each reason with its number."""
    full, manual = add(database, reason="mailbox_full"), add(database, "b@example.org", until=NOON + DAY)
    gone = make.suppression("c@example.org").id
    with database.write() as session:
        suppressions.release(session, gone, NOON, ANN, "a mistake")
    assert found(database) == [manual, full] or found(database) == [full, manual]
    assert found(database, reason="mailbox_full") == [full]
    assert found(database, state=State.OVER) == [gone]
    assert set(found(database, state=State.OVER, now=NOON + 2 * DAY)) == {gone, manual}
    assert len(found(database, state=State.ALL)) == 3
    with database.read() as session:
        assert suppressions.reasons(session, NOON) == {"mailbox_full": 1, "manual": 1}


def test_what_was_said_twice_at_once_is_released_at_once(database: Database, make: Make) -> None:
    """Two processes may both find nothing said; a reader who is released is not to stay silenced by that."""
    ann = make.subscriber("ann@example.org")
    here = make.publication().id
    wanted = [(None, "bad_mailbox"), (None, "bad_mailbox"), (None, "manual"), (here, "bad_mailbox")]
    with database.write() as session:
        rows = [
            {"address_hash": ann.address_hash, "reason": reason, "publication_id": publication, "note": "",
             "since": NOON}
            for publication, reason in wanted
        ]  # fmt: skip
        first, twin, *others = silenced.add(session, rows)
        suppressions.release(session, first, NOON, ANN)
    with database.read() as session:
        standing = [row.id for row in suppressions.of_address(session, ann.address_hash, NOON)]
        released = audit.entries(session, limit=10)
    assert standing == others
    assert {entry.subject for entry in released} == {f"suppression {first}", f"suppression {twin}"}


def test_a_release_is_remembered_and_done_once(database: Database, make: Make) -> None:
    """Who, when, why; counting begins anew from there, but not where the policy took its own word back."""
    id = add(database)
    other = make.suppression("c@example.org")
    with database.write() as session:
        suppressions.release(session, id, NOON, ANN, "she telephoned")
        suppressions.take_back(session, [other.id], why="a storm", now=NOON)
    with database.write() as session, pytest.raises(NoSuppression):
        suppressions.release(session, id, NOON, ANN)
    with database.read() as session:
        rows = session.scalars(select(Suppression).order_by(Suppression.id)).all()
        assert [(it.released_by, it.released_why) for it in rows] == [
            (ANN.name, "she telephoned"), ("system", "a storm"),
        ]  # fmt: skip
        hashes = [it.address_hash for it in rows]
        assert suppressions.forgiven(session, hashes) == {hashes[0]: NOON}
