"""The audit log's page: who did what, with before and after, looked through and taken along."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from mailer.accounts import entries, store
from mailer.accounts.entries import Filter
from mailer.accounts.sessions import SignedIn
from mailer.accounts.store import AuditEntry
from mailer.audience.sheets.guard import guarded
from mailer.web import deeds, pages
from mailer.web.access import guard, may, staff
from mailer.web.house import Here, House, Now, Reading
from mailer.web.i18n import current, use

router = APIRouter(
    prefix="/admin/activity", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Watcher = Annotated[SignedIn, Depends(may("event.read"))]
_HEADER = ("when", "who", "action", "what", "subject", "partner", "before", "after")


def _wanted(
    actor: pages.Search = "",
    action: Annotated[str, Query(max_length=60)] = "",
    subject: Annotated[str, Query(max_length=60)] = "",
    partner: str = "",
    since: str = "",
    until: str = "",
) -> Filter:
    return Filter(
        actor=actor, action=action, subject=deeds.subject(subject),
        partner_id=int(partner) if partner.isdecimal() else None,
        since=_day(since), until=_day(until),
    )  # fmt: skip


Wanted = Annotated[Filter, Depends(_wanted)]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


@router.get("")
def show(request: Request, session: Reading, me: Watcher, wanted: Wanted, before: Before = None) -> Response:
    found, older = entries.page(session, wanted, before=before)
    return pages.render(
        request, "admin/activity.html", entries=found, older=older, before=before, wanted=wanted,
        partners={row.id: row for row in store.partners(session)}, areas=list(deeds.by_area()),
        deed=deeds.deed, doer=deeds.doer, changes=deeds.changes, about=deeds.about,
        called=_called(session, found), form=dict(request.query_params),
    )  # fmt: skip


@router.get("/export")
def export(house: Here, now: Now, me: Watcher, wanted: Wanted) -> Response:
    """All that fits as a CSV, read while it leaves; safe to open in a spreadsheet."""
    name = {"Content-Disposition": f'attachment; filename="activity-{now.date()}.csv"'}
    return StreamingResponse(
        _lines(house, wanted, current()), media_type="text/csv; charset=utf-8", headers=name
    )


def _called(session: Session, found: Sequence[AuditEntry]) -> dict[str, str]:
    """Return the addresses of the accounts that entries are about, by their subject."""
    ids = [int(id) for noun, _, id in (entry.subject.partition(" ") for entry in found) if noun == "user"]
    return {f"user {id}": email for id, email in store.emails(session, ids).items()}


def _lines(house: House, wanted: Filter, language: str) -> Iterator[str]:
    yield "\ufeff" + _line(_HEADER)
    use(language)
    with house.database.read() as session:
        codes = {row.id: row.code for row in store.partners(session)}
        for entry in entries.every(session, wanted):
            yield _line(
                (
                    entry.at.isoformat(timespec="seconds"), entry.actor, entry.action,
                    deeds.deed(entry.action), entry.subject, codes.get(entry.partner_id, ""),
                    _plain(entry.before), _plain(entry.after),
                )
            )  # fmt: skip


def _plain(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(map(guarded, cells))
    return out.getvalue()


def _day(text: str) -> date | None:
    """Return the day; None when there is none: a filter that cannot be read finds everything."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
