"""Finding: people by words of their addresses and names, few or a million."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy import delete, event, select, text, update

from mailer.audience import finding, selection, subscribers
from mailer.audience.store import Subscriber, Subscription
from mailer.patience import TooSlow
from tests.make import NOON


@pytest.fixture(params=["looked at", "by the index"])
def how(request, monkeypatch):
    """A few people are looked at one by one; with more the index is asked: the answers are the same."""
    if request.param == "by the index":
        monkeypatch.setattr(finding, "_LOOK", 1)
        monkeypatch.setattr(finding, "_COMMON", 2)
    return request.param


@pytest.fixture
def people(make):
    """Three people."""
    make.subscriber("ann.lee-smith@example.org", name_en="Ann Lee")
    make.subscriber("garcia@north.example", name_en="Inês García O'Neil")
    make.subscriber("wang@south.example", name_zh="王小明")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("ann", ["ann"]), ("LEE", ["ann"]), ("smi exa", ["ann"]), ("ann.lee-smith@example.org", ["ann"]),
        ("exampl", ["ann", "garcia", "wang"]), ("north", ["garcia"]), ("garcía", ["garcia"]),
        ("o'nei", ["garcia"]), ("王", ["wang"]), ("小明", ["wang"]), ("明", ["wang"]), ("小王", []),
        ("王小明 south", ["wang"]), ("nn", []), ("ann garcia", []), ("%", []), ("'\"*:&|!()", []),
        ("", ["ann", "garcia", "wang"]),
    ],
)  # fmt: skip
def test_people_are_found_by_beginnings_of_words(how, people, database, said, found):
    """Of the address, of Latin names; of a Chinese name any part."""
    with database.read() as session:
        rows, total = subscribers.listing(session, search=said)
    assert [row.address.split("@")[0].split(".")[0] for row in rows] == found
    assert (total, total.more) == (len(found), False)
    if said.strip():
        with database.read() as session:
            query = select(Subscriber.address).where(finding.condition(session, said))
            addresses = session.scalars(query.order_by(Subscriber.address)).all()
        assert addresses == [row.address for row in rows]


def test_the_index_of_words_follows_every_change(how, people, database, make):
    """A new name is found and the old one is not; who is erased or gone is found no more."""

    def found(said):
        with database.read() as session:
            return len(subscribers.listing(session, search=said)[0])

    with database.write() as session:
        ann = subscribers.by_address(session, "ann.lee-smith@example.org").id
        session.execute(update(Subscriber).where(Subscriber.id == ann).values(name_en="Berta Lee"))
        wang = subscribers.by_address(session, "wang@south.example").id
        session.execute(delete(Subscription).where(Subscription.subscriber_id == wang))
        session.execute(delete(Subscriber).where(Subscriber.id == wang))
    assert [found(said) for said in ("berta", "ann lee", "王", "south")] == [1, 1, 0, 0]
    with database.write() as session:
        session.execute(
            update(Subscriber).where(Subscriber.id == ann).values(name_en="", address=None, address_key=None)
        )
    assert [found(said) for said in ("berta", "ann", "lee")] == [0, 0, 0]


def test_common_words_that_the_newest_do_not_have_together_are_looked_up(people, database, monkeypatch):
    """Of the newest two each has one of them; who has both is further back."""
    monkeypatch.setattr(finding, "_LOOK", 2)
    monkeypatch.setattr(finding, "_LOOKS", 1)

    def found(said):
        with database.read() as session:
            rows, total = subscribers.listing(session, search=said)
        return [row.address for row in rows], total.more

    assert found("wang exam") == (["wang@south.example"], True)
    assert found("garcia wang") == ([], False)
    make_both = (
        update(Subscriber).where(Subscriber.address_key.startswith("ann")).values(name_en="García Wang")
    )
    with database.write() as session:
        session.execute(make_both)
    assert found("garcía wang") == (["ann.lee-smith@example.org"], False)


@pytest.mark.parametrize("suppressed", ["", "yes", "no"])
@pytest.mark.parametrize("partner", ["", "mee", "other", "nobody"])
def test_who_is_walked_past_is_who_would_be_looked_up(make, database, monkeypatch, partner, suppressed):
    """Of a large partner as of a small one; NULLs, ended memberships and releases included."""
    mee, other = make.partner("mee"), make.partner("other")
    for name, on in (("ann", mee), ("bob", mee), ("eve", other), ("kim", None)):
        make.subscriber(f"{name}@example.org", partner=on)
    make.suppression("bob@example.org")
    make.suppression("ann@example.org", released_at=NOON, released_by="somebody")
    make.suppression("eve@example.org", until=NOON)
    wanted = selection.Selection(partner=partner, suppressed=suppressed)
    monkeypatch.setattr(selection, "_WALKED", 0)
    with database.read() as session:
        ways = [selection.conditions(session, wanted, NOON, for_a_page=walked) for walked in (True, False)]
        found = [[row.address for row in subscribers.listing(session, where=way)[0]] for way in ways]
    assert found[0] == found[1]
    of = {"": "ann bob eve kim", "mee": "ann bob", "other": "eve", "nobody": ""}[partner].split()
    silent = {"": of, "yes": [n for n in of if n == "bob"], "no": [n for n in of if n != "bob"]}[suppressed]
    assert found[0] == [f"{name}@example.org" for name in silent]


def test_no_more_than_so_many_are_listed(people, database, monkeypatch):
    """Whoever wants others has to say more; the count tells that there are."""
    monkeypatch.setattr(finding, "MOST", 2)
    with database.read() as session:
        rows, total = subscribers.listing(session, search="exam")
    assert (len(rows), total, total.more) == (2, 2, True)


def test_pages_follow_one_another_by_address(people, database):
    """Everybody stands on one page; beyond the last there is nobody."""
    with database.read() as session:
        pages = [subscribers.listing(session, page=page, size=1)[0] for page in (1, 2, 3, 4)]
    assert [[row.address for row in page] for page in pages] == [
        ["ann.lee-smith@example.org"], ["garcia@north.example"], ["wang@south.example"], [],
    ]  # fmt: skip


def test_of_very_many_it_is_told_about_how_many_there_are(people, database, monkeypatch):
    """PostgreSQL knows about how many rows a table has; SQLite counts quickly, and so tells exactly."""
    with database.write() as session:
        session.execute(text("ANALYZE"))
    monkeypatch.setattr(finding, "_MANY", 2)
    with database.read() as session:
        total = subscribers.listing(session)[1]
    on_postgres = database.engine.dialect.name == "postgresql"
    assert (int(total), total.about) == ((0, True) if on_postgres else (3, False))  # in thousands


def test_who_filters_is_told_how_many_as_far_as_anybody_reads(people, database, monkeypatch):
    """The last page tells exactly; of more than are leafed through the count says that there are more."""
    here = [Subscriber.domain.like("%.example")]

    def seen(page, size):
        with database.read() as session:
            rows, total = subscribers.listing(session, where=here, page=page, size=size)
        return len(rows), int(total), total.more

    leafed = [seen(1, 1), seen(2, 1), seen(1, 2), seen(3, 1), seen(9, 1)]
    assert leafed == [(1, 2, False), (1, 2, False), (2, 2, False), (0, 2, False), (0, 2, False)]
    monkeypatch.setattr(finding, "MOST", 1)
    assert [seen(1, 1), seen(2, 1), seen(1, 2)] == [(1, 2, True), (1, 2, False), (2, 2, False)]


def test_a_count_that_takes_too_long_is_not_waited_for(people, database, monkeypatch):
    """The page is there, and says that there are more."""
    monkeypatch.setattr(finding, "hurried", _too_slow)
    with database.read() as session:
        rows, total = subscribers.listing(session, where=[Subscriber.language == "en"], size=1)
    assert (len(rows), total, total.more) == (1, 2, True)


@contextmanager
def _too_slow(session, seconds):
    raise TooSlow
    yield


def test_the_countries_of_people_are_asked_for_once(make, database):
    """Each once, in their order, and nobody's missing one: in one query, from the index."""
    for country in ("NO", "CN", None, "FR", "NO", "CN"):
        make.subscriber(country=country)
    asked = []
    with database.read() as session:
        event.listen(session.connection(), "before_cursor_execute", lambda *told: asked.append(told[2]))
        assert selection.countries(session) == ["CN", "FR", "NO"]
        assert len(asked) == 1
        assert "ix_subscribers_country" in _plan(session, asked[0])


def _plan(session, statement):
    """What the database would do, without looking at how few rows there are."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL enable_seqscan = off"))
        told = session.connection().exec_driver_sql(f"EXPLAIN {statement}")
    else:
        told = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
    return " ".join(str(row) for row in told)
