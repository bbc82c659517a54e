"""A partner's list as the database keeps it: whatever is done to people, it is what a plain reading makes."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.audience import desk, members, silenced
from mailer.audience.members import Order, Standing, Wanted
from mailer.audience.store import BOUNCES, Membership, Subscriber, Suppression
from mailer.database import Database
from mailer.delivery.store import Campaign, CampaignState
from tests.make import NOON

DAY = timedelta(days=1)
_NAMES = ("", "Ann Lee", "ann lee", "Ben Ito", "王小明")
_WHEN = (None, NOON - DAY, NOON + DAY)

_deeds = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(
            (
                "join", "name", "ask", "confirm", "pause", "end", "restore", "retie", "move", "erase",
                "silence", "release", "until", "forget", "delete", "date", "launch",
            )
        ),
        strategies.integers(0, 5),
        strategies.integers(0, 4),
    ),
    min_size=10,
    max_size=30,
)  # fmt: skip


class World:
    """A few people and partners, and what may happen to them."""

    def __init__(self, session: Session, people: list[int], partners: list[int]) -> None:
        self.session, self.people, self.partners = session, people, partners

    def do(self, deed: str, which: int, how: int) -> None:
        person = self.session.get_one(Subscriber, self.people[which % len(self.people)])
        ties = self.session.scalars(select(Membership).order_by(Membership.id)).all()
        tie = ties[which % len(ties)] if ties else None
        told = self.session.scalars(select(Suppression).order_by(Suppression.id)).all()
        if deed == "launch":
            self.launch(how)
        elif deed in ("join", "move", "erase", "silence"):
            getattr(self, deed)(person, how)
        elif deed in ("release", "until", "forget"):
            if told:
                getattr(self, deed)(told[which % len(told)], how)
        elif tie is not None:
            getattr(self, deed)(tie, how)
        self.session.flush()
        self.session.expire_all()

    def join(self, person: Subscriber, how: int) -> None:
        partner = self.partners[how % len(self.partners)]
        known = select(Membership).where(
            Membership.partner_id == partner, Membership.subscriber_id == person.id
        )
        if self.session.scalar(known) is None:
            self.session.add(
                Membership(
                    public_id=uuid7(), partner_id=partner, subscriber_id=person.id, joined_at=NOON,
                    consent_kind="vouched", consent_at=NOON, confirmed_at=_WHEN[how % 2],
                    name_en=_NAMES[how % 4], name_zh=_NAMES[4] if how == 3 else "",
                )
            )  # fmt: skip

    def name(self, tie: Membership, how: int) -> None:
        tie.name_en, tie.name_zh = _NAMES[how % 4], _NAMES[how] if how == 4 else ""

    def ask(self, tie: Membership, _how: int) -> None:
        tie.confirmed_at = None

    def confirm(self, tie: Membership, _how: int) -> None:
        tie.confirmed_at = NOON

    def pause(self, tie: Membership, how: int) -> None:
        tie.paused_until = _WHEN[how % 3]

    def end(self, tie: Membership, _how: int) -> None:
        tie.ended_at = NOON

    def restore(self, tie: Membership, _how: int) -> None:
        tie.ended_at = None

    def date(self, tie: Membership, how: int) -> None:
        tie.joined_at = NOON - how * DAY

    def retie(self, tie: Membership, how: int) -> None:
        """To another person, as merging does."""
        other = self.people[how % len(self.people)]
        taken = select(Membership.id).where(
            Membership.partner_id == tie.partner_id, Membership.subscriber_id == other
        )
        if self.session.scalar(taken) is None:
            tie.subscriber_id = other

    def delete(self, tie: Membership, _how: int) -> None:
        self.session.delete(tie)

    def move(self, person: Subscriber, how: int) -> None:
        """To an address that may be silenced already."""
        person.address_hash, person.address_key = (
            f"hash-{person.id}-{how % 2}",
            f"{how}-{person.id}@x.example",
        )

    def erase(self, person: Subscriber, _how: int) -> None:
        person.address_key = None

    def launch(self, how: int) -> None:
        """An issue goes out, a day before this or another day."""
        self.session.execute(update(Campaign).values(launched_at=NOON - how * DAY))

    def silence(self, person: Subscriber, how: int) -> None:
        reasons = (*sorted(BOUNCES), "complaint")
        self.session.add(
            Suppression(
                address_hash=person.address_hash, reason=reasons[how], since=NOON - how * DAY,
                until=_WHEN[how % 3],
            )
        )  # fmt: skip

    def release(self, told: Suppression, _how: int) -> None:
        told.released_at, told.released_by = NOON, "shell"

    def until(self, told: Suppression, how: int) -> None:
        told.until = _WHEN[how % 3]

    def forget(self, told: Suppression, _how: int) -> None:
        self.session.delete(told)


class Undo(Exception):
    """Takes back what an example has done."""


@given(deeds=_deeds)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_list_is_what_a_plain_reading_makes(database: Database, partners_and_people, deeds):
    """Whoever joined, ended, was renamed, moved, merged, silenced or let go: lists and counts follow."""
    partners, people = partners_and_people
    with suppress(Undo), database.write() as session:
        world = World(session, people, partners)
        for deed in (("join", n, n) for n in range(6)):
            world.do(*deed)
        for deed in deeds:
            world.do(*deed)
        for partner in partners:
            _compare(session, partner)
        raise Undo


@pytest.fixture
def partners_and_people(make):
    """The ids of two partners, and of six people who are on no list; a campaign that may go out."""
    make.campaign(CampaignState.DRAFT)
    return [make.partner(each).id for each in ("moe", "sea")], [make.subscriber().id for _ in range(6)]


def _compare(session: Session, partner: int) -> None:
    plain = _plain(session, partner)
    for order, key in _KEYS.items():
        wanted = [each[0] for each in sorted(plain, key=key)]
        assert [tie.id for tie, _, _ in _listed(session, partner, Wanted(), order)] == wanted
    for standing in Standing:
        found = _listed(session, partner, Wanted(standing=standing), Order.ADDRESS)
        assert {tie.id for tie, _, _ in found} == {each[0] for each in plain if each[4] is standing}
        assert all(told is standing for _, _, told in found)
    counts = {standing: sum(each[4] is standing for each in plain) for standing in Standing}
    assert members.standings(session, partner, NOON) == {each: n for each, n in counts.items() if n}


_KEYS = {
    Order.ADDRESS: lambda each: each[1],
    Order.NAME: lambda each: (each[2] or each[1], each[0]),
    Order.NEWEST: lambda each: (-each[3].timestamp(), -each[0]),
}


def _listed(session: Session, partner: int, wanted: Wanted, order: Order):
    rows, total = members.people(session, partner, wanted, order, 1, 50, NOON)
    assert total == len(rows)
    return rows


def _plain(session: Session, partner: int):
    """Id, address, name, when they joined and how they stand, of each of a partner's people."""
    rows = session.execute(
        select(Membership, Subscriber)
        .join(Subscriber, Subscriber.id == Membership.subscriber_id)
        .where(
            Membership.partner_id == partner,
            Membership.ended_at.is_(None),
            Subscriber.address_key.is_not(None),
        )
    )
    return [
        (
            tie.id,
            person.address_key,
            (tie.name_zh or tie.name_en).lower(),
            tie.joined_at,
            _stands(session, tie, person),
        )
        for tie, person in rows
    ]


