"""Every figure is counted right, its parts add up, and its rows are behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session

from mailer.database import Database
from mailer.delivery.store import Campaign, CampaignState, DeliveryState, EventKind, Exclusion
from mailer.feedback.store import Decision
from mailer.reports import campaign as reports
from mailer.reports.campaign import NoSuchCampaign, NoSuchFigure, Report, Row
from tests.make import NOON, Make

REASONS = ("cancelled", "suppressed", "left")
CATEGORIES = ("bad_mailbox", "mailbox_full", None)


@dataclass
class Told:
    """An event to be."""

    kind: EventKind
    category: str | None = None
    machine: bool = False
    suppressed: bool = False


@dataclass
class Sent:
    """A delivery to be."""

    state: DeliveryState
    reason: str = ""
    partnered: bool = False
    told: list[Told] = field(default_factory=list)

    def has(self, kind: EventKind) -> bool:
        return any(one.kind == kind and not one.machine for one in self.told)


def _sent(state: DeliveryState, reason: str, partnered: bool, told: list[Told]) -> Sent:
    return Sent(state, reason if state == DeliveryState.WITHDRAWN else "", partnered, told)


def _told(kind: EventKind, category: str | None, machine: bool, suppressed: bool) -> Told:
    visit = kind in (EventKind.OPEN, EventKind.CLICK)
    return Told(kind, category, machine and visit, suppressed and kind == EventKind.BOUNCE)


told = st.builds(_told, st.sampled_from(EventKind), st.sampled_from(CATEGORIES), st.booleans(), st.booleans())
sent = st.builds(
    _sent, st.sampled_from(DeliveryState), st.sampled_from(REASONS), st.booleans(), st.lists(told, max_size=4)
)


def write(session: Session, make: Make, letters: list[Sent], excluded: list[str]) -> tuple[int, int]:
    """Write a campaign's ledger and events; return its number and that of the partner in it."""
    total = len(letters) + len(excluded)
    campaign = make.campaign(candidates=total)
    partner = make.partner(f"p{campaign.id}")
    for letter in letters:
        delivery = make.delivery(
            campaign=campaign, state=letter.state, reason=letter.reason,
            partner=partner if letter.partnered else None,
        )  # fmt: skip
        for one in letter.told:
            detail = "machine: scanner" if one.machine else "machine.example.org said so"
            detail = "" if one.kind in (EventKind.OPEN, EventKind.CLICK) and not one.machine else detail
            made = make.event(delivery, one.kind, category=one.category, detail=detail)
            action = "suppress" if one.suppressed else "count"
            session.add(Decision(event_id=made.id, at=NOON, action=action, reason="because"))
    for reason in excluded:
        reader = make.subscriber()
        session.add(Exclusion(campaign_id=campaign.id, subscriber_id=reader.id, reason=reason))
    session.flush()
    return campaign.id, partner.id


def by_hand(letters: list[Sent], excluded: list[str]) -> dict[str, object]:
    """Count as a person would, one letter after the other."""
    states = Counter(letter.state.name.lower() for letter in letters)
    bounced: Counter[str] = Counter()
    for letter in letters:
        bounces = [one for one in letter.told if one.kind == EventKind.BOUNCE]
        if letter.state == DeliveryState.ACCEPTED and bounces:
            bounced[bounces[0].category or "unknown"] += 1
    kinds = {"delayed": EventKind.DELAY, "complaints": EventKind.COMPLAINT, "left": EventKind.LEAVE,
             "opened": EventKind.OPEN, "clicked": EventKind.CLICK}  # fmt: skip
    return {
        "candidates": len(letters) + len(excluded),
        "deliveries": len(letters),
        "exclusions": dict(Counter(excluded)),
        "withdrawn": dict(Counter(letter.reason for letter in letters if letter.reason)),
        "bounced": dict(bounced),
        "bounced_total": bounced.total(),
        "suppressed": sum(any(one.suppressed for one in letter.told) for letter in letters),
        **{state: states[state] for state in ("waiting", "accepted", "deferred", "rejected", "uncertain")},
        **{figure: sum(letter.has(kind) for letter in letters) for figure, kind in kinds.items()},
    }


def check_rows(session: Session, campaign: int, partner: int, figures: Report) -> None:
    """See that every figure opens into as many rows as it counts."""
    for figure, value in figures.as_dict().items():
        if figure in ("bounced_total", "progress", "seconds", "rate"):
            continue
        parts = value if isinstance(value, dict) else {}
        total = sum(value.values()) if isinstance(value, dict) else value
        for name, number in {figure: total, **{f"{figure}:{part}": n for part, n in parts.items()}}.items():
            found = reports.rows(session, campaign, name, size=1000)
            assert len(found) == reports.count(session, campaign, name) == number, name
            assert len({(row.n, row.address) for row in found}) == number, name
        own = reports.rows(session, campaign, figure, size=1000, partner_id=partner)
        assert all(row.partner for row in own)
        assert len(own) == reports.count(session, campaign, figure, partner_id=partner)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    letters=st.lists(sent, max_size=7),
    excluded=st.lists(st.sampled_from(("suppressed", "no_edition", "pending")), max_size=4),
)
def test_figures_agree_with_counting_by_hand_and_with_their_rows(
    database: Database, make: Make, letters: list[Sent], excluded: list[str]
) -> None:
    """On both databases, for any ledger; a neighbouring campaign changes nothing."""
    with Session(database.engine, expire_on_commit=False) as session:
        within = make.within(session)
        write(session, within, [Sent(DeliveryState.ACCEPTED, told=[Told(EventKind.BOUNCE)])], ["pending"])
        campaign, partner = write(session, within, letters, excluded)
        figures = reports.report(session, campaign)
        assert {**figures.as_dict(), **by_hand(letters, excluded)} == figures.as_dict()
        check_rows(session, campaign, partner, figures)
        session.rollback()
    parts = [figures.waiting, figures.accepted, figures.deferred, figures.rejected, figures.uncertain]
    assert sum(parts) + sum(figures.withdrawn.values()) == figures.deliveries
    assert figures.deliveries + sum(figures.exclusions.values()) == figures.candidates
    assert figures.bounced_total <= figures.accepted
    assert 0 <= figures.progress <= 1


