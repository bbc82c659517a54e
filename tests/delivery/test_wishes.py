"""Pauses and how often: who gets no letter because somebody asked for fewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import true
from sqlalchemy.orm import Session

from mailer.audience.store import ConsentKind, Subscription
from mailer.database import Database
from mailer.delivery import launch, slices
from mailer.delivery.store import CampaignState, DeliveryState, Exclusion
from mailer.delivery.wishes import LENIENCE
from tests.delivery.desk import MINUTE, Desk, now
from tests.make import NOON, Make

DAY = timedelta(days=1)
OWN = (ConsentKind.SIGN_UP, ConsentKind.INVITED)


@dataclass(frozen=True)
class Wish:
    """A reader: hours from now where something ends, hours ago where something was."""

    consent: ConsentKind
    paused: int | None
    every_days: int | None
    partners: tuple[tuple[bool, int | None], ...]  # ended?, paused until
    letters: tuple[tuple[int, DeliveryState, bool], ...]  # tried how long ago, its state, of ours?


hours = st.integers(-48, 48)
wishes = st.builds(
    Wish,
    consent=st.sampled_from(ConsentKind),
    paused=st.none() | hours,
    every_days=st.none() | st.sampled_from([1, 14, 30]),
    partners=st.lists(st.tuples(st.booleans(), st.none() | hours), max_size=3).map(tuple),
    letters=st.lists(
        st.tuples(
            st.integers(0, 32 * 24),
            st.sampled_from([DeliveryState.ACCEPTED, DeliveryState.REJECTED, DeliveryState.UNCERTAIN]),
            st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
)


def expected(wish: Wish) -> str:
    """The same rule in plain Python."""
    holding = [until for ended, until in wish.partners if not ended]
    if wish.paused is not None and wish.paused > 0:
        return "paused"
    if wish.consent not in OWN and holding and all(until is not None and until > 0 for until in holding):
        return "paused"
    if wish.every_days is None:
        return ""
    soonest = wish.every_days * 24 - LENIENCE / timedelta(hours=1)
    recent = [ago for ago, state, ours in wish.letters if ours and state == DeliveryState.ACCEPTED]
    return "too_often" if any(ago < soonest for ago in recent) else ""


@contextmanager
def rolled_back(database: Database) -> Iterator[Session]:
    """A transaction whose rows are gone at its end: each example starts afresh."""
    with Session(database.engine) as session:
        yield session
        session.rollback()


def hence(count: int | None) -> datetime | None:
    return None if count is None else NOON + timedelta(hours=count)


def test_launch_slice_and_plain_python_agree_on_whom_wishes_hold_back(database: Database) -> None:
    """On both databases, with any mixture of pauses, partners and earlier letters."""

    @settings(deadline=None)  # a database answers when it can
    @given(st.lists(wishes, min_size=1, max_size=4))
    def agree(people: list[Wish]) -> None:
        with rolled_back(database) as session:
            make = Make(database).within(session)
            campaign = make.campaign()
            told = {}
            for number, wish in enumerate(people, start=1):
                reader = make.subscriber(subscribed=False)
                make.subscription(
                    reader, consent_kind=wish.consent, paused_until=hence(wish.paused),
                    every_days=wish.every_days,
                )  # fmt: skip
                for ended, until in wish.partners:
                    make.membership(
                        make.partner(), reader, ended_at=NOON if ended else None, paused_until=hence(until)
                    )
                for ago, state, ours in wish.letters:
                    publication = make.publication("observer" if ours else "other")
                    earlier = make.campaign(
                        CampaignState.SENT,
                        issue=make.issue(publication=publication),
                        finished_at=NOON - timedelta(hours=ago),
                    )
                    letter = make.delivery(campaign=earlier, subscriber=reader, state=state)
                    make.attempt(letter, at=NOON - timedelta(hours=ago))
                make.publication("observer")
                make.delivery(campaign=campaign, subscriber=reader, state=DeliveryState.WAITING)
                told[number] = expected(wish)
            observer = make.publication("observer").id
            query = launch.candidates(
                publication_id=observer, condition=true(), languages=["en"], fallback=True, now=NOON
            ).order_by(Subscription.subscriber_id)
            launched = [row.reason for row in session.execute(query)]
            rechecked = slices.addressees(
                session, campaign_id=campaign.id, numbers=[*told], publication_id=observer, now=NOON
            )
            assert launched == [*told.values()]
            assert [each.barrier for each in rechecked] == [*told.values()]

    agree()


def reasons(desk: Desk, campaign: int) -> list[str]:
    return sorted(row.reason for row in desk._rows(Exclusion, campaign))


def test_a_launch_leaves_out_whom_wishes_hold_back_and_counts_them(desk: Desk) -> None:
    """Candidates are deliveries and exclusions, each with its reason."""
    tired, rare = (
        desk.make.subscriber("tired@example.org", subscribed=False),
        desk.make.subscriber("rare@example.org", subscribed=False),
    )
    desk.make.subscription(tired, paused_until=now() + DAY)
    desk.make.subscription(rare, every_days=14)
    first = desk.launched("eager@example.org")
    desk.work()
    second = desk.launched()
    assert (reasons(desk, first), reasons(desk, second)) == (["paused"], ["paused", "too_often"])
    assert len(desk.ledger(second)) + 2 == desk.campaign(second).candidates == 3


def test_a_pause_begun_after_the_launch_takes_the_letter_out(desk: Desk) -> None:
    """Wishes are read again before each slice; the ledger says why."""
    campaign = desk.launched("ann@example.org", "ben@example.org")
    with desk.database.write() as session:
        for row in session.query(Subscription):
            row.paused_until = now() + DAY
            break
    desk.work()
    assert desk.counts(campaign) == {"WITHDRAWN": 1, "ACCEPTED": 1}
    assert sorted(row.reason for row in desk.ledger(campaign).values()) == ["", "paused"]


def test_of_two_campaigns_on_their_way_the_rare_reader_gets_one_letter(desk: Desk) -> None:
    """Launched both before either was sent: the second letter is taken out when the first has gone."""
    rare = desk.make.subscriber("rare@example.org", subscribed=False)
    desk.make.subscription(rare, every_days=30)
    first, second = desk.launched(), desk.launched()
    desk.work()
    states = [desk.state(campaign, "rare@example.org") for campaign in (first, second)]
    assert sorted(states) == [("ACCEPTED", ""), ("WITHDRAWN", "too_often")]


@pytest.mark.parametrize(("days_ago", "letters"), [(13.4, 0), (13.6, 1)])
def test_every_second_letter_of_a_weekly_comes_whatever_its_hour(
    desk: Desk, days_ago: float, letters: int
) -> None:
    """One in 14 days is meant by the calendar: half a day early is in time."""
    rare = desk.make.subscriber("rare@example.org", subscribed=False)
    desk.make.subscription(rare, every_days=14)
    earlier = desk.make.campaign(CampaignState.SENT)
    desk.make.attempt(
        desk.make.delivery(campaign=earlier, subscriber=rare), at=now() - days_ago * DAY + MINUTE
    )
    with desk.database.read() as session:
        query = launch.candidates(
            publication_id=desk.make.publication().id, condition=true(), languages=["en"], fallback=True,
            now=now(),
        )  # fmt: skip
        assert sum(row.reason == "" for row in session.execute(query)) == letters
