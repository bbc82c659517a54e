"""A partner's sums equal what a person counts row by row, and so do those the secretariat sees of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from mailer.audience.store import MembershipGap, Partner
from mailer.database import Database
from mailer.delivery.events import MACHINE
from mailer.delivery.store import Campaign, CampaignState, DeliveryState, EventKind
from mailer.reports import lately, ours
from mailer.reports import partner as reports
from mailer.reports.ours import Counts, Fate
from tests.make import NOON, Make

DAY = timedelta(days=1)
LAUNCHES = (0, 2, 2, None)  # days after NOON; two at one instant, one never launched
ANY_DATABASE = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Tie:
    """A membership to be, in days from NOON. ``gap``: a time in which it did not hold."""

    confirmed: int | None
    ended: int | None
    gap: tuple[int, int] | None

    def held(self, day: int) -> bool:
        if self.confirmed is None or self.confirmed > day:
            return False
        paused = self.gap is not None and self.gap[0] <= day < self.gap[1]
        return not paused and (self.ended is None or self.ended > day)


@dataclass(frozen=True)
class News:
    """An event to be."""

    kind: EventKind
    machine: bool


@dataclass(frozen=True)
class Letter:
    """A delivery to be, with what came back; ``stamped``: it names the partner."""

    state: DeliveryState
    stamped: bool
    news: tuple[News, ...]

    def had(self, kind: EventKind) -> bool:
        visit = kind in (EventKind.OPEN, EventKind.CLICK)
        return any(each.kind is kind and not (visit and each.machine) for each in self.news)

    @property
    def fate(self) -> Fate:
        if self.state is DeliveryState.ACCEPTED:
            return Fate.RETURNED if self.had(EventKind.BOUNCE) else Fate.ARRIVED
        told = {DeliveryState.REJECTED: Fate.RETURNED, DeliveryState.UNCERTAIN: Fate.UNCERTAIN}
        return told.get(self.state, Fate.UNDERWAY)


@dataclass(frozen=True)
class Reader:
    """A person to be: their ties to two partners, and for each campaign a letter or none."""

    address: str
    ties: tuple[Tie | None, Tie | None]
    letters: tuple[Letter | None, ...]


days = st.integers(-1, 3)
ties = st.builds(Tie, st.none() | days, st.none() | days, st.none() | st.tuples(days, days))
letters = st.builds(
    Letter,
    st.sampled_from(DeliveryState),
    st.booleans(),
    st.lists(st.builds(News, st.sampled_from(EventKind), st.booleans()), max_size=4).map(tuple),
)
readers = st.builds(
    Reader,
    st.text("abc", min_size=1, max_size=5).map(lambda name: f"{name}@example.org"),
    st.tuples(st.none() | ties, st.none() | ties),
    st.tuples(*[st.none() | letters] * 3, st.none()),
)
crowds = st.lists(readers, max_size=6, unique_by=lambda reader: reader.address)


def write(session: Session, make: Make, crowd: list[Reader]) -> tuple[list[Partner], list[Campaign]]:
    """Write the crowd; return its partners and campaigns."""
    partners = [make.partner(), make.partner()]
    campaigns = [
        make.campaign(CampaignState.SENT, launched_at=NOON + day * DAY)
        if day is not None
        else make.campaign(CampaignState.APPROVED)
        for day in LAUNCHES
    ]
    for reader in crowd:
        person = make.subscriber(reader.address)
        for partner, tie in zip(partners, reader.ties, strict=True):
            if tie is not None:
                made = make.membership(
                    partner,
                    person,
                    joined_at=NOON - DAY,
                    confirmed_at=_at(tie.confirmed),
                    ended_at=_at(tie.ended),
                )
                if tie.gap is not None:
                    since, until = tie.gap
                    gap = MembershipGap(membership_id=made.id, since=_at(since), until=_at(until))
                    session.add(gap)
        for campaign, letter in zip(campaigns, reader.letters, strict=True):
            if letter is not None:
                stamp = partners[0] if letter.stamped else None
                sent = make.delivery(campaign=campaign, subscriber=person, state=letter.state, partner=stamp)
                for each in letter.news:
                    make.event(sent, each.kind, detail=f"{MACHINE}: scanner" if each.machine else "")
    session.flush()
    return partners, campaigns


def _at(day: int | None) -> object:
    return None if day is None else NOON + day * DAY


def by_hand(crowd: list[Reader], which: int, campaign: int) -> list[tuple[str, Letter]]:
    """Return the letters of a campaign to the people of a partner, by address, one person after the other."""
    day, found = LAUNCHES[campaign], []
    for reader in sorted(crowd, key=lambda reader: reader.address):
        tie, letter = reader.ties[which], reader.letters[campaign]
        if day is None or tie is None or letter is None or letter.state is DeliveryState.WITHDRAWN:
            continue
        if tie.held(day):
            found.append((reader.address, letter))
    return found


def sums(campaign_id: int, sent: list[tuple[str, Letter]]) -> Counts:
    fates = Counter(letter.fate for _, letter in sent)
    opened, clicked = (
        sum(letter.had(kind) for _, letter in sent) for kind in (EventKind.OPEN, EventKind.CLICK)
    )
    return Counts(campaign_id, *(fates[fate] for fate in Fate), opened, clicked)


@ANY_DATABASE
@given(crowd=crowds)
def test_a_partners_sums_and_letters_are_those_of_its_rows(
    database: Database, make: Make, crowd: list[Reader]
) -> None:
    """For every campaign, page and fate; a person of two partners counts for both."""
    with Session(database.engine, expire_on_commit=False) as session:
        partners, campaigns = write(session, make.within(session), crowd)
        for which, partner in enumerate(partners):
            expected = {}
            for number, campaign in enumerate(campaigns):
                sent = by_hand(crowd, which, number)
                counted = ours.counts(session, partner.id, campaign)
                assert counted == (sums(campaign.id, sent) if sent else None)
                assert ours.any_letter(session, partner.id, campaign) == bool(sent)
                check_letters(session, partner, campaign, sent)
                if sent:
                    expected[campaign] = counted
            newest = sorted(expected, key=lambda each: (each.launched_at, each.id), reverse=True)
            assert ours.newest(session, partner.id) == (newest[0] if newest else None)
            for page in range(1, 4):
                found = ours.campaigns(session, partner.id, page, 2)
                shown = newest[2 * page - 2 : 2 * page]
                assert found == ([(each, expected[each]) for each in shown], len(newest))
        session.rollback()


def check_letters(
    session: Session, partner: Partner, campaign: Campaign, sent: list[tuple[str, Letter]]
) -> None:
    """See that every fate opens into its letters by address, page by page, and the file has them all."""
    for fate in (None, *Fate):
        addresses = [address for address, letter in sent if fate in (None, letter.fate)]
        found = [
            letter
            for page in (1, 2, 3)
            for letter in reports.letters(session, partner.id, campaign, fate, page, size=2)
        ]
        assert [letter.address for letter in found] == addresses
        assert all(letter.fate is (fate or letter.fate) for letter in found)
    whole = list(reports.every_letter(session, partner.id, campaign))
    assert [(each.address, each.fate) for each in whole] == [(address, each.fate) for address, each in sent]


@ANY_DATABASE
@given(crowd=crowds)
def test_the_secretariat_sees_the_letters_that_name_a_partner(
    database: Database, make: Make, crowd: list[Reader]
) -> None:
    """Of the last campaigns launched, newest first, whatever became of memberships."""
    with Session(database.engine, expire_on_commit=False) as session:
        partners, campaigns = write(session, make.within(session), crowd)
        expected = []
        for number in (2, 1, 0):
            sent = [each for reader in crowd if (each := reader.letters[number]) and each.stamped]
            taken = sum(each.state is DeliveryState.ACCEPTED for each in sent)
            back = sum(each.had(EventKind.BOUNCE) for each in sent)
            if sent:
                expected.append((campaigns[number], len(sent), taken, back))
        assert lately.last_campaigns(session, partners[0].id) == expected
        assert lately.last_campaigns(session, partners[1].id) == []
        session.rollback()