def _stands(session: Session, tie: Membership, person: Subscriber) -> Standing:
    launched = session.scalar(select(func.max(Campaign.launched_at)))
    written_to = launched is not None and tie.confirmed_at is not None and tie.confirmed_at < launched
    told = silenced.of_hashes(session, [person.address_hash], NOON)
    if any(each.reason in BOUNCES and (written_to or each.since >= tie.joined_at) for each in told):
        return Standing.BOUNCED
    if tie.confirmed_at is None:
        return Standing.WAITING
    return Standing.PAUSED if tie.paused_until and tie.paused_until > NOON else Standing.CONFIRMED


def test_pages_follow_one_another(database, make):
    """However far one reads, each is met once; those who came back first are on top of their page."""
    partner = make.partner("moe")
    for n in range(7):
        person = make.subscriber(f"r{n}@example.org")
        make.membership(partner, person, name_en=f"Name {n % 3}", joined_at=NOON - 9 * DAY)
    for n in (5, 2, 4):
        make.suppression(f"r{n}@example.org", since=NOON - n * DAY)
    with database.read() as session:
        for order in (Order.ADDRESS, Order.NAME, Order.NEWEST):
            pages = [
                desk.people(session, partner.id, Wanted(), order, page, now=NOON, size=3)
                for page in range(1, 5)
            ]
            assert len({each.address for page in pages for each in page.people}) == 7
            assert [len(page.people) for page in pages] == [3, 3, 1, 0]
            assert {(page.total, page.pages) for page in pages} == {(7, 3)}
        bounced = desk.people(session, partner.id, Wanted(standing=Standing.BOUNCED), Order.BOUNCED, now=NOON)
    assert [each.address[1] for each in bounced.people] == ["5", "4", "2"]


def test_the_revision_writes_down_who_is_there(database, make):
    """Of people who were on lists before it came, it says the very same that triggers say of new ones."""
    revision = import_module("mailer.migrations.versions.0021_partner_lists")
    for n, facts in enumerate(({}, {"name_zh": "王"}, {"name_en": "Ann LEE"}, {"ended_at": NOON})):
        make.membership(make.partner(f"p{n}"), make.subscriber(f"r{n}@example.org"), **facts)
    its = Membership.__table__.c
    rows = select(its.address_key, its.address_hash, its.called).order_by(its.id)
    with database.write() as session:
        kept = session.execute(rows).all()
        session.execute(update(Membership.__table__).values(address_key=None, address_hash=None, called=None))
        session.execute(text(revision.WRITTEN[database.dialect]))
        assert session.execute(rows).all() == kept
    assert [row.called for row in kept] == ["r0@example.org", "王", "ann lee", "r3@example.org"]
    assert [row.address_key for row in kept] == [f"r{n}@example.org" for n in range(4)]
    assert len({row.address_hash for row in kept}) == 4


@pytest.mark.parametrize("first", ["move", "join"])
def test_who_joins_while_the_person_moves_is_listed_at_the_new_address(first, database, make):
    """Whichever of the two begins, the other waits for it and knows what it did."""
    partner, person = make.partner("moe"), make.subscriber("old@example.org")

    def move(session: Session) -> None:
        session.get_one(Subscriber, person.id).address_key = "new@example.org"

    def join(session: Session) -> None:
        session.add(
            Membership(
                public_id=uuid7(), partner_id=partner.id, subscriber_id=person.id, joined_at=NOON,
                consent_kind="vouched", consent_at=NOON, confirmed_at=NOON,
            )
        )  # fmt: skip

    def then() -> None:
        with database.write() as session:
            (join if first == "move" else move)(session)

    other = threading.Thread(target=then)
    with database.write() as session:
        (move if first == "move" else join)(session)
        session.flush()
        other.start()
        other.join(0.2)  # long enough to come in between, if it could
        assert other.is_alive()
    other.join()
    with database.read() as session:
        listed = desk.people(session, partner.id, now=NOON)
        assert [each.address for each in listed.people] == ["new@example.org"]
        assert session.scalars(select(Membership.__table__.c.address_key)).all() == ["new@example.org"]
