"""Two rows that are one person become one, whoever says so: merging and moving give the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.audience import moves, person, silenced
from mailer.audience.changes import journal, merging, rows, uniting
from mailer.audience.evidence import history
from mailer.audience.evidence.store import EVIDENCE
from mailer.audience.names import Names
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Partner,
    Subscriber,
    SubscriberTopic,
    SubscriptionState,
)
from mailer.delivery.store import Attempt, Delivery
from mailer.feedback import erasure
from mailer.issues.store import Publication
from mailer.reports import own_data
from tests.make import KEYS, NOON, Make

DAY = timedelta(days=1)
NOW = NOON + 9 * DAY
ADMIN = Actor(None, "admin@example.org")
LEFT, CONFIRMED, PENDING = SubscriptionState.LEFT, SubscriptionState.CONFIRMED, SubscriptionState.PENDING
SIGNED_UP, VOUCHED = ConsentKind.SIGN_UP, ConsentKind.VOUCHED
_TWO = ("one", "two")  # newsletters, partners and topics


@dataclass(frozen=True)
class Entry:
    """A row of a person as a test wants it: its columns, and its ties by "one" and "two"."""

    columns: dict[str, Any] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    memberships: dict[str, dict[str, Any]] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    suppressions: frozenset[str] = frozenset()


_days = st.integers(0, 5).map(lambda days: NOON + days * DAY)
_maybe = st.none() | _days
_evidence = {
    "consent_kind": st.sampled_from(ConsentKind),
    "consent_at": _days,
    "consent_wording": st.sampled_from(["these words", "those words"]),
}
_subscriptions = st.fixed_dictionaries(
    {
        "state": st.sampled_from(SubscriptionState), "changed_at": _days, "paused_until": _maybe,
        "every_days": st.sampled_from([None, 14]), **_evidence,
    }
)  # fmt: skip
_memberships = st.fixed_dictionaries(
    {
        "joined_at": _days, "confirmed_at": _maybe, "ended_at": _maybe, "paused_until": _maybe,
        "notes": st.sampled_from(["", "met in Rome"]), "name_en": st.sampled_from(["Ann", "Anna"]),
        "topics": st.frozensets(st.sampled_from(_TWO)), **_evidence,
    }
)  # fmt: skip
_entries = st.builds(
    Entry,
    st.fixed_dictionaries(
        {
            "name_en": st.sampled_from(["", "Ann", "Anna"]), "name_zh": st.sampled_from(["", "李安"]),
            "language": st.sampled_from(["en", "zh"]), "country": st.sampled_from([None, "CN", "FR"]),
            "zone": st.sampled_from([None, "Europe/Paris"]), "chosen_at": _maybe,
        }
    ),
    st.dictionaries(st.sampled_from(_TWO), _subscriptions),
    st.dictionaries(st.sampled_from(_TWO), _memberships),
    st.frozensets(st.sampled_from(_TWO)),
)  # fmt: skip


class World:
    """One transaction with two newsletters, two partners, two topics and the two rows of a person."""

    def __init__(self, session: Session, make: Make, kept: Entry, gone: Entry) -> None:
        self.session, self._make = session, make.within(session)
        self.publications: dict[str, Publication] = {each: self._make.publication(each) for each in _TWO}
        self.partners: dict[str, Partner] = {each: self._make.partner(each) for each in _TWO}
        self.topics = {each: self._make.topic(each) for each in _TWO}
        self.kept, self.gone = self._entry("old@example.org", kept), self._entry("new@example.org", gone)
        session.flush()

    def merge(self) -> None:
        """The secretariat says that they are one."""
        merging.merge(self.session, gone_id=self.gone.id, kept_id=self.kept.id, now=NOW, actor=ADMIN)

    def move(self) -> None:
        """The person says it: they move to the other one's address."""
        wish = self._make.address_change(self.kept, "new@example.org")
        assert moves.confirm(self.session, wish.id, keys=KEYS, now=NOW)

    def facts(self) -> dict[str, Any]:
        """What the row says of the person, their topics, and whether they complained."""
        row = self.session.get_one(Subscriber, self.kept.id, populate_existing=True)
        names = (*Names().columns(), "salutation_en", "salutation_zh", "language", "country", "zone",
                 "chosen_at")  # fmt: skip
        reasons = {each.reason for each in silenced.of_hashes(self.session, [row.address_hash], NOW)}
        return {
            **_columns(row, *names),
            "topics": {topic.code for topic in person.topics(self.session, row.id)},
            "complained": "complaint" in reasons,
        }

    def standing(self) -> dict[str, dict[str, Any]]:
        """How the row stands, by newsletter."""
        names = ("state", "changed_at", "left_reason", "paused_until", "every_days", *EVIDENCE)
        found = uniting.standing(self.session, self.kept.id)
        return {
            code: _columns(found[each.id], *names)
            for code, each in self.publications.items()
            if each.id in found
        }

    def held(self) -> dict[str, dict[str, Any]]:
        """The memberships in force, by partner."""
        names = ("confirmed_at", "joined_at", "notes", "language", "paused_until", "name_en", *EVIDENCE)
        return {
            each.partner.code: {
                **_columns(each.membership, *names),
                "topics": {topic.code for topic in each.topics},
            }
            for each in person.memberships(self.session, self.kept.id)
        }

    def evidence(self, *rows: int) -> set[tuple[Any, ...]]:
        """On what the person stands and stood, but for what their becoming one wrote of the row that went.

        A row that waits for somebody who never was asked is none.
        """
        found = history.of_person(self.session, rows or person.rows_of(self.session, self.kept.id))
        partners = {each.id: code for code, each in self.partners.items()}
        publications = {each.id: code for code, each in self.publications.items()}
        return {
            (
                publications.get(each.publication_id), partners.get(each.partner_id), each.state, each.since,
                each.kind, each.at, each.wording,
            )
            for each in found
            if each.since != NOW and (each.kind != ConsentKind.NONE or each.state != PENDING)
        }  # fmt: skip

    def _entry(self, address: str, said: Entry) -> Subscriber:
        make, row = self._make, self._make.subscriber(address, subscribed=False, **said.columns)
        for code, columns in said.subscriptions.items():
            make.subscription(row, self.publications[code], **columns)
        for code, columns in said.memberships.items():
            own = {name: value for name, value in columns.items() if name != "topics"}
            membership = make.membership(self.partners[code], row, **own)
            for topic in columns["topics"]:
                self.session.add(MembershipTopic(membership_id=membership.id, topic_id=self.topics[topic].id))
        for topic in said.topics:
            self.session.add(SubscriberTopic(subscriber_id=row.id, topic_id=self.topics[topic].id))
        for reason in said.suppressions:
            make.suppression(address, reason)
        return row