def report(database: Database, campaign: Campaign) -> Report:
    with database.read() as session:
        return reports.report(session, campaign.id)


def rows(database: Database, campaign: Campaign, figure: str, **given: object) -> list[Row]:
    with database.read() as session:
        return reports.rows(session, campaign.id, figure, **given)  # type: ignore[arg-type]


def test_a_campaign_not_launched_yet_has_empty_figures(database: Database, make: Make) -> None:
    """No progress, and no division by zero."""
    figures = report(database, make.campaign(CampaignState.DRAFT))
    assert (figures.candidates, figures.deliveries, figures.progress, figures.rate) == (0, 0, 0.0, 0.0)


def test_progress_and_speed_follow_the_sending(database: Database, make: Make) -> None:
    """Three letters tried in six seconds; the one deferred is not settled."""
    campaign = make.campaign()
    for number, state in enumerate((DeliveryState.ACCEPTED, DeliveryState.REJECTED, DeliveryState.DEFERRED)):
        make.attempt(
            make.delivery(campaign=campaign, state=state), at=NOON + timedelta(seconds=2 + 2 * number)
        )
    make.delivery(campaign=campaign, state=DeliveryState.WAITING)
    figures = report(database, campaign)
    assert (figures.progress, figures.seconds, figures.rate) == (0.5, 6.0, 0.5)


def test_a_rejected_letter_that_bounced_is_not_bounced(database: Database, make: Make) -> None:
    """The relay refused it: it was never accepted, and is counted once."""
    campaign = make.campaign()
    letter = make.delivery(campaign=campaign, state=DeliveryState.REJECTED)
    make.event(letter, category="bad_mailbox", source="smtp")
    figures = report(database, campaign)
    assert (figures.rejected, figures.bounced, figures.bounced_total) == (1, {}, 0)


def test_a_row_shows_who_it_is_and_what_was_said(database: Database, make: Make) -> None:
    """The relay's last words, with the moment."""
    campaign = make.campaign()
    partner = make.partner("env")
    reader = make.subscriber("ann@example.org", name_en="Ann Lee", name_zh="李安")
    letter = make.delivery(
        campaign=campaign, subscriber=reader, partner=partner, state=DeliveryState.REJECTED
    )
    make.attempt(letter, 1, reply="451 later", state=DeliveryState.DEFERRED)
    make.attempt(letter, 2, reply="550 no", at=NOON + timedelta(hours=1))
    [row] = rows(database, campaign, "rejected")
    assert row == Row(
        1, "ann@example.org", "Ann Lee", "Partner env", "rejected", "550 no", NOON + timedelta(hours=1)
    )
    [in_chinese] = rows(database, campaign, "deliveries", language="zh")
    assert (in_chinese.name, in_chinese.partner) == ("李安", "伙伴 env")


def test_a_bounces_row_shows_the_reports_words(database: Database, make: Make) -> None:
    """Not the relay's, which accepted it."""
    campaign = make.campaign()
    letter = make.delivery(campaign=campaign)
    make.attempt(letter, reply="250 ok")
    make.event(letter, category="mailbox_full", detail="552 the box is full")
    [row] = rows(database, campaign, "bounced:mailbox_full")
    assert (row.what, row.words, row.at) == (
        "mailbox_full",
        "552 the box is full",
        NOON + timedelta(minutes=1),
    )


def test_rows_come_in_pages_that_miss_nobody(database: Database, make: Make) -> None:
    """In the order of the ledger, those without a letter last."""
    campaign = make.campaign(candidates=6)
    for _ in range(5):
        make.delivery(campaign=campaign)
    reader = make.subscriber()
    with database.write() as session:
        session.add(Exclusion(campaign_id=campaign.id, subscriber_id=reader.id, reason="pending"))
    pages = [rows(database, campaign, "candidates", page=page, size=4) for page in (1, 2, 3)]
    assert [[row.n for row in page] for page in pages] == [[1, 2, 3, 4], [5, None], []]


@pytest.mark.parametrize("figure", ["", "nonsense", "accepted:bad_mailbox", "progress"])
def test_a_figure_that_is_not_there_is_said_so(database: Database, make: Make, figure: str) -> None:
    """404."""
    with pytest.raises(NoSuchFigure):
        rows(database, make.campaign(), figure)


def test_a_campaign_that_is_not_there_is_said_so(database: Database) -> None:
    """404."""
    with database.read() as session, pytest.raises(NoSuchCampaign):
        reports.report(session, 7)


def test_the_number_of_queries_does_not_grow_with_the_campaign(sqlite_database: Database) -> None:
    """Seven for the figures, two for a page of rows."""
    make = Make(sqlite_database)
    campaign = make.campaign()
    for _ in range(10):
        make.attempt(make.delivery(campaign=campaign))
    asked: list[str] = []

    def ask(*args: object) -> None:
        asked.extend(text for text in [str(args[2])] if text.startswith("SELECT"))

    event.listen(sqlite_database.engine, "before_cursor_execute", ask)
    report(sqlite_database, campaign)
    assert len(asked) <= 7
    asked.clear()
    rows(sqlite_database, campaign, "accepted")
    assert len(asked) == 2
