"""The partner's own delivery report: campaign by campaign, every figure open to the letters behind it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from mailer.audience import exports
from mailer.audience.sheets.guard import guarded
from mailer.audience.store import Partner
from mailer.delivery import store as delivery
from mailer.delivery.store import Campaign
from mailer.reports import partner as reports
from mailer.reports.ours import Fate
from mailer.reports.partner import Letter, NoLetters
from mailer.web import advice, i18n, pages
from mailer.web.access import guard
from mailer.web.house import Here, House, Reading
from mailer.web.i18n import _
from mailer.web.partner import Own, Word, called, title_of, titles_of, zone_of
from mailer.web.words import word

router = APIRouter(prefix="/partner", dependencies=[Depends(guard)], include_in_schema=False)


@router.get("/report")
def report(request: Request, session: Reading, own: Own, page: pages.Number = 1) -> Response:
    found, total = reports.report(session, own.id, page)
    titles = titles_of(session, [each.campaign.id for each in found])
    return pages.render(
        request, "partner/report.html", found=found, total=total, page=page, size=reports.PAGE, titles=titles,
        name=called(own), zone=zone_of(session, own),
    )  # fmt: skip


@router.get("/report/{campaign}")
def letters(
    request: Request, session: Reading, own: Own, campaign: UUID, fate: Word = "", page: pages.Number = 1
) -> Response:
    found = _campaign(session, campaign)
    figures = reports.figures(session, own.id, found)
    wanted = Fate(fate) if fate in set(Fate) else None
    rows = reports.letters(session, own.id, found, wanted, page)
    return pages.render(
        request, "partner/letters.html", figures=figures, fate=wanted, rows=rows, total=figures.of(wanted),
        page=page, size=reports.LETTERS, told=advice.told, title=title_of(session, found.issue_id),
        zone=zone_of(session, own),
    )  # fmt: skip


@router.get("/report/{campaign}/letters.csv")
def export(house: Here, session: Reading, own: Own, campaign: UUID) -> Response:
    """Every letter as a line, read while it leaves; safe to open in a spreadsheet."""
    found = _campaign(session, campaign)
    reports.must_have_letters(session, own.id, found)
    name = {"Content-Disposition": f'attachment; filename="letters-{found.launched_at:%Y-%m-%d}.csv"'}
    lines = _lines(house, own, found, zone_of(session, own), i18n.current())
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=name)


def _lines(house: House, own: Partner, campaign: Campaign, zone: str, language: str) -> Iterator[str]:
    i18n.use(language)
    yield "\ufeff" + exports.line(
        [_("Name"), _("Address"), _("How it went"), _("Why"), _("What was said"), _("When")]
    )
    with house.database.read() as session:
        for each in reports.every_letter(session, own.id, campaign):
            yield exports.line([guarded(cell) for cell in _cells(each, zone)])


def _cells(letter: Letter, zone: str) -> list[str]:
    names = (letter.name_zh, letter.name_en)
    name = next((each for each in (names if i18n.current() == "zh" else reversed(names)) if each), "")
    why = advice.told(letter.category).means if letter.category else ""
    return [name, letter.address, word(f"fate_{letter.fate}"), why, letter.words, i18n.when(letter.at, zone)]


def _campaign(session: Session, campaign: UUID) -> Campaign:
    found = delivery.campaign_by_public_id(session, campaign)
    if found is None:
        raise NoLetters
    return found
