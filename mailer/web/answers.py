"""The administrator's pages about what readers answer: their words, and where they were passed on to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.audience.store import Subscriber
from mailer.delivery import store as delivery
from mailer.delivery.store import Delivery
from mailer.errors import NotFound
from mailer.feedback import answered, answers, forwarding, mime, shown
from mailer.feedback import store as feedback
from mailer.feedback.answers import State
from mailer.feedback.store import Answer
from mailer.sentence import Sentence
from mailer.web import pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.campaigns import known
from mailer.web.house import Now, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/answers", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Watcher = Annotated[SignedIn, Depends(may("event.read"))]

PATH = "/admin/answers"
SIZE = 50


@dataclass(frozen=True)
class Seen:
    """An answer as pages show it. ``subject`` "": none, or the mail is not kept; ``why`` None: as usual."""

    row: Answer
    writer: str
    subject: str
    why: Sentence | None


@router.get("")
def list_answers(
    request: Request, session: Reading, now: Now, me: Watcher, state: State | None = None,
    page: pages.Number = 1,
) -> Response:  # fmt: skip
    rows, total = answered.page(session, state or "", page, SIZE)
    found = [seen(session, row) for row in rows]
    return pages.render(
        request, "admin/answers.html", found=found, total=total, state=state, states=list(State),
        page=page, size=SIZE,
    )  # fmt: skip


@router.get("/{mail}")
def show_answer(request: Request, session: Reading, now: Now, me: Watcher, mail: int) -> Response:
    row = answers.get(session, mail)
    campaign = delivery.campaign(session, row.campaign_id)
    raw = feedback.mail_content(session, mail)
    return pages.render(
        request, "admin/answer.html", each=seen(session, row),
        mail=shown.read(raw) if raw is not None else None,
        person=_person(session, row), campaign=known(session, [campaign])[0] if campaign else None,
    )  # fmt: skip


@router.get("/{mail}/mail")
def download(session: Reading, me: Watcher, mail: int) -> Response:
    """The answer as it came: for a mail program to open; a browser only stores it."""
    raw = feedback.mail_content(session, answers.get(session, mail).mail_id)
    if raw is None:
        raise NotFound
    name = {"Content-Disposition": f'attachment; filename="answer-{mail}.eml"'}
    return Response(raw, media_type="message/rfc822", headers=name)


@router.post("/{mail}/pass-on")
def pass_on(session: Writing, now: Now, me: Watcher, mail: int) -> Response:
    answers.again(session, mail, now=now, actor=actor(me))
    return pages.done(f"{PATH}/{mail}", _("The answer goes to the desk within half a minute."))


def seen(session: Session, row: Answer) -> Seen:
    """Return an answer with what its head says."""
    headers = mime.read((feedback.mail_content(session, row.mail_id) or b"")[: mime.HEADER_LIMIT]).headers
    subject = mime.decode_words(headers.get("subject")[:500])
    why = Sentence.restored(row.said) if row.said else None
    return Seen(row, forwarding.writer(headers).shown, subject, why)


def _person(session: Session, row: Answer) -> Subscriber | None:
    """Return whom the letter went to that was answered; None: the ledger has it no more."""
    found = session.get(Delivery, (row.campaign_id, row.n))
    return session.get(Subscriber, found.subscriber_id) if found else None
