"""A partner's own delivery report: how the letters to its people fared, campaign by campaign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from mailer.delivery.store import Campaign, DeliveryState
from mailer.errors import NotFound
from mailer.issues.store import Issue
from mailer.reports import ours, store
from mailer.reports.ours import Counts, Fate, Line

PAGE = 10  # campaigns a page
LETTERS = 50  # letters a page
FEWEST = 5  # letters; of fewer, a share of readers would point at people
_CHUNK = 500  # letters read at once for a file


class NoLetters(NotFound):
    """No letter of this issue went to your people: look it up in your report."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A campaign's letters to the partner's people; the four fates add up to ``letters``.

    ``opened`` and ``clicked`` count letters, machines left out; None: too few arrived to say it without
    pointing at people.
    """

    campaign: Campaign
    letters: int
    arrived: int
    returned: int
    underway: int
    uncertain: int
    opened: int | None
    clicked: int | None

    def of(self, fate: Fate | None) -> int:
        """Return how many letters had a fate; None: any."""
        return self.letters if fate is None else {
            Fate.ARRIVED: self.arrived, Fate.RETURNED: self.returned, Fate.UNDERWAY: self.underway,
            Fate.UNCERTAIN: self.uncertain,
        }[fate]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """What became of one letter. ``person`` None: no longer on the partner's list.

    ``category`` says why it came back or was deferred ("": neither), ``words`` what was said, ``at`` when.
    """

    campaign_id: int
    launched_at: datetime
    person: UUID | None
    address: str  # "": erased
    name_zh: str
    name_en: str
    fate: Fate
    category: str
    words: str
    at: datetime | None


def report(
    session: Session, partner_id: int, page: int = 1, *, size: int = PAGE
) -> tuple[list[Figures], int]:
    """Return a page of campaigns with letters to the partner's people, newest first, and how many."""
    found, total = ours.campaigns(session, partner_id, page, size)
    return [_figures(campaign, counted) for campaign, counted in found], total


def last(session: Session, partner_id: int) -> Figures | None:
    """Return the newest campaign with letters to the partner's people; None: there was none yet."""
    newest = ours.newest(session, partner_id)
    return figures(session, partner_id, newest) if newest else None


def figures(session: Session, partner_id: int, campaign: Campaign) -> Figures:
    """:raises NoLetters: none of the campaign's letters went to the partner's people"""
    counted = ours.counts(session, partner_id, campaign)
    if counted is None:
        raise NoLetters
    return _figures(campaign, counted)


def must_have_letters(session: Session, partner_id: int, campaign: Campaign) -> None:
    """:raises NoLetters: none of the campaign's letters went to the partner's people"""
    if not ours.any_letter(session, partner_id, campaign):
        raise NoLetters


def _figures(campaign: Campaign, counted: Counts) -> Figures:
    _id, arrived, returned, underway, uncertain, opened, clicked = counted
    enough = arrived >= FEWEST
    return Figures(
        campaign, arrived + returned + underway + uncertain, arrived, returned, underway, uncertain,
        opened if enough else None, clicked if enough else None,
    )  # fmt: skip


def letters(
    session: Session,
    partner_id: int,
    campaign: Campaign,
    fate: Fate | None = None,
    page: int = 1,
    *,
    size: int = LETTERS,
) -> list[Letter]:
    """Return a page of a campaign's letters to the partner's people; ``Figures.of`` says of how many."""
    numbers = ours.numbers(session, partner_id, campaign, fate, page=page, size=size)
    return _told(session, ours.lines(session, partner_id, campaign, numbers))


def every_letter(session: Session, partner_id: int, campaign: Campaign) -> Iterator[Letter]:
    """Yield a campaign's letters to the partner's people, read as they are asked for."""
    numbers = ours.numbers(session, partner_id, campaign)
    for start in range(0, len(numbers), _CHUNK):
        lines = ours.lines(session, partner_id, campaign, numbers[start : start + _CHUNK])
        yield from _told(session, lines)


def of_person(session: Session, partner_id: int, membership: UUID) -> list[Letter]:
    """Return the last letters to one of the partner's people, newest first."""
    return _told(session, ours.lines_to(session, partner_id, membership, LETTERS))


def issues_of(session: Session, campaign_ids: Collection[int]) -> dict[int, Issue]:
    """Return the issues that campaigns bring, by campaign."""
    return ours.issues(session, campaign_ids)


def _told(session: Session, lines: Sequence[Line]) -> list[Letter]:
    by_campaign: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_campaign[line.campaign_id].append(line)
    said = {
        (campaign_id, n): reply
        for campaign_id, rows in by_campaign.items()
        for n, reply in _said(session, campaign_id, rows).items()
    }
    return [_letter(line, said.get((line.campaign_id, line.n))) for line in lines]


def _said(session: Session, campaign_id: int, lines: Sequence[Line]) -> dict[int, store.Reply]:
    taken = [line.n for line in lines if line.state == DeliveryState.ACCEPTED]
    others = [line.n for line in lines if line.state != DeliveryState.ACCEPTED]
    returned = {line.n for line in lines if line.fate is Fate.RETURNED}
    tried = store.last_replies(session, campaign_id, [*taken, *others])
    arrived = {n: reply._replace(category=None, words="") for n, reply in tried.items() if n in set(taken)}
    back = ours.returns(session, campaign_id, [n for n in taken if n in returned])
    return {**tried, **arrived, **back}


def _letter(line: Line, said: store.Reply | None) -> Letter:
    return Letter(
        line.campaign_id,
        line.launched_at,
        line.public_id if line.ended_at is None else None,
        line.address or "",
        line.name_zh,
        line.name_en,
        line.fate,
        (said.category or "") if said else "",
        said.words if said else "",
        said.at if said else None,
    )
