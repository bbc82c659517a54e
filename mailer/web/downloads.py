"""Downloads: people leave as a file, for the secretariat by rule or search, for a partner its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.sessions import SignedIn
from mailer.audience import exports, selection
from mailer.audience.exports import Row
from mailer.issues import store as issues
from mailer.web.access import actor, guard, may, staff
from mailer.web.house import Here, House, Now
from mailer.web.people import Wanted

router = APIRouter(dependencies=[Depends(guard)], include_in_schema=False)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]
Manager = Annotated[SignedIn, Depends(may("partner.manage"))]
Kind = Literal["csv", "xlsx"]
Rows = Callable[[Session], Iterator[Row]]

_BLOCK = 1 << 16  # octets sent at once
_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@router.get("/admin/subscribers.{kind}", dependencies=[Depends(staff)])
def subscribers(house: Here, now: Now, me: Steward, kind: Kind, wanted: Wanted) -> Response:
    """Whom the list shows by the same search and filters, however many."""
    with house.database.write() as session:  # over before the first octet leaves
        where = selection.everybody(session, wanted, now)
        publication_id = next((each.id for each in issues.publications(session)), 0)
        audit.record(
            session, now=now, actor=actor(me), action="subscriber.export", subject="subscribers",
            after={
                "kind": kind, "searched": bool(wanted.search.strip()),
                "narrowed": bool(replace(wanted, search="").stored()),
            },
        )  # fmt: skip
    return _file(
        house, kind, f"subscribers-{now.date()}", lambda reading: exports.rows(reading, where, publication_id)
    )


@router.get("/partner/people.{kind}")
def own_people(house: Here, now: Now, me: Manager, kind: Kind) -> Response:
    """The partner's own people, as it wrote them."""
    partner_id = me.user.partner_id or 0
    with house.database.write() as session:
        audit.record(
            session, now=now, actor=actor(me), action="membership.export", subject=f"partner {partner_id}",
            after={"kind": kind}, partner_id=partner_id,
        )  # fmt: skip
    return _file(house, kind, f"people-{now.date()}", lambda reading: exports.own_rows(reading, partner_id))


def _file(house: House, kind: Kind, name: str, rows: Rows) -> Response:
    """Answer with a file that is read while it leaves."""
    octets = _lines(house, rows) if kind == "csv" else _workbook(house, rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return StreamingResponse(octets, media_type=_MEDIA[kind], headers=headers)


def _lines(house: House, rows: Rows) -> Iterator[bytes]:
    with house.database.read() as session:
        for line in exports.as_csv(rows(session)):
            yield line.encode()


def _workbook(house: House, rows: Rows) -> Iterator[bytes]:
    """Yield a workbook, which has to be whole before its first octets can be told."""
    with tempfile.TemporaryFile() as file:
        with house.database.read() as session:
            exports.as_workbook(rows(session), file)
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block
