"""A partner's search: its own people by words, whatever other partners have, kept up by the database."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from sqlalchemy import delete, func, select, text, update

from mailer.audience import desk, finding, members
from mailer.audience.members import Order, Standing, Wanted
from mailer.audience.store import Membership, Subscriber
from tests.make import NOON


@pytest.fixture
def own(make):
    """A partner with three people, and another whose number begins alike, with people of the same names."""
    partner = make.partner("moe")
    people = {
        "ann.lee-smith@example.org": {"name_en": "Ann Lee"},
        "garcia@north.example": {"name_en": "Inês García O’Neil", "name_zh": "阿卜·买买提"},
        "wang@163.com": {"name_zh": "王小明"},
    }
    for address, names in people.items():
        make.membership(partner, make.subscriber(address), **names)
    for n in range(12):
        other = make.partner(f"other-{n}")
        make.membership(other, make.subscriber(f"ann{n}@theirs.example"), name_en="Ann Theirs")
    return partner


def found(database, partner, said):
    """The first words of the addresses that a partner finds."""
    with database.read() as session:
        listed = desk.people(session, partner.id, Wanted(search=said), now=NOON)
    assert listed.total == len(listed.people)
    return [person.address.replace(".", "@").split("@")[0] for person in listed.people]


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("ann", ["ann"]), ("LEE", ["ann"]), ("smi exa", ["ann"]), ("ann.lee-smith@example.org", ["ann"]),
        ("exampl", ["ann", "garcia"]), ("garcía", ["garcia"]), ("neil", ["garcia"]), ("163", ["wang"]),
        ("王", ["wang"]), ("小明", ["wang"]), ("王小明 wang", ["wang"]), ("买买", ["garcia"]),
        ("theirs", []), ("nn", []), ("ann garcia", []), ("%", []), ("'\"*:&|!()", []), ("p1xann", []),
        ("\x00ann", ["ann"]), (" ", ["ann", "garcia", "wang"]), ("", ["ann", "garcia", "wang"]),
    ],
)  # fmt: skip
def test_a_partner_finds_its_own_by_beginnings_of_words(own, database, said, who):
    """Of the address and of the names it wrote itself; of nobody else's people, whatever its number."""
    assert found(database, own, said) == who


def test_words_follow_every_change(own, database, make):
    """A new name, another address, a person who goes: found as it is now, and not as it was."""
    with database.write() as session:
        ann = session.scalar(select(Subscriber.id).where(Subscriber.address_key.startswith("ann.lee")))
        wang = session.scalar(select(Subscriber.id).where(Subscriber.address_key.startswith("wang")))
        mine = Membership.partner_id == own.id
        session.execute(
            update(Membership).where(Membership.subscriber_id == ann, mine).values(name_en="Berta Lee")
        )
        session.execute(
            update(Subscriber).where(Subscriber.id == ann).values(address_key="berta@east.example")
        )
        session.execute(delete(Membership).where(Membership.subscriber_id == wang, mine))
    said = ("ann", "smith", "berta", "east", "lee", "王", "wang", "garcia")
    assert [len(found(database, own, each)) for each in said] == [0, 0, 1, 1, 1, 0, 0, 1]
    with database.write() as session:
        session.execute(update(Subscriber).where(Subscriber.id == ann).values(address_key=None))
    assert found(database, own, "east") == []
    with database.read() as session:
        kept = session.scalar(text("SELECT count(*) FROM member_words"))
        assert kept == session.scalar(select(func.count()).select_from(Membership))


def test_of_many_only_so_many_are_listed(own, database, monkeypatch):
    """Whoever wants others says more."""
    monkeypatch.setattr(finding, "MOST", 1)
    with database.read() as session:
        listed = desk.people(session, own.id, Wanted(search="example"), now=NOON)
    assert (len(listed.people), listed.total, listed.total.more) == (1, 1, True)


@given(asked=strategies.sampled_from(["n", "le", "王小", "gar", "example", "o neil", "north garcia"]))
@settings(max_examples=7, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_index_finds_whom_plain_reading_finds(own, database, asked):
    """Each word has to begin one of the person's; of a Chinese name any tail is a word."""
    with database.read() as session:
        rows, _ = members.people(session, own.id, Wanted(), Order.ADDRESS, 1, 50, NOON)
        plain = {
            tie.id
            for tie, person, _ in rows
            if _holds(asked, str(person.address_key), tie.name_en, *(tie.name_zh[n:] for n in range(3)))
        }
        assert set(finding.of_partner(session, own.id, asked).ids) == plain


def _holds(asked: str, *texts: str) -> bool:
    own = finding.words(" ".join(texts))
    return all(any(word.startswith(each) for word in own) for each in finding.words(asked))


def test_counts_of_standings_are_those_of_the_lists(own, database, make):
    """Each is counted once, at the first that fits; the sums are what the lists behind them hold."""
    make.membership(own, make.subscriber(), confirmed_at=None)
    make.membership(own, make.subscriber(), paused_until=NOON.replace(year=2027))
    make.membership(own, make.subscriber("late@example.org"), confirmed_at=None)
    for reason in ("bad_mailbox", "mailbox_full"):
        make.suppression("late@example.org", reason)
    make.suppression("ann.lee-smith@example.org", "complaint")  # which is not for a partner to know
    with database.read() as session:
        overview = desk.overview(session, own, now=NOON)
        listed = {
            standing: desk.people(session, own.id, Wanted(standing=standing), now=NOON).total
            for standing in Standing
        }
    assert overview.standings == listed
    assert [overview.standings[each] for each in Standing] == [1, 1, 1, 3]
    assert overview.total == overview.taken == 6