def _columns(row: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


@contextmanager
def world(database, kept: Entry, gone: Entry) -> Iterator[World]:
    """Lay it out, and take it back."""
    with database.write() as session:
        yield World(session, Make(database), kept, gone)
        session.rollback()


def subscribed(state, kind=SIGNED_UP, day=0, **given):
    """An entry that stands so with the first newsletter since that day."""
    at = NOON + day * DAY
    stands = {"state": state, "consent_kind": kind, "consent_at": at, "changed_at": at, **given}
    return Entry(subscriptions={"one": stands})


@given(kept=_entries, gone=_entries, suppressed=st.frozensets(st.sampled_from(["complaint", "mailbox_full"])))
@example(kept=Entry(), gone=Entry(), suppressed=frozenset({"complaint"}))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_merging_and_moving_of_the_same_two_rows_give_the_same(database, kept, gone, suppressed):
    """But that who moves reads on what they read; no evidence is lost, and nobody is subscribed anew."""
    gone = Entry(gone.columns, gone.subscriptions, gone.memberships, gone.topics, suppressed)
    with world(database, kept, gone) as merged:
        before = merged.evidence(merged.kept.id, merged.gone.id)
        merged.merge()
        expected = (merged.facts(), merged.standing(), merged.held(), merged.evidence())
    with world(database, kept, gone) as moved:
        moved.move()
        found = (moved.facts(), moved.standing(), moved.held(), moved.evidence())
    reads_on = {code for code in _TWO if (_state(kept, code), _state(gone, code)) == (CONFIRMED, LEFT)}
    differing = {code for code in _TWO if found[1].get(code) != expected[1].get(code)}
    assert differing <= reads_on
    assert {found[1][code]["state"] for code in reads_on} <= {CONFIRMED}
    assert (found[0], found[2]) == (expected[0], expected[2])
    assert before <= found[3]
    assert before <= expected[3]
    for standing in (found[1], expected[1]):
        reads = {code for code, stands in standing.items() if stands["state"] == CONFIRMED}
        assert all(CONFIRMED in (_state(kept, code), _state(gone, code)) for code in reads)


def _state(entry: Entry, code: str) -> SubscriptionState | None:
    return entry.subscriptions[code]["state"] if code in entry.subscriptions else None


@pytest.mark.parametrize(
    ("kept", "gone", "after"),
    [
        (
            subscribed(CONFIRMED, VOUCHED),
            subscribed(LEFT, day=5),
            CONFIRMED,
        ),  # they take with them what they get
        (subscribed(LEFT), subscribed(CONFIRMED, SIGNED_UP, day=5), CONFIRMED),  # their own later word
        (subscribed(LEFT), subscribed(CONFIRMED, VOUCHED, day=5), LEFT),  # nobody else's
        (subscribed(PENDING), subscribed(LEFT), LEFT),
    ],
)
def test_who_moves_takes_along_what_they_get(database, kept, gone, after):
    """The mail that asks where letters shall come is answered by whoever reads it."""
    with world(database, kept, gone) as moved:
        moved.move()
        assert moved.standing()["one"]["state"] == after


@pytest.mark.parametrize("say", [World.merge, World.move])
def test_ones_own_yes_outranks_anothers(database, say):
    """Read at both addresses, once by a partner's word: from now on by the person's own."""
    rests = subscribed(CONFIRMED, VOUCHED, consent_wording="the partner's")
    own = subscribed(CONFIRMED, SIGNED_UP, consent_wording="their own", paused_until=NOW + DAY)
    with world(database, rests, own) as united:
        say(united)
        stands = united.standing()["one"]
        assert (stands["consent_kind"], stands["consent_wording"]) == (SIGNED_UP, "their own")
        assert stands["paused_until"] is None
        assert "the partner's" in {each[-1] for each in united.evidence()}


@pytest.mark.parametrize("say", [World.merge, World.move])
def test_a_partner_that_waits_for_a_yes_has_the_one_given_at_the_other_address(database, say):
    """And one that had taken the person off its list has them as it wrote them last, with its topics."""
    waits = {"confirmed_at": None, "notes": "its own", "topics": ()}
    ended = {"ended_at": NOON, "notes": "old", "topics": ("one",)}
    yes = {"notes": "new", "topics": ("two",), "paused_until": NOW + DAY}
    with world(
        database,
        Entry(memberships={"one": waits, "two": ended}),
        Entry(memberships={"one": yes, "two": yes}),
    ) as united:
        say(united)
        held = united.held()
    assert (held["one"]["confirmed_at"], held["one"]["notes"]) == (NOON, "its own")
    assert (held["two"]["notes"], held["two"]["topics"]) == ("new", {"two"})
    assert held["two"]["paused_until"] == NOW + DAY


@given(kept=_entries, gone=_entries)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_merge_is_taken_back_whole(database, kept, gone):
    """Whatever the two rows held."""
    with world(database, kept, gone) as united:
        before = united.facts(), united.standing(), united.held()
        united.merge()
        change = rows.changes(united.session, merging.MERGE, 1)[0]
        undone = journal.undo(united.session, change.public_id, now=NOW + DAY, actor=ADMIN)
        assert undone == journal.Undone(restored=1, kept=0)
        united.session.expire_all()
        assert before == (united.facts(), united.standing(), united.held())


def test_letters_of_a_row_that_was_moved_onto_are_the_persons(make, database):
    """They stand in what the person is told of themselves, and go when the person is erased."""
    ann = make.subscriber("old@example.org")
    other = make.subscriber("new@example.org", name_en="Anna")
    make.membership(make.partner(), other, notes="met in Rome")
    letter = make.delivery(subscriber=other, salutation="Dear Anna,")
    make.attempt(letter, at=NOON, reply="250 new@example.org ok")
    wish = make.address_change(ann, "new@example.org")
    with database.write() as session:
        moves.confirm(session, wish.id, keys=KEYS, now=NOW)
    with database.read() as session:
        assert len(own_data.everything(session, ann.id, NOW)["letters"]) == 1
    with database.write() as session:
        assert erasure.erase(session, subscriber_id=ann.id, now=NOW, actor=ADMIN).spellings == (
            "new@example.org",
        )
    with database.read() as session:
        assert list(session.scalars(select(Delivery.salutation))) == [""]
        assert "new@example.org" not in str(session.scalars(select(Attempt.reply)).all())
        assert set(session.scalars(select(Membership.notes))) == {""}


def test_rows_merged_before_follow_whoever_moves_onto_their_row(make, database):
    """Three rows of one person are one in the end."""
    first, second, third = (make.subscriber(f"{each}@example.org") for each in ("a", "b", "c"))
    with database.write() as session:
        merging.merge(session, gone_id=first.id, kept_id=second.id, now=NOON, actor=ADMIN)
    wish = make.address_change(third, "b@example.org")
    with database.write() as session:
        moves.confirm(session, wish.id, keys=KEYS, now=NOW)
    with database.read() as session:
        assert person.rows_of(session, third.id) == [third.id, first.id, second.id]
